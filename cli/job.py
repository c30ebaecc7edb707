"""One training, whatever is trained: it is logged, validated, drawn and saved while it goes on."""

import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jsonargparse import Namespace
from PIL import Image

from glimpse.callbacks import Checkpoint, Log, ProgressBar, StopOnInterrupt, Validate
from glimpse.loop import Callback, Learner, Progress, Spent, every, train
from glimpse.processes import ALONE, LostProcess, Processes
from glimpse.run_folder import RunFolder

# The exit code of a run that Ctrl-C ended, as shells have it.
INTERRUPTED = 130


@dataclass(frozen=True)
class Uses:
    """What can be done with a run; each takes a command's options and returns the exit code.

    Attributes:
        evaluate: `glimpse evaluate`.
        watch: `glimpse watch`.
        predict: `glimpse predict`.
    """

    evaluate: Callable[[Namespace], int]
    watch: Callable[[Namespace], int]
    predict: Callable[[Namespace], int]


@dataclass(frozen=True)
class Trainer:
    """A row of the table of what can be trained.

    Attributes:
        summary: What it is, in one line.
        options: The dataclasses of its options.
        begin: Trains with options by name; returns the exit code.
        resume: Goes on with the run in a folder; returns the exit code.
        uses: What can be done with a run.
    """

    summary: str
    options: tuple[type, ...]
    begin: Callable[[Mapping[str, Any]], int]
    resume: Callable[[RunFolder], int]
    uses: Uses


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be done.

    Attributes:
        learner: Who learns.
        steps: How long.
        save: Writes what was learned into the run's folder.
        validate: Returns what validation images say, if there are any.
        picture: Draws what was learned; called where there are validation images.
        drawn: The picture's name.
    """

    learner: Learner
    steps: int
    save: Callable[[], None]
    validate: Callable[[], Mapping[str, float]] | None = None
    picture: Callable[[], Image.Image] | None = None
    drawn: str = "fixations"


def do(
    job: Job,
    folder: RunFolder,
    log_every: int,
    *,
    checkpoint: Mapping[str, Any] | None = None,
    processes: Processes = ALONE,
) -> Progress:
    """Train, and keep the run's folder up to date; return how far it got before Ctrl-C.

    Args:
        job: What is to be done.
        folder: Where its files are written, by the process that leads.
        log_every: Steps that each row of `metrics.csv` covers.
        checkpoint: Where to go on; None: from the start.
        processes: Who takes every step together.

    Raises:
        LostProcess: One of them is lost; the folder holds all that was learned until then.
    """
    start, spent = 0, Spent()
    if checkpoint is not None:
        start, spent = _restore(job.learner, checkpoint, folder)
    keep_state = Checkpoint(folder)
    latest = Progress(job.learner, start, job.steps, {}, spent)

    def remember(progress: Progress) -> None:
        nonlocal latest
        latest = progress

    def keep(progress: Progress) -> None:
        job.save()
        keep_state(progress)

    with (
        ProgressBar() as bar,
        Log(folder, log_every, start=start) as log,
        StopOnInterrupt(processes) as stop,
    ):
        often = max(job.steps // 20, 20)
        callbacks: list[Callback] = [remember, every(often, keep), bar, log, stop]
        if job.validate is not None:  # before what is kept: the best is part of that
            callbacks.insert(0, every(often, Validate(job.validate, log.note, bar.note)))
        if job.validate is not None and job.picture is not None:
            picture = job.picture

            def draw(progress: Progress) -> None:
                log.picture(job.drawn, picture(), progress.step)

            callbacks.append(every(5 * often, draw))
        try:
            latest = train(job.learner, job.steps, callbacks, start=start, spent=spent)
        except LostProcess:
            keep(latest)  # the step that failed has changed nothing
            raise
    if latest.step < job.steps:
        keep(latest)
    return latest


def follow(
    learner: Learner,
    steps: int,
    folder: RunFolder | None,
    *,
    checkpoint: Mapping[str, Any] | None = None,
    processes: Processes,
) -> None:
    """Take the same steps as the process that leads, and leave the rest to it.

    Args:
        learner: Who learns, as there.
        steps: How long.
        folder: Whence the checkpoint comes.
        checkpoint: Where to go on; None: from the start.
        processes: Who takes every step together.

    Raises:
        LostProcess: One of them is lost.
    """
    start = 0
    if folder is not None and checkpoint is not None:
        start, _ = _restore(learner, checkpoint, folder)
    with StopOnInterrupt(processes) as stop:
        train(learner, steps, [stop], start=start)


def agent_of(folder: RunFolder) -> str:
    """Return what was trained in a folder, by its name on the command line."""
    return str(folder.read_json("agent.json").get("agent"))


def interrupted(progress: Progress, folder: RunFolder) -> int:
    """Say how to go on with a run that Ctrl-C ended; return the exit code."""
    print(
        f"interrupted after {progress.step} of {progress.steps} steps; go on with:",
        file=sys.stderr,
    )
    print(f"  glimpse train --resume {shlex.quote(str(folder.path))}")
    return INTERRUPTED


def new_place(name: str, what: str) -> str:
    """Return the folder of a run for which none was named: of what is trained, on what, when."""
    time = datetime.now().strftime("%Y%m%d-%H%M%S-%f")[:-3]
    return f"runs/{name}-{what.rstrip('/').split('/')[-1]}-{time}"


def _restore(
    learner: Learner, checkpoint: Mapping[str, Any], folder: RunFolder
) -> tuple[int, Spent]:
    """Bring a learner to where a checkpoint left it; return its step and the time it took."""
    step, state, spent = (checkpoint.get(key) for key in ("step", "learner", "spent"))
    if not (isinstance(step, int) and isinstance(state, dict) and isinstance(spent, list)):
        raise ValueError(
            f"{folder.path / 'checkpoint.pt'} must hold a step, a learner and the time spent, got "
            f"{', '.join(map(str, checkpoint)) or 'nothing'}: restore it or train anew"
        )
    learner.load_state_dict(state)
    return step, Spent(*spent)
