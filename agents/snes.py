"""Separable natural evolution strategies: a search for weights by trying many, without gradients.

Convention:
    A population has P individuals, numbered from 0; each tries n weights. The search keeps the
    centre (n,) and, for every weight by itself, a standard deviation (n,). Of fitness, more is
    better. Individual k of generation g tries `centre + std * z`, and its z (n,) is a function of
    (seed, g, k): nothing large travels between processes, and any number of them finds the same.

Source: T. Schaul, T. Glasmachers, J. Schmidhuber, "High dimensions and heavy tails for natural
evolution strategies", GECCO 2011; D. Wierstra et al., "Natural evolution strategies", JMLR 15,
2014, table 1 (rates, population) and section 3.1 (utilities).
"""

from collections.abc import Mapping
from math import log, sqrt
from typing import Any

import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from glimpse.checks import check_at_least, check_count
from glimpse.processes import ALONE, Processes
from glimpse.randomness import derive_seed

# Tells the noise from whatever else is drawn for a run's seed.
_NOISE = 6


def default_population(weights: int) -> int:
    """Return the published number of individuals, 4 + floor(3 ln n)."""
    return 4 + int(3 * log(weights))


def default_std_rate(weights: int) -> float:
    """Return the published learning rate of the standard deviations, (3 + ln n) / (5 sqrt n)."""
    return (3 + log(weights)) / (5 * sqrt(weights))


def utilities(fitness: Float[Tensor, "P"]) -> Float64[Tensor, "P"]:
    """Return what each individual counts for; they sum to zero.

    The one of rank i, the best first, counts

        u_i = max(0, ln(P/2 + 1) - ln i) / sum_j max(0, ln(P/2 + 1) - ln j) - 1/P.

    Equal ones share what their ranks count for; NaN is as bad as minus infinity.
    """
    count = len(fitness)
    ranks = torch.arange(1, count + 1, dtype=torch.float64, device=fitness.device)
    weights = (log(count / 2 + 1) - ranks.log()).clamp(min=0)
    by_rank = weights / weights.sum() - 1 / count
    worth = fitness.double().nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
    _, group, size = torch.unique(-worth, return_inverse=True, return_counts=True)
    total = by_rank.new_zeros(len(size))
    total.index_add_(
        0, torch.arange(len(size), device=size.device).repeat_interleave(size), by_rank
    )
    shared: Tensor = (total / size)[group]
    return shared


class Snes:
    """A search distribution and how it learns.

    Args:
        centre: Where the search begins.
        std: Standard deviation at the beginning, of every weight.
        population: How many individuals P a generation has; None: the published number.
        centre_rate: Learning rate of the centre.
        std_rate: Learning rate of the standard deviations; None: the published one.
        seed: Of the noise.

    Attributes:
        centre: Where the search is, on the device of the centre given.
        std: The standard deviations, positive.
        population: As above.
        generation: How many generations have been.

    Raises:
        ValueError: There is no weight, or a population of fewer than two, none of whom would count.
    """

    def __init__(
        self,
        centre: Float[Tensor, "n"],
        *,
        std: float,
        population: int | None = None,
        centre_rate: float = 1.0,
        std_rate: float | None = None,
        seed: int = 0,
    ) -> None:
        weights = centre.numel()
        check_count(1, weights=weights)
        self.population = default_population(weights) if population is None else population
        self.std_rate = default_std_rate(weights) if std_rate is None else std_rate
        check_population(self.population)
        check_count(0, seed=seed)
        check_at_least(1e-12, std=std)
        check_at_least(0, centre_rate=centre_rate, std_rate=self.std_rate)
        self.centre = centre.detach().double().clone()
        self.std = torch.full_like(self.centre, std)
        self.centre_rate, self.generation, self._seed = centre_rate, 0, seed

    def noise(self, individuals: range) -> Float32[Tensor, "p n"]:
        """Return z of some individuals of this generation, the same on every device."""
        generator, rows = torch.Generator(), []
        for number in individuals:
            generator.manual_seed(derive_seed(self._seed, self.generation, number, _NOISE))
            rows.append(torch.randn(len(self.centre), generator=generator))
        drawn = torch.stack(rows) if rows else torch.empty(0, len(self.centre))
        return drawn.to(self.centre.device)

    def weights(self, noise: Float[Tensor, "p n"]) -> Float32[Tensor, "p n"]:
        """Return what individuals of this noise try: `centre + std * z`."""
        return torch.addcmul(self.centre, self.std, noise.double()).float()

    def improve(
        self,
        noise: Float[Tensor, "p n"],
        fitness: Float[Tensor, "P"],
        processes: Processes = ALONE,
    ) -> None:
        """Move on to the next generation.

            centre <- centre + rate * std * sum_k u_k z_k
            std <- std * exp(rate' / 2 * sum_k u_k (z_k^2 - 1))

        Args:
            noise: z of this process's share of the individuals, in their order.
            fitness: Of all individuals; more is better, and NaN the worst.
            processes: Who else has a share; with their sums come two vectors of n numbers.
        """
        share = processes.share(self.population)
        counts = utilities(fitness.to(self.centre.device))[share.start : share.stop]
        drawn = noise.double()
        towards = processes.add(counts @ drawn)
        # sum_k u_k = 0, so the 1 of (z^2 - 1) drops out of the whole sum
        wider = processes.add(counts @ drawn.square())
        self.centre = self.centre + self.centre_rate * self.std * towards
        self.std = self.std * torch.exp(self.std_rate / 2 * wider)
        self.generation += 1

    def state_dict(self) -> dict[str, Any]:
        """Return distribution and generation; the noise follows from them and the seed."""
        return {"centre": self.centre, "std": self.std, "generation": self.generation}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to such a state.

        Raises:
            ValueError: It is of another number of weights.
        """
        centre, std = state["centre"], state["std"]
        if centre.shape != self.centre.shape or std.shape != self.std.shape:
            raise ValueError(
                f"the state must be of {len(self.centre)} weights, got {tuple(centre.shape)}: "
                "resume with the options it was trained with"
            )
        self.centre, self.std = centre.to(self.centre), std.to(self.centre)
        self.generation = int(state["generation"])


def check_population(population: int) -> None:
    """Refuse fewer than two individuals.

    Raises:
        ValueError: There are fewer, or it is a fraction.
    """
    check_count(0, population=population)
    if population < 2:
        raise ValueError(
            f"`population` must be at least 2, got {population}: individuals are compared with "
            "one another"
        )
