"""The loop, with fakes that count."""

from collections.abc import Mapping
from dataclasses import FrozenInstanceError
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from glimpse import loop
from glimpse.loop import Callback, Learner, Metrics, Progress, Spent, every, train


class Counter:
    """A learner that counts its steps and tells them."""

    def __init__(self) -> None:
        self.taken = 0

    def step(self) -> Mapping[str, float]:
        self.taken += 1
        return {"taken": float(self.taken)}

    def state_dict(self) -> dict[str, Any]:
        return {"taken": self.taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.taken = state["taken"]


class Recorder:
    """A callback that keeps what it was told, and says True at one step."""

    def __init__(self, end: int | None = None) -> None:
        self.told: list[Progress] = []
        self.end = end

    def __call__(self, progress: Progress) -> bool | None:
        self.told.append(progress)
        return True if progress.step == self.end else None

    @property
    def steps(self) -> list[int]:
        return [progress.step for progress in self.told]


def test_the_loop_counts() -> None:
    learner, recorder = Counter(), Recorder()
    progress = train(learner, 4, [recorder])
    assert learner.taken == 4
    assert recorder.steps == [1, 2, 3, 4]
    assert [told.metrics for told in recorder.told] == [{"taken": float(n)} for n in (1, 2, 3, 4)]
    assert all(told.learner is learner and told.steps == 4 for told in recorder.told)
    assert progress == Progress(learner, 4, 4, {"taken": 4.0}, progress.spent)
    assert progress is recorder.told[-1]


def test_numbers_that_are_tensors_are_passed_on_as_they_are() -> None:
    class Unread(Counter):
        """A learner whose number must not be waited for: a loop has no use for it."""

        def step(self) -> Metrics:
            return {"loss": torch.empty((), device="meta")}  # which nobody can read

    recorder = Recorder()
    train(Unread(), 3, [recorder])
    assert all(isinstance(told.metrics["loss"], torch.Tensor) for told in recorder.told)


def test_callbacks_are_told_after_the_step_in_their_order() -> None:
    learner, order = Counter(), []
    callbacks: list[Callback] = [
        lambda progress: order.append(("first", learner.taken, progress.step)),
        lambda progress: order.append(("second", learner.taken, progress.step)),
    ]
    train(learner, 2, callbacks)
    assert order == [("first", 1, 1), ("second", 1, 1), ("first", 2, 2), ("second", 2, 2)]


def test_true_ends_the_run_and_all_are_told() -> None:
    learner = Counter()
    before, ends, after = Recorder(), Recorder(end=3), Recorder()
    progress = train(learner, 10, [before, ends, after])
    assert learner.taken == 3
    assert before.steps == ends.steps == after.steps == [1, 2, 3]
    assert (progress.step, progress.steps, progress.metrics) == (3, 10, {"taken": 3.0})


@pytest.mark.parametrize("answer", [None, False])
def test_nothing_but_true_ends_the_run(answer: bool | None) -> None:
    learner = Counter()
    assert train(learner, 3, [lambda progress: answer]).step == 3
    assert learner.taken == 3


def test_a_run_goes_on_from_its_start() -> None:
    learner, recorder = Counter(), Recorder()
    progress = train(learner, 7, [recorder], start=5)
    assert learner.taken == 2
    assert recorder.steps == [6, 7]
    assert [told.steps for told in recorder.told] == [7, 7]
    assert (progress.step, progress.steps) == (7, 7)


@pytest.mark.parametrize(("steps", "start"), [(0, 0), (5, 5), (5, 8)])
def test_a_run_that_is_over_takes_no_step(steps: int, start: int) -> None:
    learner, recorder = Counter(), Recorder()
    progress = train(learner, steps, [recorder], start=start)
    assert learner.taken == 0
    assert recorder.told == []
    assert progress == Progress(learner, start, steps, {})


@pytest.mark.parametrize(
    ("count", "start", "wanted"),
    [
        (1, 0, [1, 2, 3, 4, 5, 6, 7]),
        (3, 0, [3, 6, 7]),
        (7, 0, [7]),
        (20, 0, [7]),
        (3, 4, [6, 7]),
    ],
)
def test_every_so_many_steps_and_the_last(count: int, start: int, wanted: list[int]) -> None:
    recorder = Recorder()
    train(Counter(), 7, [every(count, recorder)], start=start)
    assert recorder.steps == wanted


def test_every_passes_the_answer_on() -> None:
    learner, always = Counter(), Recorder()
    train(learner, 10, [every(4, lambda progress: True), always])
    assert learner.taken == 4
    assert always.steps == [1, 2, 3, 4]


def test_progress_is_frozen_and_the_counter_is_a_learner() -> None:
    progress = Progress(Counter(), 1, 2, {})
    with pytest.raises(FrozenInstanceError):
        progress.step = 5  # type: ignore[misc]
    assert isinstance(progress.learner, Learner)
    assert not isinstance(object(), Learner)


def test_what_a_run_takes_is_counted_on_from_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that a step moves on by 2 seconds, 3 of the processor, and a callback by 1."""
    wall, processor = [100.0], [40.0]
    clock = SimpleNamespace(perf_counter=lambda: wall[0], process_time=lambda: processor[0])
    monkeypatch.setattr(loop, "time", clock)

    class Slow(Counter):
        def step(self) -> Metrics:
            wall[0] += 2
            processor[0] += 3
            return super().step()

    def linger(progress: Progress) -> None:
        wall[0] += 1

    recorder = Recorder()
    progress = train(Slow(), 3, [recorder, linger])
    assert [told.spent for told in recorder.told] == [
        Spent(2.0, 3.0),
        Spent(5.0, 6.0),
        Spent(8.0, 9.0),
    ]
    wall[0] += 1000
    progress = train(Slow(), 5, [recorder, linger], start=3, spent=progress.spent)
    assert [told.spent for told in recorder.told[3:]] == [Spent(10, 12), Spent(13, 15)]
    assert progress.spent == Spent(13, 15)
    assert train(Slow(), 5, start=5, spent=progress.spent).spent == progress.spent
    assert train(Slow(), 0).spent == Spent(0, 0)


def test_an_error_of_the_learner_or_of_a_callback_comes_through() -> None:
    class Broken(Counter):
        def step(self) -> Mapping[str, float]:
            raise RuntimeError("diverged")

    def broken(progress: Progress) -> None:
        raise OSError("disk full")

    with pytest.raises(RuntimeError, match="diverged"):
        train(Broken(), 3)
    with pytest.raises(OSError, match="disk full"):
        train(Counter(), 3, [broken])
