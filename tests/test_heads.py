import pytest
import torch

from glimpse.soft_baselines.heads import head_groups, join_heads, split_heads


def test_heads_are_blocks_of_channels_and_positions_are_read_row_by_row() -> None:
    maps = torch.arange(2 * 6 * 2 * 3).reshape(2, 6, 2, 3).double()
    heads = split_heads(maps, 3)
    assert heads.shape == (2, 3, 2, 6)
    assert heads[1, 2, 1, 4] == maps[1, 2 * 2 + 1, 1, 1]
    assert torch.equal(join_heads(heads, (2, 3)), maps)


@pytest.mark.parametrize(
    ("each", "sizes"), [(1, [7]), (2**20, [2, 2, 2, 1]), (2**22, [1] * 7), (2**19, [4, 3])]
)
def test_heads_are_served_together_as_far_as_their_numbers_allow(
    each: int, sizes: list[int]
) -> None:
    heads = torch.arange(7)
    groups = [heads[some] for some in head_groups(7, each, heads)]
    assert [len(group) for group in groups] == sizes
    assert torch.equal(torch.cat(groups), heads)


def test_elsewhere_all_heads_are_served_at_once() -> None:
    assert list(head_groups(7, 2**30, torch.empty(0, device="meta"))) == [slice(0, 7)]
