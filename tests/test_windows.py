"""Windows against exact fractions: where they lie, and how much of each lies beyond the image."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from glimpse.windows import Windows, fill

OFFSETS = [-0.001, 0.0, 0.001]  # of a pixel


def centres(*pairs: tuple[float, float]) -> Tensor:
    return torch.tensor(pairs, dtype=torch.float64)


def first_pixel(centre: float, width: int) -> int:
    """Return floor(p - width/2 + 0.5) without rounding errors."""
    return math.floor(Fraction(centre) - Fraction(width, 2) + Fraction(1, 2))


def overlap(low: int, high: int, length: int) -> Fraction:
    """Return which part of the pixels from `low` to `high` lies within [0, length)."""
    return Fraction(sum(0 <= at < length for at in range(low, high)), high - low)


@st.composite
def some_windows(draw: st.DrawFn) -> tuple[int, tuple[int, ...]]:
    """Draw size and steps (beartype must not check a `Windows` in here: it draws numbers)."""
    return draw(st.integers(1, 9)), tuple(draw(st.lists(st.integers(1, 40), min_size=1)))


def test_the_documented_window_covers_the_pixels_3_to_6() -> None:
    window = Windows(4, (1,), "zero")
    assert window.corners(centres((5, 2))).tolist() == [[[3]], [[0]]]
    x, y = window.lattice(centres((5, 2)), 4, 10)
    assert x[0, :, 0].tolist() == [3, 4, 5, 6, 7]
    assert y[0, :, 0].tolist() == [0, 1, 2, 3, 4]
    assert window.covered(x).tolist() == [[3, 4, 5, 6]]


def test_windows_are_as_wide_as_their_steps_and_come_one_by_one() -> None:
    windows = Windows(5, (1, 3, 9), "edge")
    assert windows.widths == (5, 15, 45)
    assert list(windows) == [Windows(5, (step,), "edge") for step in (1, 3, 9)]
    assert [window.widths for window in windows] == [(5,), (15,), (45,)]


def test_ties_are_rounded_up_and_each_scale_by_itself() -> None:
    """Around p = 4.5 windows of 4, 12 and 36 have a tie, windows of 1, 3 and 9 have none."""
    centre = centres((4.5, 4.499), (4.501, 4.0))
    even = Windows(4, (1, 3, 9), "zero").corners(centre)
    assert even.tolist() == [[[3, 3], [-1, -1], [-13, -13]], [[2, 2], [-2, -2], [-14, -14]]]
    odd = Windows(1, (1, 3, 9), "zero").corners(centre)
    assert odd.tolist() == [[[4, 4], [3, 3], [0, 0]], [[4, 4], [3, 3], [0, 0]]]
    mixed = Windows(1, (1, 2, 4), "zero").corners(centre)
    assert mixed.tolist() == [[[4, 4], [4, 4], [3, 3]], [[4, 4], [3, 3], [2, 2]]]


@given(
    st.integers(1, 50),
    st.integers(1, 50),
    st.lists(st.tuples(st.integers(-(2**20), 2**20), st.sampled_from(OFFSETS)), min_size=2),
)
def test_a_thousandth_of_a_pixel_decides_at_a_tie(
    size: int, step: int, ties: list[tuple[int, float]]
) -> None:
    """The window around `first + width/2 - 0.5` begins at `first`; around anything less, before."""
    window = Windows(size, (step,), "zero")
    at = [first + size * step / 2 - 0.5 + offset for first, offset in ties]
    wanted = [first - (offset < 0) for first, offset in ties]
    found = window.corners(centres(*zip(at, at[::-1], strict=True)))
    assert found[:, 0].tolist() == [wanted, wanted[::-1]]


@given(some_windows(), st.lists(st.integers(-(10**9), 10**9), min_size=2, max_size=2))
def test_corners_are_those_of_exact_arithmetic(
    sizes: tuple[int, tuple[int, ...]], thousandths: list[int]
) -> None:
    windows = Windows(*sizes, "zero")
    x, y = (number / 1000 for number in thousandths)
    corners = windows.corners(centres((x, y), (y, x)))
    assert corners.shape == (2, len(windows.steps), 2)
    assert corners.dtype == torch.float64
    wanted = [[first_pixel(at, width) for width in windows.widths] for at in (x, y)]
    assert corners[:, :, 0].tolist() == wanted
    assert corners[:, :, 1].tolist() == wanted[::-1]


@given(some_windows(), st.integers(1, 60), st.integers(1, 60), st.data())
def test_a_lattice_holds_the_edges_of_all_pixels(
    sizes: tuple[int, tuple[int, ...]], height: int, width: int, data: st.DataObject
) -> None:
    windows = Windows(*sizes, "zero")
    centre = centres((data.draw(st.floats(0, width)), data.draw(st.floats(0, height))))
    x, y = windows.lattice(centre, height, width)
    for edges, at in ((x, centre[0, 0]), (y, centre[0, 1])):
        assert edges.dtype == torch.int32
        for found, step, wide in zip(edges[:, :, 0], windows.steps, windows.widths, strict=True):
            first = first_pixel(float(at), wide)
            assert found.tolist() == [first + step * number for number in range(windows.size + 1)]


@pytest.mark.parametrize("far", [-1e30, -(2.0**40), 2.0**40, 1e30])
def test_far_windows_stay_whole_and_beyond_the_image(far: float) -> None:
    """Numbers of 32 bits hold them, also beside an image and a window of a billion pixels."""
    for size, steps in ((3, (1, 2, 16)), (1, (1, 2**30))):
        windows = Windows(size, steps, "edge")
        x, y = windows.lattice(centres((far, -far)), 2**20, 2**20)
        for edges, positive in ((x, far > 0), (y, far < 0)):
            assert edges[:, :, 0].diff(dim=1).tolist() == [[step] * size for step in steps]
            assert bool((edges >= 2**20).all() if positive else (edges <= 0).all())


def test_no_centre_has_no_windows() -> None:
    windows = Windows(3, (1, 2), "zero")
    assert windows.corners(torch.zeros(0, 2, dtype=torch.float64)).shape == (2, 2, 0)
    x, y = windows.lattice(torch.zeros(0, 2, dtype=torch.float64), 4, 5)
    assert x.shape == y.shape == (2, 4, 0)


def test_centres_are_left_as_they_were() -> None:
    centre = centres((4.7, 1.2), (3.3, 0.1))
    before = centre.clone()
    windows = Windows(2, (1, 4), "zero")
    windows.corners(centre).fill_(99)
    windows.lattice(centre, 5, 6)[0].fill_(99)
    assert torch.equal(centre, before)
    assert windows.corners(centre)[:, 0, 0].tolist() == [4, 0]
    assert windows.lattice(centre, 5, 6)[0][0, :, 0].tolist() == [4, 5, 6]


@given(some_windows(), st.integers(1, 60), st.integers(1, 60), st.data())
def test_the_mean_fills_what_lies_beyond(
    sizes: tuple[int, tuple[int, ...]], height: int, width: int, data: st.DataObject
) -> None:
    windows = Windows(min(sizes[0], 4), sizes[1][:3], "mean")
    at = (data.draw(st.floats(-width, 2 * width)), data.draw(st.floats(-height, 2 * height)))
    x, y = windows.lattice(centres(at), height, width)
    mean = torch.tensor([[0.25, 1.0]])
    glimpse = torch.full((1, len(windows.steps), 2, windows.size, windows.size), 0.125)
    fill(glimpse, x, y, mean, height, width)
    for k in range(len(windows.steps)):
        across, down = x[k, :, 0].tolist(), y[k, :, 0].tolist()
        for row in range(windows.size):
            for column in range(windows.size):
                inside = overlap(across[column], across[column + 1], width)
                inside *= overlap(down[row], down[row + 1], height)
                wanted = 0.125 + float(1 - inside) * mean[0].double()
                found = glimpse[0, k, :, row, column].double()
                torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
