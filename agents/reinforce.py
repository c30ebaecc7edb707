"""REINFORCE: learn where to look by trying, with a learned baseline.

The loss is the paper's hybrid: cross-entropy teaches glimpse network, core and classifier; the
score function teaches the location head; squared error teaches the baseline.

Source: V. Mnih et al., "Recurrent Models of Visual Attention", NeurIPS 2014, section 3.1. The paper
rewards the last answer alone (`reward="correct"`), teaches no earlier one (`early=0`), lets all
gradients into the core (`joint=1`) and has the `relu` core; the defaults learn faster.
"""

from dataclasses import dataclass
from typing import Literal

import torch

from glimpse.checks import check_at_least, check_name
from glimpse.episodes import EpisodeBatch
from glimpse.networks import RecurrentAttention
from glimpse.rewards import REWARDS
from glimpse.tasks import answered

from .learner import EpisodeLearner, Losses
from .losses import answer_loss, baseline_loss, leave_one_out, policy_loss, returns_to_go
from .policies import GaussianPolicy
from .rollout import Rollout, costs
from .training import EpisodeConfig, GaussianConfig


@dataclass(frozen=True, kw_only=True)
class ReinforceConfig(GaussianConfig, EpisodeConfig):
    """The options of REINFORCE; those of `GaussianConfig`, of `EpisodeConfig` and these.

    Attributes:
        baseline: What returns are compared with: `learned`, what a linear layer expects of the
            hidden state, or `others`, the mean return of the other copies of the same image.
        joint: Weight with which the gradients of REINFORCE and of the baseline reach core and
            glimpse network; 0: they stay in their heads.
        locator_rate: The learning rate of the location head relative to that of the rest.
    """

    baseline: Literal["learned", "others"] = "learned"
    joint: float = 0.1
    locator_rate: float = 1.0

    def __post_init__(self) -> None:
        """Refuse options that cannot be meant."""
        super().__post_init__()
        check_at_least(0, joint=self.joint, locator_rate=self.locator_rate)
        check_name("baseline", self.baseline, ("learned", "others"))
        if self.baseline == "others" and self.copies < 2:
            raise ValueError(
                f"`copies` must be at least 2 with baseline 'others', got {self.copies}: an image "
                "seen once has no others to compare with"
            )


def reinforce(
    config: ReinforceConfig, batch: EpisodeBatch, model: RecurrentAttention
) -> EpisodeLearner:
    """Return the learner."""
    std, task = torch.full((), config.std, device=batch.device), answered(batch.task)
    policy = GaussianPolicy(std)

    def loss(rollout: Rollout) -> Losses:
        reward = REWARDS[config.reward](task, rollout.answers.detach(), rollout.target)
        actions = rollout.actions.shape[1]
        returns = returns_to_go(reward - costs(rollout, batch.cost), actions)
        losses = {
            "answer loss": answer_loss(task.loss(rollout.answers, rollout.target), config.early)
        }
        if rollout.actions.shape[1] == 0:
            return losses
        log_prob = policy.log_prob(rollout.actions, rollout.means)
        if config.baseline == "others":
            others = leave_one_out(returns, config.copies)
            return {**losses, "policy loss": policy_loss(log_prob, returns, others, rollout.chosen)}
        return {
            **losses,
            "policy loss": policy_loss(log_prob, returns, rollout.values, rollout.chosen),
            "baseline loss": baseline_loss(rollout.values, returns, rollout.chosen),
        }

    def anneal(step: int) -> None:
        std.fill_(config.std_at(step))

    return EpisodeLearner(
        config,
        batch,
        model,
        loss,
        policy=policy,
        anneal=anneal,
        joint=config.joint,
        locator_rate=config.locator_rate,
    )
