"""`glimpse evaluate`: the errors of a trained agent."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from glimpse.agents import Agent, load
from glimpse.batch import GlimpseBatch
from glimpse.checks import check_name
from glimpse.device import find_device
from glimpse.image_set import SPLITS
from glimpse.run_folder import RunFolder

from .options import (
    EVALUATION_ROWS,
    RunOptions,
    ViewOptions,
    check_fit,
    given,
    make_core,
)
from .report import print_evaluation


def add_options(parser: ArgumentParser) -> None:
    """Add what `glimpse evaluate` takes."""
    add_run_options(parser)


def add_run_options(parser: ArgumentParser) -> None:
    """Add what every command takes that looks at a run and its images."""
    parser.add_argument("folder", metavar="RUN", type=str, help="folder that training printed")
    parser.add_argument(
        "--split", type=str, default="test", help="which images: train, validation or test"
    )
    parser.add_argument(
        "--data_root", type=str, help="folder with MNIST, where it is no longer the run's own"
    )
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu or cuda")
    parser.add_argument(
        "--seed", type=int, default=0, help="of what is random in images and in first locations"
    )


def open_run(options: Namespace) -> tuple[Agent, GlimpseBatch]:
    """Return a run's agent and what it looks at."""
    check_name("split", options.split, SPLITS)
    config = RunFolder.open(options.folder).read_config()
    run_options = RunOptions(**given(config, RunOptions))
    device = find_device(options.device)
    agent = load(options.folder, device=device)
    view = given({**config, **given(vars(options), ViewOptions)}, ViewOptions)
    core = make_core(run_options.env, view, EVALUATION_ROWS, device, split=options.split)
    check_fit(agent, core, RunFolder(Path(options.folder)))
    return agent, core


def run(options: Namespace) -> int:
    """Evaluate; return the exit code."""
    agent, core = open_run(options)
    with Console(stderr=True).status("evaluating"):
        evaluation = agent.evaluate(core, options.split, seed=options.seed)
    print_evaluation(agent, evaluation, options.split)
    return 0
