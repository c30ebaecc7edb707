"""What sets the gains of the next pass: dasNet's linear policy, and what it is compared with.

Convention:
    An observation o has O numbers: the mean of each of the A maps and the probabilities of the
    classes. Gains are positive and their mean is one. Policies of P individuals have n weights
    each, `(P, n)`.

Source: M. Stollenga, J. Masci, F. Gomez, J. Schmidhuber, "Deep networks with internal selective
attention through feedback connections", NIPS 2014: a = A softmax(theta [o; 1]).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from glimpse.gating import Gated, Pass

# Gains (B, P, A) for the next pass, from what the last one gave.
Choose = Callable[[Pass], Tensor]


@dataclass(frozen=True)
class Standard:
    """What is taken off observations, and what they are divided by, before a policy reads them.

    Attributes:
        mean: Of every number.
        scale: Of every number, positive.
    """

    mean: Float[Tensor, "O"]
    scale: Float[Tensor, "O"]

    @classmethod
    def of(cls, seen: Pass) -> "Standard":
        """Return mean and standard deviation of what was observed; constants are divided by 1."""
        observed = observation(seen).flatten(0, -2)
        scale = observed.std(dim=0, correction=0)
        return cls(observed.mean(dim=0), torch.where(scale > 1e-6, scale, 1.0))

    @classmethod
    def none(cls, network: Gated, device: torch.device) -> "Standard":
        """Leave observations as they are, as the paper does."""
        size = sum(network.layers.values()) + network.classes
        return cls(torch.zeros(size, device=device), torch.ones(size, device=device))


def observation(seen: Pass) -> Float[Tensor, "B P O"]:
    """Return what a policy is told of a pass."""
    return torch.cat([seen.activations, seen.log_probs.exp()], dim=-1)


def mean_one(scores: Float[Tensor, "... A"]) -> Float[Tensor, "... A"]:
    """Return gains A softmax(scores)."""
    return scores.softmax(dim=-1) * scores.shape[-1]


def linear(weights: Float[Tensor, "P n"], standard: Standard, maps: int) -> Choose:
    """Return the paper's policies, gains A softmax(theta [o; 1]), theta of A rows of O + 1."""
    theta = weights.view(len(weights), maps, -1)

    def choose(seen: Pass) -> Tensor:
        told = (observation(seen) - standard.mean) / standard.scale
        told = told.transpose(0, 1).expand(len(theta), -1, -1)  # (P, B, O)
        scores = torch.baddbmm(theta[:, None, :, -1], told, theta[..., :-1].transpose(1, 2))
        return mean_one(scores).transpose(0, 1)

    return choose


def static(weights: Float[Tensor, "P A"], standard: Standard, maps: int) -> Choose:
    """Return a control: gains A softmax(theta), whatever is seen."""

    def choose(seen: Pass) -> Tensor:
        return mean_one(weights).expand(len(seen.log_probs), -1, -1)

    return choose


@dataclass(frozen=True)
class Kind:
    """A row of the table of policies.

    Attributes:
        make: Makes the policies of P individuals from their weights.
        weights: How many weights n a policy has, for A maps and O numbers observed.
    """

    make: Callable[[Tensor, Standard, int], Choose]
    weights: Callable[[int, int], int]


POLICIES: Mapping[str, Kind] = {
    "linear": Kind(linear, lambda maps, observed: maps * (observed + 1)),
    "static": Kind(static, lambda maps, observed: maps),
}


@torch.no_grad()
def look_again(
    network: Gated, images: Float[Tensor, "B C H W"], choose: Choose, population: int, passes: int
) -> Float[Tensor, "B P T n"]:
    """Return what individuals say of images after each pass, the first, with gains one, included.

    All individuals share that pass, and whatever else does not depend on their gains.

    Args:
        network: With gains.
        images: What all individuals look at.
        choose: How they set the gains of the next pass.
        population: How many individuals P there are.
        passes: How many passes follow the first; T is one more.
    """
    answers = []
    for part in torch.split(images, network.chunk(images, population)):
        prepared = network.prepare(part)
        maps = sum(network.layers.values())
        seen = network.look(prepared, part.new_ones(len(part), 1, maps))
        said = [seen.log_probs.expand(-1, population, -1)]
        for _ in range(passes):
            seen = network.look(prepared, choose(seen))
            said.append(seen.log_probs)
        answers.append(torch.stack(said, dim=2))
    return torch.cat(answers)
