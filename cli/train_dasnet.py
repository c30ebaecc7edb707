"""`glimpse train dasnet`: a policy that sets the gains of a frozen network, found by evolution.

Under `torchrun` all processes share the population; the first writes the run's folder:

    torchrun --nproc-per-node 2 -m -- glimpse.cli train dasnet --run runs/mine

Without the `--`, torchrun takes our `--run` for its own `--run-path`.
"""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from glimpse.agents import BaseConfig, BaseLearner, Dasnet, DasnetConfig, DasnetLearner, portion
from glimpse.agents.portions import Part
from glimpse.bases import Base, find_network, load_base, save_base
from glimpse.batches import drawn
from glimpse.device import find_device
from glimpse.envs import FeedbackConfig, feedback_on
from glimpse.feedback import FeedbackBatch
from glimpse.maxout import MaxoutNetwork
from glimpse.processes import Processes, joined
from glimpse.run_folder import RunFolder

from . import dasnet_runs
from .dasnet_report import evaluate_passes, print_passes
from .job import Job, Trainer, Uses, do, follow, interrupted, new_place
from .options import EVALUATION_ROWS, FolderOptions, ImageOptions, given, read_options
from .train_base import (
    as_yaml,
    describe_base,
    described,
    images_of,
    learner_of,
    train_base,
)

_EXAMPLES = 1000  # training images by which observations are standardised


@dataclass(frozen=True)
class _Plan:
    """What is to be done, and by whom."""

    config: DasnetConfig
    options: FolderOptions
    shown: ImageOptions
    processes: Processes

    @classmethod
    def of(cls, options: Mapping[str, Any], processes: Processes) -> "_Plan":
        """Return the plan that options by name describe."""
        config = DasnetConfig(**{field.name: options[field.name] for field in fields(DasnetConfig)})
        run_options = FolderOptions(**given(options, FolderOptions))
        return cls(config, run_options, ImageOptions(**given(options, ImageOptions)), processes)


@dataclass(frozen=True)
class _Looks:
    """What looks at which images.

    Attributes:
        base: The frozen network.
        core: The same with gains, and the images.
        pool: Those that are learned from.
    """

    base: Base
    core: FeedbackBatch
    pool: Part

    @classmethod
    def of(cls, plan: _Plan, base: Base) -> "_Looks":
        """Return what the plan says of a base; refuse what does not fit."""
        config, shown = plan.config, plan.shown
        torch.set_num_threads(plan.options.threads)
        options = FeedbackConfig(
            **given(described(shown) if config.base is None else asdict(shown), FeedbackConfig),
            passes=config.passes,
            reward=config.reward,
            boost=config.boost,
            device=str(find_device(plan.options.device)),
        )
        core = feedback_on(base, options, EVALUATION_ROWS)
        return cls(base, core, portion(core.images, base.shown, other=config.learn_from == "other"))


def begin(options: Mapping[str, Any]) -> int:
    """Train; return the exit code."""
    with joined(find_device(options["device"])) as processes:
        plan = _Plan.of(options, processes)
        looks = None
        if plan.config.base is not None:
            looks = _Looks.of(plan, find_network(plan.config.base))
        else:
            _base_learner(plan)  # what cannot be is refused before there is a folder
        if not processes.leads:
            return _follow(plan, looks)
        what = plan.config.base or plan.shown.images or "digits"
        folder = RunFolder.create(plan.options.run or new_place("dasnet", what))
        kept = {key: value for key, value in asdict(plan.options).items() if key != "run"}
        folder.write_config({**kept, **as_yaml(plan.shown), **asdict(plan.config)})
        folder.write_json("agent.json", {"agent": "dasnet", "config": asdict(plan.config)})
        return _lead(plan, looks, folder)


def resume(folder: RunFolder) -> int:
    """Go on with a run; return the exit code."""
    stored = read_options(folder, DasnetConfig)
    begun = (folder.path / "checkpoint.pt").is_file()  # else only its base was
    checkpoint = folder.read_checkpoint() if begun else None
    with joined(find_device(stored.get("device", "auto"))) as processes:
        plan = _Plan.of(stored, processes)
        looks = None
        if plan.config.base is not None:
            own = folder.path / "base"
            kept = (own / "weights.safetensors").is_file()
            looks = _Looks.of(plan, load_base(own) if kept else find_network(plan.config.base))
        if not processes.leads:
            return _follow(plan, looks, folder, checkpoint)
        return _lead(plan, looks, folder, checkpoint)


