import torch

from glimpse.soft_baselines.heads import join_heads, split_heads


def test_heads_are_blocks_of_channels_and_positions_are_read_row_by_row() -> None:
    maps = torch.arange(2 * 6 * 2 * 3).reshape(2, 6, 2, 3).double()
    heads = split_heads(maps, 3)
    assert heads.shape == (2, 3, 2, 6)
    assert heads[1, 2, 1, 4] == maps[1, 2 * 2 + 1, 1, 1]
    assert torch.equal(join_heads(heads, (2, 3)), maps)
