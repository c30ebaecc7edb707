"""The options of the feedback environment, its engine, and what crosses its border."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from glimpse.bases import IMAGE_OPTIONS, Base, find_network
from glimpse.catalogue import find_images
from glimpse.checks import check_options
from glimpse.device import find_device
from glimpse.feedback import FeedbackBatch

from .spaces import numbers_of


@dataclass(frozen=True, kw_only=True)
class FeedbackConfig:
    """The options of `glimpse/Feedback-v0`: what `gymnasium.make` takes beside the id.

    Attributes:
        base: The network: the folder of a run of `glimpse train base`, or a name that was given
            with `glimpse.register_network`.
        layers: The names of the layers whose maps have gains; None: those the network was
            registered with, of a maxout network all.
        images: What it looks at, as in `EnvConfig`; None: what the base was trained on, which must
            be said of a network that was registered.
        canvas: On which canvas they are laid; None: that of the base's training, if it had one.
        image_size: Height and width to which a folder's images are resized; None: likewise.
        data_root: The folder with MNIST; None: likewise, or that of GLIMPSE_DATA.
        passes: How many times T the network looks again.
        reward: What the last answer pays: `log_loss`, the paper's weighted log-loss, or `correct`,
            1 if it is right.
        boost: How much the log-loss of a rightly classified image counts; of a wrongly classified
            one 1.
        copies: How many consecutive environments of a batch share an image.
        split: From which part of the images episodes are drawn.
        device: Where images and network lie: cpu or cuda.
    """

    base: str | None = None
    layers: Sequence[str] | None = None
    images: str | None = None
    canvas: str | None = None
    image_size: tuple[int, int] | None = None
    data_root: str | None = None
    passes: int = 5
    reward: Literal["log_loss", "correct"] = "log_loss"
    boost: float = 0.005
    copies: int = 1
    split: Literal["train", "validation", "test"] = "train"
    device: str = "cpu"

    @classmethod
    def of(cls, options: dict[str, Any]) -> "FeedbackConfig":
        """Return the config of these options.

        Raises:
            ValueError: There is no such option.
        """
        check_options("the feedback environment", options, [field.name for field in fields(cls)])
        return cls(**options)


def build_feedback(config: FeedbackConfig, rows: int) -> FeedbackBatch:
    """Return the engine for this many rows.

    Raises:
        ValueError: An option does not fit; the base or the images are unknown or cannot be read.
    """
    return feedback_on(find_network(config.base), config, rows)


def feedback_on(base: Base, config: FeedbackConfig, rows: int) -> FeedbackBatch:
    """Do the same with a base that has no name.

    Raises:
        ValueError: As `build_feedback`.
    """
    asked = {name: getattr(config, name) for name in IMAGE_OPTIONS}
    given = {name: value for name, value in asked.items() if value is not None}
    options = {**base.images, **given}
    if options.get("images") is None:
        raise ValueError(
            f"`images` must be given with base={config.base!r}, got none: nobody said what it "
            "was trained on"
        )
    images = find_images(**options).to(find_device(config.device))
    number = torch.zeros(1, dtype=torch.int64, device=images.device)
    example = images.draw(number, number).float()
    return FeedbackBatch(
        base.gated(example, config.layers),
        images,
        rows,
        passes=config.passes,
        reward=config.reward,
        boost=config.boost,
        copies=config.copies,
        split=config.split,
    )


def feedback_spaces(core: FeedbackBatch) -> tuple[spaces.Dict, spaces.Box]:
    """Return the spaces of what one row observes and does."""
    seen = spaces.Dict(
        {
            "activation": spaces.Box(-np.inf, np.inf, (core.maps,)),
            "probability": spaces.Box(0, 1, (core.network.classes,)),
            "step": spaces.Box(0, core.passes, (1,)),
        }
    )
    return seen, spaces.Box(0, core.maps, (core.maps,))


def gains_of(actions: Any, core: FeedbackBatch, rows: int) -> Tensor:
    """Return the actions of all rows as gains (B, A), clipped to their space; NaN stays.

    Raises:
        ValueError: They have another shape, or are no numbers.
    """
    numbers = numbers_of(actions, (rows, core.maps), "actions", "a gain of every map")
    return torch.from_numpy(numbers.clip(0, core.maps)).to(core.device)
