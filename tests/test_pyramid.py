"""Pyramids against slices of arrays, and their cache against a list of what was used last."""

import math
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from expect import random_pixels, refused
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from glimpse.pyramid import ArrayPyramid, CachedPyramid, Pyramid, check_piece, downsamples

Pixels = NDArray[np.uint8]
Piece = tuple[int, int, int, int, int]


class Counted:
    """A pyramid that writes down what it is asked for, and knows which of its tiles are kept."""

    def __init__(self, *arrays: Pixels) -> None:
        self.arrays = arrays
        self.levels = tuple((len(array), *array.shape[1:]) for array in arrays)
        self.reads: list[Piece] = []
        self._given: list[weakref.ref[Pixels]] = []

    def read(self, level: int, x: int, y: int, w: int, h: int) -> Pixels:
        self.reads.append((level, x, y, w, h))
        piece = self.arrays[level][:, y : y + h, x : x + w].copy()
        self._given.append(weakref.ref(piece))
        return piece

    @property
    def kept(self) -> int:
        """How many bytes of what was read are still in memory."""
        pieces = [reference() for reference in self._given]
        return sum(piece.nbytes for piece in pieces if piece is not None)


class Sizes:
    """A pyramid of which nothing but the sizes of its levels is asked."""

    def __init__(self, *sizes: tuple[int, int]) -> None:
        self.levels = tuple((1, height, width) for height, width in sizes)

    def read(self, level: int, x: int, y: int, w: int, h: int) -> Pixels:
        raise AssertionError("nothing must be read")


def cut(array: Pixels, x: int, y: int, w: int, h: int) -> Pixels:
    return np.array([[line[x : x + w] for line in plane[y : y + h]] for plane in array.tolist()])


@st.composite
def pieces(draw: st.DrawFn, height: int, width: int) -> tuple[int, int, int, int]:
    """Draw x, y, w and h of a piece; edges and single pixels are as likely as anything."""
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return x, y, draw(st.integers(1, width - x)), draw(st.integers(1, height - y))


# What is read


@given(
    data=st.data(),
    channels=st.integers(1, 3),
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    tile=st.integers(1, 17),
    memory=st.integers(1, 3000),
)
def test_a_piece_is_a_slice_of_its_level(
    data: st.DataObject, channels: int, height: int, width: int, tile: int, memory: int
) -> None:
    coarse = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    arrays = random_pixels(channels, height, width), random_pixels(channels, *coarse, seed=1)
    plain = ArrayPyramid(arrays)
    cached = CachedPyramid(plain, memory=memory, tile=tile)
    for _ in range(3):
        level = data.draw(st.integers(0, 1))
        piece = data.draw(pieces(*arrays[level].shape[1:]))
        for pyramid in (plain, cached):
            found = pyramid.read(level, *piece)
            assert found.dtype == np.uint8
            np.testing.assert_array_equal(found, cut(arrays[level], *piece))


@pytest.mark.parametrize("make", [ArrayPyramid, lambda levels: CachedPyramid(ArrayPyramid(levels))])
def test_levels_are_channels_height_and_width(make: Callable[[Any], Pyramid]) -> None:
    pyramid = make([random_pixels(3, 20, 31), random_pixels(3, 10, 16), random_pixels(3, 1, 1)])
    assert isinstance(pyramid, Pyramid)
    assert tuple(pyramid.levels) == ((3, 20, 31), (3, 10, 16), (3, 1, 1))
    assert {type(number) for level in pyramid.levels for number in level} == {int}


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (9, 13)])
@pytest.mark.parametrize("cached", [False, True])
def test_a_piece_may_be_scribbled_on(cached: bool, size: tuple[int, int]) -> None:
    array = random_pixels(2, 9, 13)
    before = array.copy()
    pyramid: Pyramid = ArrayPyramid([array])
    if cached:
        pyramid = CachedPyramid(pyramid, tile=4)
    height, width = size
    for _ in range(2):
        piece = pyramid.read(0, 0, 0, width, height)
        np.testing.assert_array_equal(piece, before[:, :height, :width])
        assert not np.shares_memory(piece, array)
        piece += 1
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("make", [ArrayPyramid, lambda levels: CachedPyramid(Counted(*levels))])
@pytest.mark.parametrize(
    ("piece", "message"),
    [
        ((2, 0, 0, 1, 1), "`level` must be in [0, 2), got 2: the finest is 0"),
        ((-1, 0, 0, 1, 1), "`level` must be in [0, 2), got -1: the finest is 0"),
        ((0, -1, 0, 5, 5), "level 0 must lie within 13x9 pixels, got 5x5 at (-1, 0): cut"),
        ((0, 0, -1, 5, 5), "level 0 must lie within 13x9 pixels, got 5x5 at (0, -1): cut"),
        ((0, 9, 0, 5, 5), "level 0 must lie within 13x9 pixels, got 5x5 at (9, 0): cut"),
        ((0, 0, 5, 5, 5), "level 0 must lie within 13x9 pixels, got 5x5 at (0, 5): cut"),
        ((1, 0, 0, 7, 5), "level 1 must lie within 6x4 pixels, got 7x5 at (0, 0): cut"),
        ((0, 3, 3, 0, 5), "level 0 must lie within 13x9 pixels, got 0x5 at (3, 3): cut"),
        ((0, 3, 3, 5, 0), "level 0 must lie within 13x9 pixels, got 5x0 at (3, 3): cut"),
        ((0, 3, 3, -1, 2), "level 0 must lie within 13x9 pixels, got -1x2 at (3, 3): cut"),
    ],
)
def test_what_is_not_there_is_refused(
    make: Callable[[Any], Pyramid], piece: Piece, message: str
) -> None:
    pyramid = make([random_pixels(1, 9, 13), random_pixels(1, 4, 6)])
    with refused(message):
        pyramid.read(*piece)
    with refused(message):
        check_piece(pyramid, *piece)


