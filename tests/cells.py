"""The cells of the paper's table on small images, for several test files."""

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from expect import generator
from safetensors.torch import load_file

from glimpse import ImageSet, register_images
from glimpse.cli import ram_job
from glimpse.cli.ram import BATCH, CELLS, TASKS, Cell
from glimpse.cli.ram_job import Job

STEPS = {"smoke": 6, "quick": 4, "paper": 5}
SIDE, TRAIN, TEST = 15, range(40), range(50, 72)
BY_NAME = {cell.name: cell for cell in CELLS}


def make_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every task show the images called small; the fixture `small_cells` does."""
    pixels = torch.randint(256, (72, 1, SIDE, SIDE), dtype=torch.uint8, generator=generator())
    splits = {"train": TRAIN, "validation": range(40, 50), "test": TEST}
    register_images(
        "small", ImageSet.from_arrays(pixels, [k % 3 for k in range(72)], splits=splits)
    )
    view = {"images": "small"}
    tasks = {
        name: replace(task, env="glimpse/Images-v0", view=view, side=SIDE, steps=STEPS)
        for name, task in TASKS.items()
    }
    monkeypatch.setattr(ram_job, "TASKS", tasks)
    monkeypatch.setattr(ram_job, "BATCH", dict.fromkeys(BATCH, 8))


def change_recipes(monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """Let the tasks be learned otherwise, as in another version."""
    tasks = {
        name: replace(task, recipe={**task.recipe, **options})
        for name, task in ram_job.TASKS.items()
    }
    monkeypatch.setattr(ram_job, "TASKS", tasks)


def make_job(
    cell: str | Cell,
    seed: int = 0,
    *,
    budget: str = "smoke",
    folder: str | Path = "mine",
    data_root: str | None = None,
) -> Job:
    found = BY_NAME[cell] if isinstance(cell, str) else cell
    return Job(found, seed, budget, Path(folder), torch.device("cpu"), data_root)


def written_files(folder: Path) -> dict[str, int]:
    """Return every file and when it was written."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def measured_in(folder: Path) -> dict[str, Any]:
    measured: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return measured


def same_weights(one: Path, other: Path) -> bool:
    first, second = (load_file(folder / "weights.safetensors") for folder in (one, other))
    return all(torch.equal(weight, second[name]) for name, weight in first.items())


def disturb(
    monkeypatch: pytest.MonkeyPatch,
    kind: type,
    name: str,
    call: int,
    act: Callable[[], object],
) -> list[object]:
    """Act after the given call of a method, 0 for none; return a list that grows with each call."""
    method, calls = getattr(kind, name), []

    def disturbed(self: Any, *arguments: Any, **options: Any) -> Any:
        result = method(self, *arguments, **options)
        calls.append(self)
        if len(calls) == call:
            act()
        return result

    monkeypatch.setattr(kind, name, disturbed)
    return calls


def press() -> None:
    """Press Ctrl-C."""
    signal.raise_signal(signal.SIGINT)


def press_twice() -> None:
    """Press it again at once, which ends everything."""
    raise KeyboardInterrupt
