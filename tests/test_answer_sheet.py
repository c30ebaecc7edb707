"""The page of answers: an image, and for each pass whether it was right and how sure."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from glimpse.answer_sheet import _GAP, _MARGIN, _SIDE, Answers, Group, _cut, _font, answer_sheet
from glimpse.colours import INK, PAPER, RIGHT, WRONG

BLUE = (40, 60, 250)


def _answers(
    said: tuple[str, ...], target: str | None, sure: float = 0.5, size: tuple[int, int] = (8, 8)
) -> Answers:
    image = torch.tensor(BLUE, dtype=torch.uint8)[:, None, None].expand(3, *size)
    return Answers(image, said, [sure] * len(said), target)


def _page(*shown: Answers) -> Image.Image:
    return answer_sheet([Group("heading", shown)])


def _is(page: Image.Image, colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    assert page.mode == "RGB"
    same: NDArray[np.bool_] = (np.asarray(page) == colour).all(axis=2)
    return same


def _cell(mask: NDArray[np.bool_], number: int) -> NDArray[np.bool_]:
    left = _MARGIN + number * (_SIDE + _GAP)
    return mask[:, left : left + _SIDE]


def test_right_answers_are_green_and_wrong_ones_red() -> None:
    page = _page(_answers(("cat", "dog", "cat"), "cat"))
    green, red = _is(page, RIGHT), _is(page, WRONG)
    for number, right in ((1, True), (2, False), (3, True)):
        assert _cell(green, number).any() == right
        assert _cell(red, number).any() != right
    assert not _cell(green | red, 0).any()


def test_a_tick_is_no_cross_for_those_who_see_no_colours() -> None:
    one, other = (_page(_answers(("cat",), target)) for target in ("cat", "dog"))
    marks = [_cell(_is(page, c), 1) for page, c in ((one, RIGHT), (other, WRONG))]
    assert (marks[0] != marks[1]).any()


def test_where_nobody_knows_answers_are_black() -> None:
    page = _page(_answers(("cat", "dog"), None))
    assert not (_is(page, RIGHT) | _is(page, WRONG)).any()
    assert _cell(_is(page, INK), 2).any()


@pytest.mark.parametrize("sure", [0.0, 0.25, 1.0])
def test_the_bar_is_as_long_as_the_answer_is_sure(sure: float) -> None:
    mask = _cell(_is(_page(_answers(("",), None, sure)), INK), 1)
    wide = _SIDE - 24
    inner = mask[:, 12:-11]
    longest = max((int(row.sum()) for row in inner if not row.all()), default=0)
    bars = [row for row in inner if row.all()] if sure == 1 else []
    if sure == 1:
        assert len(bars) >= 9
    elif sure == 0:
        assert longest < 40  # digits and the percent sign, no bar
    else:
        assert longest == round(wide * sure) + 1


@pytest.mark.parametrize("size", [(8, 8), (4, 8), (300, 200)])
def test_the_image_is_drawn_whole_in_its_place(size: tuple[int, int]) -> None:
    rows, columns = np.nonzero(_is(_page(_answers(("a",), "a", size=size)), BLUE))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert max(height, width) <= _SIDE
    assert height / width == pytest.approx(size[0] / size[1], abs=0.02)
    assert abs(columns.min() + columns.max() + 1 - 2 * _MARGIN - _SIDE) <= 1
    assert len(rows) == height * width


def test_every_image_has_a_row_and_every_group_a_heading() -> None:
    none = answer_sheet([Group("wrong to right: none of 9 images", [])])
    assert _is(none, INK).any()
    one, two = (_page(*[_answers(("a", "b"), "a")] * count) for count in (1, 2))
    both = answer_sheet([Group("heading", [_answers(("a", "b"), "a")]), Group("none", [])])
    assert one.width == two.width == 2 * _MARGIN + 3 * _SIDE + 2 * _GAP
    assert one.height < both.height < two.height
    for page in (none, one, two, both):
        edge = np.asarray(page)
        for line in (edge[0], edge[-1], edge[:, 0], edge[:, -1]):
            assert (line == PAPER).all()


def test_long_names_are_made_smaller_and_then_cut() -> None:
    name = "a class with a very long name"
    page = _page(_answers((name, name), "another class with a very long name"))
    ink = _is(page, WRONG)
    between = ink[:, _MARGIN + 2 * _SIDE + _GAP : _MARGIN + 2 * _SIDE + 2 * _GAP]
    assert not between.any()
    font = _font(20)
    assert _cut("cat", font, 100) == "cat"
    cut = _cut(name, font, 100)
    assert cut.endswith("…")
    assert name.startswith(cut[:-1])
    assert font.getlength(cut) <= 100