def test_a_piece_may_touch_every_edge() -> None:
    pyramid = ArrayPyramid([random_pixels(1, 9, 13)])
    for piece in ((0, 0, 0, 13, 9), (0, 12, 8, 1, 1), (0, 0, 8, 13, 1), (0, 12, 0, 1, 9)):
        check_piece(pyramid, *piece)
        assert pyramid.read(*piece).shape == (1, piece[4], piece[3])


# What is no pyramid


def test_a_pyramid_has_a_level() -> None:
    with refused("`levels` must be at least one, got none: give the image itself"):
        ArrayPyramid([])


@pytest.mark.plain
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    ("bad", "got"),
    [
        (np.zeros((1, 4, 6)), "(1, 4, 6) of float64"),
        (np.zeros((1, 4, 6), dtype=np.int8), "(1, 4, 6) of int8"),
        (np.zeros((1, 4, 6), dtype=np.bool_), "(1, 4, 6) of bool"),
        (np.zeros((4, 6), dtype=np.uint8), "(4, 6) of uint8"),
        (np.zeros((1, 1, 4, 6), dtype=np.uint8), "(1, 1, 4, 6) of uint8"),
        (np.zeros((0, 4, 6), dtype=np.uint8), "(0, 4, 6) of uint8"),
        (np.zeros((1, 4, 0), dtype=np.uint8), "(1, 4, 0) of uint8"),
    ],
)
def test_levels_of_another_type_or_rank_are_refused(number: int, bad: Any, got: str) -> None:
    levels = [random_pixels(1, 8, 12), bad] if number else [bad]
    with refused(
        f"level {number} must be (C, H, W) of uint8, got {got}: use numpy.moveaxis(level, -1, 0)"
    ):
        ArrayPyramid(levels)


@pytest.mark.parametrize("bad", [(2, 8, 12), (1, 4, 6), (2, 4, 13), (2, 9, 6), (3, 4, 6)])
@pytest.mark.plain
def test_levels_in_another_order_or_of_another_image_are_refused(bad: tuple[int, ...]) -> None:
    levels = [random_pixels(2, 8, 12), random_pixels(2, 6, 9), random_pixels(*bad)]
    with refused(f"level 2 must be a smaller level 1 (2, 6, 9), got {bad}: give the finest first"):
        ArrayPyramid(levels)


@pytest.mark.parametrize("name", ["memory", "tile"])
@pytest.mark.parametrize("bad", [0, -1, pytest.param(0.5, marks=pytest.mark.plain)])
def test_a_cache_of_nothing_is_refused(name: str, bad: Any) -> None:
    with refused(f"`{name}` must be a whole number from 1, got {bad}: choose another"):
        CachedPyramid(Sizes((8, 8)), **{name: bad})


# The cache

TILE, HEIGHT, WIDTH = 4, 13, 18  # 4 x 5 tiles, those at the edges smaller


