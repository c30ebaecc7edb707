"""Which images the rows of a batch get, and that nothing but seed and episode decides it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from glimpse import ImageSet
from glimpse.assignment import Assignment, row_seeds

_CPU = torch.device("cpu")
_TRAIN = [3, 4, 7, 8, 11]


def _set() -> ImageSet:
    images = torch.arange(12, dtype=torch.uint8)[:, None, None, None].expand(12, 1, 2, 2)
    splits = {"train": _TRAIN, "validation": [0], "test": [1, 2, 5, 6, 9, 10]}
    return ImageSet.from_arrays(images.contiguous(), range(100, 112), splits=splits)


def _draws(rows: int, *, copies: int = 1, split: str = "train") -> Assignment:
    draws = Assignment(_set(), copies, split)
    draws.allot(rows)
    return draws


def _begin(
    draws: Assignment,
    seed: int | Sequence[int] | torch.Tensor | None = None,
    which: Sequence[int] | None = None,
    indices: Sequence[int] | None = None,
) -> tuple[list[int], list[int], list[list[float]]]:
    """Begin episodes; return every row's image, canvas key and first location."""
    rows = torch.arange(draws.rows) if which is None else torch.tensor(which, dtype=torch.int64)
    seeds = row_seeds(seed, draws.rows, _CPU)
    draws.begin(rows, seeds, None if indices is None else torch.tensor(indices))
    locations = draws.first_locations(torch.arange(draws.rows))
    return draws.index.tolist(), draws.canvas_keys.tolist(), locations.tolist()


def test_there_are_no_rows_until_there_is_room() -> None:
    draws = Assignment(_set(), 1, "train")
    assert draws.rows == 0
    draws.allot(5)
    assert draws.rows == len(draws.index) == len(draws.canvas_keys) == 5


def test_targets_belong_to_the_images() -> None:
    draws = _draws(50)
    index, _, _ = _begin(draws, 0)
    assert draws.target.tolist() == [100 + k for k in index]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_images_come_from_the_split_and_all_of_them_come(split: str) -> None:
    draws = _draws(300, split=split)
    assert set(_begin(draws, 0)[0]) == set(_set().splits[split].tolist())


def test_images_are_uniform_over_the_split() -> None:
    """5,000 draws of 5: chi-squared with 4 degrees of freedom is below 18.5 in 99.9 %."""
    index = torch.tensor(_begin(_draws(5000), 0)[0])
    counts = index.bincount(minlength=12)[_TRAIN].double()
    assert float(((counts - 1000) ** 2 / 1000).sum()) < 18.5


def test_locations_are_uniform_and_do_not_follow_the_image() -> None:
    draws = _draws(5000)
    index, _, locations = _begin(draws, 0)
    at = torch.tensor(locations, dtype=torch.float64)
    assert at.shape == (5000, 2)
    assert -1 <= float(at.min()) < -0.99
    assert 0.99 < float(at.max()) <= 1
    numbers = torch.stack([torch.tensor(index).double(), at[:, 0], at[:, 1]])
    correlation = numbers.corrcoef() - torch.eye(3)
    assert float(correlation.abs().max()) < 0.05  # 3.5 standard deviations
    assert float(at.mean(dim=0).abs().max()) < 0.03  # 3.7
    assert float((at.square().mean(dim=0) - 1 / 3).abs().max()) < 0.02  # 4.7


def test_the_same_seed_begins_the_same_episodes() -> None:
    first, second = _draws(6), _draws(6)
    began = [_begin(first, 5), _begin(first), _begin(first)]
    assert began == [_begin(second, 5), _begin(second), _begin(second)]
    assert began[0] == _begin(first, 5)


def test_other_seeds_and_later_episodes_are_other_ones() -> None:
    draws = _draws(6)
    began = [_begin(draws, 5), _begin(draws), _begin(draws), _begin(draws, 50)]
    for part in (1, 2):  # canvas keys and first locations
        rows = [repr(row) for episode in began for row in episode[part]]
        assert len(set(rows)) == 24
    assert len({tuple(index) for index, _, _ in began}) > 1


def test_seeds_nobody_chose_differ() -> None:
    assert _begin(_draws(3))[1] != _begin(_draws(3))[1]


@pytest.mark.parametrize("seed", [0, 7, 2**62, 2**63 - 6])
def test_a_row_alone_begins_the_same_episodes_as_among_others(seed: int) -> None:
    together = _draws(5)
    episodes = [_begin(together, seed), _begin(together), _begin(together)]
    for row in range(5):
        alone = _draws(1)
        for k, (index, keys, locations) in enumerate(episodes):
            got = _begin(alone, seed + row if k == 0 else None)
            assert got == ([index[row]], [keys[row]], [locations[row]]), (row, k)


@pytest.mark.parametrize("make", [list, tuple, torch.tensor])
def test_each_row_may_have_a_seed_of_its_own(make: Callable[[list[int]], Any]) -> None:
    own = _begin(_draws(3), make([9, 2, 9]))
    nine, two = _begin(_draws(1), 9), _begin(_draws(1), 2)
    for part in range(3):
        assert own[part] == [nine[part][0], two[part][0], nine[part][0]]


def test_copies_share_the_image_but_not_the_first_location() -> None:
    index, keys, locations = _begin(_draws(12, copies=4), 3)
    for group in range(0, 12, 4):
        assert len(set(index[group : group + 4])) == 1
        assert len(set(keys[group : group + 4])) == 1
    assert len(set(keys)) == 3
    assert len({tuple(at) for at in locations}) == 12


def test_the_first_of_the_copies_sees_what_it_would_see_alone() -> None:
    among, alone = _draws(6, copies=3), _draws(1)
    _begin(among, 10)
    index, keys, locations = _begin(among)
    _begin(alone, 13)
    assert _begin(alone) == ([index[3]], [keys[3]], [locations[3]])


