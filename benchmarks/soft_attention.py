"""What does every soft attention module cost, beside the equations as its paper prints them?

For each module of the table, number of channels and side of a map: the time of inference, the time
of training (forward and backward, to the maps and every parameter), and the memory of both. Beside
it stand the textbook form (`benchmarks/textbook.py`), on the same weights; for self-attention on
the largest maps training that saves memory, by `torch.utils.checkpoint`; timm's module of that
name, where timm can be imported; and as the physical limit of inference the time of the textbook's
multiplications at the rate of one large matrix product, plus that of reading and writing the maps
once.

One map at a time. Normalisation uses its running statistics, in training too, and weights that are
zero at first are drawn, so that nothing is skipped. Those who are compared take turns, and a ratio
is the median of the turns. Memory is what the kernel counts in a process of its own (on CUDA: what
the allocator does), inference beyond its output; what is freed is given back at once there, so that
the holes between tensors do not count. Before all this, outputs and gradients of ours and
of the textbook are compared in float64, on 40 x 37 pixels.

    python benchmarks/soft_attention.py           # an hour or more
    python benchmarks/soft_attention.py --quick   # a minute or two
    python benchmarks/soft_attention.py --device cuda   # bfloat16, channels last
"""

import argparse
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median

import torch
from soft_attention_cost import (
    MODES,
    TIMM,
    Case,
    limit,
    memory,
    rates,
    seconds,
    timm_module,
)
from textbook import TEXTBOOK

from glimpse.soft_baselines import ATTENTION

NOISE = 1.1  # what a ratio may be above 1 on a machine with other users
SMALL = (14, 56)  # pixels at which nobody may be slower than the textbook
LARGE = (512, 96)  # channels and pixels at which self-attention has these targets:
MEMORY, MOST = 100, {"inference": 1.3, "training": 1.2}  # MiB beyond the output, times the textbook

_EACH = ("ours", "book", "to book", "to timm", "ours MiB", "book MiB")
COLUMNS = (
    *("module", "C", "pixels", *(f"infer {name}" for name in _EACH)),
    *(*(f"train {name}" for name in _EACH), "infer to limit", "targets"),
)


@dataclass(frozen=True)
class Row:
    """What was measured of a module on maps of one size.

    Attributes:
        case: Ours.
        took: Seconds of every turn, by mode and way; without what does not fit into memory.
        peak: MiB, by way and mode; None where it does not fit.
        least: Seconds that inference takes at least.
    """

    case: Case
    took: Mapping[str, Mapping[str, list[float]]]
    peak: Mapping[str, Mapping[str, float | None]]
    least: float | None

    def ratio(self, mode: str, other: str) -> float | None:
        """Return the time of ours to that of the other way."""
        turns = self.took[mode]
        if not {"ours", other} <= set(turns):
            return None
        return median(a / b for a, b in zip(turns["ours"], turns[other], strict=True))

    def verdict(self) -> str:
        """Return which targets are missed, if there are any."""
        name, large = self.case.name, (self.case.channels, self.case.pixels) == LARGE
        if large and ATTENTION[name].domain == "self-attention":
            most = MOST
        elif self.case.pixels in SMALL and name in TEXTBOOK:
            most, large = dict.fromkeys(MODES, NOISE), False
        else:
            return "no target"
        ratios = {mode: self.ratio(mode, "textbook") for mode in MODES}
        missed = [
            f"{mode} {ratio:.2f}x"
            for mode, ratio in ratios.items()
            if round(ratio or 0, 2) > most[mode]
        ]
        held = self.peak["ours"]["inference"]
        if large and (held is None or held > MEMORY):
            missed.append("does not fit" if held is None else f"{held:.0f} MiB")
        return f"MISSED: {', '.join(missed)}" if missed else "reached"


def compare(name: str) -> None:
    """Refuse a module that is not the textbook's: outputs and gradients in float64."""
    module = Case(name=name, channels=64, pixels=40).module().double()
    maps = torch.randn(1, 64, 40, 37, dtype=torch.float64, requires_grad=True)
    outputs = [TEXTBOOK[name](module, maps), module(maps)]
    inputs, direction = [maps, *module.parameters()], torch.randn_like(outputs[0])
    gradients = [torch.autograd.grad(out, inputs, direction, allow_unused=True) for out in outputs]
    compared = [(outputs[0], outputs[1]), *zip(*gradients, strict=True)]
    for known, given in compared:
        torch.testing.assert_close(given, known, atol=1e-7, rtol=1e-6)


