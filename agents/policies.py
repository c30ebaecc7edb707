"""Policies: how an action is chosen, given the mean that the location head says.

Convention:
    Means and actions are `(B, a)`, the location first. An action may lie beyond [-1, 1]: the
    environment clips it, the learner keeps it as it was drawn.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Normal


@runtime_checkable
class Policy(Protocol):
    """How to choose where to look."""

    def sample(self, mean: Float[Tensor, "B a"], noise: torch.Generator) -> Float[Tensor, "B a"]:
        """Return actions as they are drawn in training; no gradient reaches the mean."""
        ...

    def best(self, mean: Float[Tensor, "B a"], noise: torch.Generator) -> Float[Tensor, "B a"]:
        """Return actions as they are chosen when it counts."""
        ...


@dataclass(frozen=True)
class GaussianPolicy:
    """Look near the mean: l ~ N(mean, std^2 I), the same std for all numbers.

    Attributes:
        std: In units of actions.
    """

    std: float | Float[Tensor, ""]

    def sample(self, mean: Float[Tensor, "B a"], noise: torch.Generator) -> Float[Tensor, "B a"]:
        """Return draws from the Gaussian."""
        drawn = torch.randn(mean.shape, generator=noise, device=mean.device)
        return mean.detach() + self.std * drawn

    def best(self, mean: Float[Tensor, "B a"], noise: torch.Generator) -> Float[Tensor, "B a"]:
        """Return the mean."""
        return mean.detach()

    def log_prob(
        self, action: Float[Tensor, "*B a"], mean: Float[Tensor, "*B a"]
    ) -> Float[Tensor, "*B"]:
        """Return log N(action; mean, std^2 I)."""
        normal = Normal(mean, self.std, validate_args=False)  # the check waits for the device
        each: Tensor = normal.log_prob(action)  # type: ignore[no-untyped-call]
        return each.sum(dim=-1)


@dataclass(frozen=True)
class UniformPolicy:
    """Do anything, whatever was seen: a control."""

    def sample(self, mean: Float[Tensor, "B a"], noise: torch.Generator) -> Float[Tensor, "B a"]:
        """Return actions, each number uniform in [-1, 1]."""
        return torch.rand(mean.shape, generator=noise, device=mean.device) * 2 - 1

    def best(self, mean: Float[Tensor, "B a"], noise: torch.Generator) -> Float[Tensor, "B a"]:
        """Return the same: there is no better one."""
        return self.sample(mean, noise)


@dataclass(frozen=True)
class CentrePolicy:
    """Look at the centre of the image, always: a control."""

    def sample(self, mean: Float[Tensor, "B a"], noise: torch.Generator) -> Float[Tensor, "B a"]:
        """Return zeros."""
        return torch.zeros_like(mean)

    def best(self, mean: Float[Tensor, "B a"], noise: torch.Generator) -> Float[Tensor, "B a"]:
        """Return zeros."""
        return torch.zeros_like(mean)
