"""Batches of episodes as learners see them, whoever plays them.

`GlimpseBatch` plays on images of ours; `glimpse.envs.ActiveBatch` on environments of `ap_gym`.

Convention:
    Glimpses are `(B, K, C, s, s)` in [0, 1], locations `(B, 2)`, `(x, y)` in [-1, 1]; what an
    action means, a location or a move, is the environment's business. An episode has T glimpses, of
    which the agent chooses the last A.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float32, Int64, Shaped
from torch import Tensor

from .eye import Eye
from .tasks import Search, Task

Observation = dict[str, Tensor]
Info = dict[str, Tensor]


@runtime_checkable
class Pool(Protocol):
    """What learners ask of the images that episodes show.

    Attributes:
        splits: The indices of every split: what `EpisodeBatch.begin` takes.
    """

    @property
    def splits(self) -> Mapping[str, Int64[Tensor, "M"]]: ...  # noqa: D102


@runtime_checkable
class EpisodeBatch(Protocol):
    """B episodes that are played side by side, and all end with their last glimpse.

    An observation holds `glimpse`, `location`, `step` (B, 1) and, if the eye has it, `context`
    (B, C, c, c), all float32 on `device`.

    Attributes:
        rows: How many episodes B begin at once, copies included.
        copies: How many consecutive rows M show the same image.
        eye: Through what, and how often, is looked.
        images: What is looked at.
        task: What an answer is.
        channels: How many channels C the images have.
        shape: Channels, height and width of what the finest windows move in; None where these, or
            images, differ in size.
        cost: What every chosen look costs.
        device: Where all tensors lie.
        predict: Who judges the answers: `external` is the learner.
    """

    @property
    def rows(self) -> int: ...  # noqa: D102
    @property
    def copies(self) -> int: ...  # noqa: D102
    @property
    def eye(self) -> Eye: ...  # noqa: D102
    @property
    def images(self) -> Pool: ...  # noqa: D102
    @property
    def task(self) -> Task | Search: ...  # noqa: D102
    @property
    def channels(self) -> int: ...  # noqa: D102
    @property
    def shape(self) -> tuple[int, int, int] | None: ...  # noqa: D102
    @property
    def cost(self) -> float: ...  # noqa: D102
    @property
    def device(self) -> torch.device: ...  # noqa: D102
    @property
    def predict(self) -> str: ...  # noqa: D102

    @property
    def target(self) -> Shaped[Tensor, "B ..."]:
        """What the answer of every row should be."""
        ...

    @property
    def count(self) -> Int64[Tensor, "B"]:
        """How many glimpses each row has had."""
        ...

    @property
    def levels(self) -> Int64[Tensor, "B T"]:
        """The level of zoom of each glimpse, from 0."""
        ...

    @property
    def trail(self) -> Float32[Tensor, "B T 2"]:
        """Where each row has looked so far, as observed; NaN where it has not yet."""
        ...

    @property
    def sensed(self) -> Float32[Tensor, "B T 2"]:
        """The same in [-1, 1] of the image, whatever the eye's reach."""
        ...

    @property
    def shown(self) -> Shaped[Tensor, "B C H W"]:
        """The whole images that all rows look at."""
        ...

    def width(self, row: int) -> int:
        """Return the width of the image that a row looks at, in pixels."""
        ...

    def pixels(self, row: int) -> Shaped[Tensor, "C H W"]:
        """Return the whole image that a row looks at."""
        ...

    def begin(self, seeds: Int64[Tensor, "B"], indices: Int64[Tensor, "G"]) -> Observation:
        """Begin an episode in every row, a function of its seed and its image."""
        ...

    def look(self, action: Float[Tensor, "B a"]) -> Observation:
        """Act, and return what is then seen; actions are clipped to [-1, 1]."""
        ...

    def reset(
        self, *, seed: int | list[int] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observation, Info]:
        """Begin episodes for those who have no seed for every row."""
        ...

    def sweep(
        self, split: str | None = None, *, seed: int = 0
    ) -> Iterator[tuple[Observation, Info]]:
        """Begin batch after batch of the episodes that a split is judged by."""
        ...

    def twin(self) -> "EpisodeBatch":
        """Return another batch of the same kind, with episodes of its own."""
        ...
