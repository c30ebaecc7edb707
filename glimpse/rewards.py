"""Rewards: what each glimpse was worth, from the predictions made after it.

Convention:
    `log_probs[:, t]` are the log-probabilities of the classes after glimpse t + 1; the reward at t
    is what that glimpse earned. A reward looks only at its own prediction and earlier ones.
"""

from collections.abc import Callable, Mapping
from math import log

from jaxtyping import Float, Int64
from torch import Tensor

Reward = Callable[[Tensor, Tensor], Tensor]


def correct_at_end(
    log_probs: Float[Tensor, "B T n"], target: Int64[Tensor, "B"]
) -> Float[Tensor, "B T"]:
    """Return 1 at the last glimpse where its prediction is right, else 0.

    r_T = [argmax_c log p_T(c) = y], r_t = 0 for t < T: the paper's reward (RAM, section 3).
    """
    reward = log_probs.new_zeros(log_probs.shape[:2])
    reward[:, -1] = (log_probs[:, -1].argmax(dim=-1) == target).to(reward.dtype)
    return reward


def log_prob_gain(
    log_probs: Float[Tensor, "B T n"], target: Int64[Tensor, "B"]
) -> Float[Tensor, "B T"]:
    """Return by how much each glimpse raised the target's log-probability, in nats.

    r_t = log p_t(y) - log p_{t-1}(y) with p_0 uniform; the rewards of an episode add up to
    log p_T(y) + ln n.
    """
    classes = log_probs.shape[2]
    chosen = target[:, None, None].expand(-1, log_probs.shape[1], 1)
    of_target = log_probs.gather(2, chosen)[..., 0]
    before = of_target.new_full((len(of_target), 1), -log(classes))
    return of_target.diff(dim=1, prepend=before)


REWARDS: Mapping[str, Reward] = {"correct": correct_at_end, "gain": log_prob_gain}
