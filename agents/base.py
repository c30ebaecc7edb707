"""Training of the network that dasNet leaves frozen: maxout, cross-entropy, the best on validation.

Source: I. Goodfellow et al., "Maxout networks", ICML 2013, for network and dropout; the optimiser
and its constants are ours.
"""

from dataclasses import dataclass
from math import cos, pi
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from glimpse.batches import drawn, swept
from glimpse.checks import check_at_least, check_count, check_name
from glimpse.evaluation import ErrorRate
from glimpse.image_set import ImageSource
from glimpse.loop import Metrics
from glimpse.maxout import SIZES, MaxoutNetwork
from glimpse.randomness import derive_seed, own_randomness, seed_globally
from glimpse.tasks import Classification

from .checkpoint import own_checkpoint
from .draws import Draws
from .portions import portion

_ROWS = 500  # looked at at once when nothing is learned


@dataclass(frozen=True, kw_only=True)
class BaseConfig:
    """How a base network is trained.

    Attributes:
        steps: How many times the weights are improved, once a batch.
        batch: How many images a batch has.
        learning_rate: Of AdamW at the beginning; it falls to 0 along a cosine.
        weight_decay: Each step takes this share of every weight, times the learning rate (AdamW).
        sizes: `small`, or `paper`: the maxout network for CIFAR, as we recall its sizes.
        dropout: Which share of every hidden layer's output is dropped in training.
        input_dropout: Which share of the pixels is.
        train_images: How many of the training images it is shown, chosen at random and the same for
            every seed; None: all.
        seed: Of weights, batches and dropout; the same seed gives the same run.
    """

    steps: int = 400
    batch: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    sizes: Literal["small", "paper"] = "small"
    dropout: float = 0.2
    input_dropout: float = 0.0
    train_images: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse options that cannot be meant."""
        check_count(1, steps=self.steps, batch=self.batch)
        check_count(0, seed=self.seed)
        if self.train_images is not None:
            check_count(1, train_images=self.train_images)
        check_at_least(0, learning_rate=self.learning_rate, weight_decay=self.weight_decay)
        check_name("sizes", self.sizes, SIZES)
        for name, share in (("dropout", self.dropout), ("input_dropout", self.input_dropout)):
            check_at_least(0, **{name: share})
            if share >= 1:
                raise ValueError(f"`{name}` must be below 1, got {share}: nothing would be left")

    def make(self, images: ImageSource) -> MaxoutNetwork:
        """Return a network for these images that knows nothing yet.

        Raises:
            ValueError: They are no classification of images of one size, or too small.
        """
        if not isinstance(images.task, Classification) or images.sizes is not None:
            raise ValueError(
                "`images` must be a classification of images of one size, got another: give an "
                "image_size, or choose other images"
            )
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive_seed(self.seed, 0, 7))
            network = MaxoutNetwork(
                images.shape,
                images.task.scores,
                sizes=self.sizes,
                dropout=self.dropout,
                input_dropout=self.input_dropout,
            )
        return network.to(images.device)


class BaseLearner:
    """Improve a network once a batch; of all that were validated the best is kept.

    Args:
        config: How to learn.
        images: Their training split is learned from, as far as the config says.
        network: What learns.
    """

    def __init__(self, config: BaseConfig, images: ImageSource, network: MaxoutNetwork) -> None:
        self.config, self.images, self.network = config, images, network
        pool = portion(images, config.train_images)
        self._draws = Draws(pool, config.batch, config.seed)
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
