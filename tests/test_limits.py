"""What several modules refuse alike."""

import torch
from expect import refused

from glimpse.soft_baselines.limits import check_groups, check_training_batch, reduced


def test_a_reduction_is_rounded_down() -> None:
    assert [reduced(channels, 16) for channels in (16, 31, 32, 100)] == [1, 1, 2, 6]


def test_a_reduction_leaves_at_least_one_unit() -> None:
    with refused("`reduction` must be in [1, 8], got 16: of 8 channels at least one unit must be"):
        reduced(8, 16)
    with refused("`reduction` must be a whole number from 1, got 0"):
        reduced(8, 0)
    with refused("`channels` must be a whole number from 1, got 0"):
        reduced(0, 1)


def test_groups_divide_the_channels() -> None:
    check_groups(24, 8)
    with refused("`groups` must divide the 24 channels, got 32: choose 8, for example"):
        check_groups(24, 32)


def test_a_batch_of_one_is_not_normalised() -> None:
    check_training_batch(torch.zeros(2, 1, 1, 1))
    with refused("`maps` must be at least 2 images in training, got 1: batch normalisation of"):
        check_training_batch(torch.zeros(1, 4, 5, 5))
