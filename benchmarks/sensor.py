"""How many glimpses a second? Ours beside the plain way and `F.grid_sample`, in one run.

`known` is the way of the well-known code: pad the batch, cut a window out of every sample in a
Python loop, with tensors as bounds, and average it down. `plain` is the same with Python numbers as
bounds, a kinder reference. `grid_sample` reads one bilinear sample for each pixel of the glimpse,
it does not average. All get batches of the same size where memory allows: above 100 pixels ours
reads from 64 images at most, and the others, to which each sample brings its whole image, take 64
samples at a time (8 at 4096 pixels). The limit is the time to move the numbers a glimpse needs,
those of the table and those it returns, at the speed of a large copy measured in the same run; `of
it` says how many times that we take.

    python benchmarks/sensor.py                  # about ten minutes
    python benchmarks/sensor.py --quick          # sizes only, two minutes
    python benchmarks/sensor.py --device cuda
"""

import argparse
import math
import multiprocessing
import platform
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from glimpse import GlimpseSensor, ImageSet
from glimpse.canvas import CANVASES, OnCanvas
from glimpse.tables import SummedAreaTables

SIZE, BATCH = 8, 8192


def seconds(work: Callable[[], object], device: torch.device, least: float = 0.5) -> float:
    """Return the seconds of a call, the median of five: CPU seconds, or wall seconds on CUDA."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter

    def once(repeats: int) -> float:
        start = clock()
        for _ in range(repeats):
            work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return (clock() - start) / repeats

    once(1)
    repeats = max(int(least / 5 / max(once(1), 1e-7)), 1)
    return median(once(repeats) for _ in range(5))


def padded_crops(
    images: Tensor, location: Tensor, scales: int, bounds: Callable[[Tensor], Iterable[object]]
) -> Tensor:
    """Return glimpses (B, K, C, s, s): pad, cut out, average; `bounds` makes the slices' bounds."""
    side, glimpses = images.shape[-1], []
    for scale in range(scales):
        width = SIZE * 2**scale
        padded = F.pad(images, (width // 2,) * 4)
        start = (0.5 * (location + 1) * side).long()
        edges = bounds(torch.cat([start, start + width], dim=1))
        patches = [
            padded[row, :, top:bottom, left:right]
            for row, (left, top, right, bottom) in enumerate(edges)  # type: ignore[misc]
        ]
        glimpses.append(F.avg_pool2d(torch.stack(patches), 2**scale))
    return torch.stack(glimpses, dim=1)


def known(images: Tensor, location: Tensor, scales: int) -> Tensor:
    """Return glimpses the way of the well-known code: bounds are elements of a tensor."""
    return padded_crops(images, location, scales, lambda edges: edges)


def plain(images: Tensor, location: Tensor, scales: int) -> Tensor:
    """Return glimpses the same way with Python numbers as bounds."""
    return padded_crops(images, location, scales, lambda edges: edges.tolist())


def by_grid_sample(images: Tensor, location: Tensor, scales: int) -> Tensor:
    """Return samples (B, K, C, s, s) of `F.grid_sample`."""
    batch, channels, side, _ = images.shape
    offset = (torch.arange(SIZE, device=images.device) + 0.5 - SIZE / 2) * 2 / side
    steps = torch.stack(torch.meshgrid(offset, offset, indexing="xy"), dim=-1)
    widths = 2.0 ** torch.arange(scales, device=images.device)
    grid = location[:, None, None, None] + widths[:, None, None, None] * steps
    grid = grid.reshape(batch, scales * SIZE, SIZE, 2)
    found = F.grid_sample(images, grid, align_corners=False)
    return found.view(batch, channels, scales, SIZE, SIZE).transpose(1, 2)


def copy_rate(device: torch.device) -> float:
    """Return the bytes a second that a large copy moves, read and written."""
    source = torch.zeros(2**28, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * len(source) / seconds(lambda: target.copy_(source), device)


@dataclass(frozen=True)
class Case:
    """One measurement."""

    side: int
    scales: int = 3
    batch: int = BATCH
    count: int = BATCH  # images
    dtype: torch.dtype = torch.uint8

    def row(
        self, device: torch.device, rate: float, first: float | None
    ) -> tuple[list[str], float]:
        """Return the cells of the measurement, and the seconds of a glimpse.

        Args:
            device: Where.
            rate: The bytes a second of a copy.
            first: The seconds of a glimpse that these shall not exceed by much.
        """
        count = min(self.count, 64) if self.side > 100 else self.count
        images = random_images(count, self.side, device)
        if self.dtype.is_floating_point:
            images = images.to(self.dtype) / 255
        sensor = GlimpseSensor(SIZE, self.scales)
        prepared = sensor.prepare(images)
        index = torch.randint(count, (self.batch,), device=device)
        location = torch.rand(self.batch, 2, device=device) * 2 - 1
        ours = seconds(lambda: sensor.read(prepared, index, location), device) / self.batch
        few = min(self.batch, BATCH if self.side <= 100 else 64 if self.side <= 1024 else 8)
        floats = random_images(few, self.side, device).float()
        theirs = [
            seconds(lambda way=way: way(floats, location[:few], self.scales), device) / few
            for way in (known, plain, by_grid_sample)
        ]
        moved = self.scales * ((SIZE + 1) ** 2 * prepared.table.element_size() + 4 * SIZE**2)
        cells = [f"{self.side:,}", str(self.scales), str(self.dtype).removeprefix("torch.")]
        cells += [f"{count:,}", f"{self.batch:,}", f"{1 / ours:,.0f}"]
        cells += [f"{other / ours:,.{0 if other > 10 * ours else 1}f}x" for other in theirs]
        cells += [self.verdict(theirs[0] / ours), f"{ours * rate / moved:.1f}"]
        cells.append(self.flatness(ours / first) if first else "")
        return cells, ours

    def verdict(self, ratio: float) -> str:
        """Say whether the ratio to the well-known code is what was aimed at."""
        if self.batch < 128 or self.side not in (28, 60, 100, 1024):
            return ""
        return judged(ratio >= (least := 40 if self.side <= 100 else 5000), f">= {least:,}x")

    def flatness(self, ratio: float) -> str:
        """Say whether a glimpse costs as much as on a small image."""
        most = 1.5 if self.count == 1 else 3
        return judged(ratio <= most, f"{ratio:.2f} <= {most}")


def judged(reached: bool, target: str) -> str:
    return f"{target} [{'green]reached' if reached else 'red]missed'}[/]"


def random_images(count: int, side: int, device: torch.device) -> Tensor:
    return torch.randint(0, 256, (count, 1, side, side), dtype=torch.uint8, device=device)


def sizes(device: torch.device, rate: float) -> Table:
    """Measure every size, fixations on one image and on many."""
    table = heading("sizes")
    for count in (1, BATCH):
        first = None
        for side in track((28, 60, 100, 1024, 4096), f"{count:,} images", console=PROGRESS):
            cells, spent = Case(side, count=count).row(device, rate, first)
            first = first or spent
            table.add_row(*cells)
    return table


def options(device: torch.device, rate: float) -> Table:
    """Measure batches, scales and floats."""
    table = heading("batches, scales, floats")
    cases = [Case(28, batch=batch, count=256) for batch in (1, 16, 128, 1024, 8192, 65536)]
    cases += [Case(side, scales) for side in (60, 1024) for scales in range(1, 7)]
    cases += [Case(side, dtype=torch.float32) for side in (28, 100, 1024)]
    for case in track(cases, "batches, scales, floats", console=PROGRESS):
        table.add_row(*case.row(device, rate, None)[0])
    return table


def heading(title: str) -> Table:
    table = Table(title=f"glimpses of {SIZE}x{SIZE}: {title}", title_justify="left")
    names = "pixels,scales,type,images,batch,glimpses/s,to known,to plain,to grid_sample"
    for name in f"{names},target,of it,to 28 pixels".split(","):
        table.add_column(name, justify="right")
    return table


def canvases(device: torch.device) -> Table:
    """Measure glimpses of generated canvases, six an episode, with all that an episode needs."""
    table = Table(title="generated canvases, six glimpses an episode", title_justify="left")
    for name in ("canvas", "scales", "glimpses/s", "with the table", "with table and canvas"):
        table.add_column(name, justify="right")
    base = ImageSet.from_arrays(random_images(1000, 28, device), [0] * 1000)
    for name, scales in (("translated-60", 3), ("cluttered-60", 3), ("cluttered-100", 4)):
        spent = canvas_seconds(OnCanvas(base, CANVASES[name]), GlimpseSensor(SIZE, scales), device)
        table.add_row(name, str(scales), *(f"{1 / total:,.0f}" for total in accumulate(spent)))
    return table


def canvas_seconds(images: OnCanvas, sensor: GlimpseSensor, device: torch.device) -> list[float]:
    """Return the seconds a glimpse of reading, of building tables and of drawing canvases."""
    index = torch.arange(1024, device=device) % 1000
    location = torch.rand(1024, 2, device=device) * 2 - 1
    drawn = images.draw(index, index)
    prepared, rows = sensor.prepare(drawn), torch.arange(1024, device=device)
    read = seconds(lambda: sensor.read(prepared, rows, location), device)
    build = seconds(lambda: sensor.prepare(drawn), device)
    draw = seconds(lambda: images.draw(index, index), device)
    return [read / 1024, build / 1024 / 6, draw / 1024 / 6]


def memory() -> Table:
    """Measure what image sets take at their peak, beside the images, each in a new process."""
    table = Table(title="memory of image sets beside their images", title_justify="left")
    for name in ("images", "type", "scales", "tables", "measured peak", "bytes a pixel"):
        table.add_column(name, justify="right")
    for shape, dtype, scales in (
        ((60000, 1, 28, 28), torch.uint8, 3),
        ((2000, 3, 224, 224), torch.uint8, 3),
        ((2000, 3, 224, 224), torch.uint8, 6),
        ((16, 1, 4096, 4096), torch.uint8, 3),
        ((500, 3, 224, 224), torch.float32, 3),
    ):
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=spawn) as other:
            tables, peak = other.submit(peak_memory, shape, dtype, scales).result()
        taken = [f"{size / 2**20:,.0f} MiB" for size in (tables, peak)]
        kind = str(dtype).removeprefix("torch.")
        each = f"{peak / math.prod(shape):.2f}"
        table.add_row(" x ".join(map(str, shape)), kind, str(scales), *taken, each)
    return table


def peak_memory(shape: tuple[int, ...], dtype: torch.dtype, scales: int) -> tuple[int, int]:
    """Return the bytes of the tables, and by how many the process grew at most to make them."""
    torch.set_num_threads(1)
    images = torch.ones(shape, dtype=dtype)
    kept, sensor = ImageSet.from_arrays(images, [0] * len(images)), GlimpseSensor(SIZE, scales)
    before = resident("VmRSS")
    prepared = kept.prepared(sensor, memory=math.inf)
    assert isinstance(prepared, SummedAreaTables)
    return prepared.table.nbytes, resident("VmHWM") - before


def resident(which: str) -> int:
    """Return the bytes of this process in memory: now, `VmRSS`, or at most so far, `VmHWM`."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition(f"{which}:")[2].split()[0])


PROGRESS = Console(stderr=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="sizes only")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    chosen = parser.parse_args()
    device = torch.device(chosen.device)
    torch.set_num_threads(1)
    console = Console(width=150)
    console.print(f"python {' '.join(sys.argv)}: {platform.machine()}, torch {torch.__version__}")
    rate = copy_rate(device)
    unit = "CPU-second of one core" if device.type == "cpu" else "second"
    console.print(f"per {unit}, median of 5; a large copy moves {rate / 1e9:.1f} GB/s")
    console.print(sizes(device, rate))
    if not chosen.quick:
        console.print(options(device, rate))
        console.print(canvases(device))
        if device.type == "cpu" and sys.platform == "linux":  # whose /proc tells
            console.print(memory())


if __name__ == "__main__":
    main()
