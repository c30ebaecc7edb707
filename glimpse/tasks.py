"""What an answer is: what a learner predicts about an image and how that is judged."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor
from torch.nn import functional as F

from .windows import Windows


@runtime_checkable
class Task(Protocol):
    """What every learner and every reward asks of a task.

    Attributes:
        scores: How many numbers n a prediction has.
    """

    @property
    def scores(self) -> int: ...  # noqa: D102

    def log_probs(self, scores: Float[Tensor, "*B n"]) -> Float[Tensor, "*B n"]:
        """Return the log-probabilities of the answers."""
        ...

    def loss(
        self, log_probs: Float[Tensor, "B T n"], target: Int64[Tensor, "B"]
    ) -> Float[Tensor, "B T"]:
        """Return the loss of every prediction, differentiable, to be made small."""
        ...

    def correct(
        self, log_probs: Float[Tensor, "B T n"], target: Int64[Tensor, "B"]
    ) -> Bool[Tensor, "B T"]:
        """Return whether every prediction is right."""
        ...


@dataclass(frozen=True)
class Classification:
    """One class for each image.

    Attributes:
        classes: Their names.
    """

    classes: tuple[str, ...]

    @property
    def scores(self) -> int:
        """One score a class."""
        return len(self.classes)

    def log_probs(self, scores: Float[Tensor, "*B n"]) -> Float[Tensor, "*B n"]:
        """Return the log-softmax."""
        return F.log_softmax(scores, dim=-1)

    def loss(
        self, log_probs: Float[Tensor, "B T n"], target: Int64[Tensor, "B"]
    ) -> Float[Tensor, "B T"]:
        """Return the cross-entropy, -log p(target), in nats."""
        chosen = target[:, None, None].expand(-1, log_probs.shape[1], 1)
        return -log_probs.gather(2, chosen)[..., 0]

    def correct(
        self, log_probs: Float[Tensor, "B T n"], target: Int64[Tensor, "B"]
    ) -> Bool[Tensor, "B T"]:
        """Return whether the most probable class is the target."""
        return log_probs.argmax(dim=-1) == target[:, None]


@dataclass(frozen=True)
class Search:
    """One place for each image, to be looked at: the location is the answer."""

    @property
    def scores(self) -> int:
        """None: nothing is answered beside the location."""
        return 0

    def found(
        self, windows: Windows, centre: Float64[Tensor, "B 2"], place: Float64[Tensor, "B 2"]
    ) -> Bool[Tensor, "B"]:
        """Return whether the finest window around each centre covers the place, all in pixels."""
        corner = windows.corners(centre)[:, 0].t()
        return ((corner <= place) & (place < corner + windows.widths[0])).all(dim=1)


def classification(task: Classification | Search) -> Classification:
    """Return the task, for those who answer with a class.

    Raises:
        ValueError: It is a search.
    """
    if not isinstance(task, Classification):
        raise ValueError(
            f"images must have classes to be answered with, got a {type(task).__name__}: "
            "choose another environment"
        )
    return task
