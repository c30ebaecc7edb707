"""`glimpse train base`: a maxout network that sees images whole, for dasNet to look through."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import torch

from glimpse.agents import BaseConfig, BaseLearner
from glimpse.bases import save_base
from glimpse.catalogue import find_images
from glimpse.classifier import class_names
from glimpse.device import find_device
from glimpse.image_set import ImageSource
from glimpse.run_folder import RunFolder

from . import base_runs
from .classifier_job import judge, train_classifier
from .job import Trainer, Uses, interrupted, new_place
from .options import FolderOptions, ImageOptions, given, read_options


def begin(options: Mapping[str, Any]) -> int:
    """Train; return the exit code."""
    run_options = FolderOptions(**given(options, FolderOptions))
    config = BaseConfig(**{field.name: options[field.name] for field in fields(BaseConfig)})
    shown = ImageOptions(**given(options, ImageOptions))
    learner = learner_of(config, run_options, shown)
    folder = RunFolder.create(run_options.run or new_place("base", shown.images or "digits"))
    describe_base(folder, config, run_options, shown)
    return train_base(learner, folder, run_options, shown)


def resume(folder: RunFolder) -> int:
    """Go on with a run; return the exit code."""
    stored = read_options(folder, BaseConfig)
    config = BaseConfig(**{field.name: stored[field.name] for field in fields(BaseConfig)})
    run_options = FolderOptions(**given(stored, FolderOptions))
    shown = ImageOptions(**given(stored, ImageOptions))
    learner, checkpoint = learner_of(config, run_options, shown), folder.read_checkpoint()
    return train_base(learner, folder, run_options, shown, checkpoint=checkpoint)


def learner_of(config: BaseConfig, options: FolderOptions, shown: ImageOptions) -> BaseLearner:
    """Return who learns, a network that knows nothing yet.

    Raises:
        ValueError: The images cannot be found, or not be learned from.
    """
    torch.set_num_threads(options.threads)
    images = images_of(shown, options)
    return BaseLearner(config, images, config.make(images))


def describe_base(
    folder: RunFolder, config: BaseConfig, options: FolderOptions, shown: ImageOptions
) -> None:
    """Write the config of a base's run."""
    kept = {key: value for key, value in asdict(options).items() if key != "run"}
    folder.write_config({**kept, **as_yaml(shown), **asdict(config)})


def train_base(
    learner: BaseLearner,
    folder: RunFolder,
    options: FolderOptions,
    shown: ImageOptions,
    *,
    checkpoint: Mapping[str, Any] | None = None,
    run: RunFolder | None = None,
) -> int:
    """Train a base in a folder that has its config; return the exit code.

    Args:
        learner: Who learns.
        folder: Of the base.
        options: Of the run.
        shown: Which images they are.
        checkpoint: Where to go on; None: from the start.
        run: What is to be resumed after Ctrl-C; None: the base's own folder.
    """
    names = class_names(learner.images)

    def keep() -> None:
        part = learner.config.train_images
        save_base(folder, learner.network, described(shown), part, names)

    progress = train_classifier(learner, folder, options.log_every, keep, checkpoint=checkpoint)
    if progress.step < progress.steps:
        return interrupted(progress, run or folder)
    base_runs.print_error(*judge(learner, folder))
    print(f"base: {folder.path}")
    return 0


def images_of(shown: ImageOptions, options: FolderOptions) -> ImageSource:
    """Return the images that options name, on the device."""
    return find_images(**described(shown)).to(find_device(options.device))


def as_yaml(shown: ImageOptions) -> dict[str, Any]:
    """Return the options as YAML has them."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(shown).items()
    }


def described(shown: ImageOptions) -> dict[str, Any]:
    """Return the options of `find_images`, by default the digits."""
    named = {name: value for name, value in asdict(shown).items() if value is not None}
    if "image_size" in named:
        named["image_size"] = tuple(named["image_size"])
    return {"images": "digits", **named}


TRAINER = Trainer(
    "a maxout network that sees images whole, for dasnet to set its gains",
    (FolderOptions, BaseConfig, ImageOptions),
    begin,
    resume,
    Uses(base_runs.evaluate, base_runs.watch, base_runs.predict),
)
