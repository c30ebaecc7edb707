"""REINFORCE: learn where to look by trying, with a learned baseline.

The loss is the paper's hybrid: cross-entropy teaches glimpse network, core and classifier; the
score function teaches the location head; squared error teaches the baseline.

Source: V. Mnih et al., "Recurrent Models of Visual Attention", NeurIPS 2014, section 3.1. The paper
rewards the last answer alone (`reward="correct"`), teaches no earlier one (`early=0`) and has the
`relu` core; the defaults learn faster.
"""

from dataclasses import dataclass
from typing import Literal

from glimpse.batch import GlimpseBatch
from glimpse.checks import check_at_least, check_name
from glimpse.networks import RecurrentAttention
from glimpse.rewards import REWARDS
from glimpse.tasks import classification

from .learner import EpisodeLearner, Losses, TrainingConfig
from .losses import answer_loss, baseline_loss, policy_loss, returns_to_go
from .policies import GaussianPolicy
from .rollout import Rollout


@dataclass(frozen=True, kw_only=True)
class ReinforceConfig(TrainingConfig):
    """The options of REINFORCE; those of `TrainingConfig` and these.

    Attributes:
        std: Standard deviation of the locations tried, in units of actions.
        reward: What a glimpse earns: `gain` in the right class's log-probability, or `correct`, 1
            for a right last answer.
    """

    std: float = 0.1
    reward: Literal["gain", "correct"] = "gain"

    def __post_init__(self) -> None:
        """Refuse options that cannot be meant."""
        super().__post_init__()
        check_at_least(1e-6, std=self.std)
        check_name("reward", self.reward, REWARDS)

    @property
    def policy(self) -> GaussianPolicy:
        """Look near the mean that the location head says."""
        return GaussianPolicy(self.std)


def reinforce(
    config: ReinforceConfig, batch: GlimpseBatch, model: RecurrentAttention
) -> EpisodeLearner:
    """Return the learner."""
    policy, task = config.policy, classification(batch.task)

    def loss(rollout: Rollout) -> Losses:
        reward = REWARDS[config.reward](rollout.log_probs.detach(), rollout.target)
        returns = returns_to_go(reward, rollout.actions.shape[1])
        losses = {
            "answer loss": answer_loss(task.loss(rollout.log_probs, rollout.target), config.early)
        }
        if rollout.actions.shape[1]:
            log_prob = policy.log_prob(rollout.actions, rollout.means)
            losses["policy loss"] = policy_loss(log_prob, returns, rollout.values)
            losses["baseline loss"] = baseline_loss(rollout.values, returns)
        return losses

    return EpisodeLearner(config, batch, model, loss)
