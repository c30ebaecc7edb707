"""What watches a run: each callback by what it leaves behind."""

import os
import signal
import time
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from glimpse.callbacks import Checkpoint, Log, ProgressBar, StopOnInterrupt, Validate
from glimpse.loop import Progress, Spent, train
from glimpse.processes import LostProcess, Processes
from glimpse.run_folder import RunFolder


class Counter:
    """A learner whose step n logs `n` and presses Ctrl-C as often as it is told."""

    def __init__(self, press: Mapping[int, int] | None = None) -> None:
        self.taken = 0
        self._press = press or {}

    def step(self) -> Mapping[str, float]:
        self.taken += 1
        for _ in range(self._press.get(self.taken, 0)):
            signal.raise_signal(signal.SIGINT)
        return {"n": float(self.taken)}

    def state_dict(self) -> dict[str, Any]:
        return {"taken": self.taken, "weights": torch.full((2,), float(self.taken))}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.taken = state["taken"]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run")


def _progress(step: int, steps: int = 10, **metrics: float | Tensor) -> Progress:
    return Progress(Counter(), step, steps, metrics)


def _events(run: RunFolder) -> EventAccumulator:
    events = EventAccumulator(str(run.path))
    events.Reload()
    return events


def _scalars(run: RunFolder, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in _events(run).Scalars(name)]


# Log


def test_a_row_is_the_mean_of_its_steps(run: RunFolder) -> None:
    with Log(run, 3) as log:
        train(Counter(), 6, [log])
        assert run.metrics.read() == [{"step": 3, "n": 2.0}, {"step": 6, "n": 5.0}]
    assert run.metrics.read() == [{"step": 3, "n": 2.0}, {"step": 6, "n": 5.0}]


def test_numbers_may_be_tensors(run: RunFolder) -> None:
    with Log(run, 3) as log:
        for step in range(1, 8):
            value = torch.tensor(step / 4, dtype=torch.float32 if step % 2 else torch.float64)
            log(_progress(step, n=value, plain=2.0 * step))
    assert run.metrics.read() == [
        {"step": 3, "n": 0.5, "plain": 4.0},
        {"step": 6, "n": 1.25, "plain": 10.0},
        {"step": 7, "n": 1.75, "plain": 14.0},
    ]
    assert _scalars(run, "n") == [(3, 0.5), (6, 1.25), (7, 1.75)]


def test_tensors_and_numbers_under_one_name(run: RunFolder) -> None:
    with Log(run, 2) as log:
        for step, value in enumerate((1.0, torch.tensor(2.0), torch.tensor(3.0), 5.0), start=1):
            log(_progress(step, n=value))
    assert run.metrics.read() == [{"step": 2, "n": 1.5}, {"step": 4, "n": 4.0}]


def test_the_mean_of_tensors_is_not_rounded_to_their_precision(run: RunFolder) -> None:
    """Summed in float32, a thousand times 0.1 is 99.999."""
    with Log(run, 1000) as log:
        for step in range(1, 1001):
            log(_progress(step, n=torch.tensor(0.1)))
    (row,) = run.metrics.read()
    assert row["n"] == pytest.approx(torch.tensor(0.1).item(), rel=1e-12)


def test_what_is_left_is_written_at_the_end(run: RunFolder) -> None:
    with Log(run, 5) as log:
        train(Counter(), 7, [log])
    assert run.metrics.read() == [{"step": 5, "n": 3.0}, {"step": 7, "n": 6.5}]


def test_an_error_loses_no_row(run: RunFolder) -> None:
    learner = Counter(press={3: 1})
    with pytest.raises(KeyboardInterrupt), Log(run, 5) as log:
        train(learner, 10, [log])
    assert learner.taken == 3
    assert run.metrics.read() == [{"step": 2, "n": 1.5}]
    assert _scalars(run, "n") == [(2, 1.5)]


