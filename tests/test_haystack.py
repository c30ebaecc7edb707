"""Generated slides: against the sum of bumps that they are, and what can be seen from far away."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from glimpse import haystack
from glimpse.coordinates import to_pixels
from glimpse.haystack import Haystack, load_haystacks
from glimpse.pyramid import Pyramid, downsamples
from glimpse.slides import SlideSet

Pixels = NDArray[np.uint8]
SIDE, COARSEST = 65536, 4
seeds = st.integers(0, 1000)


def around(slide: Haystack, level: int, x: float, y: float, side: int) -> tuple[int, ...]:
    """Return the piece (level, x, y, w, h) around a position in pixels of level 0."""
    _, height, width = slide.levels[level]
    left, top = (
        min(max(int(centre / 4**level) - side // 2, 0), length - side)
        for centre, length in ((x, width), (y, height))
    )
    return level, left, top, side, side


@st.composite
def positions(draw: st.DrawFn) -> tuple[Haystack, float, float]:
    """Draw a slide and a position: anywhere, or near a top."""
    slide = Haystack(draw(seeds))
    if draw(st.booleans()):
        return slide, draw(st.floats(0, SIDE)), draw(st.floats(0, SIDE))
    x, y = slide.hills[draw(st.integers(0, len(slide.hills) - 1))].tolist()
    return slide, x + draw(st.floats(-40, 40)), y + draw(st.floats(-40, 40))


def test_a_haystack_is_a_pyramid_of_levels_four_times_smaller() -> None:
    slide = Haystack(0)
    assert isinstance(slide, Pyramid)
    assert slide.levels == tuple((1, side, side) for side in (65536, 16384, 4096, 1024, 256))
    assert downsamples(slide) == [1, 4, 16, 64, 256]


@settings(max_examples=50)
@given(position=positions())
def test_a_pixel_of_level_0_is_the_mean_of_the_sum_of_bumps(
    position: tuple[Haystack, float, float],
) -> None:
    """Here the mean of 4 x 4 points of the pixel; bumps are so wide that these say the same."""
    slide, *centre = position
    piece = around(slide, 0, *centre, side=32)
    x, y = (first + (np.arange(4 * 32) + 0.5) / 4 for first in piece[1:3])
    bright = np.full((4 * 32, 4 * 32), haystack._PLAIN)
    for number, (right, down) in enumerate(slide.hills.tolist()):
        distance = (x - right) ** 2 + (y[:, None] - down) ** 2
        bright += haystack._HEIGHT * np.exp(-distance / (2 * haystack._HILL**2))
        spot = haystack._DEPTH if number == 0 else -haystack._DEPTH
        bright += spot * np.exp(-distance / (2 * haystack._SPOT**2))
    assert 0 <= bright.min() <= bright.max() <= 1
    wanted = 255 * bright.reshape(32, 4, 32, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(slide.read(*piece)[0], wanted, atol=0.51)


@settings(max_examples=50)
@given(position=positions(), level=st.integers(1, COARSEST))
def test_a_level_is_the_mean_over_boxes_of_the_finer_one(
    position: tuple[Haystack, float, float], level: int
) -> None:
    """Each rounds to whole grey values, so they differ by up to one."""
    slide, *centre = position
    _, x, y, w, h = around(slide, level, *centre, side=16)
    finer = slide.read(level - 1, 4 * x, 4 * y, 4 * w, 4 * h)[0].astype(float)
    means = finer.reshape(h, 4, w, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(slide.read(level, x, y, w, h)[0], means, atol=1)


def test_pieces_fit_together() -> None:
    slide = Haystack(3)
    level, x, y, w, h = around(slide, 1, *slide.hills[0].tolist(), side=60)
    whole = slide.read(level, x, y, w, h)
    assert (whole.shape, whole.dtype) == ((1, 60, 60), np.uint8)
    for left, top, right, bottom in ((0, 0, 60, 60), (7, 11, 40, 13), (59, 0, 60, 60)):
        part = slide.read(level, x + left, y + top, right - left, bottom - top)
        np.testing.assert_array_equal(part, whole[:, top:bottom, left:right])


def test_a_piece_may_be_scribbled_on() -> None:
    slide = Haystack(3)
    first = slide.read(4, 0, 0, 256, 256)
    wanted = first.copy()
    first += 1
    np.testing.assert_array_equal(slide.read(4, 0, 0, 256, 256), wanted)


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        ((5, 0, 0, 1, 1), "`level` must be in [0, 5), got 5: the finest is 0"),
        ((4, 250, 0, 7, 7), "level 4 must lie within 256x256 pixels, got 7x7 at (250, 0): cut"),
    ],
)
def test_what_is_not_there_is_refused(piece: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Haystack(0).read(*piece)


def test_the_same_seed_is_the_same_slide_and_another_is_another() -> None:
    whole = [Haystack(seed).read(4, 0, 0, 256, 256) for seed in (5, 5, 6)]
    np.testing.assert_array_equal(whole[0], whole[1])
    assert Haystack(5) == Haystack(5)
    assert torch.equal(Haystack(5).hills, Haystack(5).hills)
    assert np.abs(whole[0].astype(int) - whole[2]).max() > 50
    tops = torch.stack([Haystack(seed).hills[0] for seed in range(200)])
    assert len(tops.unique(dim=0)) == 200
    assert bool((tops.std(dim=0) > 0.25 * SIDE).all())  # uniform on all but 9 %: 0.26


def test_a_seed_means_the_same_slide_everywhere() -> None:
    wanted = torch.tensor([56117.9989, 13532.4276], dtype=torch.float64)
    assert torch.allclose(Haystack(0).hills[0], wanted, atol=0.01)


@settings(max_examples=30)
@given(seed=seeds)
def test_the_needle_is_bright_and_every_other_top_dark(seed: int) -> None:
    slide = Haystack(seed)
    tops = [int(slide.read(0, int(x), int(y), 1, 1)[0, 0, 0]) for x, y in slide.hills.tolist()]
    assert tops[0] > 0.9 * 255
    assert max(tops[1:]) < 0.3 * 255


@given(seed=seeds)
def test_hills_lie_apart_and_within(seed: int) -> None:
    hills = Haystack(seed).hills
    assert hills.shape == (haystack._HILLS, 2)
    distance = torch.cdist(hills, hills).fill_diagonal_(torch.inf)
    assert float(distance.min()) > 3 * haystack._HILL
    assert float(hills.min()) >= 2 * haystack._HILL
    assert float(hills.max()) <= SIDE - 2 * haystack._HILL


@settings(max_examples=20)
@given(seed=seeds)
def test_hills_are_seen_from_far_away(seed: int) -> None:
    slide = Haystack(seed)
    whole = slide.read(COARSEST, 0, 0, 256, 256)[0]
    for x, y in (slide.hills / 4**COARSEST).long().tolist():
        assert whole[y, x] > 0.5 * 255
    ground = np.ones((256, 256), dtype=bool)
    row, column = np.mgrid[:256, :256]
    for x, y in (slide.hills / 4**COARSEST).tolist():
        ground &= np.hypot(column - x, row - y) > 4 * haystack._HILL / 4**COARSEST
    assert whole[ground].max() < 0.15 * 255


def _without_spots(seed: int, level: int, monkeypatch: pytest.MonkeyPatch) -> Pixels:
    _, height, width = Haystack(seed).levels[level]
    with monkeypatch.context() as patched:
        patched.setattr(haystack, "_DEPTH", 0.0)
        return Haystack(seed).read(level, 0, 0, width, height)


@pytest.mark.parametrize(("level", "most"), [(COARSEST, 1), (COARSEST - 1, 11)])
def test_spots_are_hardly_seen_from_far_away(
    level: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spot of deviation 8 changes a pixel of 256 by 0.6 grey values, one of 64 by 10."""
    for seed in range(5):
        plain = _without_spots(seed, level, monkeypatch).astype(int)
        _, height, width = Haystack(seed).levels[level]
        spotted = Haystack(seed).read(level, 0, 0, width, height)
        assert np.abs(spotted - plain).max() <= most


