"""One cell with one seed, on small images: its options, its training, and what it leaves."""

import json
import os
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from cells import (
    STEPS,
    TEST,
    TRAIN,
    change_recipes,
    disturb,
    make_job,
    measured_in,
    press,
    press_twice,
    same_weights,
    written_files,
)
from command import type_in
from expect import refused

from glimpse import GlimpseBatch
from glimpse.agents import AGENTS, Agent, ReinforceConfig, load
from glimpse.agents.learner import EpisodeLearner
from glimpse.cli import ram_job
from glimpse.cli.ram import BATCH, BUDGETS, CELLS, TASKS, Cell
from glimpse.cli.ram_job import WIDTHS
from glimpse.device import device_name
from glimpse.envs import ENVIRONMENTS, EnvConfig

pytestmark = pytest.mark.usefixtures("elsewhere")
on_small_images = pytest.mark.usefixtures("small_cells")
GLIMPSES = [cell for cell in CELLS if cell.network is None]
WHOLE = [cell for cell in CELLS if cell.network is not None]
FOLDER = Path("mine")


# The options of the real cells


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_a_cell_is_trained_for_its_budget(cell: Cell, budget: str) -> None:
    config = make_job(cell, 3, budget=budget).config
    assert isinstance(config, AGENTS[cell.agent].config)
    steps = TASKS[cell.task].steps[budget]
    assert (config.steps, config.batch, config.seed) == (steps, BATCH[budget], 3)
    assert config.copies == 1


@pytest.mark.parametrize("cell", GLIMPSES, ids=lambda cell: cell.name)
def test_who_takes_glimpses_learns_by_the_recipe_of_the_task(cell: Cell) -> None:
    """As far as it has such options; all the others have their defaults."""
    job = make_job(cell, budget="quick", data_root="data")
    kind, recipe = AGENTS[cell.agent].config, TASKS[cell.task].recipe
    wanted = {**vars(kind()), **{name: recipe[name] for name in recipe if name in vars(kind())}}
    steps = TASKS[cell.task].steps["quick"]
    assert vars(job.config) == {**wanted, "steps": steps, "batch": BATCH["quick"]}
    assert kind is not ReinforceConfig or set(recipe) <= set(wanted)
    assert job.network() is None
    env = EnvConfig.of({**ENVIRONMENTS[job.task.env], **job.view})
    assert (env.glimpses, env.data_root) == (cell.glimpses, "data")
    assert env.size == (8 if cell.task == "28x28" else 12)
    assert env.scales == {"28x28": 1, "cluttered-100": 4}.get(cell.task, 3)
    assert env.first == ("random" if cell.task == "28x28" else "centre")


@pytest.mark.parametrize("cell", WHOLE, ids=lambda cell: cell.name)
def test_who_sees_an_image_whole_learns_by_the_defaults(cell: Cell) -> None:
    """And is a network of two hidden layers, of units as many as its name says."""
    job, side = make_job(cell, budget="quick"), TASKS[cell.task].side
    config, network = job.config, job.network()
    assert network is not None
    assert set(WIDTHS) == {cell.network for cell in WHOLE}
    own = {"core": "relu", "hidden": config.hidden, "features": network.features}
    own |= {"steps": TASKS[cell.task].steps["quick"], "batch": BATCH["quick"]}
    assert vars(config) == {**vars(AGENTS[cell.agent].config()), **own}
    places = {28: 4, 60: 11, 100: 19}[side]
    widths = {"fc-64": (64, 64), "fc-256": (256, 256), "conv": (256, 8 * places**2)}
    assert (config.hidden, config.features) == widths[str(cell.network)]
    image = torch.zeros(1, 1, 1, side, side)
    assert network(image, torch.zeros(1, 2)).shape == (1, config.features)
    env = EnvConfig.of({**ENVIRONMENTS[job.task.env], **job.view})
    assert (env.glimpses, env.size, env.scales, env.first) == (1, side, 1, "centre")
    assert env.data_root is None


