"""Policies: how a location is chosen, given the mean that the location head says.

Convention:
    Means and locations are `(B, 2)` in units of actions. A location may lie beyond [-1, 1]: the
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

    def sample(self, mean: Float[Tensor, "B 2"], noise: torch.Generator) -> Float[Tensor, "B 2"]:
        """Return locations as they are drawn in training; no gradient reaches the mean."""
        ...

    def best(self, mean: Float[Tensor, "B 2"], noise: torch.Generator) -> Float[Tensor, "B 2"]:
        """Return locations as they are chosen when it counts."""
        ...


@dataclass(frozen=True)
class GaussianPolicy:
    """Look near the mean: l ~ N(mean, std^2 I), the same std for both axes.

    Attributes:
        std: In units of actions.
    """

    std: float | Float[Tensor, ""]

    def sample(self, mean: Float[Tensor, "B 2"], noise: torch.Generator) -> Float[Tensor, "B 2"]:
        """Return draws from the Gaussian."""
        drawn = torch.randn(mean.shape, generator=noise, device=mean.device)
        return mean.detach() + self.std * drawn

    def best(self, mean: Float[Tensor, "B 2"], noise: torch.Generator) -> Float[Tensor, "B 2"]:
        """Return the mean."""
        return mean.detach()

    def log_prob(
        self, location: Float[Tensor, "*B 2"], mean: Float[Tensor, "*B 2"]
    ) -> Float[Tensor, "*B"]:
        """Return log N(location; mean, std^2 I)."""
        normal = Normal(mean, self.std, validate_args=False)  # the check waits for the device
        each: Tensor = normal.log_prob(location)  # type: ignore[no-untyped-call]
        return each.sum(dim=-1)


@dataclass(frozen=True)
class UniformPolicy:
    """Look anywhere within reach, whatever was seen: a control."""

    def sample(self, mean: Float[Tensor, "B 2"], noise: torch.Generator) -> Float[Tensor, "B 2"]:
        """Return uniform locations in [-1, 1] x [-1, 1]."""
        return torch.rand(mean.shape, generator=noise, device=mean.device) * 2 - 1

    def best(self, mean: Float[Tensor, "B 2"], noise: torch.Generator) -> Float[Tensor, "B 2"]:
        """Return the same: there is no better one."""
        return self.sample(mean, noise)


@dataclass(frozen=True)
class CentrePolicy:
    """Look at the centre of the image, always: a control."""

    def sample(self, mean: Float[Tensor, "B 2"], noise: torch.Generator) -> Float[Tensor, "B 2"]:
        """Return zeros."""
        return torch.zeros_like(mean)

    def best(self, mean: Float[Tensor, "B 2"], noise: torch.Generator) -> Float[Tensor, "B 2"]:
        """Return zeros."""
        return torch.zeros_like(mean)
