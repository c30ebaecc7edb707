"""Pieces become one tensor, in training and in inference."""

import weakref
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from glimpse.soft_baselines.piecewise import concatenate, slices


def _pieces(counts: list[int]) -> Iterator[Tensor]:
    maps = torch.arange(2.0 * sum(counts) * 3).reshape(2, -1, 3).requires_grad_()
    yield from torch.split(maps, counts, dim=1)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("counts", [[4], [1, 1], [3, 2, 4]], ids=str)
def test_pieces_stand_side_by_side(counts: list[int], training: bool) -> None:
    wanted = torch.arange(2.0 * sum(counts) * 3).reshape(2, -1, 3)
    with torch.set_grad_enabled(training):
        made = concatenate(_pieces(counts), (2, sum(counts), 3))
    assert torch.equal(made, wanted)
    assert made.requires_grad == training


def test_one_piece_is_not_copied() -> None:
    piece = torch.zeros(2, 4, 3)
    for training in (True, False):
        with torch.set_grad_enabled(training):
            assert concatenate(iter([piece]), (2, 4, 3)) is piece


@torch.no_grad()
def test_in_inference_a_piece_is_forgotten_before_the_next_is_made() -> None:
    made: list[weakref.ref[Tensor]] = []

    def pieces() -> Iterator[Tensor]:
        for number in range(3):
            assert all(piece() is None for piece in made)
            piece = torch.full((2, 1, 3), number)
            made.append(weakref.ref(piece))
            yield piece
            del piece

    assert concatenate(pieces(), (2, 3, 3))[0, :, 0].tolist() == [0, 1, 2]
    assert len(made) == 3


@pytest.mark.parametrize(
    ("each", "sizes"),
    [(0, [7]), (1, [7]), (2**19, [2, 2, 2, 1]), (2**22, [1] * 7), (2**18, [4, 3])],
)
def test_what_is_served_together_is_as_much_as_its_numbers_allow(
    each: int, sizes: list[int]
) -> None:
    all_of_them = torch.arange(7)
    groups = [all_of_them[some] for some in slices(7, each, all_of_them)]
    assert [len(group) for group in groups] == sizes
    assert torch.equal(torch.cat(groups), all_of_them)


def test_elsewhere_all_is_served_at_once() -> None:
    assert list(slices(7, 2**30, torch.empty(0, device="meta"))) == [slice(0, 7)]
