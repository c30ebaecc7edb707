"""What answers are worth that come with every action, where the environment judges.

Convention:
    Glimpses count from 1. The answer after glimpse t counts for all later ones, until another
    comes: so that of who stops stays his answer.
"""

import torch
from jaxtyping import Bool, Float, Float32, Int64, Shaped
from torch import Tensor

from .rewards import REWARDS
from .tasks import Task


class Judge:
    """The answers of B rows so far.

    Args:
        task: What is asked.
        reward: One of `REWARDS`.
        rows: B.
        glimpses: How many an episode has at most, T.
        device: Where the tensors lie.
    """

    def __init__(
        self, task: Task, reward: str, rows: int, glimpses: int, device: torch.device
    ) -> None:
        self._task, self._reward = task, REWARDS[reward]
        self._answers = torch.zeros(rows, glimpses, task.scores, device=device)  # (B, T, n)

    def keep(
        self,
        answer: Float[Tensor, "B n"],
        count: Int64[Tensor, "B"],
        going_on: Bool[Tensor, "B"],
    ) -> None:
        """Write down the answers of those who go on, about glimpse number `count`."""
        glimpse = torch.arange(1, self._answers.shape[1] + 1, device=self._answers.device)
        left = (glimpse >= count[:, None]) & going_on[:, None]
        self._answers = torch.where(left[..., None], answer.float()[:, None], self._answers)

    def reward(
        self,
        target: Shaped[Tensor, "B ..."],
        count: Int64[Tensor, "B"],
        over: Bool[Tensor, "B"],
    ) -> Float32[Tensor, "B"]:
        """Return what the answers about glimpse number `count` earn.

        Before any glimpse it is 0; whose episode is over gets the reward of all the glimpses that
        are left, too.
        """
        reward = self._reward(self._task, self._answers, target)  # (B, T)
        glimpse = torch.arange(1, reward.shape[1] + 1, device=reward.device)
        paid = glimpse == count[:, None]
        paid |= over[:, None] & (glimpse > count[:, None])
        return (reward * paid).sum(dim=1).masked_fill(count == 0, 0)

    def loss(
        self, target: Shaped[Tensor, "B ..."], count: Int64[Tensor, "B"]
    ) -> Float32[Tensor, "B"]:
        """Return the loss of the answers about glimpse number `count`; before any it is 1."""
        loss = self._task.loss(self._answers, target) / self._task.blind
        last = (count - 1).clamp(min=0)[:, None]
        return loss.gather(1, last)[:, 0].masked_fill(count == 0, 1)
