"""What the feedback environment renders: the image, and beside it a strip for each layer."""

import numpy as np
import pytest
import torch
from expect import random_pixels

from glimpse import ImageSet
from glimpse.colours import LESS, MORE
from glimpse.feedback import FeedbackBatch
from glimpse.gain_drawing import draw_gains
from glimpse.gated_maxout import GatedMaxout
from glimpse.maxout import MaxoutNetwork, Sizes, Stage

SIZES = Sizes((Stage(4, 3, 1, 2, 2), Stage(5, 3, 1, 2, 2)))


@pytest.fixture
def batch() -> FeedbackBatch:
    images = ImageSet.from_arrays(
        random_pixels(6, 1, 9, 12), [0, 1, 2] * 2, splits={"train": range(6)}
    )
    batch = FeedbackBatch(GatedMaxout(MaxoutNetwork((1, 9, 12), 3, sizes=SIZES)), images, 2)
    batch.reset(seed=0)
    return batch


def test_the_image_lies_in_the_middle_of_the_left_half(batch: FeedbackBatch) -> None:
    """9x12 pixels in a square of 240: 20 a pixel, 30 white rows above and below."""
    picture = draw_gains(batch, 1, side=240)
    assert picture.shape == (240, 480, 3)
    left = picture[:, :240]
    assert (left[:30] == 255).all()
    assert (left[210:] == 255).all()
    grey = (batch.pixels(1)[0] * 255).round().numpy().astype(np.uint8)
    assert (left[30:210:20, ::20, 0] == grey).all()


def test_gains_of_one_are_white(batch: FeedbackBatch) -> None:
    assert (draw_gains(batch, 0, side=240)[:, 240:] == 255).all()


def test_every_map_has_a_cell_in_the_strip_of_its_layer(batch: FeedbackBatch) -> None:
    gains = torch.ones(2, 9)
    gains[0, 0], gains[0, 3], gains[0, 4], gains[0, 8] = 2.0, 0.0, 0.5, 99.0
    batch.step(gains)
    strips = draw_gains(batch, 0, side=240)[:, 240:]
    for (row, column), colour in {
        (10, 10): MORE,
        (110, 10): MORE,
        (60, 235): LESS,
        (60, 120): (255, 255, 255),
        (130, 10): LESS,
        (180, 235): MORE,
    }.items():
        assert tuple(strips[row, column]) == colour, (row, column)
    assert (draw_gains(batch, 1, side=240)[:, 240:] == 255).all()


@pytest.mark.parametrize("side", [1, 6, 50])
def test_a_picture_may_be_small(side: int, batch: FeedbackBatch) -> None:
    assert draw_gains(batch, 0, side=side).shape == (side, 2 * side, 3)
