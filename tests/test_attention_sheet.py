"""The page of soft attention: what is coloured, what is outlined, where everything stands."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glimpse.answer_sheet import Answers
from glimpse.attention_sheet import (
    _GAP,
    _HEAD,
    _MARGIN,
    _NAMES,
    _ROW,
    _SIDE,
    Layer,
    attention_sheet,
)

TOP = _MARGIN + _HEAD + _NAMES
ORANGE, SKY = (230, 159, 0), (86, 180, 233)


def _answers(count: int, target: str | None = "a", side: int = 32) -> list[Answers]:
    return [Answers(torch.zeros(1, side, side), ["a"], [0.7], target) for _ in range(count)]


def _cell(page: Any, column: int, row: int = 0) -> NDArray[np.int64]:
    """Return the pixels of a picture's place."""
    left, top = _MARGIN + column * (_SIDE + _GAP), TOP + row * _ROW
    return np.asarray(page)[top : top + _SIDE, left : left + _SIDE].astype(np.int64)


def _layer(change: Tensor, **windows: Tensor) -> Layer:
    return Layer("here", change, windows)


def _bluer(pixels: NDArray[np.int64]) -> NDArray[np.int64]:
    difference: NDArray[np.int64] = pixels[..., 2] - pixels[..., 0]
    return difference


def test_less_is_blue_and_more_is_orange_on_the_image() -> None:
    change = torch.tensor([[[0.5, 1.0, 2.0]] * 3])
    cell = _cell(attention_sheet(_answers(1), [_layer(change)], "title"), 1)
    blue = _bluer(cell)[_SIDE // 2]
    assert blue[4] > 100
    assert abs(blue[_SIDE // 2]) <= 3
    assert blue[-4] < -100
    assert (np.diff(blue) <= 0).all()


def test_the_image_stays_to_be_seen() -> None:
    image = torch.zeros(1, 32, 32)
    image[:, 8:24] = 1
    answers = [Answers(image, ["a"], [0.7], "a")]
    page = attention_sheet(answers, [_layer(torch.tensor([[[1.0, 2.0]]]))], "title")
    cell = _cell(page, 1).sum(axis=2)
    for column in (4, _SIDE - 4):
        assert cell[_SIDE // 2, column] > cell[8, column] + 20
    assert (_cell(page, 0)[_SIDE // 2, 5] == 255).all()


def test_where_nothing_differs_or_is_known_nothing_is_coloured() -> None:
    for change in (torch.full((1, 3, 3), 0.3), torch.full((1, 3, 3), math.nan)):
        cell = _cell(attention_sheet(_answers(1), [_layer(change)], "title"), 1)
        assert not _bluer(cell).any()
    change = torch.tensor([[[0.5, math.nan, 0.0]]])
    blue = _bluer(_cell(attention_sheet(_answers(1), [_layer(change)], "title"), 1))
    assert not blue[:, _SIDE // 2].any()


def test_a_scale_is_that_of_all_images_of_its_module() -> None:
    strong, weak = torch.tensor([[[0.5, 2.0]]]), torch.tensor([[[0.9, 1 / 0.9]]])
    together = attention_sheet(_answers(2), [_layer(torch.cat([strong, weak]))], "title")
    alone = attention_sheet(_answers(1), [_layer(weak)], "title")
    far = [_bluer(_cell(together, 1, row))[9, 4] for row in (0, 1)]
    assert far[0] > 4 * far[1] > 0
    assert _bluer(_cell(alone, 1))[9, 4] == far[0]


def test_windows_are_outlined_and_what_is_seen_stands_beside_them() -> None:
    corners = torch.tensor([[[-0.5, -0.25], [0.5, -0.25], [0.5, 0.75], [-0.5, 0.75]]])
    seen = torch.full((1, 1, 32, 32), 2.0)  # more than white is white
    layer = Layer("input", torch.ones(1, 32, 32), {"reads": corners, "writes": -corners}, seen)
    page = attention_sheet(_answers(1), [layer], "title")
    cell = _cell(page, 1)
    rows, columns = np.nonzero((cell == ORANGE).all(axis=2))
    near = [columns.min() - 32, columns.max() - 96, rows.max() - 112]
    assert all(abs(far) <= 2 for far in near)
    assert (cell == SKY).all(axis=2).any()
    assert (_cell(page, 2) == 255).all()
    assert not (_cell(page, 0)).any()


def test_the_page_has_a_row_for_each_image_and_a_column_for_each_module() -> None:
    layers = [_layer(torch.rand(3, 4, 4)) for _ in range(6)]
    page = attention_sheet(_answers(3), layers, "title")
    assert page.size == (8 * (_SIDE + _GAP) - _GAP + 2 * _MARGIN, TOP + 3 * _ROW + _MARGIN)
    green = (_cell(page, 7, 2) == (0, 128, 60)).all(axis=2)
    assert green.any()


def test_without_modules_there_are_images_and_answers() -> None:
    page = attention_sheet(_answers(2, None), [], "none on 2 images")
    assert not _cell(page, 0, 1).any()
    assert (_cell(page, 1, 1) == (30, 30, 30)).all(axis=2).any()


def test_images_of_colour_and_of_other_shapes_are_drawn() -> None:
    image = torch.rand(3, 20, 50)
    page = attention_sheet(
        [Answers(image, ["a"], [0.5], None)], [_layer(torch.rand(1, 5, 12))], "title"
    )
    assert (_cell(page, 1)[0] == 255).all()  # it is not as high as its place
    assert (_cell(page, 1)[_SIDE // 2, 20:100] < 255).any()
