"""`glimpse train`: train an agent, or go on with an interrupted run."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

from jsonargparse import (  # type: ignore[attr-defined]  # ActionConfigFile is not in its __all__
    ActionConfigFile,
    ArgumentParser,
    Namespace,
)

from glimpse.agents import AGENTS
from glimpse.run_folder import RunFolder, read_yaml

from . import train_agent, train_base, train_dasnet, train_soft
from .job import Trainer, agent_of


def add_options(parser: ArgumentParser) -> None:
    """Add what `glimpse train` takes; the parser must belong to its command already."""
    parser.add_argument(
        "--resume", metavar="RUN", type=str, help="go on with the run in this folder"
    )
    agents = parser.add_subcommands(required=False, dest="agent")
    for name, trainer in TRAINERS.items():
        options = ArgumentParser(description=f"{name}: {trainer.summary}.", exit_on_error=False)
        options.add_argument(
            "--config", action=ActionConfigFile, help="take options from a run's config.yaml"
        )
        for group in trainer.options:
            options.add_class_arguments(group)
        agents.add_subcommand(name, options, help=trainer.summary)


def check_config_files(words: Sequence[str]) -> None:
    """Refuse a `--config` file with unknown options by name; jsonargparse only says "'train'".

    Raises:
        ValueError: A file is no YAML, or has an option that the agent does not.
    """
    agent = next((word for word in words if word in TRAINERS), None)
    for word, following in pairwise([*words, ""]):
        name, _, value = word.partition("=")
        if name != "--config" or agent is None:
            continue
        path = Path(value or following)
        known = {field.name for group in TRAINERS[agent].options for field in fields(group)}
        unknown = [str(key) for key in read_yaml(path) if key not in known]
        if unknown:
            raise ValueError(
                f"{path} must hold options of {agent}, got {', '.join(unknown)}: take them out, or "
                "train the agent whose they are"
            )


def run(options: Namespace) -> int:
    """Train; return the exit code."""
    if options.resume is not None:
        if options.agent is not None:
            raise ValueError("`--resume` must stand alone, got an agent too: leave one out")
        return _resume(options.resume)
    if options.agent is None:
        raise ValueError(f"an agent must be named, got none: add one of {', '.join(TRAINERS)}")
    trainer = TRAINERS[options.agent]
    return trainer.begin(options[options.agent].as_dict())


def _resume(path: str) -> int:
    folder = RunFolder.open(path)
    return trainer_of(folder).resume(folder)


def trainer_of(folder: RunFolder) -> Trainer:
    """Return the row of what was trained in a folder.

    Raises:
        ValueError: `agent.json` is missing or damaged, or names nothing that is known.
    """
    name = agent_of(folder)
    if name not in TRAINERS:
        raise ValueError(
            f"{folder.path / 'agent.json'} must name one of {', '.join(TRAINERS)}, got {name!r}: "
            "restore the file"
        )
    return TRAINERS[name]


# What `glimpse train` can be told to train, and what can be done with its runs.
TRAINERS: Mapping[str, Trainer] = {
    **{name: train_agent.trainer(name) for name in AGENTS},
    "base": train_base.TRAINER,
    "dasnet": train_dasnet.TRAINER,
    "soft": train_soft.TRAINER,
}
