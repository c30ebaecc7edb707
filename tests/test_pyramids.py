"""Windows into pyramids: against tables of the same image and loops from the definition."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from glimpse import GlimpseSensor, pyramids
from glimpse.pyramid import ArrayPyramid, CachedPyramid, Pyramid
from glimpse.pyramids import Pyramids, matching_level
from glimpse.sensor import Prepared

Pixels = NDArray[np.uint8]
OUTSIDE = ["zero", "edge", "mean"]
every_outside = pytest.mark.parametrize("outside", OUTSIDE)


class Formula:
    """A slide of any size that stores nothing: a pixel is a function of where it is.

    It writes down what it is asked for.
    """

    def __init__(self, channels: int, *sizes: tuple[int, int]) -> None:
        self.levels = tuple((channels, height, width) for height, width in sizes)
        self.reads: list[tuple[int, int, int, int, int]] = []

    def read(self, level: int, x: int, y: int, w: int, h: int) -> Pixels:
        self.reads.append((level, x, y, w, h))
        return self.pixels(level, x, y, w, h)

    def pixels(self, level: int, x: int, y: int, w: int, h: int) -> Pixels:
        channel = np.arange(self.levels[0][0])[:, None, None]
        row, column = y + np.arange(h)[:, None], x + np.arange(w)
        shades = 101 * channel + 31 * level + 7 * row + 13 * column + row * column // 5
        return (shades % 251).astype(np.uint8)


class Handed:
    """A pyramid of one level that hands out what a function makes of each piece."""

    def __init__(self, array: Pixels, change: Callable[[Pixels], Any]) -> None:
        self.levels = (tuple(array.shape),)
        self._array, self._change = array, change

    def read(self, level: int, x: int, y: int, w: int, h: int) -> Any:
        return self._change(self._array[:, y : y + h, x : x + w])


def random_pixels(*shape: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def one_each(*slides: Pyramid) -> Pyramids:
    """Make an index for each slide."""
    return Pyramids(slides, torch.arange(len(slides)))


def look(slide: Pyramid, sensor: GlimpseSensor, *at: tuple[float, float]) -> Tensor:
    """Return what is seen in one slide."""
    index = torch.zeros(len(at), dtype=torch.int64)
    return sensor.read(one_each(slide), index, torch.tensor(at, dtype=torch.float64))


# One level


def somewhere(length: int) -> st.SearchStrategy[float]:
    """Draw one number of a location: anywhere, far away, or just beside where windows jump."""
    half_pixels = st.integers(-2 * length - 20, 4 * length + 20)
    beside = st.tuples(half_pixels, st.sampled_from([-0.001, 0, 0.001]))
    return st.one_of(
        st.floats(-1, 1),
        st.floats(-1e9, 1e9),
        beside.map(lambda number: (number[0] / 2 + number[1]) / length * 2 - 1),
    )


@settings(max_examples=150)
@given(
    data=st.data(),
    channels=st.sampled_from([1, 3]),
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    size=st.integers(1, 5),
    scales=st.integers(1, 3),
    factor=st.integers(1, 5),
    outside=st.sampled_from(OUTSIDE),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_one_level_shows_what_tables_of_the_same_images_show(
    data: st.DataObject,
    channels: int,
    height: int,
    width: int,
    size: int,
    scales: int,
    factor: int,
    outside: Any,
    dtype: torch.dtype,
) -> None:
    count = data.draw(st.integers(1, 3))
    images = random_pixels(count, channels, height, width)
    slide = torch.tensor(data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=4)))
    rows = data.draw(st.lists(st.integers(0, len(slide) - 1), max_size=5))
    at = [[data.draw(somewhere(width)), data.draw(somewhere(height))] for _ in rows]
    sensor = GlimpseSensor(size, scales, factor, outside)
    prepared = Pyramids([ArrayPyramid([image]) for image in images], slide)
    assert prepared.shape == (len(slide), channels, height, width)
    index, location = torch.tensor(rows).long(), torch.tensor(at, dtype=dtype).view(-1, 2)
    wanted = sensor.read(sensor.prepare(torch.from_numpy(images)[slide]), index, location)
    found = sensor.read(prepared, index, location)
    assert found.dtype == torch.float32
    assert torch.equal(found, wanted)


@every_outside
def test_what_is_read_in_several_chunks_is_the_same(
    monkeypatch: pytest.MonkeyPatch, outside: Any
) -> None:
    sensor = GlimpseSensor(3, 3, 2, outside)
    images = random_pixels(4, 3, 20, 30)
    index = torch.arange(40) % 4
    location = torch.rand(40, 2, generator=torch.Generator().manual_seed(0)) * 3 - 1.5
    slides = [Handed(image, np.array) for image in images]
    wanted = sensor.read(sensor.prepare(torch.from_numpy(images)), index, location)
    for chunk in (1, 100, 999, 10_000):
        monkeypatch.setattr(pyramids, "_CHUNK", chunk)
        assert torch.equal(sensor.read(one_each(*slides), index, location), wanted), chunk


def test_a_glimpse_shares_no_memory_with_the_next() -> None:
    prepared = one_each(ArrayPyramid([random_pixels(1, 8, 8)]))
    sensor, index, at = GlimpseSensor(2, 2), torch.zeros(1, dtype=torch.int64), torch.zeros(1, 2)
    first = sensor.read(prepared, index, at)
    wanted = first.clone()
    first.zero_()
    assert torch.equal(sensor.read(prepared, index, at), wanted)


def test_pyramids_are_what_a_sensor_reads() -> None:
    assert isinstance(one_each(ArrayPyramid([random_pixels(1, 8, 8)])), Prepared)


# Several levels


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        ([(256, 512)], {1: (0, 1), 2: (0, 1), 64: (0, 1)}),
        (
            [(1024, 2048), (256, 512), (64, 128), (16, 32)],
            {1: (0, 1), 2: (0, 1), 4: (1, 4), 8: (1, 4), 16: (2, 16), 48: (2, 16), 256: (3, 64)},
        ),
        ([(256, 512), (128, 256), (64, 128)], {3: (0, 1), 6: (1, 2), 9: (0, 1), 12: (2, 4)}),
        ([(255, 511), (127, 256), (64, 128)], {2: (1, 2), 4: (2, 4)}),  # rounded down and up
        ([(300, 500), (120, 200), (75, 125)], {2: (0, 1), 4: (2, 4), 5: (0, 1)}),  # 2.5
    ],
)
def test_the_matching_level_by_hand(
    sizes: list[tuple[int, int]], wanted: dict[int, tuple[int, int]]
) -> None:
    slide = Formula(1, *sizes)
    assert {step: matching_level(slide, step) for step in wanted} == wanted
    assert slide.reads == []


def by_definition(
    levels: dict[int, Pixels], coarsest: Pixels, sensor: GlimpseSensor, x: float, y: float
) -> NDArray[np.float64]:
    """Return the glimpse (K, C, s, s), pixel by pixel, of levels by how much smaller they are."""

    beyond = coarsest.mean(axis=(1, 2)) if sensor.outside == "mean" else np.zeros(len(coarsest))

    def pixel(level: Pixels, row: int, column: int) -> NDArray[np.float64]:
        _, height, width = level.shape
        if 0 <= row < height and 0 <= column < width:
            return level[:, row, column] / 255
        if sensor.outside == "edge":
            return level[:, min(max(row, 0), height - 1), min(max(column, 0), width - 1)] / 255
        return beyond / 255

    size, (channels, height, width) = sensor.size, levels[1].shape
    glimpse = np.empty((sensor.scales, channels, size, size))
    for k in range(sensor.scales):
        downsample = max(number for number in levels if sensor.factor**k % number == 0)
        level, step = levels[downsample], sensor.factor**k // downsample
        left = math.floor((x + 1) / 2 * width / downsample - size * step / 2 + 0.5)
        top = math.floor((y + 1) / 2 * height / downsample - size * step / 2 + 0.5)
        for row in range(size):
            for column in range(size):
                box = [
                    pixel(level, top + row * step + j, left + column * step + i)
                    for j in range(step)
                    for i in range(step)
                ]
                glimpse[k, :, row, column] = np.mean(box, axis=0)
    return glimpse


@settings(max_examples=60)
@given(
    data=st.data(),
    sides=st.sampled_from([(48, 80), (45, 83)]),
    halved=st.booleans(),
    rounded=st.sampled_from([math.floor, math.ceil]),
    size=st.integers(1, 3),
    sampling=st.sampled_from([(2, 4), (4, 2), (3, 3), (6, 2), (8, 2)]),
    outside=st.sampled_from(OUTSIDE),
)
def test_several_levels_show_what_the_definition_says(
    data: st.DataObject,
    sides: tuple[int, int],
    halved: bool,
    rounded: Callable[[float], int],
    size: int,
    sampling: tuple[int, int],
    outside: Any,
) -> None:
    """The levels have nothing in common, so that one taken for another does not go unnoticed."""
    ratios = (1, 2, 4) if halved else (1, 4)
    arrays = {
        ratio: random_pixels(2, *(rounded(side / ratio) for side in sides), seed=ratio)
        for ratio in ratios
    }
    odd = random_pixels(2, *(round(side / 5.5) for side in sides), seed=9)  # matches no window
    slide = ArrayPyramid([*arrays.values(), odd])
    sensor = GlimpseSensor(size, sampling[1], sampling[0], outside)
    x, y = (data.draw(st.floats(-1.5, 1.5)) for _ in range(2))
    wanted = by_definition(arrays, odd, sensor, x, y)
    np.testing.assert_allclose(look(slide, sensor, (x, y))[0], wanted, atol=1e-6)


@every_outside
def test_levels_that_are_averages_show_nearly_what_the_image_shows(outside: Any) -> None:
    """A coarse window begins up to half a pixel of its level further: smooth images do not mind."""
    row, column = np.mgrid[:256, :384]
    fine = (128 + 60 * np.sin(row / 40) + 60 * np.cos(column / 50)).astype(np.uint8)[None]
    coarse = fine.reshape(1, 64, 4, 96, 4).mean(axis=(2, 4)).round().astype(np.uint8)
    sensor = GlimpseSensor(8, 2, 4, outside)
    at = [(x, y) for x in (-0.5, 0, 0.31) for y in (-0.4, 0.1, 0.5)]
    found = look(ArrayPyramid([fine, coarse]), sensor, *at)
    wanted = look(ArrayPyramid([fine]), sensor, *at)
    assert torch.equal(found[:, 0], wanted[:, 0])
    assert not torch.equal(found[:, 1], wanted[:, 1])
    assert float((found[:, 1] - wanted[:, 1]).abs().max()) < 6 / 255


def test_a_factor_that_no_level_divides_reads_the_image_itself() -> None:
    slide = Formula(1, (200, 300), (100, 150), (50, 75))
    sensor = GlimpseSensor(4, 3, 3)
    found = look(slide, sensor, (0.2, -0.3))
    image = torch.from_numpy(slide.pixels(0, 0, 0, 300, 200))[None]
    assert {level for level, *_ in slide.reads} == {0}
    assert torch.equal(found, sensor(image, torch.tensor([[0.2, -0.3]], dtype=torch.float64)))


def test_each_index_reads_its_own_slide_alone() -> None:
    slides = [Formula(1, (64, 64), (32, 32)) for _ in range(3)]
    prepared = Pyramids(slides, torch.tensor([2, 0, 2]))
    sensor = GlimpseSensor(4, 2)
    sensor.read(prepared, torch.tensor([0, 2, 2, 0]), torch.zeros(4, 2))
    assert [len(slide.reads) for slide in slides] == [0, 0, 8]
    sensor.read(prepared, torch.tensor([1]), torch.zeros(1, 2))
    assert [len(slide.reads) for slide in slides] == [2, 0, 8]


# What is read

# 10 gigapixels, 30 GB: as a whole it would not fit.
SIDE = 100_000
GIANT = tuple((round(SIDE / 4**level), round(SIDE / 4**level)) for level in range(5))


def test_a_look_at_ten_gigapixels_reads_a_thousand_pixels_for_each_window() -> None:
    slide = Formula(3, *GIANT)
    sensor = GlimpseSensor(32, 5, 4)
    for x, y in ((0.0, 0.0), (0.123, -0.777), (-0.9, 0.9)):
        slide.reads.clear()
        glimpse = look(slide, sensor, (x, y))
        assert [level for level, *_ in slide.reads] == [0, 1, 2, 3, 4]
        assert {(w, h) for *_, w, h in slide.reads} == {(32, 32)}  # 15 kB in all
        for window, piece in zip(glimpse[0], slide.reads, strict=True):
            assert torch.equal(window, torch.from_numpy(slide.pixels(*piece)).float() / 255)
        left = math.floor((x + 1) / 2 * SIDE - 16 + 0.5)
        top = math.floor((y + 1) / 2 * SIDE - 16 + 0.5)
        assert slide.reads[0] == (0, left, top, 32, 32)


def test_a_look_through_a_cache_reads_at_most_four_tiles_for_each_window_and_only_once() -> None:
    slide = Formula(3, *GIANT)
    cached = CachedPyramid(slide, tile=256)
    sensor = GlimpseSensor(32, 5, 4)
    plain = look(Formula(3, *GIANT), sensor, (0.123, -0.777))
    for _ in range(2):
        assert torch.equal(look(cached, sensor, (0.123, -0.777)), plain)
        assert len(slide.reads) == len(set(slide.reads)) <= 4 * 5
        assert sum(3 * w * h for *_, w, h in slide.reads) <= 4 * 5 * 3 * 256**2  # 4 MB of 30 GB


def test_far_outside_a_pixel_is_read() -> None:
    slide = Formula(1, *GIANT)
    look(slide, GlimpseSensor(32, 5, 4), (5.0, -5.0), (1e9, 1e9))
    assert len(slide.reads) == 10
    assert {(w, h) for *_, w, h in slide.reads} == {(1, 1)}


def test_a_slide_s_mean_is_that_of_its_coarsest_level_and_taken_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slides = [Formula(2, (400, 600), (100, 150)), Formula(2, (400, 600), (100, 150))]
    prepared = one_each(*slides)
    monkeypatch.setattr(pyramids, "_CHUNK", 2 * 150 * 30)  # strips of 30 rows
    sensor = GlimpseSensor(2, outside="mean")
    wanted = torch.from_numpy(slides[0].pixels(1, 0, 0, 150, 100).mean(axis=(1, 2)) / 255)
    for _ in range(2):
        seen = sensor.read(prepared, torch.tensor([0, 0]), torch.full((2, 2), 9.0))
        assert torch.allclose(seen.double(), wanted[:, None, None].expand(2, 1, 2, 2, 2), atol=1e-6)
    strips = [piece for piece in slides[0].reads if piece[3] == 150]
    assert strips == [(1, 0, y, 150, min(30, 100 - y)) for y in (0, 30, 60, 90)]
    assert slides[1].reads == []


# Sources of one's own


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (lambda piece: piece[:, 1:], "uint8 of shape (1, 3, 4)"),
        (lambda piece: piece[:, :, 1:], "uint8 of shape (1, 4, 3)"),
        (lambda piece: np.repeat(piece, 3, axis=0), "uint8 of shape (3, 4, 4)"),
        (lambda piece: np.moveaxis(piece, 0, -1), "uint8 of shape (4, 4, 1)"),
        (lambda piece: piece[0], "uint8 of shape (4, 4)"),
        (lambda piece: piece / 255, "float64 of shape (1, 4, 4)"),
        (lambda piece: piece.astype(np.int64), "int64 of shape (1, 4, 4)"),
        (lambda piece: piece > 9, "bool of shape (1, 4, 4)"),
    ],
    ids=["short", "narrow", "colourful", "channels last", "flat", "float64", "int64", "bool"],
)
def test_a_source_that_hands_out_something_else_is_refused(
    change: Callable[[Pixels], Any], got: str
) -> None:
    message = f"must be uint8 of shape (1, 4, 4), got {got}: mend the `read` of Handed"
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        look(Handed(random_pixels(1, 9, 13), change), GlimpseSensor(4), (0.0, 0.0))
    assert "\n" not in str(caught.value)


def _read_only(piece: Pixels) -> Pixels:
    piece = piece.copy()
    piece.setflags(write=False)
    return piece


@pytest.mark.parametrize(
    "change",
    [_read_only, lambda piece: piece[:, ::-1, ::-1].copy()[:, ::-1, ::-1], np.asfortranarray],
    ids=["read-only", "backwards", "columns first"],
)
@pytest.mark.parametrize("at", [(0.0, 0.0), (-1.0, 1.0)])
def test_a_source_may_hand_out_views_of_any_kind(
    change: Callable[[Pixels], Pixels], at: tuple[float, float]
) -> None:
    image, sensor = random_pixels(2, 9, 13), GlimpseSensor(4)
    wanted = look(ArrayPyramid([image]), sensor, at)
    assert torch.equal(look(Handed(image, change), sensor, at), wanted)


def test_an_index_of_no_slide_is_refused() -> None:
    prepared, sensor = one_each(Formula(1, (8, 8))), GlimpseSensor(2)
    with pytest.raises(ValueError, match=re.escape("`index` must be in [0, 1), got 1 to 1")):
        sensor.read(prepared, torch.tensor([1]), torch.zeros(1, 2))
