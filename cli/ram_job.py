"""One cell of the table with one seed: trained in a run's folder, measured once."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from glimpse.agents import AGENTS, Agent, TrainingConfig, load
from glimpse.batch import GlimpseBatch
from glimpse.device import device_name
from glimpse.randomness import derive_seed
from glimpse.run_folder import RunFolder
from glimpse.whole_image import Convolutional, FullyConnected

from .options import EVALUATION_ROWS, make_core
from .ram import BATCH, TASKS, Cell, Network, Task
from .report import print_diagnosis, to_json
from .train_agent import train_run

# Looks at each image that are averaged in the column of averages.
_PASSES = 10
_LOG_EVERY = 200
_RESULT = "result.json"  # not evaluation.json, which `glimpse train --resume` writes
# Units of the last hidden layer and of the one before, by the side of the image.
WIDTHS: Mapping[Network, Callable[[int], tuple[int, int]]] = {
    "fc-64": lambda side: (64, 64),
    "fc-256": lambda side: (256, 256),
    "conv": lambda side: (256, Convolutional.features_of(side)),
}


@dataclass(frozen=True)
class Job:
    """A cell with one seed.

    Attributes:
        cell: Which.
        seed: Of weights, images and locations.
        budget: How long it is trained.
        folder: Of its run.
        device: Where it is trained.
        data_root: The folder with MNIST, or None.
    """

    cell: Cell
    seed: int
    budget: str
    folder: Path
    device: torch.device
    data_root: str | None

    @property
    def task(self) -> Task:
        """What is looked at."""
        return TASKS[self.cell.task]

    @property
    def config(self) -> TrainingConfig:
        """The options of training: the task's recipe, as far as the agent has such options."""
        task, cell = self.task, self.cell
        kind = AGENTS[cell.agent].config
        if cell.network is not None:
            hidden, features = WIDTHS[cell.network](task.side)
            options: dict[str, Any] = {"core": "relu", "hidden": hidden, "features": features}
        else:
            known = {field.name for field in fields(kind)}
            options = {name: value for name, value in task.recipe.items() if name in known}
        steps, batch = task.steps[self.budget], BATCH[self.budget]
        return kind(**options, steps=steps, batch=batch, seed=self.seed)

    @property
    def view(self) -> dict[str, Any]:
        """What the environment shows and how."""
        task, cell = self.task, self.cell
        view = {**task.view, "glimpses": cell.glimpses}
        if cell.network is not None:
            view |= {"size": task.side, "scales": 1, "first": "centre"}
        return view if self.data_root is None else {**view, "data_root": self.data_root}

    def network(self) -> FullyConnected | Convolutional | None:
        """Return what takes the place of the glimpse network."""
        shape = (1, 1, self.task.side, self.task.side)
        if self.cell.network is None:
            return None
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive_seed(self.seed, 0, 5))
            if self.cell.network == "conv":
                return Convolutional(shape)
            return FullyConnected(shape, self.config.features)

    def core(self, rows: int, copies: int = 1) -> GlimpseBatch:
        """Return what is looked at."""
        return make_core(self.task.env, self.view, rows, self.device, copies=copies)

    def result(self) -> dict[str, Any] | None:
        """Return what was measured, or None where that is still to be done.

        Raises:
            ValueError: The folder holds a run with other options.
        """
        run = RunFolder(self.folder)
        if not (self.folder / "config.yaml").is_file():
            return None
        if run.read_config() != self._described():
            raise ValueError(
                f"{self.folder} must hold a run with this version's recipe, got another: name "
                "another folder with --run, or remove it"
            )
        done = (self.folder / _RESULT).is_file()
        return run.read_json(_RESULT) if done else None

    def train(self) -> bool:
        """Train, from where an interrupted run left off, and measure; False after Ctrl-C."""
        run, network = RunFolder(self.folder), self.network()
        checkpoint = None
        config = self.config
        rows = config.batch * config.copies
        cores = self.core(rows, config.copies), self.core(EVALUATION_ROWS)
        if (self.folder / "checkpoint.pt").is_file():
            checkpoint = run.read_checkpoint()
            agent = load(self.folder, device=self.device, glimpse_network=network)
        else:
            if not (self.folder / "config.yaml").is_file():
                RunFolder.create(self.folder)
            run.write_config(self._described())
            agent = Agent.for_batch(config, cores[0], network)
        name = self.cell.agent
        progress = train_run(name, agent, cores, run, _LOG_EVERY, checkpoint=checkpoint)
        if progress.step < progress.steps:
            return False
        with Console(stderr=True).status("evaluating"):
            evaluation = agent.evaluate(cores[1], "test")
            result = to_json(evaluation, "test")
            if network is None:
                copies = self.core(EVALUATION_ROWS // _PASSES * _PASSES, _PASSES)
                averaged = agent.averaged(copies, "test")[-1]
                result["averaged"] = {"error": averaged.percent, "passes": _PASSES}
        print_diagnosis(agent, evaluation.diagnosis)
        circumstances = {"machine": device_name(self.device), "date": str(date.today())}
        versions = run.read_json("versions.json")
        result |= {"seconds": progress.spent._asdict(), **circumstances, "versions": versions}
        run.write_json(_RESULT, result)
        return True

    def hours(self) -> float:
        """Return how long the steps that are left take here, from eight of them."""
        config = self.config
        core = self.core(config.batch * config.copies, config.copies)
        model = Agent.for_batch(config, core, self.network()).model
        learner = AGENTS[self.cell.agent].learner(config, core, model)
        for _ in range(5):  # on a GPU the first are slow
            learner.step()
        start = time.perf_counter()
        for _ in range(3):
            float(learner.step()["train error %"])
        step = (time.perf_counter() - start) / 3
        checkpoint = self.folder / "checkpoint.pt"
        done = RunFolder(self.folder).read_checkpoint()["step"] if checkpoint.is_file() else 0
        return step * (config.steps - done) / 3600

    def _described(self) -> dict[str, Any]:
        """Return what makes the run what it is."""
        return {
            "env": self.task.env,
            **{name: value for name, value in self.view.items() if name != "data_root"},
            **asdict(self.config),
        }