def test_some_rows_may_begin_while_the_others_go_on() -> None:
    draws, twin = _draws(4), _draws(4)
    before, _ = _begin(draws, 0), _begin(twin, 0)
    some, after = _begin(draws, which=[1, 3]), _begin(twin)
    for part in range(2):
        for row in range(4):
            assert some[part][row] == (after if row in (1, 3) else before)[part][row]
    # A row that stayed back goes on to its second episode when it is its turn.
    assert _begin(draws, which=[0, 2])[:2] == after[:2]


def test_a_seed_for_some_rows_leaves_the_seeds_of_the_others() -> None:
    draws, twin, other = _draws(4), _draws(4), _draws(4)
    before, wanted = _begin(draws, 0), _begin(other, 77)
    _begin(twin, 0)
    some = _begin(draws, 77, which=[2])
    for part in range(3):
        assert some[part] == [*before[part][:2], wanted[part][2], before[part][3]]
    after, usual, reseeded = _begin(draws), _begin(twin), _begin(other)
    for part in range(3):
        assert after[part] == [*usual[part][:2], reseeded[part][2], usual[part][3]]


def test_named_images_are_taken_one_a_group() -> None:
    draws, twin = _draws(6, copies=2), _draws(6, copies=2)
    named, drawn = _begin(draws, 0, indices=[9, 0, 9]), _begin(twin, 0)
    assert named[0] == [9, 9, 0, 0, 9, 9]
    assert named[1:] == drawn[1:]  # the rest of the episode is the same


def test_named_images_of_some_rows() -> None:
    draws = _draws(4)
    before = _begin(draws, 0)[0]
    after = _begin(draws, which=[1, 2], indices=[9, 10, 5, 6])[0]
    assert after == [before[0], 10, 5, before[3]]


def test_room_for_other_rows_forgets_the_seeds() -> None:
    draws = _draws(2)
    keys = _begin(draws, 0)[1]
    draws.allot(2)
    assert draws.index.tolist() == [0, 0]
    assert _begin(draws)[1] != keys


def test_seeds_of_all_rows_are_the_numbers_from_one_on() -> None:
    assert row_seeds(None, 3, _CPU) is None
    for rows, seed in ((3, 0), (1, 2**63 - 2), (4, 2**63 - 5)):
        seeds = row_seeds(seed, rows, _CPU)
        assert seeds is not None
        assert seeds.dtype == torch.int64
        assert seeds.tolist() == [seed + row for row in range(rows)]


def test_the_greatest_seed_is_one_below_2_to_the_63() -> None:
    for seed, rows in (([2**63 - 1], 1), (torch.tensor([2**63 - 1]), 1), (2**63 - 3, 3)):
        seeds = row_seeds(seed, rows, _CPU)
        assert seeds is not None
        assert seeds[-1] == 2**63 - 1


@pytest.mark.plain
@pytest.mark.parametrize(
    "seed",
    [
        *(kind(7) for kind in (np.int64, np.int32, np.uint8, np.uint64)),
        np.arange(7, 10),
        np.arange(7, 10, dtype=np.uint64),
        np.arange(9, 4, -1)[2::-1],
        [np.int64(7), 8, np.uint64(9)],
        torch.arange(7, 10, dtype=torch.int32),
    ],
    ids=repr,
)
def test_seeds_may_be_numbers_of_any_kind(seed: Any) -> None:
    seeds = row_seeds(seed, 3, _CPU)
    assert seeds is not None
    assert seeds.dtype == torch.int64
    assert seeds.tolist() == [7, 8, 9]
    assert _begin(_draws(3), seed) == _begin(_draws(3), 7)


@pytest.mark.plain
@pytest.mark.parametrize(
    ("seed", "got"), [([1, 2], r"\(2,\)"), ([], r"\(0,\)"), (torch.ones(4).long(), r"\(4,\)")]
)
def test_there_must_be_as_many_seeds_as_rows(seed: Any, got: str) -> None:
    with pytest.raises(ValueError, match=f"`seed` must be one number or 3, got {got}: give one"):
        row_seeds(seed, 3, _CPU)


@pytest.mark.parametrize(
    ("seed", "got"),
    [(-1, -1), (-(2**63), -(2**63)), (2**63 - 2, 2**63), (2**63, 2**63), (2**70, 2**70)],
)
def test_a_seed_beyond_the_range_is_refused(seed: int, got: int) -> None:
    message = rf"`seed` must be in \[0, 2\*\*63\), got {got}: choose another"
    with pytest.raises(ValueError, match=message):
        row_seeds(seed, 3, _CPU)


WRONG = [[1, -1, 2], [1, 2, 2**63], [1, 2, 2**64], [1.5, 2, 3], [1, 2, None], [[1, 2, 3]]]


@pytest.mark.plain
@pytest.mark.parametrize("seed", WRONG, ids=repr)
def test_seeds_that_are_none_are_refused(seed: Any) -> None:
    message = r"`seed` must be (in \[0, 2\*\*63\), got -1|whole numbers below 2\*\*63, got )"
    with pytest.raises(ValueError, match=message):
        row_seeds(seed, 3, _CPU)


@pytest.mark.parametrize(
    "seeds", [[1, -1, 2], pytest.param([0.5, 1.5, 2.5], marks=pytest.mark.plain)], ids=repr
)
def test_a_tensor_of_seeds_that_are_none_is_refused(seeds: list[Any]) -> None:
    with pytest.raises(
        ValueError,
        match=r"`seed` must be (in \[0, 2\*\*63\), got -1|whole numbers, got torch.float)",
    ):
        row_seeds(torch.tensor(seeds), 3, _CPU)
