"""One training: what is left when a process is lost, and that the others take the same steps."""

import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from expect import refused
from torch import Tensor

from glimpse.cli.job import Job, do, follow
from glimpse.loop import Metrics
from glimpse.processes import LostProcess, Processes
from glimpse.run_folder import RunFolder

STEPS = 6


class Fellows(Processes):
    """Of two processes the first; the other presses Ctrl-C, or is lost, when it is asked.

    It is asked once a step by the learner, which then changes, and once by who watches Ctrl-C.
    """

    def of(self, *, presses: int = 0, lost: int = 0) -> "Fellows":
        self.__dict__.update(asked=0, presses=presses, lost=lost)
        return self

    def add(self, mine: Tensor) -> Tensor:
        self.__dict__["asked"] += 1
        if self.__dict__["asked"] == self.__dict__["lost"]:
            raise LostProcess("lost")
        return mine + float(self.__dict__["asked"] == self.__dict__["presses"])


class Counter:
    """A learner that needs its fellows for each step."""

    def __init__(self, processes: Processes) -> None:
        self.taken, self._processes = 0, processes

    def step(self) -> Metrics:
        self._processes.add(torch.zeros(()))
        self.taken += 1
        return {"n": float(self.taken)}

    def state_dict(self) -> dict[str, Any]:
        return {"taken": self.taken}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.taken = state["taken"]


@pytest.fixture(autouse=True)
def _sigterm_is_given_back() -> Iterator[None]:
    """Who has lost a process ignores it from then on."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run")


@pytest.mark.parametrize(
    ("lost", "kept"), [(1, 0), (2, 1), (5, 2), (6, 3)], ids=["first", "after", "in", "between"]
)
def test_who_loses_a_fellow_keeps_every_whole_step(lost: int, kept: int, folder: RunFolder) -> None:
    fellows = Fellows(0, 2).of(lost=lost)
    learner, saved = Counter(fellows), []
    job = Job(learner=learner, steps=STEPS, save=lambda: saved.append(learner.taken))
    with pytest.raises(LostProcess, match="lost"):
        do(job, folder, 1, processes=fellows)
    checkpoint = folder.read_checkpoint()
    assert (checkpoint["step"], checkpoint["learner"]["taken"]) == (kept, kept)
    assert saved == [kept]
    assert [row["step"] for row in folder.metrics.read()] == list(range(1, kept + 1))
    again = Counter(Fellows(0, 2).of())
    resumed = Job(learner=again, steps=STEPS, save=lambda: None)
    assert do(resumed, folder, 1, checkpoint=checkpoint).step == again.taken == STEPS
    assert [row["n"] for row in folder.metrics.read()] == list(range(1, STEPS + 1))


def test_ctrl_c_of_another_ends_the_run_after_the_same_step(folder: RunFolder) -> None:
    fellows = Fellows(0, 2).of(presses=6)  # asked by who watches, for the third time
    job = Job(learner=Counter(fellows), steps=STEPS, save=lambda: None)
    assert do(job, folder, 1, processes=fellows).step == 3
    assert folder.read_checkpoint()["step"] == 3


def test_who_follows_ends_there_too_and_writes_nothing(folder: RunFolder) -> None:
    before = sorted(folder.path.iterdir())
    fellows = Fellows(1, 2).of(presses=6)
    learner = Counter(fellows)
    follow(learner, STEPS, None, processes=fellows)
    assert learner.taken == 3
    assert sorted(folder.path.iterdir()) == before


def test_who_follows_goes_on_from_the_checkpoint(folder: RunFolder) -> None:
    checkpoint = {"step": 4, "spent": [0.0, 0.0], "learner": {"taken": 104}}
    fellows = Fellows(1, 2).of()
    learner = Counter(fellows)
    follow(learner, STEPS, folder, checkpoint=checkpoint, processes=fellows)
    assert learner.taken == 106


@pytest.mark.parametrize("missing", ["step", "learner", "spent"])
def test_a_checkpoint_of_something_else_is_refused_by_all(missing: str, folder: RunFolder) -> None:
    checkpoint: dict[str, Any] = {"step": 4, "spent": [0.0, 0.0], "learner": {"taken": 4}}
    del checkpoint[missing]
    message = f"{folder.path / 'checkpoint.pt'} must hold a step, a learner and the time spent, got"
    learner = Counter(Fellows(0, 2).of())
    with refused(message):
        do(Job(learner=learner, steps=STEPS, save=lambda: None), folder, 1, checkpoint=checkpoint)
    with refused(message):
        follow(learner, STEPS, folder, checkpoint=checkpoint, processes=Fellows(1, 2).of())