def _lead(
    plan: _Plan,
    looks: _Looks | None,
    folder: RunFolder,
    checkpoint: Mapping[str, Any] | None = None,
) -> int:
    """Do what the first process does, or the only one; return the exit code."""
    own = folder.path / "base"
    if looks is None:
        if not (own / "evaluation.json").is_file():
            code = _train_base(plan, own, folder)
            if code:
                return code
        base = load_base(own)
        plan.processes.agree(base.network.state_dict().values())
        looks = _Looks.of(plan, base)
    base = looks.base
    kept = (own / "weights.safetensors").is_file()
    if isinstance(base.network, MaxoutNetwork) and not kept:  # so the run stands alone
        own.mkdir(exist_ok=True)
        save_base(RunFolder(own), base.network, base.images, base.shown, base.classes)
    core, learner = looks.core, _learner(plan, looks)

    def validate() -> dict[str, float]:
        errors = learner.validate()
        return {"validation error %": errors[-1].percent, "of pass 0": errors[0].percent}

    validated = len(core.images.splits.get("validation", ())) > 0
    job = Job(
        learner=learner,
        steps=plan.config.steps,
        save=lambda: learner.best.save(folder),
        validate=validate if validated else None,
        picture=lambda: dasnet_runs.draw_policy(learner.best, core.images, "validation"),
        drawn="gains",
    )
    if checkpoint is None:
        job.save()
    progress = do(
        job, folder, plan.options.log_every, checkpoint=checkpoint, processes=plan.processes
    )
    if progress.step < progress.steps:
        return interrupted(progress, folder)
    split = "test" if len(core.images.splits.get("test", ())) else "train"
    with Console(stderr=True).status("evaluating"):
        passes = evaluate_passes(learner.best, core.images, split)
    folder.write_json("evaluation.json", passes.to_json(split))
    print_passes(passes, split)
    print(f"run: {folder.path}")
    return 0


def _follow(
    plan: _Plan,
    looks: _Looks | None,
    folder: RunFolder | None = None,
    checkpoint: Mapping[str, Any] | None = None,
) -> int:
    """Do what every other process does; return the exit code."""
    if looks is None:  # the first process trains the base, and says how it came out
        config = _base_config(plan)
        network = config.make(images_of(plan.shown, plan.options)).eval()
        plan.processes.agree(network.state_dict().values())
        looks = _Looks.of(plan, Base(network, shown=config.train_images))
    learner = _learner(plan, looks)
    follow(learner, plan.config.steps, folder, checkpoint=checkpoint, processes=plan.processes)
    return 0


def _learner(plan: _Plan, looks: _Looks) -> DasnetLearner:
    """Return who learns."""
    core, first = looks.core, looks.pool.splits["train"][:_EXAMPLES]
    start = Dasnet.create(plan.config, core.network, drawn(core.images, first, first).images)
    return DasnetLearner(plan.config, core, start, pool=looks.pool, processes=plan.processes)


def _base_config(plan: _Plan) -> BaseConfig:
    """Return how a base is trained if none was given: it leaves images to learn from."""
    count = len(images_of(plan.shown, plan.options).splits["train"])
    half = count // 2 if plan.config.learn_from == "other" else None
    return BaseConfig(train_images=half, seed=plan.config.seed)


def _base_learner(plan: _Plan) -> BaseLearner:
    """Return who becomes the base."""
    return learner_of(_base_config(plan), plan.options, plan.shown)


def _train_base(plan: _Plan, place: Path, run: RunFolder) -> int:
    """Train a base in a folder of its own, or go on with that; return the exit code."""
    learner, checkpoint = _base_learner(plan), None
    if (place / "checkpoint.pt").is_file():
        folder = RunFolder.open(place)
        checkpoint = folder.read_checkpoint()
    else:
        shutil.rmtree(place, ignore_errors=True)  # what was begun and never kept
        folder = RunFolder.create(place)
        describe_base(folder, learner.config, plan.options, plan.shown)
    return train_base(learner, folder, plan.options, plan.shown, checkpoint=checkpoint, run=run)


TRAINER = Trainer(
    "learns by evolution which feature maps of a frozen network to heed when it looks again",
    (FolderOptions, DasnetConfig, ImageOptions),
    begin,
    resume,
    Uses(dasnet_runs.evaluate, dasnet_runs.watch, dasnet_runs.predict),
)
