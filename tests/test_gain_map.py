"""Gains as colours, and what the gains of many images come to."""

import numpy as np
import pytest
import torch
from expect import generator, refused
from numpy.typing import NDArray

from glimpse.colours import LESS, MORE, PAPER, SPREAD
from glimpse.gain_map import Gains, gain_cells, spread_cells


def _colours(picture: object) -> NDArray[np.uint8]:
    return np.asarray(picture)


def test_the_documented_colours() -> None:
    """With limit 4: 1 is white, 4 and more orange, 1/4 and less blue, 2 half of the way."""
    gains = torch.tensor([[1.0, 4.0, 99.0, 0.25, 0.0, 2.0]])
    (row,) = _colours(gain_cells(gains, 4.0, (6, 1)))
    half = [round((white + full) / 2) for white, full in zip(PAPER, MORE, strict=True)]
    assert row[:5].tolist() == [list(colour) for colour in (PAPER, MORE, MORE, LESS, LESS)]
    assert row[5].tolist() == half


def test_as_many_times_more_and_less_are_as_far_from_white() -> None:
    rows = _colours(gain_cells(torch.tensor([[1.3], [1 / 1.3]]), 2.0, (1, 2))).astype(int)
    shares = []
    for (pixel,), full in zip(rows, (MORE, LESS), strict=True):
        shares.append((255 - pixel[0]) / (255 - full[0]))
    assert shares[0] == pytest.approx(shares[1], abs=0.03)
    assert shares[0] == pytest.approx(np.log2(1.3), abs=0.03)


def test_cells_lie_where_passes_and_maps_are() -> None:
    gains = torch.ones(2, 3)
    gains[1, 2] = 2.0
    picture = _colours(gain_cells(gains, 2.0, (30, 8)))
    assert picture.shape == (8, 30, 3)
    orange = (picture == MORE).all(axis=2)
    assert orange[4:, 20:].all()
    assert orange.sum() == 4 * 10


def test_spread_goes_from_white_to_violet() -> None:
    (row,) = _colours(spread_cells(torch.tensor([[0.0, 1.0, 5.0]]), 2.0, (3, 1)))
    assert row.tolist() == [list(colour) for colour in (PAPER, SPREAD, SPREAD)]


def test_mean_and_spread_are_those_of_all_images_together() -> None:
    gains = torch.rand(11, 2, 5, generator=generator()) + 0.1
    whole = Gains.of([gains])
    parts = Gains.of(iter([gains[:4], gains[4:4], gains[4:]]))
    assert whole.count == parts.count == 11
    for found in (whole, parts):
        torch.testing.assert_close(found.mean, gains.mean(dim=0))
        torch.testing.assert_close(found.spread, gains.log2().std(dim=0, correction=0))


def test_images_that_get_the_same_gains_do_not_differ() -> None:
    gains = Gains.of([torch.full((50, 1, 3), 1.7)] * 20)
    assert (gains.spread == 0).all()


def test_gains_of_zero_have_a_finite_spread() -> None:
    gains = Gains.of([torch.tensor([0.0, 2.0])[:, None, None]])
    assert gains.mean.tolist() == [[1.0]]
    assert gains.spread.isfinite().all()


def test_there_must_be_an_image() -> None:
    with refused("there must be an image with gains, got none: choose another split"):
        Gains.of([])
