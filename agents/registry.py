"""The agents by name, and runs of them read back from their folders."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from glimpse.checks import check_name
from glimpse.episodes import EpisodeBatch
from glimpse.loop import Learner
from glimpse.networks import RecurrentAttention
from glimpse.run_folder import RunFolder
from glimpse.tasks import Task

from .agent import Agent
from .controls import CentreConfig, UniformConfig, UntrainedConfig, control
from .es import EsConfig
from .es_learner import EsLearner
from .ppo import PpoConfig
from .ppo_learner import PpoLearner
from .reinforce import ReinforceConfig, reinforce
from .training import TrainingConfig


@dataclass(frozen=True)
class Entry:
    """One row of the table.

    Attributes:
        config: Its options.
        learner: Makes the learner of a config of that type, an environment and a model.
        summary: What it is, in one line.
    """

    config: type[TrainingConfig]
    learner: Callable[[Any, EpisodeBatch, RecurrentAttention], Learner]
    summary: str


AGENTS: Mapping[str, Entry] = {
    "reinforce": Entry(
        ReinforceConfig, reinforce, "learns where to look by REINFORCE with a learned baseline"
    ),
    "ppo": Entry(
        PpoConfig, PpoLearner, "learns where to look by stable-baselines3's PPO, on a belief view"
    ),
    "es": Entry(
        EsConfig, EsLearner, "learns where to look by evolution (SNES), to answer by gradients"
    ),
    "uniform": Entry(UniformConfig, control, "control: looks anywhere, learns to answer"),
    "centre": Entry(CentreConfig, control, "control: looks at the centre, learns to answer"),
    "untrained": Entry(
        UntrainedConfig, control, "control: a location head that is never taught, learns to answer"
    ),
}


# What looks at no glimpses, and who reads its runs.
_READ_BY: Mapping[str, str] = {
    "base": "glimpse.bases.find_network(run)",
    "dasnet": "glimpse.agents.load_dasnet(run)",
    "soft": "glimpse.soft_baselines.load_soft(run)",
}


def save(agent: Agent, run: RunFolder) -> None:
    """Write an agent into a run's folder: `agent.json` and `weights.safetensors`.

    Raises:
        ValueError: Its config is of none of the agents, so that it could not be loaded.
    """
    names = {entry.config: name for name, entry in AGENTS.items()}
    if type(agent.config) not in names:
        raise ValueError(
            f"an agent's config must be that of one of {', '.join(AGENTS)}, got "
            f"{type(agent.config).__name__}: it could not be loaded again"
        )
    name = names[type(agent.config)]
    run.write_json("agent.json", {"agent": name, **agent.describe()})
    run.write_weights(agent.model.state_dict())


def load(
    run: str | Path,
    *,
    device: torch.device | str = "cpu",
    glimpse_network: nn.Module | None = None,
    task: Task | None = None,
) -> Agent:
    """Return the agent that was trained in a folder. No code in the folder is run.

    Args:
        run: The folder.
        device: Where its weights shall lie.
        glimpse_network: The network of your own that it was trained with, if it was.
        task: The task of your own that it was trained for, if it was.

    Raises:
        ValueError: The folder is none of a run, or a file is missing or damaged; it is named.
    """
    folder = RunFolder.open(run)
    description = folder.read_json("agent.json")
    _check_looks(folder, str(description.get("agent")))
    try:
        name = description["agent"]
        check_name("agent", name, AGENTS)
        agent = Agent.from_description(
            description,
            AGENTS[name].config,
            task=task,
            device=device,
            glimpse_network=glimpse_network,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{folder.path / 'agent.json'} must describe an agent, got {error}: restore the file"
        ) from error
    try:
        agent.model.load_state_dict(folder.read_weights())
    except RuntimeError as error:
        raise ValueError(
            f"{folder.path / 'weights.safetensors'} must fit agent.json, got other weights "
            f"({str(error).splitlines()[-1].strip()}): restore both files, or give the "
            "glimpse_network it was trained with"
        ) from error
    return agent


def _check_looks(folder: RunFolder, name: str) -> None:
    """Refuse the runs of what looks at no glimpses.

    Raises:
        ValueError: The name is that of a base, of dasNet or of a soft baseline.
    """
    if name in _READ_BY:
        raise ValueError(
            f"{folder.path} must be the run of an agent that looks at glimpses, got one of {name}: "
            f"read it with {_READ_BY[name]}"
        )
