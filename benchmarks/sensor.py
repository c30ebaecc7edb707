"""How many glimpses a second? Ours beside the plain way and `F.grid_sample`, in one run.

The plain way is that of the well-known code: pad the batch, crop every sample in a Python loop,
average each crop down. `grid_sample` reads one bilinear sample for each pixel of the glimpse (it
does not average). The limit is the time to move the numbers a glimpse needs, those of the table
and those it returns, at the speed of a large copy measured in the same run.

    python benchmarks/sensor.py            # a few minutes
    python benchmarks/sensor.py --quick    # one row a size
"""

import argparse
import platform
import time
from collections.abc import Callable
from statistics import median

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from glimpse import GlimpseSensor

SIZE = 8


def seconds(work: Callable[[], object], device: torch.device, least: float = 0.2) -> float:
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


def plain(images: Tensor, location: Tensor, scales: int) -> Tensor:
    """Return glimpses (B, K, C, s, s) the plain way."""
    side, glimpses = images.shape[-1], []
    for scale in range(scales):
        width = SIZE * 2**scale
        padded = F.pad(images, (width // 2,) * 4)
        corner = (0.5 * (location + 1) * side).long()
        patches = [
            padded[row, :, y : y + width, x : x + width]
            for row, (x, y) in enumerate(corner.tolist())
        ]
        glimpses.append(F.avg_pool2d(torch.stack(patches), 2**scale))
    return torch.stack(glimpses, dim=1)


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


def row(
    side: int, scales: int, batch: int, dtype: torch.dtype, device: torch.device, rate: float
) -> list[str]:
    """Return the cells of one measurement."""
    count = min(batch, 64) if side > 100 else min(batch, 8192)
    images = torch.randint(0, 256, (count, 1, side, side), dtype=torch.uint8, device=device)
    if dtype.is_floating_point:
        images = images.to(dtype) / 255
    sensor = GlimpseSensor(SIZE, scales)
    prepared = sensor.prepare(images)
    index = torch.randint(count, (batch,), device=device)
    location = torch.rand(batch, 2, device=device) * 2 - 1
    ours = batch / seconds(lambda: sensor.read(prepared, index, location), device)
    # The others need every sample's whole image in float; a large batch of large images is one too
    # many for any memory, so they are measured on as many as there are images.
    few = min(count, 256)
    floats = images[:few].float()
    reference = few / seconds(lambda: plain(floats, location[:few], scales), device)
    sampled = few / seconds(lambda: by_grid_sample(floats, location[:few], scales), device)
    moved = scales * ((SIZE + 1) ** 2 * prepared.table.element_size() + 4 * SIZE**2)
    return [
        str(side),
        str(scales),
        str(dtype).removeprefix("torch."),
        f"{batch:,}",
        f"{ours:,.0f}",
        f"{1e9 / ours / scales:,.0f}",
        f"{ours / reference:,.0f}x",
        f"{ours / sampled:,.1f}x",
        f"{rate / moved / ours:.1f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one row a size")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    options = parser.parse_args()
    device = torch.device(options.device)
    torch.set_num_threads(1)
    cases = [(side, 3, 8192, torch.uint8) for side in (28, 60, 100, 1024, 4096)]
    if not options.quick:
        cases += [(28, 3, batch, torch.uint8) for batch in (1, 128, 1024, 65536)]
        cases += [(60, scales, 8192, torch.uint8) for scales in (1, 2, 4, 5, 6)]
        cases += [(1024, scales, 8192, torch.uint8) for scales in (1, 6)]
        cases += [(side, 3, 8192, torch.float32) for side in (28, 100, 1024)]
    rate = copy_rate(device)
    table = Table(
        title=f"glimpses of {SIZE}x{SIZE}, {platform.machine()}, torch {torch.__version__}"
    )
    for name in ("pixels", "scales", "images", "batch", "glimpses/s", "ns a scale"):
        table.add_column(name, justify="right")
    for name in ("to plain", "to grid_sample", "times the limit"):
        table.add_column(name, justify="right")
    for case in track(cases, "measuring", console=Console(stderr=True)):
        table.add_row(*row(*case, device, rate))
    Console(width=110).print(table)
    unit = "CPU-second of one core" if device.type == "cpu" else "second"
    print(f"per {unit}, median of 5; a large copy moves {rate / 1e9:.1f} GB/s")


if __name__ == "__main__":
    main()
