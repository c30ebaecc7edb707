"""The options of evolution on glimpse policies, and how its perceiver is shown around.

Source: agents/snes.py names that of the search; what else it takes is measured in docs/es.md.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from glimpse.checks import check_at_least, check_count

from .policies import GaussianPolicy, UniformPolicy
from .snes import check_population
from .training import EpisodeConfig, GaussianConfig


@dataclass(frozen=True, kw_only=True)
class EsConfig(GaussianConfig, EpisodeConfig):
    """The options of evolution; those of `GaussianConfig`, of `EpisodeConfig` and these.

    A step teaches the perceiver one batch of episodes, then tries one generation of location heads.
    `std` and `last_std` are of the perceiver's looks, which lie near where the centre of the search
    says; `reward` adds up to the fitness.

    Attributes:
        uniform: The share of the steps, the first, in which the perceiver learns from looks
            anywhere and no head is tried.
        population: How many location heads a generation has.
        trials: How many images each of them is tried on, all on the same.
        search_std: Standard deviation of the weights tried, at the beginning.
        centre_rate: The search's learning rate of its centre at its highest; it falls as the other.
        std_rate: That of its standard deviations; None: the published one.
    """

    steps: int = 2000
    batch: int = 256
    uniform: float = 0.0
    population: int = 32
    trials: int = 32
    search_std: float = 0.03
    centre_rate: float = 1.0
    std_rate: float | None = None

    def __post_init__(self) -> None:
        """Refuse options that cannot be meant."""
        super().__post_init__()
        check_population(self.population)
        check_count(1, trials=self.trials)
        check_at_least(1e-12, search_std=self.search_std)
        check_at_least(0, uniform=self.uniform, centre_rate=self.centre_rate)
        if self.std_rate is not None:
            check_at_least(0, std_rate=self.std_rate)
        if self.uniform > 1:
            raise ValueError(
                f"`uniform` must be at most 1, got {self.uniform}: it is a share of the steps"
            )

    def evolves(self, step: int) -> bool:
        """Return whether heads are tried in a step, from 0."""
        return step >= round(self.uniform * self.steps)


@dataclass(frozen=True)
class ShowingPolicy:
    """Look anywhere, or near the mean; which one, may be written anew at any time.

    Attributes:
        anywhere: 1 or 0.
        std: Standard deviation of looks near the mean, in units of actions.
    """

    anywhere: Float[Tensor, ""]
    std: Float[Tensor, ""]

    def sample(self, mean: Float[Tensor, "B a"], noise: torch.Generator) -> Float[Tensor, "B a"]:
        """Return such looks."""
        near = GaussianPolicy(self.std).sample(mean, noise)
        return torch.where(self.anywhere > 0, UniformPolicy().sample(mean, noise), near)

    def best(self, mean: Float[Tensor, "B a"], noise: torch.Generator) -> Float[Tensor, "B a"]:
        """Return the mean."""
        return mean.detach()
