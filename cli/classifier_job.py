"""One training of a network that sees images whole, whichever it is: trained, chosen, judged."""

from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image
from rich.console import Console

from glimpse.classifier import Classifier, error_of
from glimpse.evaluation import ErrorRate
from glimpse.loop import Progress
from glimpse.run_folder import RunFolder

from .job import Job, do


def train_classifier(
    learner: Classifier[Any],
    folder: RunFolder,
    log_every: int,
    keep: Callable[[], None],
    *,
    checkpoint: Mapping[str, Any] | None = None,
    picture: Callable[[], Image.Image] | None = None,
) -> Progress:
    """Train in a folder that has its config; return how far it got before Ctrl-C.

    At its end the weights are those that were best on validation images, if there are any.

    Args:
        learner: Who learns.
        folder: Where its files are written.
        log_every: Steps that each row of `metrics.csv` covers.
        keep: Writes the network into the folder.
        checkpoint: Where to go on; None: from the start.
        picture: Draws what the network attends to, if it attends.
    """
    if checkpoint is None:
        keep()
    validated = len(learner.images.splits.get("validation", ())) > 0
    job = Job(
        learner=learner,
        steps=learner.config.steps,
        save=keep,
        validate=(lambda: {"validation error %": learner.validate().percent})
        if validated
        else None,
        picture=picture,
        drawn="attention",
    )
    progress = do(job, folder, log_every, checkpoint=checkpoint)
    if progress.step == progress.steps:
        learner.choose_best()
        keep()
    return progress


def judge(learner: Classifier[Any], folder: RunFolder) -> tuple[ErrorRate, str]:
    """Write `evaluation.json`; return the error on test images and their split's name.

    Without test images it is that on the training images.
    """
    split = "test" if len(learner.images.splits.get("test", ())) else "train"
    with Console(stderr=True).status("evaluating"):
        error = error_of(learner.network, learner.images, split)
    content = {"split": split, "images": error.count, "error": error.percent}
    folder.write_json("evaluation.json", {**content, "interval": list(error.interval())})
    return error, split
