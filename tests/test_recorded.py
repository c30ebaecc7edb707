"""Recorded work: on CUDA the record does, bit for bit, what the work does; on a CPU it is done."""

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from expect import refused
from learners import (
    ALL_OPTIONS,
    assert_same,
    learning_weights_in_place,
    learning_weights_of,
    make_config,
    make_learner,
    run,
    small_canvas,
    small_images,
    weights_of,
)
from torch import Tensor

from glimpse import agents, recorded
from glimpse.agents import CentreConfig, UniformConfig
from glimpse.agents.learner import EpisodeLearner
from glimpse.image_set import ImageSource
from glimpse.recorded import Recorded
from glimpse.run_folder import RunFolder

on_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
on_two = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two of them")
NEVER = 10**9  # calls before a recording
CPU = torch.device("cpu")


class Walk:
    """Work that draws noise, moves by it and by what is written down, and counts its calls."""

    def __init__(self, device: str = "cpu") -> None:
        self.noise = torch.Generator(device)
        self.at, self.wind = torch.zeros(5, device=device), torch.zeros((), device=device)
        self.calls = 0

    def __call__(self) -> Tensor:
        self.calls += 1
        self.at += self.wind + torch.randn(5, generator=self.noise, device=self.at.device)
        return self.at * 2

    def turn(self, number: int) -> None:
        self.noise.manual_seed(number)
        self.wind.fill_(number)


def test_on_a_cpu_every_call_does_the_work() -> None:
    walk, wanted = Walk(), Walk()
    work = Recorded(walk, CPU, walk.noise)
    assert walk.calls == 0
    results = []
    for number in range(8):
        walk.turn(number)
        wanted.turn(number)
        results.append((work(), wanted()))
        assert walk.calls == number + 1
    for got, expected in results:
        assert torch.equal(got, expected)
    assert torch.equal(walk.at, wanted.at)