@given(
    data=st.data(),
    channels=st.integers(1, 3),
    tiles=st.integers(1, 8),
    spare=st.floats(0, 1, exclude_max=True),
)
def test_tiles_are_read_once_while_kept_and_the_one_used_longest_ago_goes_first(
    data: st.DataObject, channels: int, tiles: int, spare: float
) -> None:
    source = Counted(random_pixels(channels, HEIGHT, WIDTH), random_pixels(channels, 7, 9, seed=1))
    memory = int((tiles + spare) * channels * TILE**2)
    cached = CachedPyramid(source, memory=memory, tile=TILE)
    assert cached.tiles == tiles
    kept: list[Piece] = []  # the one used last at the end
    wanted: list[Piece] = []
    for _ in range(8):
        level = data.draw(st.integers(0, 1))
        _, height, width = source.levels[level]
        x, y, w, h = data.draw(pieces(height, width))
        for top in range(0, height, TILE):
            for left in range(0, width, TILE):
                if not (x - TILE < left < x + w and y - TILE < top < y + h):
                    continue
                tile = (level, left, top, min(TILE, width - left), min(TILE, height - top))
                if tile in kept:
                    kept.remove(tile)
                else:
                    wanted.append(tile)
                kept = [*kept, tile][-tiles:]
        piece = cached.read(level, x, y, w, h)
        np.testing.assert_array_equal(piece, cut(source.arrays[level], x, y, w, h))
        assert source.reads == wanted
        assert source.kept == sum(channels * w * h for *_, w, h in kept)
        assert source.kept <= memory


def test_an_example_of_what_is_kept() -> None:
    source = Counted(random_pixels(1, 4, 16))  # tiles 0 to 3
    cached = CachedPyramid(source, memory=2 * 16, tile=4)
    read: list[int] = []
    for number in (0, 1, 0, 2, 0, 1, 1, 2):
        before = len(source.reads)
        cached.read(0, 4 * number, 0, 4, 4)
        read += [number] * (len(source.reads) - before)
    assert read == [0, 1, 2, 1, 2]


def test_less_memory_than_a_tile_keeps_one() -> None:
    source = Counted(random_pixels(1, 8, 8))
    cached = CachedPyramid(source, memory=1, tile=8)
    for x in range(4):
        cached.read(0, x, 0, 4, 4)
    assert len(source.reads) == 1


def test_what_cannot_be_read_is_asked_for_again() -> None:
    class Moody(Counted):
        def read(self, level: int, x: int, y: int, w: int, h: int) -> Pixels:
            piece = super().read(level, x, y, w, h)
            if len(self.reads) == 1:
                raise ValueError("the network is down")
            return piece

    source = Moody(random_pixels(1, 8, 8))
    cached = CachedPyramid(source, tile=8)
    with refused("the network is down"):
        cached.read(0, 0, 0, 2, 2)
    np.testing.assert_array_equal(cached.read(0, 0, 0, 2, 2), source.arrays[0][:, :2, :2])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda w, h: np.ones((1, h - 1, w), dtype=np.uint8),
        lambda w, h: np.ones((1, h, w + 1), dtype=np.uint8),
        lambda w, h: np.ones((3, h, w), dtype=np.uint8),
        lambda w, h: np.ones((h, w), dtype=np.uint8),
        lambda w, h: np.ones((1, h, w)) / 2,
        lambda w, h: np.ones((1, h, w), dtype=np.int64),
    ],
    ids=["short", "wide", "colourful", "flat", "float64", "int64"],
)
def test_tiles_of_another_shape_or_type_are_refused(wrong: Callable[[int, int], Any]) -> None:
    """Otherwise memory that nobody wrote would be shown."""

    class Wrong(Sizes):
        def read(self, level: int, x: int, y: int, w: int, h: int) -> Pixels:
            found: Pixels = wrong(w, h)
            return found

    with refused("must be uint8 of shape"):
        CachedPyramid(Wrong((8, 8)), tile=4).read(0, 0, 0, 6, 6)


# Memory maps

SHAPE = (3, 15, 21)


def _map(folder: Path) -> Pixels:
    path = folder / "pixels"
    path.write_bytes(b"header!" + random_pixels(*SHAPE).tobytes())
    return np.memmap(path, dtype=np.uint8, mode="r", offset=7, shape=SHAPE)


def _loaded(folder: Path, shape: tuple[int, ...] = SHAPE) -> Pixels:
    np.save(folder / "pixels.npy", random_pixels(*shape))
    loaded: Pixels = np.load(folder / "pixels.npy", mmap_mode="r")
    return loaded


MAPS: dict[str, Callable[[Path], Pixels]] = {
    "memmap": _map,
    "load": _loaded,
    "moveaxis": lambda folder: np.moveaxis(_loaded(folder, (15, 21, 3)), -1, 0),
    "array": lambda folder: np.asarray(_map(folder)),
    "view of array": lambda folder: np.asarray(_map(folder))[:, ::-1].transpose(0, 2, 1)[:, 1:],
    "last channel": lambda folder: _map(folder)[2:],
    "lower half": lambda folder: _map(folder)[:, 8:],
    "every second": lambda folder: _map(folder)[:, ::2, ::2],
    "last pixel": lambda folder: _map(folder)[2:, 14:, 20:],
}
every_map = pytest.mark.parametrize("name", MAPS)


def _file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


