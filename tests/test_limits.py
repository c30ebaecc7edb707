"""What several modules refuse alike."""

from typing import Any

import pytest
import torch
from expect import refused

from glimpse.soft_baselines import make
from glimpse.soft_baselines.limits import (
    check_divides,
    check_training_batch,
    check_training_pixels,
    reduced,
)


@pytest.mark.parametrize(
    ("channels", "reduction", "width"),
    [(64, 8, 8), (17, 8, 2), (31, 16, 1), (5, 5, 1), (3, 1, 3)],
)
def test_a_reduction_is_rounded_down(channels: int, reduction: int, width: int) -> None:
    assert reduced(channels, reduction) == width


@pytest.mark.plain
def test_a_reduction_leaves_at_least_one_channel() -> None:
    with refused("`reduction` must be in [1, 8], got 9: of 8 channels at least one must be left"):
        reduced(8, 9)
    wrong: Any
    for wrong in (0, -1, 2.0, "x", None, True):
        with refused(f"`reduction` must be a whole number from 1, got {wrong!r}: choose another"):
            reduced(8, wrong)
    with refused("`channels` must be a whole number from 1, got 0"):
        reduced(0, 1)


def test_parts_that_do_not_divide_are_refused() -> None:
    check_divides("heads", 4, 12)
    with refused("`heads` must be a divisor of 12, got 5: choose one of 1, 2, 3, 4, 6, 12"):
        check_divides("heads", 5, 12)
    with refused("`groups` must be a whole number from 1, got 0: choose another"):
        check_divides("groups", 0, 6)


def test_a_batch_of_one_is_not_normalised() -> None:
    check_training_batch(torch.zeros(2, 1, 1, 1))
    with refused("`maps` must be at least 2 images in training, got 1: batch normalisation of"):
        check_training_batch(torch.zeros(1, 4, 5, 5))
    with refused("`high` must be at least 2 images in training, got 1"):
        check_training_batch(torch.zeros(1, 4, 5, 5), "high")


def test_one_pixel_is_not_normalised() -> None:
    check_training_pixels(torch.zeros(1, 4, 1, 2))
    check_training_pixels(torch.zeros(2, 4, 1, 1))
    with refused("`maps` must be more than one pixel in training, got (1, 4, 1, 1): give more"):
        check_training_pixels(torch.zeros(1, 4, 1, 1))


@pytest.mark.parametrize(
    "name", ["base_object_context", "cbam", "non_local", "pyramid_object_context", "residual"]
)
def test_modules_say_so(name: str) -> None:
    with refused("`maps` must be more than one pixel in training, got (1, 32, 1, 1): give more"):
        make(name, 32)(torch.zeros(1, 32, 1, 1))