def test_noise_is_optional_and_errors_come_through() -> None:
    counted = iter(range(3))
    work = Recorded(lambda: torch.tensor(next(counted)), CPU)
    assert [int(work()) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(StopIteration):
        work()


@pytest.mark.parametrize("options", [{}, {"curriculum": 6}])
def test_a_learner_keeps_the_newest_record_only(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each holds the memory of a whole step; with a curriculum there is one a length."""
    made: list[weakref.ref[Recorded]] = []

    def record(*arguments: Any) -> Recorded:
        work = Recorded(*arguments)
        made.append(weakref.ref(work))
        return work

    monkeypatch.setattr(agents.learner, "Recorded", record)
    learner = make_learner(make_config(**options))
    for step in range(8):
        learner.step()
        gc.collect()
        assert len(made) == (2 if options and step >= 3 else 1)
        assert [ref() is not None for ref in made] == [*[False] * (len(made) - 1), True]
    count = len(made)
    learner.load_state_dict(learner.state_dict())
    learner.step()
    assert len(made) == count + 1


class Broken(Recorded):
    """A recording that cannot be made, as CUDA refuses one."""

    def __init__(self, told: str) -> None:
        super().__init__(self._fail, torch.device("cuda"))
        self._told = told

    def _fail(self) -> Tensor:
        raise RuntimeError(self._told)


def test_what_cannot_be_recorded_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDAGraph", "Stream"):
        monkeypatch.setattr(torch.cuda, name, lambda: None)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph, stream: nullcontext())
    with refused(
        "a training step on CUDA must not wait for the device, got operation not permitted: take "
        ".item(), .nonzero() and branches on values out of your networks and images, or train on "
        "the CPU"
    ):
        Broken("operation not permitted\nCompile with ...")._record()


# On CUDA


@pytest.fixture
def waiting_is_an_error() -> Iterator[Callable[[], None]]:
    """Return what makes every wait for the device an error until the test is over."""
    yield lambda: torch.cuda.set_sync_debug_mode("error")
    torch.cuda.set_sync_debug_mode("default")


@on_cuda
@pytest.mark.parametrize("device", ["cuda", pytest.param("cuda:1", marks=on_two)])
def test_a_record_does_what_the_work_does(device: str) -> None:
    walk, wanted = Walk(device), Walk(device)
    work = Recorded(walk, walk.at.device, walk.noise)
    results = []
    for number in range(12):
        walk.turn(number)
        wanted.turn(number)
        results.append((work(), wanted()))
    for got, expected in results:  # also the early ones: each is a tensor of its own
        assert torch.equal(got, expected)
    assert torch.equal(walk.at, wanted.at)
    assert walk.calls == 4  # three as they are and the recording


@on_cuda
def test_work_that_waits_for_the_device_is_refused() -> None:
    at = torch.ones(3, device="cuda")
    work = Recorded(lambda: at * at.sum().item(), at.device)
    for _ in range(recorded._PLAIN_CALLS):
        assert work().tolist() == [3, 3, 3]
    with refused("a training step on CUDA must not wait for the device, got "):
        work()
    assert (at + 1).tolist() == [2, 2, 2]  # whoever goes on can


SAME = [
    pytest.param(make_config(), small_images, 8, id="reinforce"),
    pytest.param(make_config(core="relu", precision="float32"), small_canvas, 8, id="canvas"),
    pytest.param(make_config(UniformConfig, batch=20), small_images, 8, id="uniform"),
    pytest.param(make_config(steps=20, **ALL_OPTIONS), small_canvas, 20, id="all-options"),
]


@on_cuda
@pytest.mark.parametrize(("config", "images", "steps"), SAME)
def test_a_learner_with_a_record_is_one_without(
    config: Any,
    images: Callable[[], ImageSource],
    steps: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_record = make_learner(config, images, device="cuda")
    metrics = run(with_record, 0, steps)
    monkeypatch.setattr(recorded, "_PLAIN_CALLS", NEVER)
    without = make_learner(config, images, device="cuda")
    assert metrics == run(without, 0, steps)
    assert_same(weights_of(with_record), weights_of(without))
    assert_same(learning_weights_of(with_record), learning_weights_of(without))


@on_cuda
def test_looking_through_the_batch_in_between_changes_nothing() -> None:
    """A record reads and writes the learner's own episodes."""
    config, weights = make_config(), []
    for disturbed in (False, True):
        learner = make_learner(config, device="cuda")
        other = learner.batch.twin()
        for _ in range(8):
            learner.step()
            if disturbed:
                for _ in other.sweep("validation"):
                    other.step(torch.rand(len(other.target), 2, device="cuda"))
                gc.collect()
                torch.cuda.empty_cache()
                torch.randn(1000, 1000, device="cuda")
        weights.append(weights_of(learner))
    assert_same(*weights)


@on_cuda
@pytest.mark.parametrize("options", [{}, {**ALL_OPTIONS, "curriculum": 0}])
@pytest.mark.parametrize("images", [small_images, small_canvas])
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_a_step_does_not_wait_for_the_device(
    options: dict[str, Any],
    images: Callable[[], ImageSource],
    waiting_is_an_error: Callable[[], None],
) -> None:
    """Neither before the recording nor after; but at the first step of an epoch, and every 100."""
    learner = make_learner(make_config(batch=1, **options), images, device="cuda")
    learner.step()
    waiting_is_an_error()
    metrics = [learner.step() for _ in range(9)]
    with pytest.raises(RuntimeError, match="synchronizing"):
        float(metrics[-1]["answer loss"])


@on_cuda
@pytest.mark.parametrize("options", [{}, ALL_OPTIONS])
def test_a_run_on_cuda_goes_on_from_its_checkpoint(options: dict[str, Any], tmp_path: Path) -> None:
    config = make_config(steps=24, **options)
    whole = make_learner(config, device="cuda")
    metrics = run(whole, 0, 24)
    first = make_learner(config, device="cuda")
    run(first, 0, 6)
    second = make_learner(config, device="cuda")
    second.load_state_dict(_written_and_read(first, tmp_path))
    assert run(second, 6, 24) == metrics[6:]
    assert_same(weights_of(second), weights_of(whole))


@on_cuda
@pytest.mark.parametrize(("before", "after"), [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_run_goes_on_on_another_device(
    before: str, after: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nothing drawn, since devices draw differently; the same with a record and without."""
    options = {"ema": 0.9, "warm_up": 3, "curriculum": 8, "weight_decay": 0.1}
    config = make_config(CentreConfig, steps=24, precision="float32", **options)
    first = make_learner(config, device=before)
    run(first, 0, 6)
    state = _written_and_read(first, tmp_path)
    again = []
    for calls in (recorded._PLAIN_CALLS, NEVER):
        monkeypatch.setattr(recorded, "_PLAIN_CALLS", calls)
        second = make_learner(config, device=after)
        second.load_state_dict(deepcopy(state))  # the optimiser goes on with its tensors
        again.append(run(second, 6, 24))
    assert again[0] == again[1]
    (stayed,) = run(first, 6, 7)
    assert again[0][0]["answer loss"] == pytest.approx(stayed["answer loss"], rel=1e-3)


def _written_and_read(learner: EpisodeLearner, path: Path) -> dict[str, Any]:
    folder = RunFolder.create(path / "run")
    folder.write_checkpoint({"learner": learner.state_dict()})
    state: dict[str, Any] = folder.read_checkpoint()["learner"]
    return state


@on_cuda
def test_on_cuda_too_a_loss_that_is_no_number_ends_the_run() -> None:
    learner = make_learner(make_config(), device="cuda")
    with torch.no_grad():
        for weight in learning_weights_in_place(learner).values():
            weight.fill_(torch.nan)
    with pytest.raises(ValueError, match="choose a lower learning_rate"):
        learner.step()