def test_a_note_is_in_the_next_row_only(run: RunFolder) -> None:
    with Log(run, 2) as log:
        log.note({"validation error %": 9.0, "other": 1.0})
        log.note({"validation error %": 8.0})
        train(Counter(), 4, [log])
    assert run.metrics.read() == [
        {"step": 2, "n": 1.5, "validation error %": 8.0, "other": 1.0},
        {"step": 4, "n": 3.5},
    ]


def test_a_note_after_the_last_row_is_not_lost(run: RunFolder) -> None:
    with Log(run, 2) as log:
        train(Counter(), 2, [log])
        log.note({"validation error %": 7.0})
    assert run.metrics.read()[-1]["validation error %"] == 7.0
    assert run.metrics.read()[-1]["step"] == 2


def test_what_is_logged_in_some_steps_is_averaged_over_those(run: RunFolder) -> None:
    with Log(run, 4) as log:
        for step in range(1, 5):
            log(_progress(step, n=1.0, **({"seldom": 6.0} if step % 2 else {})))
    assert run.metrics.read() == [{"step": 4, "n": 1.0, "seldom": 6.0}]


def test_tensorboard_gets_the_same_numbers(run: RunFolder) -> None:
    with Log(run, 2) as log:
        log.note({"validation error %": 8.5})
        train(Counter(), 5, [log])
    assert _scalars(run, "n") == [(2, 1.5), (4, 3.5), (5, 5.0)]
    (name,) = (tag for tag in _events(run).Tags()["scalars"] if tag != "n")
    assert name.startswith("validation error")
    assert _scalars(run, name) == [(2, 8.5)]


def test_tensorboard_gets_the_picture(run: RunFolder) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    with Log(run, 1) as log:
        log.picture("fixations", Image.fromarray(pixels), 40)
    (event,) = _events(run).Images("fixations")
    assert (event.step, event.width, event.height) == (40, 7, 5)
    shown = Image.open(BytesIO(event.encoded_image_string))
    np.testing.assert_array_equal(np.asarray(shown.convert("RGB")), pixels)


def test_a_resumed_log_forgets_what_came_after(run: RunFolder) -> None:
    with Log(run, 2) as log:
        train(Counter(), 8, [log])
    assert [row["step"] for row in run.metrics.read()] == [2, 4, 6, 8]
    time.sleep(1.1)  # TensorBoard reads files in the order of their names: seconds, then process
    resumed = Counter()
    resumed.taken = 104
    with Log(run, 2, start=4) as log:
        assert [row["step"] for row in run.metrics.read()] == [2, 4]
        train(resumed, 6, [log], start=4)
    wanted = [(2, 1.5), (4, 3.5), (6, 105.5)]
    assert [(row["step"], row["n"]) for row in run.metrics.read()] == wanted
    assert _scalars(run, "n") == wanted


@pytest.mark.parametrize("count", [0, -1])
def test_a_log_that_never_writes_is_refused(count: int, run: RunFolder) -> None:
    message = f"^`log_every` must be a whole number from 1, got {count}: choose another$"
    with pytest.raises(ValueError, match=message):
        Log(run, count)


# Validate, Checkpoint


def test_validation_measures_once_and_tells_all(run: RunFolder) -> None:
    count, told = 0, []

    def measure() -> Mapping[str, float]:
        nonlocal count
        count += 1
        return {"error": count / 4}

    watch = Validate(measure, told.append, lambda metrics: told.append(dict(metrics)))
    assert watch(_progress(1)) is None
    watch(_progress(2))
    assert told == [{"error": 0.25}] * 2 + [{"error": 0.5}] * 2


def test_a_checkpoint_holds_the_step_the_learner_and_the_time(run: RunFolder) -> None:
    learner = Counter()
    keep = Checkpoint(run)
    for steps in (3, 5):
        progress = train(learner, steps, start=learner.taken, spent=Spent(70.0, 30.0))
        assert keep(progress) is None
        checkpoint = run.read_checkpoint()
        assert checkpoint.keys() == {"step", "learner", "spent"}
        assert Spent(*checkpoint["spent"]) == progress.spent
        assert 70 < progress.spent.wall < 80
        assert checkpoint["step"] == checkpoint["learner"]["taken"] == steps
        assert checkpoint["learner"]["weights"].tolist() == [steps, steps]


