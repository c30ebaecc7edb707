"""Rewards: what each glimpse was worth, from the answers given after it.

Convention:
    `answers[:, t]` is the answer after glimpse t + 1, as the task has it; the reward at t is what
    that glimpse earned. A reward looks only at its own answer and earlier ones.
"""

from collections.abc import Callable, Mapping

from jaxtyping import Float, Shaped
from torch import Tensor

from .tasks import Task

Reward = Callable[[Task, Tensor, Tensor], Tensor]


def correct_at_end(
    task: Task, answers: Float[Tensor, "B T n"], target: Shaped[Tensor, "B ..."]
) -> Float[Tensor, "B T"]:
    """Return 1 at the last glimpse where its answer is right, else 0.

    r_T = [argmax_c log p_T(c) = y], r_t = 0 for t < T: the paper's reward (RAM, section 3).
    """
    reward = answers.new_zeros(answers.shape[:2])
    reward[:, -1] = task.correct(answers, target)[:, -1].to(reward.dtype)
    return reward


def gain(
    task: Task, answers: Float[Tensor, "B T n"], target: Shaped[Tensor, "B ..."]
) -> Float[Tensor, "B T"]:
    """Return by how much each glimpse lowered the loss.

    r_t = L_{t-1} - L_t, where L_0 is the loss of who has seen nothing; for classes, in nats,
    log p_t(y) - log p_{t-1}(y) with p_0 uniform. The rewards of an episode add up to L_0 - L_T.
    """
    loss = task.loss(answers, target)
    before = loss.new_full((len(loss), 1), task.blind)
    return -loss.diff(dim=1, prepend=before)


def negative_loss(
    task: Task, answers: Float[Tensor, "B T n"], target: Shaped[Tensor, "B ..."]
) -> Float[Tensor, "B T"]:
    """Return minus the loss of each answer, 1 being that of who has seen nothing.

    r_t = -L_t / L_0; for classes the negative cross-entropy over ln n, as `ap_gym` pays it.
    """
    return -task.loss(answers, target) / task.blind


REWARDS: Mapping[str, Reward] = {"correct": correct_at_end, "gain": gain, "loss": negative_loss}
