"""Looking no longer than needed: what it costs to stop as soon as an answer is sure enough."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .checks import check_shape
from .evaluation import ErrorRate, error_rates

# How sure an answer must be of itself, in [0, 1]; above 1 it never is.
THRESHOLDS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)


@dataclass(frozen=True)
class Halt:
    """What comes of stopping at a threshold.

    Attributes:
        threshold: The first answer that is at least so sure is the last; else the last one is.
        glimpses: How many glimpses an image then has, in the mean.
        error: Of those answers.
    """

    threshold: float
    glimpses: float
    error: ErrorRate


def halt(
    confidence: Float[Tensor, "N T"],
    correct: Bool[Tensor, "N T"],
    thresholds: Sequence[float] = THRESHOLDS,
) -> tuple[Halt, ...]:
    """Return accuracy against the mean number of glimpses, a pair for each threshold.

    Args:
        confidence: How sure each answer is of itself, in [0, 1].
        correct: Whether it is right.
        thresholds: At which to stop.

    Raises:
        ValueError: The shapes differ.
    """
    rows, glimpses = confidence.shape
    check_shape("correct", correct, f"{rows} {glimpses}", mend="give one truth for each answer")
    halts = []
    for threshold in thresholds:
        sure = confidence >= threshold
        sure[:, -1] = True
        first = sure.to(torch.uint8).argmax(dim=1)
        error = error_rates(correct.gather(1, first[:, None]))[0]
        halts.append(Halt(threshold, float((first + 1).double().mean()), error))
    return tuple(halts)
