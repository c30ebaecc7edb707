"""Sets of slides: images too large to load, with places to be found in them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor

from .image_set import check_splits, random_splits
from .pyramid import CachedPyramid, Pyramid, read_checked
from .pyramids import Pyramids
from .sensor import GlimpseSensor
from .slide_file import SlideFile
from .tasks import Search

# A level of more pixels than this is not shown whole; an overview is at most so high and wide.
_LARGEST, _OVERVIEW = 2**28, 1024
_KEPT = 256  # overviews


@dataclass(frozen=True, eq=False)
class SlideSet:
    """Places in slides of one size; each is an image to the environment, and its target.

    Memory: nothing is prepared. A glimpse reads, for every window, the pixels it covers in the
    level that matches it, and some 10 bytes for each are taken while they are averaged. What a
    slide keeps in memory is its own affair (`CachedPyramid`). Of each of the last 256 slides that
    were shown whole, as `context` or in a picture, an overview of at most 1 MiB a channel is kept.

    Attributes:
        slides: The slides.
        slide: In which slide each place lies.
        targets: The places `(x, y)`, in [-1, 1] of their slide.
        splits: The indices of `train`, `validation` and `test`.

    Raises:
        ValueError: There is no slide or place, the slides' levels differ, or a number is out of
            range.
    """

    slides: Sequence[Pyramid]
    slide: Int64[Tensor, "N"]
    targets: Float64[Tensor, "N 2"]
    splits: Mapping[str, Int64[Tensor, "M"]]
    _overviews: dict[int, UInt8[Tensor, "C h w"]] = field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        """Check what came from outside."""
        if len(self.slides) == 0 or len(self.targets) == 0:
            raise ValueError(
                f"`slides` and `targets` must be at least one, got {len(self.slides)} and "
                f"{len(self.targets)}: mark a place to be found"
            )
        first = [tuple(level) for level in self.slides[0].levels]
        for number, slide in enumerate(self.slides):
            levels = [tuple(level) for level in slide.levels]
            if levels != first:
                raise ValueError(
                    f"slides must have the same levels, got {levels} in slide {number} and {first} "
                    "in slide 0: make a set for each size"
                )
        if self.slide.shape != self.targets.shape[:1] or self.targets.shape[1:] != (2,):
            raise ValueError(
                f"`targets` must be ({len(self.slide)}, 2), got {tuple(self.targets.shape)}: "
                "give one (x, y) pair for each of `slide`"
            )
        if not 0 <= int(self.slide.min()) <= int(self.slide.max()) < len(self.slides):
            raise ValueError(
                f"`slide` must be in [0, {len(self.slides)}), got {int(self.slide.min())} to "
                f"{int(self.slide.max())}: number the slides from 0"
            )
        self.task.check(self.targets)
        check_splits(self.splits, len(self.slide), "places")

    @classmethod
    def from_file(cls, path: str | Path) -> "SlideSet":
        """Open a slide file with the places of the GeoJSON file of the same name beside it.

        Every feature is a place: a point, or the middle of the box around a shape, in pixels of
        level 0, as QuPath writes them. At most 256 MiB of tiles are kept.

        Raises:
            ValueError: A file is missing or cannot be read, or a place lies beyond the slide.
        """
        slide = CachedPyramid(SlideFile(path))
        _, height, width = slide.levels[0]
        places = _read_places(Path(path).with_suffix(".geojson"))
        targets = places / torch.tensor([width, height], dtype=torch.float64) * 2 - 1
        if not bool((targets.abs() <= 1).all()):
            number = int((~(targets.abs() <= 1)).any(dim=1).nonzero()[0])
            raise ValueError(
                f"places in {Path(path).with_suffix('.geojson')} must lie within {width}x{height} "
                f"pixels, got {places[number].tolist()}: give pixels of level 0"
            )
        which = torch.zeros(len(targets), dtype=torch.int64)
        return cls([slide], which, targets, random_splits(len(targets)))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every slide."""
        return self.slides[0].levels[0]

    @property
    def sizes(self) -> None:
        """None: all slides have one size."""
        return

    @property
    def count(self) -> int:
        """How many places N there are."""
        return len(self.slide)

    @property
    def device(self) -> torch.device:
        """Where the targets lie; slides are read on the CPU."""
        return self.targets.device

    @property
    def task(self) -> Search:
        """What is asked about a slide: where the place is."""
        return Search()

    def draw(self, index: Int64[Tensor, "B"], keys: Int64[Tensor, "B"]) -> UInt8[Tensor, "B C h w"]:
        """Return the slides of these indices at a low resolution, of 1,024 pixels a side at most.

        Raises:
            ValueError: Their last level is too large to be shown whole, or cannot be read.
        """
        numbers = self.slide[index].tolist()
        shown = [self._overview(number) for number in numbers or [0]]  # one at least, for its shape
        return torch.stack(shown)[: len(numbers)].to(self.targets.device)

    def target(self, index: Int64[Tensor, "B"], keys: Int64[Tensor, "B"]) -> Float64[Tensor, "B 2"]:
        """Return the places of these indices; nothing is random, so the keys do not matter."""
        return self.targets[index]

    def prepared(self, sensor: GlimpseSensor, memory: float) -> Pyramids:
        """Return all slides, to be read piece by piece."""
        return Pyramids(self.slides, self.slide)

    def to(self, device: torch.device | str) -> "SlideSet":
        """Return the same set with its tensors on `device`; slides are read on the CPU."""
        device = torch.empty(0, device=device).device  # with its number
        tensors = [self.slide, self.targets, *self.splits.values()]
        if all(tensor.device == device for tensor in tensors):
            return self
        splits = {split: index.to(device) for split, index in self.splits.items()}
        return SlideSet(self.slides, self.slide.to(device), self.targets.to(device), splits)

    def _overview(self, number: int) -> UInt8[Tensor, "C h w"]:
        kept = self._overviews
        if number not in kept:
            if len(kept) >= _KEPT:
                kept.pop(next(iter(kept)))
            kept[number] = torch.from_numpy(_overview(self.slides[number]))
        return kept[number]