@pytest.mark.parametrize("name", ["28x28/conv", "28x28/fc-256"])
def test_the_weights_of_a_network_are_a_function_of_the_seed(name: str) -> None:
    """Whatever was drawn before; what is drawn after does not know of them."""
    weights = []
    for seed, drawn in ((0, 5), (0, 6), (1, 5)):
        torch.manual_seed(drawn)
        network = make_job(name, seed).network()
        assert network is not None
        weights.append(network.see.weight)
        after = torch.rand(3)
        torch.manual_seed(drawn)
        assert torch.equal(after, torch.rand(3))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


# What is left


@on_small_images
@pytest.mark.parametrize("name", ["28x28/ram-3", "28x28/uniform-7", "28x28/conv"])
def test_what_was_measured_is_what_the_agent_does(name: str) -> None:
    job = make_job(name)
    assert job.result() is None
    assert job.train()
    measured = measured_in(FOLDER)
    assert job.result() == measured
    agent = load(FOLDER, glimpse_network=job.network())
    assert agent.config == job.config
    evaluation = agent.evaluate(job.core(512), "test")
    for kind in ("mean", "sampled"):
        errors = [row[kind]["error"] for row in measured["errors"]]
        assert errors == [rate.percent for rate in getattr(evaluation, kind)]
    assert (measured["split"], measured["images"]) == ("test", len(TEST))
    assert measured["diagnosis"]["spread"] == list(evaluation.diagnosis.spread)
    if name.endswith("conv"):
        assert "averaged" not in measured
    else:
        averaged = agent.averaged(job.core(510, 10), "test")[-1].percent
        assert measured["averaged"] == {"error": averaged, "passes": 10}


@on_small_images
def test_the_circumstances_are_written_beside_it() -> None:
    before = date.today()
    assert make_job("28x28/ram-2").train()
    measured = measured_in(FOLDER)
    assert measured["machine"] == device_name(torch.device("cpu"))
    assert before <= date.fromisoformat(measured["date"]) <= date.today()
    assert measured["versions"] == json.loads((FOLDER / "versions.json").read_text())
    assert {"python", "torch", "numpy", "gymnasium"} <= set(measured["versions"])
    spent = torch.load(FOLDER / "checkpoint.pt")["spent"]
    assert list(measured["seconds"]) == ["wall", "processor"]
    assert list(measured["seconds"].values()) == spent
    assert min(spent) > 0
    assert not (FOLDER / "evaluation.json").exists()


