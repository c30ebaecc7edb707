"""Pictures of gains: the image, and beside it a strip for each layer."""

import numpy as np
import pytest
import torch
from nets import maxout, pictures

from glimpse.feedback import FeedbackBatch
from glimpse.gain_drawing import draw_gains
from glimpse.gated_maxout import GatedMaxout

WHITE, INK = (255, 255, 255), (30, 30, 30)
LESS, MORE = (0, 114, 178), (213, 94, 0)


@pytest.fixture
def batch() -> FeedbackBatch:
    batch = FeedbackBatch(GatedMaxout(maxout()), pictures(), 2)
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


def test_gains_of_one_are_lines_without_bars(batch: FeedbackBatch) -> None:
    """Four layers: 60 pixels each, with the line for 1 in the middle."""
    strips = draw_gains(batch, 0, side=240)[:, 240:]
    rows = np.flatnonzero((strips == INK).all(axis=2).all(axis=1))
    assert rows.tolist() == [30, 90, 150, 210]


def test_bars_go_up_for_more_and_down_for_less(batch: FeedbackBatch) -> None:
    gains = torch.ones(2, 18)
    gains[0, 0], gains[0, 1], gains[0, 2], gains[0, 4] = 2, 0, 99, 1.5
    batch.step(gains)
    strips = draw_gains(batch, 0, side=240)[:, 240:]
    assert tuple(strips[10, 30]) == MORE  # the first of four maps
    assert tuple(strips[50, 30]) == WHITE
    assert tuple(strips[10, 90]) == WHITE
    assert tuple(strips[50, 90]) == LESS
    assert tuple(strips[10, 150]) == MORE
    assert tuple(strips[0, 150]) == WHITE  # no further than for 2
    second = strips[60:90, 24]  # of five maps the first: half of the way
    assert 10 <= (second == MORE).all(axis=1).sum() <= 16


def test_an_image_larger_than_the_picture_is_averaged(batch: FeedbackBatch) -> None:
    assert draw_gains(batch, 0, side=6).shape == (6, 12, 3)
