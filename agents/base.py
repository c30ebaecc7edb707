"""Training of the network that dasNet leaves frozen: maxout, cross-entropy, the best on validation.

Source: I. Goodfellow et al., "Maxout networks", ICML 2013, for network and dropout; the optimiser
and its constants are ours.
"""

from dataclasses import dataclass
from typing import Literal

import torch

from glimpse.checks import check_at_least, check_count, check_name
from glimpse.classifier import Classifier, ClassifierConfig, class_names
from glimpse.image_set import ImageSource
from glimpse.maxout import SIZES, MaxoutNetwork
from glimpse.randomness import derive_seed

from .portions import portion


@dataclass(frozen=True, kw_only=True)
class BaseConfig(ClassifierConfig):
    """How a base network is trained.

    Attributes:
        sizes: `small`, or `paper`: the maxout network for CIFAR, as we recall its sizes.
        dropout: Which share of every hidden layer's output is dropped in training.
        input_dropout: Which share of the pixels is.
        train_images: How many of the training images it is shown, chosen at random and the same for
            every seed; None: all.
    """

    sizes: Literal["small", "paper"] = "small"
    dropout: float = 0.2
    input_dropout: float = 0.0
    train_images: int | None = None

    def __post_init__(self) -> None:
        """Refuse options that cannot be meant."""
        super().__post_init__()
        if self.train_images is not None:
            check_count(1, train_images=self.train_images)
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
        classes = class_names(images)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive_seed(self.seed, 0, 7))
            network = MaxoutNetwork(
                images.shape,
                len(classes),
                sizes=self.sizes,
                dropout=self.dropout,
                input_dropout=self.input_dropout,
            )
        return network.to(images.device)


class BaseLearner(Classifier[BaseConfig]):
    """Improve a base once a batch; of all that were validated the best is kept.

    Args:
        config: How to learn.
        images: Their training split is learned from, as far as the config says.
        network: What learns.
    """

    network: MaxoutNetwork

    def __init__(self, config: BaseConfig, images: ImageSource, network: MaxoutNetwork) -> None:
        super().__init__(config, images, network, portion(images, config.train_images))
