"""The page of gains: every layer, pass and map is there, the colours are those of the scale."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from glimpse.colours import LESS, MORE, PAPER, SPREAD
from glimpse.gain_map import Gains
from glimpse.gain_sheet import _limit, gain_sheet


def _gains(mean: torch.Tensor, spread: float = 0.0) -> Gains:
    return Gains(mean, torch.full_like(mean, spread), 7)


def _share(page: Image.Image, colour: tuple[int, int, int]) -> int:
    """Return how many pixels have a colour."""
    return int(_is(page, colour).sum())


def _is(page: Image.Image, colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = (np.asarray(page) == colour).all(axis=2)
    return same


def test_every_map_is_drawn_in_its_layer_and_pass() -> None:
    """Cells of 28 x 16 pixels; one more below another map, layers from the top downwards."""
    mean = torch.ones(3, 8)
    plain = gain_sheet(_gains(mean), {"one": 5, "two": 3}, "")
    places = []
    for number, map_ in ((0, 0), (0, 4), (2, 4), (0, 5), (2, 7)):
        drawn = mean.clone()
        drawn[number, map_] = 1.05  # just the smallest scale
        rows, columns = np.nonzero(
            _is(gain_sheet(_gains(drawn), {"one": 5, "two": 3}, ""), MORE) & ~_is(plain, MORE)
        )
        assert len(rows) == 28 * 16
        places.append((columns.min(), rows.min()))
    first, right, below, second, last = np.array(places)
    assert (right - first).tolist() == [4 * 28, 0]
    assert (below - right).tolist() == [0, 2 * 16]
    assert second[0] == first[0]
    assert second[1] > below[1] + 16
    assert (last - second).tolist() == [2 * 28, 2 * 16]


def test_the_right_half_shows_how_images_differ() -> None:
    mean = torch.ones(2, 4)
    spread = torch.zeros(2, 4)
    spread[1, 3] = 1.0
    layers = {"one": 4}
    page = gain_sheet(Gains(mean, spread, 7), layers, "")
    rows, columns = np.nonzero(_is(page, SPREAD))
    assert len(rows) >= 28 * 16
    assert columns.min() > page.width // 2
    same = gain_sheet(_gains(mean), layers, "")
    assert _share(page, SPREAD) - _share(same, SPREAD) == 28 * 16


@pytest.mark.parametrize(
    ("largest", "limit"), [(1.0, 1.05), (1.05, 1.05), (1.06, 1.1), (3.0, 4.0), (99.0, 16.0)]
)
def test_the_scale_ends_with_the_next_round_number(largest: float, limit: float) -> None:
    assert _limit(torch.tensor([[0.0, largest]]).clamp(min=1).log2()) == limit


def test_a_gain_of_zero_is_drawn() -> None:
    mean = torch.tensor([[0.0, 2.0]])
    page, plain = (gain_sheet(_gains(m), {"one": 2}, "") for m in (mean, torch.ones(1, 2)))
    assert _share(page, LESS) - _share(plain, LESS) == 28 * 16


def test_a_layer_of_many_maps_has_several_lines() -> None:
    """250 maps: lines of 100, 100 and 50, in cells of 5 pixels."""
    mean = torch.full((2, 250), 4.0)
    page = gain_sheet(_gains(mean), {"wide": 250}, "")
    filled = _is(page, MORE).sum(axis=1)
    filled = filled[filled >= 250]  # not the legend
    assert sorted(filled.tolist()) == [250] * 32 + [500] * 64
    assert page.width < 1400


def test_many_passes_and_layers_fit() -> None:
    layers = {f"block.{number}": 3 for number in range(12)}
    page = gain_sheet(_gains(torch.rand(20, 36) + 0.5), layers, "title")
    edge = np.asarray(page)
    for line in (edge[0], edge[-1], edge[:, 0], edge[:, -1]):
        assert (line == PAPER).all()
