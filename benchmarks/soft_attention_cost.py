"""Time and memory that a soft attention module takes, for `benchmarks/soft_attention.py`."""

import ctypes
import multiprocessing
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import torch
from textbook import TEXTBOOK
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from glimpse.soft_baselines import make

_MMAP_THRESHOLD = -3  # of glibc's malloc.h
MODES = ("inference", "training")
# Options that a module needs for maps of that side.
OPTIONS: Mapping[str, Callable[[int], dict[str, Any]]] = {
    "aa_conv": lambda pixels: {"size": (pixels, pixels)},
}
# What timm calls them; its defaults differ from ours here and there (reductions, biases).
TIMM = {"cbam": "cbam", "eca": "eca", "gc": "gc", "non_local": "nl", "se": "se", "sk": "sk"}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is measured.

    Attributes:
        name: Of the module in the table.
        way: "ours", "textbook", "timm" or "saving": ours, of which only the maps are kept until the
            backward pass, which computes everything once more.
        channels: C.
        pixels: Height and width of the map.
        device: "cpu" (float32) or "cuda" (bfloat16, channels last).
        limit: Memory that a process may take on a CPU, in GiB.
    """

    name: str
    way: str = "ours"
    channels: int
    pixels: int
    device: str = "cpu"
    limit: float = 12.0

    def module(self) -> nn.Module:
        """Return the module, with weights that leave no part of it out."""
        torch.manual_seed(0)
        if self.way == "timm":
            module = timm_module(self.name, self.channels)
        else:
            options = OPTIONS[self.name](self.pixels) if self.name in OPTIONS else {}
            module = make(self.name, self.channels, **options)
        with torch.no_grad():
            for weights in module.parameters():
                if not weights.any():
                    inputs = weights[0].numel() if weights.ndim > 1 else 4
                    weights.normal_(std=inputs**-0.5)
        return module.eval()

    def on_device(self) -> tuple[Callable[[Tensor], Tensor], nn.Module, Tensor]:
        """Return what computes the case, its module, and maps."""
        module = self.module()
        maps = torch.randn(1, self.channels, self.pixels, self.pixels)
        if self.device == "cuda":
            module = module.to("cuda", torch.bfloat16, memory_format=torch.channels_last)
            maps = maps.to("cuda", torch.bfloat16, memory_format=torch.channels_last)
        if self.way == "textbook":
            return Textbook(self.name, module), module, maps
        if self.way == "saving":
            return partial(checkpoint, module, use_reentrant=False), module, maps
        return module, module, maps

    def work(self, mode: str) -> Callable[[], None]:
        """Return what runs once in that mode."""
        compute, module, maps = self.on_device()
        direction = torch.randn_like(maps)

        def infer() -> None:
            with torch.no_grad():
                compute(maps)

        def train() -> None:
            compute(maps).backward(direction)
            maps.grad = None
            module.zero_grad()

        if mode == "training":
            maps.requires_grad_()
        return infer if mode == "inference" else train

    def waits(self) -> None:
        """Wait until everything asked of the device is done."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def clock(self) -> float:
        """Return seconds: of work on a CPU, and passed where another device works."""
        self.waits()
        return time.process_time() if self.device == "cpu" else time.perf_counter()


class Textbook(nn.Module):
    """The textbook's function as a module, for a call of a module takes microseconds, too."""

    def __init__(self, name: str, weights: nn.Module) -> None:
        super().__init__()
        self.compute, self.weights = TEXTBOOK[name], weights

    def forward(self, maps: Tensor) -> Tensor:
        """Return what the equations say."""
        return self.compute(self.weights, maps)


def timm_module(name: str, channels: int) -> nn.Module:
    """Return timm's module.

    Raises:
        ImportError: timm, or torchvision, which it needs, is not installed or does not fit.
    """
    try:
        from timm.layers import get_attn
    except RuntimeError as error:  # as torchvision says that it is made for another torch
        raise ImportError(str(error)) from error
    found: nn.Module = get_attn(TIMM[name])(channels)
    return found