@on_small_images
@pytest.mark.parametrize(("name", "told"), [("28x28/ram-3", 1), ("28x28/untrained-7", 0)])
def test_only_who_was_to_learn_where_to_look_is_warned_of(
    name: str, told: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    change_recipes(monkeypatch, learning_rate=0.0)  # all means are nearly the centre
    assert make_job(name).train()
    out, err = capsys.readouterr()
    assert "spread 0" in out
    assert err.count("warning: the policy has collapsed") == told


@on_small_images
@pytest.mark.parametrize("name", ["28x28/ram-2", "28x28/fc-256", "28x28/uniform-7"])
def test_a_seed_is_a_run(name: str) -> None:
    """Whatever was drawn before."""
    for folder, seed, drawn in (("one", 0, 5), ("same", 0, 6), ("other", 1, 5)):
        torch.manual_seed(drawn)
        assert make_job(name, seed, folder=folder).train()
    assert same_weights(Path("one"), Path("same"))
    assert not same_weights(Path("one"), Path("other"))
    assert measured_in(Path("one"))["errors"] == measured_in(Path("same"))["errors"]


@on_small_images
@pytest.mark.parametrize("name", ["28x28/ram-2", "28x28/conv"])
def test_nothing_of_the_test_split_is_seen_before_training_is_over(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    begin, sweep = GlimpseBatch.begin, GlimpseBatch.sweep

    def spy_begin(self: GlimpseBatch, seeds: torch.Tensor, indices: torch.Tensor) -> Any:
        seen.append("train" if set(indices.tolist()) <= set(TRAIN) else "other")
        return begin(self, seeds, indices)

    def spy_sweep(self: GlimpseBatch, split: str | None = None, *, seed: int = 0) -> Any:
        seen.append(str(split))
        return sweep(self, split, seed=seed)

    monkeypatch.setattr(GlimpseBatch, "begin", spy_begin)
    monkeypatch.setattr(GlimpseBatch, "sweep", spy_sweep)
    assert make_job(name).train()
    looks = 3 if "ram" in name else 2  # mean, sampled, averaged
    assert seen[-looks:] == ["test"] * looks
    assert set(seen[:-looks]) == {"train", "validation"}
    assert seen.count("train") == STEPS["smoke"]


# Going on


@on_small_images
@pytest.mark.parametrize("name", ["28x28/ram-3", "28x28/conv"])
def test_an_interrupted_run_goes_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(name)
    with monkeypatch.context() as patch:
        disturb(patch, EpisodeLearner, "step", 3, press)
        assert not job.train()
    assert torch.load(FOLDER / "checkpoint.pt")["step"] == 3
    assert job.result() is None
    with monkeypatch.context() as patch:
        taken = disturb(patch, EpisodeLearner, "step", 0, press)
        assert job.train()
    assert len(taken) == 3
    assert make_job(name, folder="whole").train()
    assert same_weights(FOLDER, Path("whole"))
    assert measured_in(FOLDER)["errors"] == measured_in(Path("whole"))["errors"]


@on_small_images
def test_a_run_interrupted_while_it_is_measured_is_not_trained_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = make_job("28x28/ram-2")
    with monkeypatch.context() as patch:
        disturb(patch, Agent, "evaluate", 1, press_twice)
        with pytest.raises(KeyboardInterrupt):
            job.train()
    assert job.result() is None
    before = (FOLDER / "weights.safetensors").read_bytes()
    taken = disturb(monkeypatch, EpisodeLearner, "step", 0, press)
    assert job.train()
    assert taken == []
    assert (FOLDER / "weights.safetensors").read_bytes() == before


@on_small_images
@pytest.mark.parametrize("interrupted", [True, False])
def test_a_run_that_glimpse_train_resumed_is_not_taken_for_measured(
    interrupted: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job("28x28/ram-2")
    with monkeypatch.context() as patch:
        disturb(patch, EpisodeLearner, "step", 3 if interrupted else 0, press)
        assert job.train() != interrupted
    measured = job.result()
    assert type_in(capsys, "train", "--resume", FOLDER).code == 0
    assert (FOLDER / "evaluation.json").is_file()
    assert job.result() == measured
    taken = disturb(monkeypatch, EpisodeLearner, "step", 0, press)
    assert job.train()
    assert taken == []
    assert {"machine", "date", "versions", "seconds", "averaged"} <= set(measured_in(FOLDER))


@on_small_images
def test_a_run_of_another_recipe_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_job("28x28/ram-2").train()
    for other in (make_job("28x28/ram-3"), make_job("28x28/ram-2", 1)):
        with refused("mine must hold a run with this version's recipe, got another: name"):
            other.result()
    assert make_job("28x28/ram-2", data_root="elsewhere").result() is not None
    change_recipes(monkeypatch, early=0.7)
    with refused("name another folder with --run, or remove it"):
        make_job("28x28/ram-2").result()


# Hours


@on_small_images
@pytest.mark.parametrize("name", ["28x28/ram-2", "28x28/conv"])
def test_steps_are_timed_and_nothing_is_written(name: str) -> None:
    job = make_job(name, budget="paper")
    assert 0 < job.hours() * 3600 / STEPS["paper"] < 10
    assert os.listdir() == []


@on_small_images
def test_hours_are_those_of_the_steps_that_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three steps in six hours."""
    job = make_job("28x28/ram-2")

    def hours() -> float:
        with monkeypatch.context() as patch:
            clock = iter([100.0, 100 + 6 * 3600.0])
            patch.setattr(ram_job, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
            return job.hours()

    assert hours() == pytest.approx(2 * STEPS["smoke"])
    with monkeypatch.context() as patch:
        disturb(patch, EpisodeLearner, "step", 2, press)
        assert not job.train()
    before = written_files(FOLDER)
    assert hours() == pytest.approx(2 * (STEPS["smoke"] - 2))
    assert written_files(FOLDER) == before
