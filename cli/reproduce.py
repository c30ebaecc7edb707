"""`glimpse reproduce`: a paper's table, regenerated cell by cell."""

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser, Namespace

from glimpse.atomic import write_atomically
from glimpse.checks import check_count, check_name
from glimpse.device import find_device

from .job import INTERRUPTED
from .ram import BUDGETS, CELLS, Cell
from .ram_job import Job
from .ram_table import markdown


def add_options(parser: ArgumentParser) -> None:
    """Add what `glimpse reproduce` takes."""
    parser.add_argument("paper", choices=["ram"], help="which paper: ram, Mnih et al. 2014")
    parser.add_argument(
        "--budget",
        type=str,
        default="quick",
        help="smoke: every cell in seconds, no result; quick: up to 90 CPU minutes a cell; "
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


def run(options: Namespace) -> int:
    """Reproduce; return the exit code."""
    check_name("budget", options.budget, BUDGETS)
    check_count(1, seeds=options.seeds, threads=options.threads)
    torch.set_num_threads(options.threads)
    chosen = list(_chosen(options.only))
    place, device = Path(options.run) / options.budget, find_device(options.device)

    def job(cell: Cell, seed: int) -> Job:
        folder = place / f"{cell.name}-seed-{seed}"
        return Job(cell, seed, options.budget, folder, device, options.data_root)

    def measured(cell: Cell) -> list[dict[str, Any]]:  # by earlier commands too
        start = f"{cell.name.split('/')[1]}-seed-"
        ends = (path.name.removeprefix(start) for path in place.glob(f"{cell.name}-seed-*"))
        seeds = sorted(int(end) for end in ends if re.fullmatch("0|[1-9][0-9]*", end))
        results = (job(cell, seed).result() for seed in seeds)
        return [result for result in results if result is not None]

    for cell in CELLS:
        measured(cell)  # says early what cannot stand in the table
    wanted = [job(cell, seed) for cell in chosen for seed in range(options.seeds)]
    left = [one for one in wanted if one.result() is None]
    if options.budget == "smoke":
        print("smoke: every cell learns for seconds, which shows that it runs. This is no result.")
    if options.budget == "paper":
        _print_hours(left)
    for number, one in enumerate(left, start=1):
        print(f"{one.cell.name}, seed {one.seed} ({number} of {len(left)})", file=sys.stderr)
        if not one.train():
            print(f"interrupted; go on with the same command:\n  {_command(options)}")
            return INTERRUPTED
    results = {cell: measured(cell) for cell in CELLS}
    table = markdown(results, options.budget, _command(options))
    path = place / "table.md"
    write_atomically(path, table.encode())
    print(table)
    print(f"table: {path}")
    return 0


def _command(options: Namespace) -> str:
    words = ["glimpse", "reproduce", options.paper, "--budget", options.budget]
    words += ["--only", *options.only, "--seeds", str(options.seeds), "--run", options.run]
    words += ["--device", options.device, "--threads", str(options.threads)]
    words += ["--data_root", options.data_root] if options.data_root else []
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
    print("hours of training on this machine, from eight steps of each cell:", file=sys.stderr)
    for job in jobs:
        print(f"  {job.cell.name:26} {job.hours():7.2f}", file=sys.stderr, flush=True)