def measure(case: Case, ways: list[str], repeats: int, speed: tuple[float, float]) -> Row:
    """Measure memory first, so that nothing is timed that does not fit."""
    cases = {way: replace(case, way=way) for way in ways}
    peak = {way: memory(each) for way, each in cases.items()}
    took = {}
    for mode in MODES:
        fits = {way: each for way, each in cases.items() if peak[way][mode] is not None}
        if mode == "inference":
            fits.pop("saving", None)
        took[mode] = seconds(fits, mode, repeats)
    counted = "textbook" in ways and peak["textbook"]["inference"] is not None
    return Row(case, took, peak, limit(case, *speed) if counted else None)


def ways_of(case: Case, timm: bool) -> list[str]:
    """Return what there is to measure of a module."""
    large = (case.channels, case.pixels) == LARGE
    there = {
        "ours": True,
        "textbook": case.name in TEXTBOOK,
        "saving": large and ATTENTION[case.name].domain == "self-attention",
        "timm": timm and case.name in TIMM,
    }
    return [way for way, here in there.items() if here]


def line(row: Row) -> str:
    """Return what the table says."""
    cells = [row.case.name, f"{row.case.channels}", f"{row.case.pixels}"]
    for mode in MODES:
        for way in ("ours", "textbook"):
            turns = row.took[mode].get(way)
            cells.append(f"{1e3 * median(turns):,.2f} ms" if turns else "")
        ratios = (row.ratio(mode, way) for way in ("textbook", "timm"))
        cells += [f"{ratio:.2f}" if ratio else "" for ratio in ratios]
        for way in ("ours", "textbook"):
            held = row.peak.get(way, {}).get(mode, 0.0)
            told = "does not fit" if held is None else f"{held:,.1f}"
            cells.append(told if way in row.peak else "")
    turns = row.took["inference"].get("ours")
    cells.append(f"{median(turns) / row.least:.1f}" if turns and row.least else "")
    return f"| {' | '.join([*cells, row.verdict()])} |"


def saved(row: Row) -> str:
    """Return what the mode that saves memory costs."""
    ratio = row.ratio("training", "saving")
    kept = [row.peak[way].get("kept") for way in ("ours", "textbook", "saving")]
    told = ", ".join("does not fit" if held is None else f"{held:.0f}" for held in kept)
    slower = f"{1 / ratio:.2f} times as long as ours" if ratio else "does not fit"
    where = f"{row.case.name}, C {row.case.channels}, {row.case.pixels} pixels"
    return f"{where}: kept from forward to backward (ours, textbook, saving) {told} MiB; {slower}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=ATTENTION, default=list(ATTENTION))
    parser.add_argument("--channels", type=int, nargs="+", default=[64, 512])
    parser.add_argument("--pixels", type=int, nargs="+", default=[14, 56, 96])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--limit", type=float, default=12.0, help="memory of a process, in GiB")
    parser.add_argument("--quick", action="store_true", help="64 channels, 14 pixels, 3 turns")
    options = parser.parse_args()
    if options.quick:
        options.channels, options.pixels, options.repeats = [64], [14], 3
    torch.set_num_threads(1)
    try:
        timm_module("se", 64)
    except ImportError as error:
        print(f"without timm: {error}")
        timm = False
    else:
        timm = True
    cases = [
        Case(name=name, channels=count, pixels=side, device=options.device, limit=options.limit)
        for name in options.only
        for count in options.channels
        for side in options.pixels
    ]
    for name in options.only:
        if name in TEXTBOOK:
            compare(name)
    report(cases, timm, options.repeats)


def report(cases: list[Case], timm: bool, repeats: int) -> None:
    """Measure, and print the table row by row."""
    speed = rates(cases[0])
    where = platform.machine() if cases[0].device == "cpu" else torch.cuda.get_device_name()
    print(f"{where}, torch {torch.__version__}, 1 thread, 1 map, median of {repeats} turns\n")
    print(f"| {' | '.join(COLUMNS)} |\n| --- |{' ---: |' * (len(COLUMNS) - 2)} --- |")
    rows = []
    for case in cases:
        rows.append(measure(case, ways_of(case, timm), repeats, speed))
        print(line(rows[-1]), flush=True)
    print()
    for row in rows:
        if "saving" in row.peak:
            print(saved(row))
    verdicts = [row.verdict() for row in rows]
    missed = sum(verdict.startswith("MISSED") for verdict in verdicts)
    print(f"targets reached in {verdicts.count('reached')} rows, missed in {missed}")


if __name__ == "__main__":
    main()
