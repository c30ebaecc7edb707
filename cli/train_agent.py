"""`glimpse train` for every agent that looks at glimpses."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import partial
from typing import Any

import torch
from rich.console import Console

from glimpse.agents import AGENTS, Agent, load, save
from glimpse.batch import GlimpseBatch
from glimpse.device import find_device
from glimpse.drawing import contact_sheet
from glimpse.loop import Progress
from glimpse.run_folder import RunFolder

from . import agent_runs
from .job import Job, Trainer, Uses, agent_of, do, interrupted, new_place
from .options import (
    EVALUATION_ROWS,
    RunOptions,
    ViewOptions,
    check_fit,
    given,
    make_core,
    resolved,
)
from .report import print_evaluation, to_json


def begin(name: str, options: Mapping[str, Any]) -> int:
    """Train; return the exit code."""
    run_options = RunOptions(**given(options, RunOptions))
    kind = AGENTS[name].config
    config = kind(**{field.name: options[field.name] for field in fields(kind)})  # None counts
    view = given(options, ViewOptions)
    torch.set_num_threads(run_options.threads)
    device = find_device(run_options.device)
    cores = _cores(run_options.env, view, config, device)
    agent = Agent.for_batch(config, cores[0])
    folder = RunFolder.create(run_options.run or new_place(name, run_options.env))
    kept = {key: value for key, value in asdict(run_options).items() if key != "run"}
    folder.write_config({**kept, **_plain(resolved(run_options.env, view)), **asdict(config)})
    save(agent, folder)
    return _train(name, agent, cores, folder, run_options)


def resume(folder: RunFolder) -> int:
    """Go on with a run; return the exit code."""
    stored = folder.read_config()
    run_options = RunOptions(**given(stored, RunOptions))
    torch.set_num_threads(run_options.threads)
    device = find_device(run_options.device)
    agent = load(folder.path, device=device)
    name = agent_of(folder)
    cores = _cores(run_options.env, given(stored, ViewOptions), agent.config, device)
    check_fit(agent, cores[0], folder)
    return _train(name, agent, cores, folder, run_options, checkpoint=folder.read_checkpoint())


def _cores(
    env: str, view: Mapping[str, Any], config: Any, device: torch.device
) -> tuple[GlimpseBatch, GlimpseBatch]:
    """Return what is looked at in training and what is looked at in evaluation."""
    rows = config.batch * config.copies
    return (
        make_core(env, view, rows, device, copies=config.copies),
        make_core(env, view, EVALUATION_ROWS, device),
    )


def _train(
    name: str,
    agent: Agent,
    cores: tuple[GlimpseBatch, GlimpseBatch],
    folder: RunFolder,
    options: RunOptions,
    *,
    checkpoint: Mapping[str, Any] | None = None,
) -> int:
    _, judge = cores
    progress = train_run(name, agent, cores, folder, options.log_every, checkpoint=checkpoint)
    if progress.step < progress.steps:
        return interrupted(progress, folder)
    split = "test" if len(judge.images.splits.get("test", ())) else "train"
    with Console(stderr=True).status("evaluating"):
        evaluation = agent.evaluate(judge, split)
    folder.write_json("evaluation.json", to_json(evaluation, split))
    print_evaluation(agent, evaluation, split)
    print(f"run: {folder.path}")
    return 0


def train_run(
    name: str,
    agent: Agent,
    cores: tuple[GlimpseBatch, GlimpseBatch],
    folder: RunFolder,
    log_every: int,
    *,
    checkpoint: Mapping[str, Any] | None = None,
) -> Progress:
    """Train an agent and keep its folder up to date; return how far it got before Ctrl-C.

    Args:
        name: Which agent it is.
        agent: Who learns.
        cores: What is looked at in training, and in validation.
        folder: Where its files are written.
        log_every: Steps that each row of `metrics.csv` covers.
        checkpoint: Where to go on; None: from the start.
    """
    core, judge = cores

    def validate() -> dict[str, float]:
        survey = agent.survey(judge, "validation")
        stopped = {"glimpses": survey.glimpses} if agent.eye.stop else {}
        metrics = survey.diagnosis.metrics()
        return {"validation error %": survey.errors[-1].percent, **stopped, **metrics}

    validated = len(judge.images.splits.get("validation", ())) > 0
    job = Job(
        learner=AGENTS[name].learner(agent.config, core, agent.model),
        steps=agent.config.steps,
        save=lambda: save(agent, folder),
        validate=validate if validated else None,
        picture=lambda: contact_sheet(agent.looks(judge, "validation", 4)),
    )
    return do(job, folder, log_every, checkpoint=checkpoint)


def _plain(view: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as YAML has them."""
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in view.items()
    }


def trainer(name: str) -> Trainer:
    """Return the row of an agent."""
    entry = AGENTS[name]
    options = (RunOptions, entry.config, ViewOptions)
    return Trainer(entry.summary, options, partial(begin, name), resume, _USES)


_USES = Uses(agent_runs.evaluate, agent_runs.watch, agent_runs.predict)
