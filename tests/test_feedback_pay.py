"""What the last answer pays, against numbers by hand."""

import math

import pytest
import torch

from glimpse.feedback_pay import PAY, correct, weighted_log_loss

# Two images of class 0, the first right; and one of class 2, wrong.
LOG_PROBS = torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.5, 0.375, 0.125]]).log()
TARGET = torch.tensor([0, 0, 2])


@pytest.mark.parametrize("boost", [0.005, 1.0, 0.0])
def test_misclassified_images_count_most(boost: float) -> None:
    paid = weighted_log_loss(LOG_PROBS, TARGET, boost)
    wanted = [-boost * math.log(2), -math.log(4), -math.log(8)]
    torch.testing.assert_close(paid, torch.tensor(wanted))


def test_being_right_pays_one() -> None:
    assert correct(LOG_PROBS, TARGET, 0.005).tolist() == [1, 0, 0]


@pytest.mark.parametrize("name", PAY)
def test_any_axes_may_lead(name: str) -> None:
    paid = PAY[name](LOG_PROBS, TARGET, 0.005)
    many = PAY[name](LOG_PROBS.expand(4, 2, -1, -1), TARGET.expand(4, 2, -1), 0.005)
    torch.testing.assert_close(many, paid.expand(4, 2, -1))
    assert paid.dtype == torch.float32