def seconds(cases: Mapping[str, Case], mode: str, repeats: int) -> dict[str, list[float]]:
    """Return the seconds of each in every turn; a turn lasts a twentieth of a second or longer."""
    works = {way: case.work(mode) for way, case in cases.items()}

    def once(way: str, count: int) -> float:
        start = cases[way].clock()
        for _ in range(count):
            works[way]()
        return (cases[way].clock() - start) / count

    first = {way: once(way, 1) for way in works}
    quick = {way: once(way, 1) if took < 0.1 else took for way, took in first.items()}
    counts = {way: ceil(0.05 / max(took, 1e-6)) for way, took in quick.items()}
    order = list(works)
    turns = []
    for _ in range(repeats):
        turns.append({way: once(way, counts[way]) for way in order})
        order.reverse()  # so that nobody always comes first
    return {way: [turn[way] for turn in turns] for way in works}


def memory(case: Case) -> dict[str, float | None]:
    """Return the MiB that each mode adds, None where it takes too much, in a process of its own.

    It is a copy of one that has loaded PyTorch and done nothing else. "kept" is what is kept from
    the forward to the backward pass of training.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["glimpse.soft_baselines", "torch.utils.flop_counter"])
    with context.Pool(1) as pool:
        return pool.apply(memory_here, (case,))


def memory_here(case: Case) -> dict[str, float | None]:
    """Return the MiB that each mode adds in this process; without the output in inference."""
    torch.set_num_threads(1)
    if case.device == "cpu":
        # What is freed goes back at once: what is held counts, not what malloc keeps in between.
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, 2**17)
        most = int(case.limit * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    small = replace(case, pixels=8)
    for mode in MODES:  # what is loaded once
        small.work(mode)()
    output = case.channels * case.pixels**2 * (4 if case.device == "cpu" else 2) / 2**20
    told: dict[str, float | None] = {}
    for mode in MODES:
        work = case.work(mode)
        forget_peak(case.device)
        before = most_memory(case.device)
        try:
            work()
        except RuntimeError as error:
            if "memory" not in str(error):
                raise
            told[mode] = None
        else:
            told[mode] = most_memory(case.device) - before
            told[mode] -= output if mode == "inference" else 0
    told["kept"] = None if told["training"] is None else kept(case) - output
    return told


def kept(case: Case) -> float:
    """Return the MiB that are held after a forward pass, for the backward pass and as output."""
    compute, _, maps = case.on_device()
    maps.requires_grad_()
    forget_peak(case.device)
    before = most_memory(case.device)
    out = compute(maps)
    forget_peak(case.device)
    after = most_memory(case.device)
    del out
    return after - before


def forget_peak(device: str) -> None:
    """Measure the most memory from now on."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return
    ctypes.CDLL(None).malloc_trim(0)  # what was freed goes back to the kernel
    Path("/proc/self/clear_refs").write_text("5")


def most_memory(device: str) -> float:
    """Return the most memory that was held, in MiB (on a CPU: Linux)."""
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated()) / 2**20
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def rates(case: Case) -> tuple[float, float]:
    """Return the operations a second of a large matrix product, and the bytes of a large copy."""
    side = 1024 if case.device == "cpu" else 8192
    kind = torch.float32 if case.device == "cpu" else torch.bfloat16
    left, right = torch.randn(2, side, side, device=case.device, dtype=kind)
    source = torch.randn(2**24, device=case.device)
    target = torch.empty_like(source)
    product = best(case, lambda: torch.mm(left, right))
    copy = best(case, lambda: target.copy_(source))
    return 2 * side**3 / product, 2 * source.nbytes / copy


def limit(case: Case, operations: float, moved: float) -> float:
    """Return the least seconds of inference: the textbook's products, and the maps moved once."""
    compute, _, maps = replace(case, way="textbook").on_device()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        compute(maps)
    return counter.get_total_flops() / operations + 2 * maps.nbytes / moved


def best(case: Case, work: Callable[[], object]) -> float:
    """Return the seconds of the fastest of ten."""
    took = []
    for _ in range(10):
        start = case.clock()
        work()
        took.append(case.clock() - start)
    return min(took)
