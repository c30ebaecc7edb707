"""Supervised training of a network that sees images whole: cross-entropy, the best on validation.

Whoever classifies whole images learns so: the base of dasNet and the soft baselines.
"""

from dataclasses import dataclass
from math import cos, pi
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .batches import drawn, swept
from .checkpoint import own_checkpoint
from .checks import check_at_least, check_count
from .draws import Draws
from .episodes import Pool
from .evaluation import ErrorRate
from .image_set import ImageSource
from .loop import Metrics
from .randomness import derive_seed, own_randomness, seed_globally
from .tasks import Classification

_ROWS = 500  # looked at at once when nothing is learned


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """What networks have in common that learn to classify whole images.

    Attributes:
        steps: How many times the weights are improved, once a batch.
        batch: How many images a batch has.
        learning_rate: Of AdamW at the beginning; it falls to 0 along a cosine.
        weight_decay: Each step takes this share of every weight, times the learning rate (AdamW).
        seed: Of weights, batches and dropout; the same seed gives the same run.
    """

    steps: int = 400
    batch: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse options that cannot be meant."""
        check_count(1, steps=self.steps, batch=self.batch)
        check_count(0, seed=self.seed)
        check_at_least(0, learning_rate=self.learning_rate, weight_decay=self.weight_decay)


Config = TypeVar("Config", bound=ClassifierConfig)


class Classifier(Generic[Config]):
    """Improve a network once a batch; of all that were validated the best is kept.

    Args:
        config: How to learn.
        images: Of which one is asked for its class.
        network: What learns: from images `(B, C, H, W)` in [0, 1] to logits.
        pool: The training images that are learned from; None: all.

    Attributes:
        config: As given.
        images: As given.
        network: As given.

    Raises:
        ValueError: There are no training images.
    """

    def __init__(
        self, config: Config, images: ImageSource, network: nn.Module, pool: Pool | None = None
    ) -> None:
        self.config, self.images, self.network = config, images, network
        self._draws = Draws(images if pool is None else pool, config.batch, config.seed)
        self._optimiser = torch.optim.AdamW(
            network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self._step, self._wrong = 0, -1
        self._best: dict[str, Tensor] = {}

    def step(self) -> Metrics:
        """Learn from a batch."""
        config, device = self.config, self.images.device
        first = self._draws.first_seed(self._step)
        indices = self._draws.images(self._step)
        batch = drawn(self.images, first + torch.arange(len(indices), device=device), indices)
        for group in self._optimiser.param_groups:
            group["lr"] = config.learning_rate * (1 + cos(pi * self._step / config.steps)) / 2
        with own_randomness(device):  # dropout draws from the global generator
            seed_globally(derive_seed(config.seed, self._step, 8), device)
            logits = self.network.train()(batch.images)
        loss = F.cross_entropy(logits, batch.target)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._step += 1
        wrong = (logits.detach().argmax(dim=1) != batch.target).float().mean()
        return {"loss": loss.detach(), "train error %": 100 * wrong}

    def validate(self) -> ErrorRate:
        """Return the error on validation images; keep the weights if they are the best so far."""
        error = error_of(self.network, self.images, "validation")
        if self._wrong < 0 or error.wrong < self._wrong:
            self._wrong = error.wrong
            self._best = {name: of.clone() for name, of in self.network.state_dict().items()}
        return error

    def choose_best(self) -> None:
        """Go back to the weights that were best on validation images, if any were validated."""
        if self._best:
            self.network.load_state_dict(self._best)

    def state_dict(self) -> dict[str, Any]:
        """Return weights, optimiser, the best weights and the number of steps taken."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "best": self._best,
            "wrong": self._wrong,
            "step": self._step,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to such a state.

        Raises:
            ValueError: The state is not one of this learner's.
        """
        with own_checkpoint():
            self.network.load_state_dict(state["network"])
            self._optimiser.load_state_dict(state["optimiser"])
            self._best = dict(state["best"])
            self._wrong, self._step = int(state["wrong"]), int(state["step"])


@torch.no_grad()
def error_of(network: nn.Module, images: ImageSource, split: str, *, seed: int = 0) -> ErrorRate:
    """Return the error of a network on a split; the seed is of what is random in images."""
    network.eval()
    wrong = [
        int((network(batch.images).argmax(dim=1) != batch.target).sum())
        for batch in swept(images, split, _ROWS, seed=seed)
    ]
    return ErrorRate(sum(wrong), len(images.splits[split]))


def class_names(images: ImageSource) -> tuple[str, ...]:
    """Return the names of the classes of images, for those who see them whole.

    Raises:
        ValueError: They are no classification of images of one size.
    """
    if isinstance(images.task, Classification) and images.sizes is None:
        return images.task.classes
    given = "images of several sizes"
    if not isinstance(images.task, Classification):
        given = f"a {type(images.task).__name__}"
    raise ValueError(
        f"`images` must be a classification of images of one size, got {given}: give an "
        "image_size, or choose other images"
    )
