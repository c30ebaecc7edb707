"""`glimpse reproduce`: a paper's table, regenerated cell by cell."""

import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatch
from itertools import product
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.table import Table

from glimpse.agents import AGENTS, Agent, TrainingConfig, load
from glimpse.atomic import write_atomically
from glimpse.batch import GlimpseBatch
from glimpse.checks import check_count, check_name
from glimpse.device import device_name, find_device
from glimpse.run_folder import RunFolder
from glimpse.whole_image import Convolutional, FullyConnected

from .options import EVALUATION_ROWS, make_core
from .ram import BATCH, BUDGETS, CELLS, TASKS, Cell
from .ram_table import markdown
from .report import to_json
from .train import INTERRUPTED, train_run

# Looks at each image that are averaged in the column of averages.
_PASSES = 10
_LOG_EVERY = 200


def add_options(parser: ArgumentParser) -> None:
    """Add what `glimpse reproduce` takes."""
    parser.add_argument("paper", choices=["ram"], help="which paper: ram, Mnih et al. 2014")
    parser.add_argument(
        "--budget",
        type=str,
        default="quick",
        help="smoke: every cell in minutes, no result; quick: at most 90 CPU minutes a cell; "
        "paper: hours a cell on a CPU, minutes on a GPU",
    )
    parser.add_argument(
        "--only",
        type=str,
        nargs="+",
        default=["*"],
        metavar="CELL",
        help="cells, such as 28x28/ram-6 or 'cluttered-60/*'",
    )
    parser.add_argument("--seeds", type=int, default=1, help="how many runs of each cell")
    parser.add_argument(
        "--run", type=str, default="runs/ram", help="folder for the runs and the table"
    )
    parser.add_argument(
        "--data_root", type=str, help="folder with MNIST; by default that of GLIMPSE_DATA"
    )
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu or cuda")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads to compute with")


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
    def config(self) -> TrainingConfig:
        """The options of training: the task's recipe, as far as the agent has such options."""
        task, cell = TASKS[self.cell.task], self.cell
        kind = AGENTS[cell.agent].config
        known = {field.name for field in fields(kind)}
        options = {name: value for name, value in task.recipe.items() if name in known}
        if cell.network is not None:
            features = self.network().features  # type: ignore[union-attr]
            hidden = 64 if cell.network == "fc-64" else 256
            options |= {"core": "relu", "hidden": hidden, "features": features}
        steps, batch = task.steps[self.budget], BATCH[self.budget]
        return kind(**options, steps=steps, batch=batch, seed=self.seed)

    @property
    def view(self) -> dict[str, Any]:
        """What the environment shows and how."""
        task, cell = TASKS[self.cell.task], self.cell
        view = {**task.view, "glimpses": cell.glimpses}
        if cell.network is not None:
            view |= {"size": task.side, "scales": 1, "first": "centre"}
        return view if self.data_root is None else {**view, "data_root": self.data_root}

    def network(self) -> FullyConnected | Convolutional | None:
        """Return what takes the place of the glimpse network."""
        side = TASKS[self.cell.task].side
        shape = (1, 1, side, side)
        if self.cell.network == "conv":
            return Convolutional(shape)
        if self.cell.network is not None:
            return FullyConnected(shape, 64 if self.cell.network == "fc-64" else 256)
        return None

    def core(self, rows: int, copies: int = 1) -> GlimpseBatch:
        """Return what is looked at."""
        env = TASKS[self.cell.task].env
        return make_core(env, self.view, rows, self.device, copies=copies)

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
        done = (self.folder / "evaluation.json").is_file()
        return run.read_json("evaluation.json") if done else None

    def train(self) -> bool:
        """Train, from where an interrupted run left off, and measure; False after Ctrl-C."""
        run, network = RunFolder(self.folder), self.network()
        checkpoint = None
        cores = self.core(self.config.batch), self.core(EVALUATION_ROWS)
        if (self.folder / "checkpoint.pt").is_file():
            checkpoint = run.read_checkpoint()
            agent = load(self.folder, device=self.device, glimpse_network=network)
        else:
            if not (self.folder / "config.yaml").is_file():
                RunFolder.create(self.folder)
            run.write_config(self._described())
            agent = Agent.for_batch(self.config, cores[0], network)
        name = self.cell.agent
        progress = train_run(name, agent, cores, run, _LOG_EVERY, checkpoint=checkpoint)
        if progress.step < progress.steps:
            return False
        with Console(stderr=True).status("evaluating"):
            result = self._measure(agent, cores[1])
        result |= {"seconds": progress.spent._asdict(), "machine": device_name(self.device)}
        run.write_json("evaluation.json", result)
        return True

    def seconds_per_step(self) -> float:
        """Return how long a step takes here."""
        config = self.config
        core = self.core(config.batch)
        model = Agent.for_batch(config, core, self.network()).model
        learner = AGENTS[self.cell.agent].learner(config, core, model)
        for _ in range(5):  # on a GPU the first are slow
            learner.step()
        start = time.perf_counter()
        for _ in range(3):
            float(learner.step()["train error %"])
        return (time.perf_counter() - start) / 3

    def _measure(self, agent: Agent, judge: GlimpseBatch) -> dict[str, Any]:
        result = to_json(agent.evaluate(judge, "test"), "test")
        if self.cell.network is None:
            copies = self.core(EVALUATION_ROWS // _PASSES * _PASSES, _PASSES)
            averaged = agent.averaged(copies, "test")[-1]
            result["averaged"] = {"error": averaged.percent, "passes": _PASSES}
        return result

    def _described(self) -> dict[str, Any]:
        """Return what makes the run what it is."""
        return {
            "env": TASKS[self.cell.task].env,
            **{name: value for name, value in self.view.items() if name != "data_root"},
            **asdict(self.config),
        }


def run(options: Namespace) -> int:
    """Reproduce; return the exit code."""
    check_name("budget", options.budget, BUDGETS)
    check_count(1, seeds=options.seeds, threads=options.threads)
    torch.set_num_threads(options.threads)
    chosen = list(_chosen(options.only))
    place, device = Path(options.run) / options.budget, find_device(options.device)

    def jobs(cells: Sequence[Cell]) -> Iterator[Job]:
        for cell, seed in product(cells, range(options.seeds)):
            folder = place / f"{cell.name}-seed-{seed}"
            yield Job(cell, seed, options.budget, folder, device, options.data_root)

    left = [job for job in jobs(chosen) if job.result() is None]
    if options.budget == "smoke":
        print("smoke: every cell learns for seconds, which shows that it runs. This is no result.")
    if options.budget == "paper":
        _print_hours(left)
    for number, job in enumerate(left, start=1):
        print(f"{job.cell.name}, seed {job.seed} ({number} of {len(left)})", file=sys.stderr)
        if not job.train():
            print(f"interrupted; go on with the same command:\n  {_command(options)}")
            return INTERRUPTED
    results = {
        cell: [result for job in jobs([cell]) if (result := job.result()) is not None]
        for cell in CELLS  # those of earlier commands too
    }
    table = markdown(results, options.budget, _command(options))
    path = place / "table.md"
    write_atomically(path, table.encode())
    print(table)
    print(f"table: {path}")
    return 0


def _command(options: Namespace) -> str:
    words = ["glimpse", "reproduce", options.paper, "--budget", options.budget]
    words += ["--only", *options.only, "--seeds", str(options.seeds), "--run", options.run]
    return shlex.join(words)


def _chosen(patterns: Sequence[str]) -> Iterator[Cell]:
    """Return the cells that any of the patterns names.

    Raises:
        ValueError: A pattern names none.
    """
    for pattern in patterns:
        if not any(fnmatch(cell.name, pattern) for cell in CELLS):
            names = ", ".join(cell.name for cell in CELLS)
            raise ValueError(f"`only` must name cells ({names}), got {pattern!r}: choose some")
    return (cell for cell in CELLS if any(fnmatch(cell.name, pattern) for pattern in patterns))


def _print_hours(jobs: Sequence[Job]) -> None:
    """Say how long each cell will take on this machine."""
    table = Table(title="hours of training, from eight steps of each")
    table.add_column("cell")
    table.add_column("hours", justify="right")
    for job in jobs:
        table.add_row(job.cell.name, f"{job.seconds_per_step() * job.config.steps / 3600:.2f}")
    Console(stderr=True).print(table)
