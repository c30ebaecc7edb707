"""The learner: exact to the bit when it is resumed, and no image more than once an epoch."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from learners import (
    ALL_OPTIONS,
    TRAIN,
    assert_same,
    differ,
    learning_weights_in_place,
    learning_weights_of,
    make_config,
    make_learner,
    run,
    small_canvas,
    small_images,
    weights_of,
)

from glimpse import Eye, GlimpseBatch, GlimpseSensor
from glimpse.agents import Agent, CentreConfig, UniformConfig, reinforce
from glimpse.agents.learner import EpisodeLearner
from glimpse.image_set import ImageSource
from glimpse.loop import Learner
from glimpse.run_folder import RunFolder

MANY = 500  # rows for which the sensor computes in torch: NumPy warns of locations that are NaN

# Resuming

CASES = [
    pytest.param(make_config(), small_images, id="reinforce"),
    pytest.param(make_config(core="relu", precision="float32"), small_images, id="relu"),
    pytest.param(make_config(precision="bfloat16"), small_images, id="bfloat16"),
    pytest.param(make_config(copies=2, reward="correct"), small_canvas, id="canvas"),
    pytest.param(make_config(UniformConfig, batch=5), small_images, id="uniform"),
    pytest.param(make_config(batch=20), small_images, id="large-batch"),
    pytest.param(make_config(**ALL_OPTIONS), small_images, id="all-options"),
    pytest.param(make_config(**ALL_OPTIONS), small_canvas, id="all-options-canvas"),
]


@pytest.mark.parametrize(("config", "images"), CASES)
def test_ten_steps_are_five_a_checkpoint_and_five_more(
    config: Any, images: Callable[[], ImageSource], tmp_path: Path
) -> None:
    whole = make_learner(config, images)
    wanted = run(whole, 0, 10)
    first = make_learner(config, images)
    metrics = run(first, 0, 5)
    folder = RunFolder.create(tmp_path / "run")
    folder.write_checkpoint({"step": 5, "learner": first.state_dict()})
    run(first, 5, 7)  # what comes later is not in the checkpoint
    second = make_learner(config, images)
    assert differ(weights_of(first), weights_of(second))
    second.load_state_dict(folder.read_checkpoint()["learner"])
    metrics += run(second, 5, 10)
    assert metrics == wanted
    assert_same(weights_of(second), weights_of(whole))
    assert second.batch.shown == whole.batch.shown[5:]  # type: ignore[attr-defined]
    states = [learner.state_dict() for learner in (second, whole)]
    assert states[0]["step"] == states[1]["step"] == 10
    assert_same(learning_weights_of(second), learning_weights_of(whole))
    for number, moments in states[1]["optimiser"]["state"].items():
        assert_same(states[0]["optimiser"]["state"][number], moments)


def test_a_state_of_another_device_fits_this_one() -> None:
    """There the optimiser may be another in kind: `capturable`, its rates elsewhere."""
    whole, first = (make_learner(make_config(weight_decay=0.1)) for _ in range(2))
    metrics = run(whole, 0, 10)
    run(first, 0, 5)
    state = first.state_dict()
    for group in state["optimiser"]["param_groups"]:
        group.update(capturable=True, lr=torch.tensor(7.0, dtype=torch.float64))
    second = make_learner(make_config(weight_decay=0.1))
    second.load_state_dict(state)
    for group in second.state_dict()["optimiser"]["param_groups"]:
        assert not group["capturable"]
        assert (group["lr"].shape, group["lr"].device.type) == ((), "cpu")
    assert run(second, 5, 10) == metrics[5:]
    assert_same(weights_of(second), weights_of(whole))


def test_the_global_generator_does_not_matter() -> None:
    learners = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        learner = make_learner(make_config())
        run(learner, 0, 2)
        torch.rand(3)
        run(learner, 2, 4)
        learners.append(learner)
    assert_same(weights_of(learners[0]), weights_of(learners[1]))


def test_training_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    run(make_learner(make_config()), 0, 2)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("first", ["random", "centre", "agent"])
def test_a_seed_is_a_run(first: str) -> None:
    learners = [make_learner(make_config(seed=seed), first=first) for seed in (3, 3, 4)]
    metrics = [run(learner, 0, 6) for learner in learners]
    assert metrics[0] == metrics[1] != metrics[2]
    assert_same(weights_of(learners[0]), weights_of(learners[1]))
    assert differ(weights_of(learners[0]), weights_of(learners[2]))
    shown = [learner.batch.shown for learner in learners]  # type: ignore[attr-defined]
    assert shown[0] == shown[1] != shown[2]


def test_another_seed_is_other_weights_from_the_start() -> None:
    assert differ(
        weights_of(make_learner(make_config())), weights_of(make_learner(make_config(seed=1)))
    )


def test_first_locations_and_draws_differ_from_step_to_step() -> None:
    """One batch of all images: only what is random in the episodes tells the steps apart."""
    learner = make_learner(make_config(batch=12, learning_rate=0.0))
    learner.step()
    first = learner.batch.trail
    learner.step()
    second = learner.batch.trail
    assert not torch.equal(first[:, 0], second[:, 0])
    deviations = [(trail[:, 1] - trail[:, 0]) for trail in (first, second)]
    assert not torch.equal(*deviations)


# Which images


def _epoch(learner: EpisodeLearner, steps: int) -> list[int]:
    before = len(learner.batch.shown)  # type: ignore[attr-defined]
    for _ in range(steps):
        learner.step()
    shown: list[list[int]] = learner.batch.shown[before:]  # type: ignore[attr-defined]
    return [index for batch in shown for index in batch]


@pytest.mark.parametrize("batch", [1, 4, 6, 12])
def test_an_epoch_shows_each_training_image_once(batch: int) -> None:
    learner = make_learner(make_config(CentreConfig, batch=batch))
    epochs = [_epoch(learner, len(TRAIN) // batch) for _ in range(3)]
    for epoch in epochs:
        assert sorted(epoch) == TRAIN
    if batch < 12:
        assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
        assert epochs[0] != TRAIN


def test_what_does_not_fill_a_batch_waits_for_another_epoch() -> None:
    learner = make_learner(make_config(CentreConfig, batch=5))
    epochs = [_epoch(learner, 2) for _ in range(12)]
    for epoch in epochs:
        assert len(set(epoch)) == len(epoch) == 10
        assert set(epoch) < set(TRAIN)
    assert {index for epoch in epochs for index in epoch} == set(TRAIN)
    assert len({frozenset(epoch) for epoch in epochs}) > 1


@pytest.mark.parametrize(("batch", "times"), [(24, {2}), (30, {2, 3}), (13, {1, 2})])
def test_a_batch_larger_than_the_split_shows_all_equally_often(batch: int, times: set[int]) -> None:
    learner = make_learner(make_config(CentreConfig, batch=batch))
    shown = _epoch(learner, 1)
    assert len(shown) == batch
    assert set(shown) == set(TRAIN)
    assert {shown.count(index) for index in TRAIN} == times


def test_copies_share_an_image_and_have_places_of_their_own() -> None:
    learner = make_learner(make_config(batch=4, copies=3))
    learner.step()
    assert len(learner.batch.shown[0]) == 4  # type: ignore[attr-defined]
    trail = learner.batch.trail
    assert trail.shape == (12, 3, 2)
    assert len({tuple(place) for place in trail[:, 0].tolist()}) == 12


# Steps


def test_a_learner_is_one() -> None:
    assert isinstance(make_learner(make_config()), Learner)


def test_what_a_step_tells() -> None:
    metrics = make_learner(make_config()).step()
    assert set(metrics) == {"answer loss", "policy loss", "baseline loss", "train error %"}
    for value in metrics.values():
        assert (value.shape, value.dtype) == ((), torch.float32)
        assert not value.requires_grad
    assert metrics["train error %"] in (0, 25, 50, 75, 100)
    assert metrics["answer loss"] > 0
    assert set(make_learner(make_config(CentreConfig)).step()) == {"answer loss", "train error %"}


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_loss_that_is_no_number_ends_the_run(ema: float) -> None:
    learner = make_learner(make_config(ema=ema, batch=MANY))
    with torch.no_grad():
        for weight in learning_weights_in_place(learner).values():
            weight.fill_(torch.nan)
    message = (
        "^the loss must be a number, got NaN or infinity at step 1: choose a lower learning_rate$"
    )
    with pytest.raises(ValueError, match=message):
        learner.step()


def test_a_run_that_diverges_is_ended_at_the_next_look() -> None:
    """It is looked for every 100 steps: at the 1st, the 101st and so on."""
    learner = make_learner(make_config(batch=MANY, steps=200, learning_rate=1e30, clip=1e30))
    for _ in range(100):
        metrics = learner.step()
    assert not math.isfinite(metrics["answer loss"])
    with pytest.raises(ValueError, match=r"got NaN or infinity at step 101: .* learning_rate$"):
        learner.step()


@pytest.mark.parametrize("steps", [7, 103])
def test_the_last_step_is_looked_at_too(steps: int) -> None:
    """Or a run that diverged after the last look would end as if nothing were wrong."""
    learner = make_learner(make_config(batch=MANY, steps=steps))
    for _ in range(steps - 2):
        learner.step()
    with torch.no_grad():
        for weight in learning_weights_in_place(learner).values():
            weight.fill_(torch.nan)
    assert not math.isfinite(learner.step()["answer loss"])
    with pytest.raises(ValueError, match=f"^the loss .* at step {steps}: .* learning_rate$"):
        learner.step()


def test_memorising_a_few_images_works() -> None:
    config = make_config(CentreConfig, steps=150, batch=12, hidden=32, learning_rate=1e-2)
    learner = make_learner(config, first="centre")
    metrics = run(learner, 0, 150)
    assert metrics[0]["answer loss"] > 0.5
    assert metrics[-1]["answer loss"] < 0.05
    assert metrics[-1]["train error %"] == 0


def test_a_step_trains_after_an_evaluation() -> None:
    learner = make_learner(make_config())
    learner.model.eval()
    learner.step()
    assert learner.model.training


# Refusals


@pytest.mark.parametrize(
    ("rows", "copies", "config"),
    [
        (8, 1, make_config(batch=4)),
        (4, 2, make_config(batch=4)),
        (4, 1, make_config(batch=4, copies=2)),
        (8, 4, make_config(batch=4, copies=2)),
    ],
)
def test_a_batch_of_other_rows_is_refused(rows: int, copies: int, config: Any) -> None:
    eye = Eye(sensor=GlimpseSensor(3), glimpses=2)
    batch = GlimpseBatch(small_images(), eye, rows, copies=copies)
    model = Agent.for_batch(config, batch).model
    wanted = config.batch * config.copies
    message = (
        f"^the environment must have {wanted} rows and copies={config.copies}, got {rows} and "
        f"{copies}: build it so$"
    )
    with pytest.raises(ValueError, match=message):
        reinforce(config, batch, model)


def _without(state: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in state.items() if key != name}


OTHERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "hidden": lambda state: make_learner(make_config(hidden=9)).state_dict(),
    "core": lambda state: make_learner(make_config(core="relu")).state_dict(),
    "no model": lambda state: _without(state, "model"),
    "no optimiser": lambda state: _without(state, "optimiser"),
    "no step": lambda state: _without(state, "step"),
    "empty": lambda state: {},
    "model is a number": lambda state: {**state, "model": 3},
    "optimiser is empty": lambda state: {**state, "optimiser": {}},
    "optimiser of another model": lambda state: {
        **state,
        "optimiser": torch.optim.Adam([torch.zeros(2)]).state_dict(),
    },
    "step is none": lambda state: {**state, "step": None},
    "step is a word": lambda state: {**state, "step": "five"},
}


@pytest.mark.parametrize("name", OTHERS)
def test_the_state_of_another_learner_is_refused(name: str) -> None:
    learner = make_learner(make_config())
    learner.step()
    state = OTHERS[name](learner.state_dict())
    message = r"^the checkpoint must be this agent's, got another \(.*\): resume with the options"
    with pytest.raises(ValueError, match=message):
        make_learner(make_config()).load_state_dict(state)
