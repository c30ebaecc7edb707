"""The training loop. It counts; everything else is done by the learner and by callbacks."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor

# Numbers by name; a tensor of one number is not waited for until somebody reads it.
Metrics = Mapping[str, float | Tensor]


@runtime_checkable
class Learner(Protocol):
    """What can be trained."""

    def step(self) -> Metrics:
        """Gather experience, improve once, and return what there is to log."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed run needs, in tensors, numbers, strings, lists and dicts."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to such a state."""
        ...


class Spent(NamedTuple):
    """Time a run has taken, in seconds: on the wall, and of the processor."""

    wall: float = 0.0
    processor: float = 0.0


_NONE = Spent()


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        learner: What is trained.
        step: How many steps it has taken, those before a resumption included.
        steps: How many it shall take.
        metrics: What the last step returned; empty before the first.
        spent: How long that took, what came before a resumption included.
    """

    learner: Learner
    step: int
    steps: int
    metrics: Metrics
    spent: Spent = _NONE


# Called after each step, all of them; True from any ends the run.
Callback = Callable[[Progress], bool | None]


def train(
    learner: Learner,
    steps: int,
    callbacks: Sequence[Callback] = (),
    *,
    start: int = 0,
    spent: Spent = _NONE,
) -> Progress:
    """Take the steps from `start` to `steps` and tell every callback after each.

    Returns:
        How far the run got: to the end, or to where a callback ended it.
    """
    wall, processor = time.perf_counter() - spent.wall, time.process_time() - spent.processor
    progress = Progress(learner, start, steps, {}, spent)
    for step in range(start + 1, steps + 1):
        metrics = learner.step()
        now = Spent(time.perf_counter() - wall, time.process_time() - processor)
        progress = Progress(learner, step, steps, metrics, now)
        if any([callback(progress) for callback in callbacks]):
            break
    return progress


def every(count: int, callback: Callback) -> Callback:
    """Return a callback that is called after every `count` steps and after the last."""

    def sometimes(progress: Progress) -> bool | None:
        due = progress.step % count == 0 or progress.step == progress.steps
        return callback(progress) if due else None

    return sometimes
