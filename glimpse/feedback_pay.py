"""What the last answer of an episode of feedback pays.

Source: M. Stollenga, J. Masci, F. Gomez, J. Schmidhuber, "Deep networks with internal selective
attention through feedback connections", NIPS 2014; the boost's default as we recall it.
"""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float, Int64
from torch import Tensor


def weighted_log_loss(
    log_probs: Float[Tensor, "*S n"], target: Int64[Tensor, "*S"], boost: float
) -> Float[Tensor, "*S"]:
    """Return minus the paper's loss: lambda log p(y), which counts misclassified images most.

    lambda is 1 where the most probable class is wrong, else `boost`.
    """
    right = log_probs.argmax(dim=-1) == target
    log_prob = log_probs.gather(-1, target[..., None])[..., 0]
    return torch.where(right, boost * log_prob, log_prob)


def correct(
    log_probs: Float[Tensor, "*S n"], target: Int64[Tensor, "*S"], boost: float
) -> Float[Tensor, "*S"]:
    """Return 1 where the most probable class is right, else 0; the boost does not matter."""
    return (log_probs.argmax(dim=-1) == target).to(log_probs.dtype)


PAY: Mapping[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "log_loss": weighted_log_loss,
    "correct": correct,
}