# StopOnInterrupt


def test_the_first_ctrl_c_ends_the_run_after_its_step() -> None:
    learner, told = Counter(press={3: 1}), []
    with StopOnInterrupt() as stop:
        progress = train(learner, 10, [stop, lambda progress: told.append(progress.step)])
    assert learner.taken == progress.step == 3
    assert told == [1, 2, 3]


def test_nobody_pressed() -> None:
    with StopOnInterrupt() as stop:
        assert stop(_progress(1)) is False
        assert train(Counter(), 4, [stop]).step == 4


def test_the_second_ctrl_c_ends_it_at_once() -> None:
    learner = Counter(press={3: 2})
    with pytest.raises(KeyboardInterrupt), StopOnInterrupt() as stop:
        train(learner, 10, [stop])
    assert learner.taken == 3


def test_ctrl_c_is_given_back() -> None:
    pressed = []
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        mine = signal.getsignal(signal.SIGINT)
        with StopOnInterrupt() as stop:
            assert signal.getsignal(signal.SIGINT) is not mine
            signal.raise_signal(signal.SIGINT)
            assert stop(_progress(1)) is True
        assert signal.getsignal(signal.SIGINT) is mine
        with pytest.raises(RuntimeError), StopOnInterrupt():
            raise RuntimeError
        assert signal.getsignal(signal.SIGINT) is mine
        assert pressed == []
        signal.raise_signal(signal.SIGINT)
        assert pressed == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


class Fellow(Processes):
    """One of two processes, of which the other presses Ctrl-C in its second step, or never."""

    def pressing(self, step: int) -> "Fellow":
        self.__dict__["left"] = step
        return self

    def add(self, mine: Tensor) -> Tensor:
        self.__dict__["left"] -= 1
        return mine + float(self.__dict__["left"] == 0)


def test_who_is_told_by_another_ends_after_the_same_step() -> None:
    with StopOnInterrupt(Fellow(0, 2).pressing(2)) as stop:
        assert train(Counter(), 10, [stop]).step == 2


def test_who_is_told_itself_ends_beside_others_too() -> None:
    with StopOnInterrupt(Fellow(1, 2).pressing(-1)) as stop:
        assert train(Counter(press={3: 1}), 10, [stop]).step == 3


@pytest.mark.skipif(os.name != "posix", reason="SIGTERM ends a process there")
def test_beside_others_sigterm_counts_and_is_given_back() -> None:
    """And a second one ends nothing at once: `torchrun` sends it to whoever is left."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with StopOnInterrupt(Fellow(0, 2).pressing(-1)) as stop:
            for _ in range(2):
                signal.raise_signal(signal.SIGTERM)
            assert stop(_progress(1)) is True
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with StopOnInterrupt():  # alone it is not ours
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.skipif(os.name != "posix", reason="SIGTERM ends a process there")
@pytest.mark.parametrize(
    ("error", "wanted"), [(LostProcess, signal.SIG_IGN), (ValueError, signal.SIG_DFL)]
)
def test_who_has_lost_another_is_not_ended_before_it_says_so(
    error: type[Exception], wanted: object
) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(error, match="gone"), StopOnInterrupt(Fellow(0, 2).pressing(-1)):
            raise error("gone")
        assert signal.getsignal(signal.SIGTERM) is wanted
        assert signal.getsignal(signal.SIGINT) is interrupt
    finally:
        signal.signal(signal.SIGTERM, before)


# ProgressBar


def test_the_bar_shows_steps_and_notes(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar() as bar:
        bar.note({"error": 12.3456, "loss": 0.5})
        train(Counter(), 7, [bar])
    out, err = capsys.readouterr()
    assert out == ""
    assert "7/7" in err
    assert "error 12.3" in err
    assert "loss 0.5" in err


def test_a_bar_that_is_cut_short_shows_how_far_it_came(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(KeyboardInterrupt), ProgressBar() as bar:
        train(Counter(press={41: 1}), 1000, [bar])
    assert "40/1000" in capsys.readouterr().err
