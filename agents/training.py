"""What all agents that learn by gradients have in common: their options."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import cos, pi
from typing import Literal

from torch import nn

from glimpse.checks import check_at_least, check_count, check_name
from glimpse.episodes import EpisodeBatch
from glimpse.networks import CORES, LocationHead, baseline_head
from glimpse.precision import PRECISIONS
from glimpse.rewards import REWARDS

from .policies import GaussianPolicy, Policy


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(ABC):
    """What all agents that learn by gradients have in common.

    Attributes:
        steps: How many times the weights are improved, once a batch of episodes.
        batch: How many images a batch has.
        copies: How many episodes of each image a batch has (the paper's M).
        learning_rate: Of AdamW at its highest; it falls to 0 along a cosine.
        warm_up: Steps in which the learning rate rises to that, in a straight line.
        weight_decay: Each step takes this share of every weight, times the learning rate (AdamW).
        ema: The agent's weights are the mean of the learned ones, each step's `ema` times as heavy
            as the next one's (less in the first steps); 0: they are the last ones.
        early: Weight of the answers before the last, relative to the last (0: the paper's).
        clip: The Euclidean norm of the gradient is cut to this, that of what says where to look by
            itself.
        core: The recurrent core: `lstm`, or `relu` as in the paper.
        hidden: Width of the hidden state.
        features: Width of the glimpse network's output.
        precision: `bfloat16`, `float32`, or `auto`: the first where the hardware computes in it.
        seed: Of weights, images and locations; the same seed gives the same run.
    """

    steps: int = 4000
    batch: int = 128
    copies: int = 1
    learning_rate: float = 2e-3
    warm_up: int = 0
    weight_decay: float = 0.0
    ema: float = 0.998
    early: float = 0.3
    clip: float = 5.0
    core: Literal["lstm", "relu"] = "lstm"
    hidden: int = 256
    features: int = 256
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse options that cannot be meant."""
        check_count(
            1,
            steps=self.steps,
            batch=self.batch,
            copies=self.copies,
            hidden=self.hidden,
            features=self.features,
        )
        check_count(0, seed=self.seed, warm_up=self.warm_up)
        check_at_least(
            0,
            learning_rate=self.learning_rate,
            early=self.early,
            clip=self.clip,
            weight_decay=self.weight_decay,
            ema=self.ema,
        )
        self._check_below_steps(warm_up=self.warm_up)
        if self.ema >= 1:
            raise ValueError(f"`ema` must be below 1, got {self.ema}: the mean would never move")
        if self.clip == 0:
            raise ValueError("`clip` must be above 0, got 0: it cuts every gradient to nothing")
        check_name("core", self.core, CORES)
        check_name("precision", self.precision, PRECISIONS)

    @property
    def learns_where(self) -> bool:
        """Whether it is taught where to look, so that a collapsed policy is a fault."""
        return False

    @property
    @abstractmethod
    def policy(self) -> Policy:
        """How locations are chosen."""

    def make_locator(self, hidden: int, size: int) -> nn.Module:
        """Return what says what to do next, `size` numbers, from a hidden state of this width."""
        return LocationHead(hidden, size)

    def make_baseline(self, hidden: int) -> nn.Module:
        """Return what says what to expect, from a hidden state of this width."""
        return baseline_head(hidden)

    def schedule(self, step: int) -> float:
        """Return the learning rate of a step, from 0, as a share of the highest."""
        if step < self.warm_up:
            return (step + 1) / (self.warm_up + 1)
        fall = (step - self.warm_up) / (self.steps - self.warm_up)
        return (1 + cos(pi * min(fall, 1.0))) / 2

    def check_rows(self, batch: EpisodeBatch) -> None:
        """Refuse to learn from a batch of another size.

        Raises:
            ValueError: It has another number of rows or of copies.
        """
        wanted = (self.batch * self.copies, self.copies)
        if (batch.rows, batch.copies) != wanted:
            raise ValueError(
                f"the environment must have {wanted[0]} rows and copies={wanted[1]}, got "
                f"{batch.rows} and {batch.copies}: build it so"
            )

    def _check_below_steps(self, **counts: int) -> None:
        for name, count in counts.items():
            if count >= self.steps:
                raise ValueError(
                    f"`{name}` must be below steps={self.steps}, got {count}: choose fewer"
                )


@dataclass(frozen=True, kw_only=True)
class EpisodeConfig(TrainingConfig):
    """What agents have in common that learn from whole episodes by one gradient.

    Attributes:
        curriculum: Steps in which episodes are shorter: from two glimpses they grow evenly to all.
    """

    curriculum: int = 0

    def __post_init__(self) -> None:
        """Refuse options that cannot be meant."""
        super().__post_init__()
        check_count(0, curriculum=self.curriculum)
        self._check_below_steps(curriculum=self.curriculum)

    def glimpses_at(self, step: int, glimpses: int) -> int:
        """Return how many glimpses an episode of a step has, of at most `glimpses`."""
        if step >= self.curriculum or glimpses <= 2:
            return glimpses
        return 2 + (glimpses - 1) * step // self.curriculum


@dataclass(frozen=True, kw_only=True)
class GaussianConfig(TrainingConfig):
    """What agents have in common that learn where to look by looking near a mean.

    Attributes:
        std: Standard deviation of the locations tried, in units of actions.
        last_std: That of the last step, to which it changes evenly; None: it stays.
        reward: What a glimpse earns: `gain` in the right class's log-probability, or `correct`, 1
            for a right last answer.
    """

    std: float = 0.15
    last_std: float | None = 0.05
    reward: Literal["gain", "correct"] = "gain"

    def __post_init__(self) -> None:
        """Refuse options that cannot be meant."""
        super().__post_init__()
        check_at_least(1e-6, std=self.std, last_std=self.std_at(self.steps))
        check_name("reward", self.reward, REWARDS)

    @property
    def learns_where(self) -> bool:
        """It is."""
        return True

    @property
    def policy(self) -> GaussianPolicy:
        """Look near the mean that the location head says, as at the end of training."""
        return GaussianPolicy(self.std_at(self.steps))

    def std_at(self, step: int) -> float:
        """Return the standard deviation at a step."""
        last = self.std if self.last_std is None else self.last_std
        return self.std + (last - self.std) * min(step / self.steps, 1.0)
