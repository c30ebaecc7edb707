"""Control policies: what an agent reaches that does not learn where to look.

Each trains a network of its own with the same budget; only the answers are taught. On easy tasks a
control does nearly as well as a learned policy, so a result without them says little.
"""

from collections.abc import Callable
from dataclasses import dataclass

from glimpse.checks import check_at_least
from glimpse.episodes import EpisodeBatch
from glimpse.networks import RecurrentAttention
from glimpse.tasks import answered

from .learner import EpisodeLearner, Losses
from .losses import answer_loss
from .policies import CentrePolicy, GaussianPolicy, Policy, UniformPolicy
from .rollout import Rollout
from .training import EpisodeConfig


@dataclass(frozen=True, kw_only=True)
class UniformConfig(EpisodeConfig):
    """The options of the policy that looks anywhere: those of `EpisodeConfig`."""

    @property
    def policy(self) -> UniformPolicy:
        """Look anywhere within reach."""
        return UniformPolicy()


@dataclass(frozen=True, kw_only=True)
class CentreConfig(EpisodeConfig):
    """The options of the policy that looks at the centre: those of `EpisodeConfig`."""

    @property
    def policy(self) -> CentrePolicy:
        """Look at the centre."""
        return CentrePolicy()


@dataclass(frozen=True, kw_only=True)
class UntrainedConfig(EpisodeConfig):
    """The options of the policy whose location head is never taught.

    Those of `EpisodeConfig` and this.

    Attributes:
        std: Standard deviation of the locations, in units of actions.
    """

    std: float = 0.1

    def __post_init__(self) -> None:
        """Refuse options that cannot be meant."""
        super().__post_init__()
        check_at_least(1e-6, std=self.std)

    @property
    def policy(self) -> GaussianPolicy:
        """Look near the mean that the location head says."""
        return GaussianPolicy(self.std)


def control(
    config: EpisodeConfig,
    batch: EpisodeBatch,
    model: RecurrentAttention,
    *,
    policy: Policy | None = None,
    anneal: Callable[[int], None] | None = None,
) -> EpisodeLearner:
    """Return a learner that is taught to answer, and not where to look.

    Args:
        config: As `EpisodeLearner` takes it, and so the rest.
        batch: What to look at.
        model: What learns.
        policy: How locations are drawn.
        anneal: Is told the number of every step before it is taken.
    """
    task = answered(batch.task)

    def loss(rollout: Rollout) -> Losses:
        loss_t = task.loss(rollout.answers, rollout.target)
        return {"answer loss": answer_loss(loss_t, config.early)}

    return EpisodeLearner(config, batch, model, loss, policy=policy, anneal=anneal)
