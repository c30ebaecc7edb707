"""Images too large to load: read a piece at a time, at the resolution that is wanted.

Convention:
    Level 0 is the image itself, level l shows it `downsample` times smaller. A piece is named by
    its first column x and row y and its width w and height h, all in pixels of its level. Pixels
    are uint8 arrays (C, h, w).
"""

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from .checks import check_count


@runtime_checkable
class Pyramid(Protocol):
    """An image in one or more resolutions."""

    @property
    def levels(self) -> Sequence[tuple[int, int, int]]:
        """Channels, height and width of every level, the finest first."""
        ...

    def read(self, level: int, x: int, y: int, w: int, h: int) -> UInt8[np.ndarray, "C h w"]:
        """Return a piece of a level. It lies within that level, and nobody changes it later.

        Raises:
            ValueError: It cannot be read.
        """
        ...


def downsamples(pyramid: Pyramid) -> list[int | None]:
    """Return how many times smaller each level is; None where that is no whole number.

    Files round the sizes of their levels up or down: a level of 33 may be the half of 65 or of 67.
    Where several numbers fit, the one that the level before divides is meant, else the nearest.
    """
    return list(_downsamples(tuple((height, width) for _, height, width in pyramid.levels)))


@lru_cache(maxsize=64)
def _downsamples(sizes: tuple[tuple[int, int], ...]) -> tuple[int | None, ...]:
    height, width = sizes[0]
    found: list[int | None] = []
    known = 1
    for rows, columns in sizes:
        whole, part = max((height, rows), (width, columns))  # along the longer axis
        about = whole / part
        fitting = [
            ratio
            for ratio in range(max(whole // (part + 1), 1), whole // max(part - 1, 1) + 2)
            if abs(height / ratio - rows) < 1 and abs(width / ratio - columns) < 1
        ]
        best = min(fitting, key=lambda r: (r % known != 0, abs(r - about)), default=None)
        known = best or known
        found.append(best)
    return tuple(found)


class ArrayPyramid:
    """Arrays, or memory maps, as the levels of a pyramid.

    A memory map of (H, W, C) is one of (C, H, W) without a copy: `numpy.moveaxis(array, -1, 0)`.

    Args:
        levels: uint8, each (C, H, W), the finest first.

    Raises:
        ValueError: There is no level, one is not uint8 or not (C, H, W), or one has more channels
            or is larger than the one before.
    """

    def __init__(self, levels: Sequence[UInt8[np.ndarray, "_ _ _"]]) -> None:
        if len(levels) == 0:
            raise ValueError("`levels` must be at least one, got none: give the image itself")
        for number, level in enumerate(levels):
            if level.ndim != 3 or level.dtype != np.uint8 or 0 in level.shape:
                raise ValueError(
                    f"level {number} must be (C, H, W) of uint8, got {level.shape} of "
                    f"{level.dtype}: use numpy.moveaxis(level, -1, 0) for (H, W, C)"
                )
            before = levels[max(number - 1, 0)].shape
            larger = any(now > then for now, then in zip(level.shape, before, strict=True))
            if larger or level.shape[0] != before[0]:
                raise ValueError(
                    f"level {number} must be a smaller level {number - 1} {before}, got "
                    f"{level.shape}: give the finest first"
                )
        self._arrays = tuple(levels)
        self._files = tuple(_needed_file(level) for level in levels)
        self.levels = tuple((int(c), int(h), int(w)) for c, h, w in (a.shape for a in levels))

    def read(self, level: int, x: int, y: int, w: int, h: int) -> UInt8[np.ndarray, "C h w"]:
        """Return a piece of a level.

        Raises:
            ValueError: There is no such level, the piece does not lie within it, or the file behind
                a memory map has become shorter.
        """
        check_piece(self, level, x, y, w, h)
        needed = self._files[level]
        if needed is not None:
            check_length(*needed)  # touching what is no longer there would end the process
        return np.array(self._arrays[level][:, y : y + h, x : x + w])


class CachedPyramid:
    """A pyramid whose tiles are kept once they are read, those asked for last.

    Worth its memory where reading is slow (compressed files, networks); the system caches memory
    maps by itself.

    Args:
        pyramid: What is read.
        memory: How many bytes of tiles are kept at most; at least one tile.
        tile: Height and width of a tile, in pixels; best that of the file.
    """

    def __init__(self, pyramid: Pyramid, *, memory: int = 2**28, tile: int = 256) -> None:
        check_count(1, memory=memory, tile=tile)
        self.levels = pyramid.levels
        self._pyramid, self._side = pyramid, tile
        self.tiles = max(memory // (pyramid.levels[0][0] * tile**2), 1)
        self._tile = lru_cache(maxsize=self.tiles)(self._read_tile)

    def read(self, level: int, x: int, y: int, w: int, h: int) -> UInt8[np.ndarray, "C h w"]:
        """Return a piece of a level, put together from tiles.

        Raises:
            ValueError: As the pyramid's own `read`.
        """
        check_piece(self, level, x, y, w, h)
        side = self._side
        piece = np.empty((self.levels[0][0], h, w), dtype=np.uint8)
        for row in range(y // side, -(-(y + h) // side)):
            for column in range(x // side, -(-(x + w) // side)):
                tile = self._tile(level, row, column)
                top, left = row * side - y, column * side - x  # of the tile in the piece
                inside = tile[:, max(-top, 0) : h - top, max(-left, 0) : w - left]
                top, left = max(top, 0), max(left, 0)
                piece[:, top : top + inside.shape[1], left : left + inside.shape[2]] = inside
        return piece

    def _read_tile(self, level: int, row: int, column: int) -> UInt8[np.ndarray, "C h w"]:
        _, height, width = self.levels[level]
        x, y = column * self._side, row * self._side
        w, h = min(self._side, width - x), min(self._side, height - y)
        return read_checked(self._pyramid, level, x, y, w, h)


def check_piece(pyramid: Pyramid, level: int, x: int, y: int, w: int, h: int) -> None:
    """Refuse a piece that is not there.

    Raises:
        ValueError: There is no such level, or the piece does not lie within it.
    """
    if not 0 <= level < len(pyramid.levels):
        raise ValueError(
            f"`level` must be in [0, {len(pyramid.levels)}), got {level}: the finest is 0"
        )
    _, height, width = pyramid.levels[level]
    if not (x >= 0 and y >= 0 and w > 0 and h > 0 and x + w <= width and y + h <= height):
        raise ValueError(
            f"a piece of level {level} must lie within {width}x{height} pixels, got {w}x{h} at "
            f"({x}, {y}): cut it at the edge"
        )


def read_checked(
    pyramid: Pyramid, level: int, x: int, y: int, w: int, h: int
) -> UInt8[np.ndarray, "C h w"]:
    """Read a piece, and refuse what is none.

    Raises:
        ValueError: It is of another shape or type.
    """
    piece = pyramid.read(level, x, y, w, h)
    wanted = (pyramid.levels[level][0], h, w)
    if piece.shape != wanted or piece.dtype != np.uint8:
        raise ValueError(
            f"a piece of a slide must be uint8 of shape {wanted}, got {piece.dtype} of shape "
            f"{piece.shape}: mend the `read` of {type(pyramid).__name__}"
        )
    return piece


def check_length(path: str | os.PathLike[str], wanted: int) -> None:
    """Refuse a file that is gone or has become shorter than the bytes that are wanted.

    Raises:
        ValueError: It has.
    """
    found = os.path.getsize(path) if os.path.exists(path) else 0
    if found < wanted:
        raise ValueError(
            f"{path} must keep its {wanted} bytes while it is read, got {found}: "
            "do not write to an open slide"
        )


def _needed_file(array: np.ndarray) -> tuple[str, int] | None:
    """Return the file behind a memory map, or a view of one, and how many of its bytes it needs."""
    root = array
    while isinstance(root.base, np.ndarray):
        root = root.base
    if not isinstance(root, np.memmap) or root.filename is None:
        return None
    first, last = (each.__array_interface__["data"][0] for each in (root, array))
    last += sum((n - 1) * max(step, 0) for n, step in zip(array.shape, array.strides, strict=True))
    return str(root.filename), int(root.offset + last + array.itemsize - first)
