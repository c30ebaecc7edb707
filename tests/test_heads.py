import torch
from expect import refused

from glimpse.soft_baselines.heads import check_divides, join_heads, split_heads


def test_heads_are_blocks_of_channels_and_positions_are_read_row_by_row() -> None:
    maps = torch.arange(2 * 6 * 2 * 3).reshape(2, 6, 2, 3).double()
    heads = split_heads(maps, 3)
    assert heads.shape == (2, 3, 2, 6)
    assert heads[1, 2, 1, 4] == maps[1, 2 * 2 + 1, 1, 1]
    assert torch.equal(join_heads(heads, (2, 3)), maps)


def test_parts_that_do_not_divide_are_refused() -> None:
    check_divides("heads", 4, 12)
    with refused("`heads` must be a divisor of 12, got 5: choose one of 1, 2, 3, 4, 6, 12"):
        check_divides("heads", 5, 12)
    with refused("`groups` must be a divisor of 6, got 0: choose one of 1, 2, 3, 6"):
        check_divides("groups", 0, 6)
