"""What watches a training run: progress bar, log, validation, pictures, checkpoints, Ctrl-C."""

import signal
from collections.abc import Callable, Mapping
from statistics import fmean
from types import FrameType
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from torch import Tensor

from .checks import check_count
from .loop import Progress
from .processes import ALONE, LostProcess, Processes
from .run_folder import RunFolder


class ProgressBar:
    """Show how far a run is, and numbers of interest, on the standard error output."""

    def __init__(self) -> None:
        self._bar = Bar(
            TextColumn("training"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> "ProgressBar":
        """Begin to show it."""
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop showing it."""
        self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=progress.step, total=progress.steps)

    def note(self, metrics: Mapping[str, float]) -> None:
        """Show these numbers beside the bar."""
        text = "  ".join(f"{name} {value:.3g}" for name, value in metrics.items())
        self._bar.update(self._task, description=text)


class Log:
    """Write the means of what was logged into `metrics.csv` and for TensorBoard.

    Called after every step, it writes after every `count` steps and when it is closed.

    Args:
        run: Where.
        count: How many steps each row covers.
        start: The step from which the run goes on; what was logged after it is forgotten.
    """

    def __init__(self, run: RunFolder, count: int, *, start: int = 0) -> None:
        # Seconds to import, and nothing that evaluates or predicts needs it.
        from torch.utils.tensorboard import SummaryWriter

        check_count(1, log_every=count)
        self._metrics, self._count, self._step = run.metrics, count, start
        self._metrics.forget_after(start)
        self._writer = SummaryWriter(str(run.path), purge_step=start + 1 if start else None)
        self._values: dict[str, list[float | Tensor]] = {}
        self._notes: dict[str, float] = {}

    def __enter__(self) -> "Log":
        """Begin."""
        return self

    def __exit__(self, *error: object) -> None:
        """Write what is left and close the file for TensorBoard."""
        if self._values or self._notes:
            self._write()
        self._writer.close()

    def __call__(self, progress: Progress) -> None:
        """Count the step in, and write a row if it is time."""
        self._step = progress.step
        for name, value in progress.metrics.items():
            self._values.setdefault(name, []).append(value)
        if progress.step % self._count == 0:
            self._write()

    def _write(self) -> None:
        row = {name: _mean(values) for name, values in self._values.items()} | self._notes
        self._metrics.append(self._step, row)
        for name, value in row.items():
            self._writer.add_scalar(name, value, self._step)
        self._values, self._notes = {}, {}

    def note(self, metrics: Mapping[str, float]) -> None:
        """Put these numbers into the next row."""
        self._notes.update(metrics)

    def picture(self, name: str, picture: Image.Image, step: int) -> None:
        """Show a picture in TensorBoard."""
        self._writer.add_image(name, np.asarray(picture), step, dataformats="HWC")


def _mean(values: list[float | Tensor]) -> float:
    """Return the mean of numbers, fetched from their device in one go."""
    if isinstance(values[0], Tensor):
        return fmean(torch.stack([torch.as_tensor(value) for value in values]).tolist())
    return fmean(map(float, values))


class Validate:
    """Measure, and tell whoever wants to know.

    Args:
        measure: Returns numbers by name; it must not look at test images.
        tell: Are told them, `Log.note` and `ProgressBar.note` for instance.
    """

    def __init__(
        self,
        measure: Callable[[], Mapping[str, float]],
        *tell: Callable[[Mapping[str, float]], None],
    ) -> None:
        self._measure, self._tell = measure, tell

    def __call__(self, progress: Progress) -> None:
        """Measure."""
        metrics = self._measure()
        for tell in self._tell:
            tell(metrics)


class Checkpoint:
    """Write all that a resumed run needs into `checkpoint.pt`."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run

    def __call__(self, progress: Progress) -> None:
        """Write it."""
        state: dict[str, Any] = {
            "step": progress.step,
            "spent": list(progress.spent),
            "learner": progress.learner.state_dict(),
        }
        self._run.write_checkpoint(state)


class StopOnInterrupt:
    """End the run after the step in which Ctrl-C is pressed; a second Ctrl-C ends it at once.

    Of several processes all end after the same step, in which any of them was told to; there
    SIGTERM counts too, with which `torchrun` ends those that are left when one is lost. Who has
    lost one ignores it from then on, to keep what was learned and to say what happened.

    Args:
        processes: Who takes every step together.
    """

    def __init__(self, processes: Processes = ALONE) -> None:
        self._pressed, self._processes = False, processes
        self._signals = [signal.SIGINT] + [signal.SIGTERM] * (processes.count > 1)
        self._before: list[Any] = []

    def __enter__(self) -> "StopOnInterrupt":
        """Listen for Ctrl-C."""
        self._before = [signal.signal(number, self._press) for number in self._signals]
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Give Ctrl-C back."""
        lost = kind is not None and issubclass(kind, LostProcess)
        for number, before in zip(self._signals, self._before, strict=True):
            ignored = lost and number == signal.SIGTERM
            signal.signal(number, signal.SIG_IGN if ignored else before)

    def __call__(self, progress: Progress) -> bool:
        """Say whether the run shall end."""
        return bool(self._processes.add(torch.tensor(float(self._pressed))) > 0)

    def _press(self, number: int, frame: FrameType | None) -> None:
        if self._pressed and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._pressed = True
