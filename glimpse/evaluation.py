"""Error rates with their uncertainty."""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

from jaxtyping import Bool
from torch import Tensor


@dataclass(frozen=True)
class ErrorRate:
    """How many of how many answers were wrong.

    Attributes:
        wrong: Answers that were wrong.
        count: Answers in all.
    """

    wrong: int
    count: int

    @property
    def percent(self) -> float:
        """The share of wrong answers, in percent."""
        return 100 * self.wrong / self.count

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the Wilson score interval of the error, in percent.

        It speaks of other images of the same kind, not of other training runs.

        Source: E. Wilson, "Probable inference, the law of succession, and statistical inference",
        Journal of the American Statistical Association 22, 1927.
        """
        z = NormalDist().inv_cdf((1 + confidence) / 2)
        n, p = self.count, self.wrong / self.count
        centre = p + z**2 / (2 * n)
        spread = z * sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        scale = 100 / (1 + z**2 / n)
        low = 0.0 if self.wrong == 0 else (centre - spread) * scale
        high = 100.0 if self.wrong == self.count else (centre + spread) * scale
        return low, high

    def __str__(self) -> str:
        """Return the error with its interval."""
        low, high = self.interval()
        return f"{self.percent:.2f} % [{low:.2f}, {high:.2f}]"


def error_rates(correct: Bool[Tensor, "N T"]) -> tuple[ErrorRate, ...]:
    """Return the error after each glimpse.

    Args:
        correct: Whether the answer about image n was right after glimpse t + 1.
    """
    count = len(correct)
    return tuple(ErrorRate(count - int(right), count) for right in correct.sum(dim=0))
