"""`glimpse train soft`: a small network with soft attention, on the images that agents look at."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import torch

from glimpse.classifier import Classifier, class_names
from glimpse.device import find_device
from glimpse.image_set import ImageSource
from glimpse.run_folder import RunFolder
from glimpse.soft_baselines import SoftBaseline, SoftConfig, load_soft, save_soft

from . import soft_runs
from .classifier_job import judge, train_classifier
from .job import Trainer, Uses, interrupted, new_place
from .options import RunOptions, given, resolved
from .soft_runs import ShownOptions, check_images, draw_attention, images_of, print_error
from .train_base import as_yaml


def begin(options: Mapping[str, Any]) -> int:
    """Train; return the exit code."""
    run_options = RunOptions(**given(options, RunOptions))
    config = SoftConfig(**{field.name: options[field.name] for field in fields(SoftConfig)})
    view = given(options, ShownOptions)
    torch.set_num_threads(run_options.threads)
    images = images_of(run_options, view)
    soft = SoftBaseline(config, config.make(images), class_names(images))
    place = run_options.run or new_place(f"soft-{config.attention}", run_options.env)
    folder = RunFolder.create(place)
    kept = {key: value for key, value in asdict(run_options).items() if key != "run"}
    shown = ShownOptions(**given(resolved(run_options.env, view), ShownOptions))
    folder.write_config({**kept, **as_yaml(shown), **asdict(config)})
    return _train(soft, images, folder, run_options)


def resume(folder: RunFolder) -> int:
    """Go on with a run; return the exit code."""
    stored = folder.read_config()
    run_options = RunOptions(**given(stored, RunOptions))
    torch.set_num_threads(run_options.threads)
    soft = load_soft(folder.path, device=find_device(run_options.device))
    images = images_of(run_options, given(stored, ShownOptions))
    check_images(soft, images, folder)
    return _train(soft, images, folder, run_options, checkpoint=folder.read_checkpoint())


def _train(
    soft: SoftBaseline,
    images: ImageSource,
    folder: RunFolder,
    options: RunOptions,
    *,
    checkpoint: Mapping[str, Any] | None = None,
) -> int:
    learner = Classifier(soft.config, images, soft.network)
    progress = train_classifier(
        learner,
        folder,
        options.log_every,
        lambda: save_soft(soft, folder),
        checkpoint=checkpoint,
        picture=lambda: draw_attention(soft, images, "validation", 4),
    )
    if progress.step < progress.steps:
        return interrupted(progress, folder)
    print_error(*judge(learner, folder))
    print(f"run: {folder.path}")
    return 0


TRAINER = Trainer(
    "a small residual network that sees images whole, with soft attention in it",
    (RunOptions, SoftConfig, ShownOptions),
    begin,
    resume,
    Uses(soft_runs.evaluate, soft_runs.watch, soft_runs.predict),
)
