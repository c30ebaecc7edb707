"""How many fixations a second on an image too large to load? A slide file beside memory maps.

A noisy RGB image of 16,384 x 16,384 is written twice, with levels 4 and 16 times smaller: as a
tiled TIFF, deflated, that OpenSlide reads, and as arrays on disk that are mapped into memory. A
fixation is a glimpse of 32x32 at three scales, factor 4, each read from the level that matches.
`random` looks anywhere; `walking` moves each of 16 eyes by some 30 pixels at a time, as an agent
would that follows something. Files are in the system's cache: what is measured is decoding and
copying.

    pip install -e ".[wsi,benchmarks]"
    python benchmarks/slides.py            # two minutes, 1.2 GiB of disk while it runs
"""

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from glimpse import GlimpseSensor
from glimpse.pyramid import ArrayPyramid, CachedPyramid, Pyramid
from glimpse.pyramids import Pyramids
from glimpse.slide_file import SlideFile

TILE, EYES, STEPS = 256, 16, 32


def make_levels(folder: Path, side: int) -> list[Path]:
    """Write the image and its two smaller levels as arrays (H, W, 3); return their files."""
    random = np.random.default_rng(0)
    paths = [folder / f"level-{number}.npy" for number in range(3)]
    level = np.lib.format.open_memmap(paths[0], "w+", np.uint8, (side, side, 3))
    for row in track(range(0, side, TILE), "drawing", console=Console(stderr=True)):
        coarse = random.integers(0, 216, (1, side // TILE, 3), dtype=np.uint8)
        strip = coarse.repeat(TILE, axis=0).repeat(TILE, axis=1)
        strip += random.integers(0, 40, strip.shape, dtype=np.uint8)  # does not overflow
        level[row : row + TILE] = strip
    for path in paths[1:]:
        high, wide = level.shape[0] // 4, level.shape[1] // 4
        smaller = np.lib.format.open_memmap(path, "w+", np.uint8, (high, wide, 3))
        for row in range(0, high, TILE):
            boxes = level[4 * row : 4 * (row + TILE)].reshape(-1, 4, wide, 4, 3)
            smaller[row : row + TILE] = boxes.mean(axis=(1, 3), dtype=np.float32).round()
        level = smaller
    return paths


def write_slide(path: Path, levels: list[Path]) -> None:
    """Write levels as a tiled, pyramidal TIFF, deflated."""
    import tifffile

    def tiles(level: np.ndarray) -> Iterator[np.ndarray]:
        for row in range(0, level.shape[0], TILE):
            for column in range(0, level.shape[1], TILE):
                yield np.ascontiguousarray(level[row : row + TILE, column : column + TILE])

    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for number, source in enumerate(
            track(levels, "writing the slide", console=Console(stderr=True))
        ):
            level = np.load(source, mmap_mode="r")
            file.write(
                tiles(level),
                shape=level.shape,
                dtype=level.dtype,
                tile=(TILE, TILE),
                photometric="rgb",
                compression="adobe_deflate",
                subfiletype=1 if number else 0,
            )


def walk(generator: torch.Generator, side: int) -> Iterator[Tensor]:
    """Return location (EYES, 2) after location, each near the one before."""
    location = torch.rand(EYES, 2, generator=generator) * 1.8 - 0.9
    while True:
        yield location
        move = torch.randn(EYES, 2, generator=generator) * 2 * 30 / side
        location = (location + move).clamp(-1, 1)


def anywhere(generator: torch.Generator, side: int) -> Iterator[Tensor]:
    """Return location (EYES, 2) after location, each anywhere."""
    while True:
        yield torch.rand(EYES, 2, generator=generator) * 2 - 1


def seconds(slide: Pyramid, locations: Iterator[Tensor]) -> float:
    """Return the CPU seconds of a fixation, the median of five runs of STEPS fresh ones."""
    sensor = GlimpseSensor(32, 3, 4)
    prepared = Pyramids([slide], torch.zeros(1, dtype=torch.int64))
    index = torch.zeros(EYES, dtype=torch.int64)

    def once() -> float:
        start = time.process_time()
        for location in islice(locations, STEPS):
            sensor.read(prepared, index, location)
        return (time.process_time() - start) / (STEPS * EYES)

    once()
    return median(once() for _ in range(5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=16384, help="of the image, a multiple of 4096")
    side = parser.parse_args().side
    torch.set_num_threads(1)
    table = Table(title=f"fixations of 32x32x3 on {side} x {side} RGB", title_justify="left")
    for name in ("source", "eyes", "fixations/s", "to mapped"):
        table.add_column(name, justify="left" if name == "source" else "right")
    with tempfile.TemporaryDirectory() as folder:
        paths = make_levels(Path(folder), side)
        write_slide(Path(folder) / "slide.tiff", paths)
        maps = [np.moveaxis(np.load(path, mmap_mode="r"), -1, 0) for path in paths]
        slide = SlideFile(Path(folder) / "slide.tiff")
        sources: dict[str, Pyramid] = {
            "levels mapped into memory": ArrayPyramid(maps),
            "only the image, mapped": ArrayPyramid(maps[:1]),
            "slide file": slide,
            "slide file, 256 MiB of tiles kept": CachedPyramid(slide),
            "slide file, 16 MiB of tiles kept": CachedPyramid(slide, memory=2**24),
        }
        for eyes, moves in (("random", anywhere), ("walking", walk)):
            base = None
            for name, source in track(sources.items(), eyes, console=Console(stderr=True)):
                spent = seconds(source, moves(torch.Generator().manual_seed(0), side))
                base = base or spent
                table.add_row(name, eyes, f"{1 / spent:,.0f}", f"{base / spent:.2f}x")
    console = Console(width=110)
    console.print(f"python {' '.join(sys.argv)}: {platform.machine()}, torch {torch.__version__}")
    console.print(table)
    console.print("per CPU-second of one core, median of 5")


if __name__ == "__main__":
    main()
