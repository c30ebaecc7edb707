"""Which images a run shows: every one once an epoch, and a batch by itself as among others."""

from collections import Counter

import pytest
import torch
from expect import refused
from learners import TRAIN, small_canvas, small_images

from glimpse import ImageSet
from glimpse.draws import Draws

COUNTS = [1, 4, 5, 6, 7, 11]  # some fill an epoch, some leave images over


def _draws(count: int, seed: int = 0) -> Draws:
    return Draws(small_images(), count, seed)


def _epoch(draws: Draws, number: int, batches: int) -> list[list[int]]:
    first = number * batches
    return [draws.images(batch).tolist() for batch in range(first, first + batches)]


@pytest.mark.parametrize("count", COUNTS)
def test_an_epoch_is_the_training_split_in_an_order_of_its_own(count: int) -> None:
    batches, orders = len(TRAIN) // count, []
    draws = _draws(count)
    for epoch in range(4):
        shown = _epoch(draws, epoch, batches)
        assert [len(batch) for batch in shown] == [count] * batches
        order = [index for batch in shown for index in batch]
        assert len(set(order)) == len(order) == batches * count
        assert set(order) <= set(TRAIN)
        orders.append(tuple(order))
    assert len(set(orders)) == 4
    assert tuple(TRAIN[: batches * count]) not in orders


@pytest.mark.parametrize("count", [5, 7])
def test_what_is_left_over_is_other_images_every_epoch(count: int) -> None:
    """Of 12 images in batches of 5 or 7, two or five: each image's turn comes."""
    draws, batches, epochs = _draws(count), len(TRAIN) // count, 200
    shown = Counter(
        index
        for epoch in range(epochs)
        for batch in _epoch(draws, epoch, batches)
        for index in batch
    )
    share = batches * count / len(TRAIN)
    spread = (epochs * share * (1 - share)) ** 0.5
    assert set(shown) == set(TRAIN)
    assert all(abs(times - epochs * share) < 4 * spread for times in shown.values())


def test_every_image_comes_first_equally_often() -> None:
    draws, epochs = _draws(6), 600
    first = Counter(int(draws.images(2 * epoch)[0]) for epoch in range(epochs))
    share = 1 / len(TRAIN)
    spread = (epochs * share * (1 - share)) ** 0.5
    assert all(abs(first[index] - epochs * share) < 4 * spread for index in TRAIN)


@pytest.mark.parametrize("count", [*COUNTS, 12, 30])
def test_a_batch_is_a_function_of_seed_and_number(count: int) -> None:
    """Whatever was asked before: a run goes on from a checkpoint as if it had never stopped."""
    in_order = [_draws(count, seed=3).images(number).tolist() for number in range(30)]
    draws = _draws(count, seed=3)
    for number in (29, 0, 13, 13, 2, 28, 1, 0):
        assert draws.images(number).tolist() == in_order[number]


def test_another_seed_is_another_run() -> None:
    runs = [[_draws(4, seed).images(n).tolist() for n in range(6)] for seed in (0, 1, 2)]
    assert runs[0] != runs[1] != runs[2] != runs[0]
    seeds = [[_draws(4, seed).first_seed(n) for n in range(50)] for seed in range(20)]
    assert len({seed for run in seeds for seed in run}) == 1000


@pytest.mark.parametrize("number", [0, 1, 10**6])
def test_a_batch_s_seeds_leave_room_for_its_rows(number: int) -> None:
    """Row b has `b` more, and `GlimpseBatch.reset` takes seeds below 2**63."""
    first = _draws(4, seed=2**40).first_seed(number)
    assert first == _draws(7, seed=2**40).first_seed(number)
    assert 0 <= first < 2**62


@pytest.mark.parametrize(
    ("count", "times"), [(12, {1}), (13, {1, 2}), (24, {2}), (30, {2, 3}), (36, {3})]
)
def test_a_batch_at_least_as_large_as_the_split_takes_all_of_it(
    count: int, times: set[int]
) -> None:
    draws = _draws(count)
    for number in range(3):
        shown = Counter(draws.images(number).tolist())
        assert shown.total() == count
        assert set(shown) == set(TRAIN)
        assert set(shown.values()) == times


def test_global_generators_do_not_matter_and_are_left_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    wanted = [_draws(4).images(n).tolist() for n in range(4)]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert [_draws(4).images(n).tolist() for n in range(4)] == wanted


def test_images_that_are_drawn_anew_are_named_in_the_same_way() -> None:
    draws = Draws(small_canvas(), 4, 0)
    assert [draws.images(n).tolist() for n in range(6)] == [
        _draws(4).images(n).tolist() for n in range(6)
    ]


def test_indices_are_what_a_batch_takes() -> None:
    for count in (4, 30):
        indices = _draws(count).images(1)
        assert (indices.shape, indices.dtype) == ((count,), torch.int64)


@pytest.mark.parametrize("splits", [{"test": [0, 1]}, {"train": [], "test": [0]}])
def test_images_without_a_training_split_are_refused(splits: dict[str, list[int]]) -> None:
    images = ImageSet.from_arrays(torch.zeros(2, 1, 5, 5), [0, 1], splits=splits)
    with refused("the images must have a training split, got none: name one in splits"):
        Draws(images, 1, 0)
