"""What an answer is: what a learner predicts about an image and how that is judged.

Convention:
    A prediction is n scores; `answers` makes of them what a task judges, for classes their
    log-probabilities. After each of T glimpses there is one answer, `(B, T, n)`; there is a target
    for each image, `(B, ...)`.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Float64, Int64, Shaped
from torch import Tensor
from torch.nn import functional as F

from .checks import check_count
from .windows import Windows


@runtime_checkable
class Task(Protocol):
    """What every learner and every reward asks of a task.

    Attributes:
        scores: How many numbers n a prediction has.
        blind: The loss of who has seen nothing; above 0.
    """

    @property
    def scores(self) -> int: ...  # noqa: D102
    @property
    def blind(self) -> float: ...  # noqa: D102

    def check(self, targets: Shaped[Tensor, "N ..."]) -> None:
        """Refuse targets that are none of this task.

        Raises:
            ValueError: They are of another shape, type or range.
        """
        ...

    def answers(self, scores: Float[Tensor, "*B n"]) -> Float[Tensor, "*B n"]:
        """Return the answers that scores stand for."""
        ...

    def loss(
        self, answers: Float[Tensor, "B T n"], target: Shaped[Tensor, "B ..."]
    ) -> Float[Tensor, "B T"]:
        """Return the loss of every answer, differentiable, to be made small."""
        ...

    def correct(
        self, answers: Float[Tensor, "B T n"], target: Shaped[Tensor, "B ..."]
    ) -> Bool[Tensor, "B T"]:
        """Return whether every answer is right."""
        ...

    def confidence(self, answers: Float[Tensor, "*B n"]) -> Float[Tensor, "*B"]:
        """Return how sure each answer is of itself, in [0, 1]."""
        ...

    def say(self, answer: Float[Tensor, "n"]) -> str:
        """Return an answer in a word or two, for people."""
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

    @property
    def blind(self) -> float:
        """The loss of the uniform distribution, ln n."""
        return math.log(max(self.scores, 2))

    def check(self, targets: Shaped[Tensor, "N ..."]) -> None:
        """Refuse targets that are not the number of a class each.

        Raises:
            ValueError: They are not.
        """
        _check_classes(targets, (), self.classes, "give one target for each image")

    def answers(self, scores: Float[Tensor, "*B n"]) -> Float[Tensor, "*B n"]:
        """Return the log-softmax."""
        return F.log_softmax(scores, dim=-1)

    def loss(
        self, answers: Float[Tensor, "B T n"], target: Int64[Tensor, "B"]
    ) -> Float[Tensor, "B T"]:
        """Return the cross-entropy, -log p(target), in nats."""
        chosen = target[:, None, None].expand(-1, answers.shape[1], 1)
        return -answers.gather(2, chosen)[..., 0]

    def correct(
        self, answers: Float[Tensor, "B T n"], target: Int64[Tensor, "B"]
    ) -> Bool[Tensor, "B T"]:
        """Return whether the most probable class is the target."""
        return answers.argmax(dim=-1) == target[:, None]

    def confidence(self, answers: Float[Tensor, "*B n"]) -> Float[Tensor, "*B"]:
        """Return the probability of the most probable class."""
        return answers.amax(dim=-1).exp()

    def say(self, answer: Float[Tensor, "n"]) -> str:
        """Return the most probable class."""
        return self.classes[int(answer.argmax())]


@dataclass(frozen=True)
class Sequence:
    """Several classes for each image, answered one after the other.

    The glimpses are divided evenly: of T, the first T / S are for the first class, and so on. An
    answer is about the class that its glimpse is for; the last one for a class counts, and later
    glimpses do not change it.

    Source: J. Ba, V. Mnih, K. Kavukcuoglu, "Multiple Object Recognition with Visual Attention",
    ICLR 2015, section 3, with a fixed number of objects and so without an end-of-sequence class.

    Attributes:
        classes: Their names.
        length: How many, S.
    """

    classes: tuple[str, ...]
    length: int = 2

    def __post_init__(self) -> None:
        """Refuse a sequence of nothing."""
        check_count(1, length=self.length)

    @property
    def scores(self) -> int:
        """One score a class."""
        return len(self.classes)

    @property
    def blind(self) -> float:
        """The loss of uniform distributions, S ln n."""
        return self.length * math.log(max(self.scores, 2))

    def check(self, targets: Shaped[Tensor, "N ..."]) -> None:
        """Refuse targets that are not the numbers of S classes each.

        Raises:
            ValueError: They are not.
        """
        mend = f"give {self.length} targets for each image, in the order of the answers"
        _check_classes(targets, (self.length,), self.classes, mend)

    def answers(self, scores: Float[Tensor, "*B n"]) -> Float[Tensor, "*B n"]:
        """Return the log-softmax."""
        return F.log_softmax(scores, dim=-1)

    def loss(
        self, answers: Float[Tensor, "B T n"], target: Int64[Tensor, "B S"]
    ) -> Float[Tensor, "B T"]:
        """Return what all classes together cost, in nats.

        L_t = sum_{s < s(t)} -log p_{e(s)}(y_s) - log p_t(y_{s(t)}) + sum_{s > s(t)} ln n, where
        glimpse t is for class s(t) and e(s) is the last one for class s.
        """
        asked, ends = self._plan(answers)
        chosen = target[:, asked, None]
        of_each = -answers.gather(2, chosen)[..., 0]
        before = F.pad(of_each[:, ends[:-1]].cumsum(dim=1), (1, 0))  # (B, S), of the classes before
        unasked = (self.length - 1 - asked) * math.log(max(self.scores, 2))
        return before[:, asked] + of_each + unasked

    def correct(
        self, answers: Float[Tensor, "B T n"], target: Int64[Tensor, "B S"]
    ) -> Bool[Tensor, "B T"]:
        """Return whether all answers that count so far are right."""
        asked, ends = self._plan(answers)
        each = answers.argmax(dim=-1) == target[:, asked]
        before = F.pad((~each[:, ends[:-1]]).cumsum(dim=1), (1, 0))  # (B, S), wrong so far
        return each & (before[:, asked] == 0)

    def confidence(self, answers: Float[Tensor, "*B n"]) -> Float[Tensor, "*B"]:
        """Return the probability of the most probable class."""
        return answers.amax(dim=-1).exp()

    def say(self, answer: Float[Tensor, "n"]) -> str:
        """Return the most probable class."""
        return self.classes[int(answer.argmax())]

    def _plan(
        self, answers: Float[Tensor, "B T n"]
    ) -> tuple[Int64[Tensor, "T"], Int64[Tensor, "S"]]:
        """Return the class that each glimpse is for, and the last glimpse for each class.

        Raises:
            ValueError: There are fewer glimpses than classes.
        """
        glimpses = answers.shape[1]
        if glimpses < self.length:
            raise ValueError(
                f"`glimpses` must be at least {self.length}, one for each answer, got {glimpses}: "
                "choose more"
            )
        asked = torch.arange(glimpses, device=answers.device) * self.length // glimpses
        ends = torch.arange(1, self.length + 1, device=answers.device) * glimpses
        return asked, (ends + self.length - 1) // self.length - 1


@dataclass(frozen=True)
class Search:
    """One place for each image, to be looked at: the location is the answer."""

    def check(self, targets: Shaped[Tensor, "N ..."]) -> None:
        """Refuse targets that are not a place `(x, y)` in [-1, 1] each.

        Raises:
            ValueError: They are not.
        """
        if targets.shape[1:] != (2,) or not targets.is_floating_point():
            raise ValueError(
                f"`targets` of a search must be (N, 2) of floats, got {tuple(targets.shape)} of "
                f"{targets.dtype}: give one (x, y) pair in [-1, 1] for each image"
            )
        if not bool((targets.abs() <= 1).all()):
            row = int((~(targets.abs() <= 1)).any(dim=1).nonzero()[0])
            raise ValueError(
                f"`targets` must be in [-1, 1], got {targets[row].tolist()} in row {row}: "
                "turn pixels into locations with glimpse.coordinates.to_locations"
            )

    def found(
        self, windows: Windows, centre: Float64[Tensor, "B 2"], place: Float64[Tensor, "B 2"]
    ) -> Bool[Tensor, "B"]:
        """Return whether the finest window around each centre covers the place, all in pixels."""
        place = (place * 2**20).round() / 2**20  # of a whole pixel (x + 1) / 2 * W is a hair off
        corner = windows.corners(centre)[:, 0].t()
        return ((corner <= place) & (place < corner + windows.widths[0])).all(dim=1)


def answered(task: Task | Search) -> Task:
    """Return the task, for those who answer.

    Raises:
        ValueError: It is a search.
    """
    if isinstance(task, Search):
        raise ValueError(
            "images must be answered about, got a Search, whose answer is the location: "
            "choose another environment"
        )
    return task


_BY_NAME = {"classification": Classification, "sequence": Sequence}


def describe_task(task: Task) -> dict[str, Any]:
    """Return what it takes to make a task again: of one of your own, its name alone."""
    if isinstance(task, Classification | Sequence):
        for name, kind in _BY_NAME.items():
            if type(task) is kind:
                return {"name": name, **asdict(task)}
    return {"name": type(task).__name__}


def task_of(description: Mapping[str, Any]) -> Task:
    """Return the task that `describe_task` described.

    Raises:
        ValueError: It is one of your own.
    """
    options = dict(description)
    name = options.pop("name")
    if name not in _BY_NAME:
        raise ValueError(f"`task` must be given, got none: the agent was made for your own {name}")
    kind: Any = _BY_NAME[name]
    task: Task = kind(**{**options, "classes": tuple(options["classes"])})
    return task


def _check_classes(
    targets: Shaped[Tensor, "N ..."], length: tuple[int, ...], classes: tuple[str, ...], mend: str
) -> None:
    wanted = (len(targets), *length)
    if targets.shape != wanted or targets.dtype != torch.int64:
        raise ValueError(
            f"`targets` must be {wanted} of whole numbers, got {tuple(targets.shape)} of "
            f"{targets.dtype}: {mend}"
        )
    if len(targets) and not 0 <= int(targets.min()) <= int(targets.max()) < len(classes):
        raise ValueError(
            f"`targets` must be in [0, {len(classes)}), got {int(targets.min())} to "
            f"{int(targets.max())}: number the classes from 0 and name each"
        )
