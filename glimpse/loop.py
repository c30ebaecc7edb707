"""The training loop. It counts; everything else is done by the learner and by callbacks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Learner(Protocol):
    """What can be trained."""

    def step(self) -> Mapping[str, float]:
        """Gather experience, improve once, and return what there is to log."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed run needs, in tensors, numbers, strings, lists and dicts."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to such a state."""
        ...


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        learner: What is trained.
        step: How many steps it has taken, those before a resumption included.
        steps: How many it shall take.
        metrics: What the last step returned; empty before the first.
    """

    learner: Learner
    step: int
    steps: int
    metrics: Mapping[str, float]


# Called after each step, all of them; True from any ends the run.
Callback = Callable[[Progress], bool | None]


def train(
    learner: Learner, steps: int, callbacks: Sequence[Callback] = (), *, start: int = 0
) -> Progress:
    """Take the steps from `start` to `steps` and tell every callback after each.

    Returns:
        How far the run got: to the end, or to where a callback ended it.
    """
    progress = Progress(learner, start, steps, {})
    for step in range(start + 1, steps + 1):
        progress = Progress(learner, step, steps, learner.step())
        if any([callback(progress) for callback in callbacks]):
            break
    return progress


def every(count: int, callback: Callback) -> Callback:
    """Return a callback that is called after every `count` steps and after the last."""

    def sometimes(progress: Progress) -> bool | None:
        due = progress.step % count == 0 or progress.step == progress.steps
        return callback(progress) if due else None

    return sometimes