def test_the_whole_does_not_tell_which_hill_has_the_needle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What an eye sees beside every glimpse: each pixel is a mean over 2,048 x 2,048."""
    for seed in range(20):
        wholes = Haystack(seed).read(4, 0, 0, 256, 256), _without_spots(seed, 4, monkeypatch)
        spotted, plain = (whole.reshape(32, 8, 32, 8).mean(axis=(1, 3)) for whole in wholes)
        assert np.abs(spotted - plain).max() < 0.1


# As a set


def test_a_set_has_one_place_a_slide_and_it_is_the_needle() -> None:
    images = load_haystacks(20)
    assert isinstance(images, SlideSet)
    assert images.shape == (1, SIDE, SIDE)
    assert images.slide.tolist() == list(range(20))
    places = to_pixels(images.targets, SIDE, SIDE)
    for number, (x, y) in enumerate(places.tolist()):
        slide: Any = images.slides[number]
        assert slide == Haystack(number)
        _, left, top, w, h = around(slide, 0, x, y, side=33)
        seen = slide.read(0, left, top, w, h)[0]
        assert seen[16, 16] >= seen.max() - 1
        assert seen[16, 16] > 0.9 * 255
    together = torch.cat(list(images.splits.values()))
    assert sorted(together.tolist()) == list(range(20))
    assert {name: len(index) for name, index in images.splits.items()} == {
        "train": 16,
        "validation": 2,
        "test": 2,
    }
