"""`glimpse train dasnet`: a policy that sets the gains of a frozen network, found by evolution.

Under `torchrun` all processes share the population; the first writes the run's folder.
"""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from glimpse.agents import BaseConfig, Dasnet, DasnetConfig, DasnetLearner, portion
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
from .options import EVALUATION_ROWS, FolderOptions, ImageOptions, given
from .train_base import as_yaml, described, images_of, train_base

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


def begin(options: Mapping[str, Any]) -> int:
    """Train; return the exit code."""
    with joined(find_device(options["device"])) as processes:
        plan = _Plan.of(options, processes)
        if not processes.leads:
            return _follow(plan, None)
        what = plan.config.base or plan.shown.images or "digits"
        folder = RunFolder.create(plan.options.run or new_place("dasnet", what))
        kept = {key: value for key, value in asdict(plan.options).items() if key != "run"}
        folder.write_config({**kept, **as_yaml(plan.shown), **asdict(plan.config)})
        folder.write_json("agent.json", {"agent": "dasnet", "config": asdict(plan.config)})
        return _lead(plan, folder, None)


def resume(folder: RunFolder) -> int:
    """Go on with a run; return the exit code."""
    stored = folder.read_config()
    begun = (folder.path / "checkpoint.pt").is_file()  # else only its base was
    checkpoint = folder.read_checkpoint() if begun else None
    with joined(find_device(stored["device"])) as processes:
        plan = _Plan.of(stored, processes)
        if not processes.leads:
            return _follow(plan, checkpoint)
        return _lead(plan, folder, checkpoint)


def _lead(plan: _Plan, folder: RunFolder, checkpoint: Mapping[str, Any] | None) -> int:
    """Do what the first process does, or the only one; return the exit code."""
    own = folder.path / "base"
    if plan.config.base is None and not (own / "evaluation.json").is_file():
        code = _train_base(plan, own)
        if code:
            return code
    base = load_base(own) if plan.config.base is None else find_network(plan.config.base)
    core, learner = _learner(plan, base)
    if isinstance(base.network, MaxoutNetwork) and not own.exists():  # so the run stands alone
        own.mkdir()
        save_base(RunFolder(own), base.network, base.images, base.shown, base.classes)

    def validate() -> dict[str, float]:
        errors = learner.agent.evaluate(core.images, "validation")
        return {"validation error %": errors[-1].percent, "of pass 0": errors[0].percent}

    validated = len(core.images.splits.get("validation", ())) > 0
    job = Job(
        learner=learner,
        steps=plan.config.steps,
        save=lambda: learner.agent.save(folder),
        validate=validate if validated else None,
        picture=lambda: dasnet_runs.draw_policy(learner.agent, core.images, "validation"),
        drawn="gains",
    )
    job.save()
    progress = do(
        job, folder, plan.options.log_every, checkpoint=checkpoint, processes=plan.processes
    )
    if progress.step < progress.steps:
        return interrupted(progress, folder)
    split = "test" if len(core.images.splits.get("test", ())) else "train"
    with Console(stderr=True).status("evaluating"):
        passes = evaluate_passes(learner.agent, core.images, split)
    folder.write_json("evaluation.json", passes.to_json(split))
    print_passes(passes, split)
    print(f"run: {folder.path}")
    return 0


def _follow(plan: _Plan, checkpoint: Mapping[str, Any] | None) -> int:
    """Do what every other process does; return the exit code."""
    if plan.config.base is None:  # the first process trains it, and says how it came out
        config = _base_config(plan)
        network = config.make(images_of(plan.shown, plan.options))
        base = Base(network.eval(), shown=config.train_images)
    else:
        base = find_network(plan.config.base)
    _, learner = _learner(plan, base)
    follow(learner, plan.config.steps, checkpoint=checkpoint, processes=plan.processes)
    return 0


def _learner(plan: _Plan, base: Base) -> tuple[FeedbackBatch, DasnetLearner]:
    """Return who learns, and on what."""
    config, shown = plan.config, plan.shown
    torch.set_num_threads(plan.options.threads)
    if config.base is None:
        plan.processes.agree(base.network.state_dict().values())
    options = FeedbackConfig(
        **given(described(shown) if config.base is None else asdict(shown), FeedbackConfig),
        passes=config.passes,
        reward=config.reward,
        boost=config.boost,
        device=str(find_device(plan.options.device)),
    )
    core = feedback_on(base, options, EVALUATION_ROWS)
    pool = portion(core.images, base.shown, other=config.learn_from == "other")
    first = pool.splits["train"][:_EXAMPLES]
    start = Dasnet.create(config, core.network, drawn(core.images, first, first).images)
    learner = DasnetLearner(config, core, start, pool=pool, processes=plan.processes)
    return core, learner


def _base_config(plan: _Plan) -> BaseConfig:
    """Return how a base is trained if none was given: it leaves images to learn from."""
    count = len(images_of(plan.shown, plan.options).splits["train"])
    half = count // 2 if plan.config.learn_from == "other" else None
    return BaseConfig(train_images=half, seed=plan.config.seed)


def _train_base(plan: _Plan, place: Path) -> int:
    """Train a base in a folder of its own, or go on with that; return the exit code."""
    config = _base_config(plan)
    if (place / "checkpoint.pt").is_file():
        folder = RunFolder.open(place)
        return train_base(
            folder, config, plan.options, plan.shown, checkpoint=folder.read_checkpoint()
        )
    shutil.rmtree(place, ignore_errors=True)  # what was begun and never kept
    folder = RunFolder.create(place)
    kept = {key: value for key, value in asdict(plan.options).items() if key != "run"}
    folder.write_config({**kept, **as_yaml(plan.shown), **asdict(config)})
    return train_base(folder, config, plan.options, plan.shown)


TRAINER = Trainer(
    "learns by evolution which feature maps of a frozen network to heed when it looks again",
    (FolderOptions, DasnetConfig, ImageOptions),
    begin,
    resume,
    Uses(dasnet_runs.evaluate, dasnet_runs.watch, dasnet_runs.predict),
)
