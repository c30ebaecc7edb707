"""The learner of every agent that learns by gradients from whole episodes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Int64
from torch import Tensor

from glimpse.batch import GlimpseBatch
from glimpse.checks import check_at_least, check_count, check_name
from glimpse.networks import CORES, RecurrentAttention
from glimpse.precision import PRECISIONS, autocast
from glimpse.randomness import derive_seed
from glimpse.tasks import classification

from .policies import Policy
from .rollout import Rollout, roll_out

Losses = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(ABC):
    """What all agents that learn by gradients have in common.

    Attributes:
        steps: How many times the weights are improved, once a batch of episodes.
        batch: How many images a batch has.
        copies: How many episodes of each image a batch has (the paper's M).
        learning_rate: Of Adam at the first step; it falls to 0 along a cosine.
        early: Weight of the answers before the last, relative to the last (0: the paper's).
        clip: The Euclidean norm of the whole gradient is cut to this.
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
    early: float = 1.0
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
        check_count(0, seed=self.seed)
        check_at_least(0, learning_rate=self.learning_rate, early=self.early, clip=self.clip)
        if self.clip == 0:
            raise ValueError("`clip` must be above 0, got 0: it cuts every gradient to nothing")
        check_name("core", self.core, CORES)
        check_name("precision", self.precision, PRECISIONS)

    @property
    @abstractmethod
    def policy(self) -> Policy:
        """How locations are chosen."""


class EpisodeLearner:
    """Improve a model once a batch of episodes.

    Every random number of step i is a function of (seed, i), so a checkpoint holds no random state
    and no state of the environment.

    Args:
        config: How to learn.
        batch: What to look at: `config.batch * config.copies` rows, from the training split.
        model: What learns.
        loss: The terms of the loss of a batch of episodes, by name; their sum is made small.

    Raises:
        ValueError: The batch has another number of rows or of copies, or its images no classes.
    """

    def __init__(
        self,
        config: TrainingConfig,
        batch: GlimpseBatch,
        model: RecurrentAttention,
        loss: Callable[[Rollout], Losses],
    ) -> None:
        if (batch.rows, batch.copies) != (config.batch * config.copies, config.copies):
            raise ValueError(
                f"the environment must have {config.batch * config.copies} rows and "
                f"copies={config.copies}, got {batch.rows} and {batch.copies}: build it so"
            )
        if len(batch.images.splits.get("train", ())) == 0:
            raise ValueError("the images must have a training split, got none: name one in splits")
        self._task = classification(batch.task)
        self.config, self.batch, self.model = config, batch, model
        self._loss = loss
        self._optimiser = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimiser, config.steps)
        self._noise = torch.Generator(batch.device)
        self._step = 0
        self._order: tuple[int, Tensor] | None = None  # of the images, in this epoch

    def step(self) -> dict[str, float]:
        """Play one batch of episodes, improve the weights, return the losses and the error."""
        seed = derive_seed(self.config.seed, self._step)
        self._noise.manual_seed(derive_seed(self.config.seed, self._step, 1))
        self.model.train()
        indices = self._indices()
        observation, info = self.batch.reset(seed=seed, options={"indices": indices})
        with autocast(self.batch.device, self.config.precision):
            rollout = roll_out(
                self.model,
                self.batch,
                observation,
                info["target"],
                lambda mean: self.config.policy.sample(mean, self._noise),
            )
        losses = self._loss(rollout)
        total = torch.stack(list(losses.values())).sum()
        self._optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self._optimiser.step()
        self._schedule.step()
        self._step += 1
        right = (
            self._task.correct(rollout.log_probs.detach()[:, -1:], rollout.target).float().mean()
        )
        metrics = {**losses, "train error %": 100 * (1 - right)}
        values = torch.stack([value.detach() for value in metrics.values()]).tolist()
        return dict(zip(metrics, values, strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Return weights, optimiser, schedule and the number of steps taken."""
        return {
            "model": self.model.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            "step": self._step,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to such a state.

        Raises:
            ValueError: The state is not one of this learner's.
        """
        try:
            self.model.load_state_dict(state["model"])
            self._optimiser.load_state_dict(state["optimiser"])
            self._schedule.load_state_dict(state["schedule"])
            self._step = int(state["step"])
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f"the checkpoint must be this agent's, got another ({str(error).splitlines()[0]}): "
                "resume with the options it was trained with"
            ) from error

    def _indices(self) -> Int64[Tensor, "G"]:
        """Return the images of this step: the training split in a new order every epoch.

        What is left over when no batch can be filled any more is passed over in that epoch. A batch
        larger than the split takes it all, as often as it fits and once more in part.
        """
        pool, size = self.batch.images.splits["train"], self.config.batch
        if size >= len(pool):
            wanted = torch.arange(size, device=pool.device) % len(pool)
            return pool[wanted]
        epoch, number = divmod(self._step, len(pool) // size)
        if self._order is None or self._order[0] != epoch:
            generator = torch.Generator().manual_seed(derive_seed(self.config.seed, epoch, 2))
            order = torch.randperm(len(pool), generator=generator).to(pool.device)
            self._order = (epoch, pool[order])
        return self._order[1][number * size : (number + 1) * size]