@every_map
def test_memory_maps_are_read_like_arrays(tmp_path: Path, name: str) -> None:
    level = MAPS[name](tmp_path)
    assert not level.flags.writeable
    wanted = np.array(level)
    _, height, width = wanted.shape
    pyramid = ArrayPyramid([level])
    for x, y, w, h in ((0, 0, width, height), (width // 2, height // 3, 1, 1), (0, 0, 1, height)):
        piece = pyramid.read(0, x, y, w, h)
        assert type(piece) is np.ndarray
        np.testing.assert_array_equal(piece, wanted[:, y : y + h, x : x + w])
        piece += 1
    np.testing.assert_array_equal(level, wanted)


@every_map
def test_a_file_that_became_shorter_is_refused_before_it_is_touched(
    tmp_path: Path, name: str
) -> None:
    """Touching a page that the file no longer has ends the process.

    A file one byte shorter still has its last page, so that a test that fails lives to tell.
    """
    pyramid = ArrayPyramid([MAPS[name](tmp_path)])
    file = _file(tmp_path)
    pyramid.read(0, 0, 0, 1, 1)
    length = file.stat().st_size
    os.truncate(file, length - 1)
    with refused(
        f"{file} must keep its {length} bytes while it is read, got {length - 1}: "
        "do not write to an open slide"
    ):
        pyramid.read(0, 0, 0, 1, 1)
    os.truncate(file, length)
    pyramid.read(0, 0, 0, 1, 1)


@every_map
def test_a_file_that_is_gone_is_refused(tmp_path: Path, name: str) -> None:
    pyramid = ArrayPyramid([MAPS[name](tmp_path)])
    file = _file(tmp_path)
    file.unlink()
    with refused(f"{file} must keep its "):
        pyramid.read(0, 0, 0, 1, 1)


def test_every_level_s_own_file_is_checked(tmp_path: Path) -> None:
    (tmp_path / "coarse").mkdir()
    fine, coarse = _map(tmp_path), _map(tmp_path / "coarse")[:, :7, :10]
    pyramid = ArrayPyramid([fine, coarse])
    _file(tmp_path / "coarse").unlink()
    np.testing.assert_array_equal(pyramid.read(0, 0, 0, 21, 15), fine)
    with refused("pixels must keep its "):
        pyramid.read(1, 0, 0, 1, 1)


# How many times smaller a level is


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        ([(64, 96)], [1]),
        ([(64, 96), (32, 48), (16, 24), (8, 12)], [1, 2, 4, 8]),
        ([(1024, 2048), (256, 512), (64, 128), (16, 32)], [1, 4, 16, 64]),
        ([(65, 67), (33, 33)], [1, 2]),  # rounded up, rounded down
        ([(65, 67), (32, 34)], [1, 2]),
        ([(100_000, 80_000), (390, 312)], [1, 256]),
        ([(100_000, 80_000), (391, 313)], [1, 256]),
        ([(1, 96), (1, 48), (1, 1)], [1, 2, 96]),
        ([(96, 1), (48, 1), (1, 1)], [1, 2, 96]),
        ([(118, 120), (58, 60)], [1, None]),  # a whole pixel too few
        ([(120, 118), (60, 58)], [1, None]),
        ([(90, 120), (60, 80), (45, 60), (36, 48), (30, 40)], [1, None, 2, None, 3]),
        ([(90, 120), (45, 40), (30, 60)], [1, None, None]),  # axes that do not agree
        ([(64, 96), (64, 96), (32, 48)], [1, 1, 2]),
    ],
)
def test_downsamples_by_hand(sizes: list[tuple[int, int]], wanted: list[int | None]) -> None:
    assert downsamples(Sizes(*sizes)) == wanted


@given(
    ratio=st.integers(1, 64),
    beyond=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    rounded=st.tuples(*[st.sampled_from([math.floor, math.ceil])] * 2),
)
def test_levels_may_be_rounded_up_or_down(
    ratio: int, beyond: tuple[int, int], rounded: tuple[Callable[[float], int], ...]
) -> None:
    """Shorter sides may be multiples of several numbers: 79 rounds to 4 by 16 and by 20."""
    sides = [2 * ratio**2 + ratio + more for more in beyond]
    coarse = [round_(side / ratio) for side, round_ in zip(sides, rounded, strict=True)]
    assert downsamples(Sizes((sides[0], sides[1]), (coarse[0], coarse[1]))) == [1, ratio]


@given(
    sides=st.tuples(st.integers(300, 5000), st.integers(300, 5000)),
    ratio=st.sampled_from([1.25, 1.5, 2.5, math.e, 3.5, 6.5]),
)
def test_levels_that_are_smaller_by_no_whole_number_are_left_out(
    sides: tuple[int, int], ratio: float
) -> None:
    coarse = round(sides[0] / ratio), round(sides[1] / ratio)
    assert downsamples(Sizes(sides, coarse)) == [1, None]