def _overview(slide: Pyramid) -> UInt8[np.ndarray, "C h w"]:
    """Return the last level, averaged down where it is larger than an overview."""
    level = len(slide.levels) - 1
    _, height, width = slide.levels[level]
    if height * width > _LARGEST:
        raise ValueError(
            f"the last level must have at most {_LARGEST} pixels to be shown whole, got "
            f"{width}x{height}: add a coarser level"
        )
    step = -(-max(height, width) // _OVERVIEW)
    lines, columns = [], np.arange(0, width, step)
    for y in range(0, height, step):
        rows = min(step, height - y)
        strip = read_checked(slide, level, 0, y, width, rows).sum(axis=1, dtype=np.int64)
        pixels = rows * np.diff(columns, append=width)
        lines.append(np.add.reduceat(strip, columns, axis=1) / pixels)
    return np.stack(lines, axis=1).round().astype(np.uint8)


def _read_places(path: Path) -> Float64[Tensor, "N 2"]:
    """Return the middle of every feature of a GeoJSON file, in its own units."""
    if not path.is_file():
        raise ValueError(f"the places of a slide must lie beside it, got no {path}: mark some")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        features = content.get("features", [content]) if isinstance(content, dict) else content
        boxes = [_middle(feature["geometry"]["coordinates"]) for feature in features]
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
        raise ValueError(
            f"{path} must be GeoJSON with a geometry in every feature, got {error!r}: "
            "export the annotations again"
        ) from None
    if not boxes:
        raise ValueError(f"{path} must have at least one feature, got none: mark a place")
    return torch.tensor(boxes, dtype=torch.float64)


def _middle(coordinates: Any) -> tuple[float, float]:
    """Return the middle of the box around nested lists of points."""
    points = np.array(list(_points(coordinates)), dtype=np.float64)
    x, y = (points.min(axis=0) + points.max(axis=0)) / 2
    return float(x), float(y)


def _points(coordinates: Any) -> Iterable[tuple[float, float]]:
    if not isinstance(coordinates, list):
        raise TypeError(f"coordinates must be lists, got {coordinates!r}")
    if isinstance(coordinates[0], list):
        for part in coordinates:
            yield from _points(part)
    else:
        yield float(coordinates[0]), float(coordinates[1])
