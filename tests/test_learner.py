"""The learner: exact to the bit when it is resumed, and no image more than once an epoch."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from glimpse import Eye, GlimpseBatch, GlimpseSensor, ImageSet
from glimpse.agents import Agent, CentreConfig, ReinforceConfig, UniformConfig, control, reinforce
from glimpse.agents.learner import EpisodeLearner, TrainingConfig
from glimpse.canvas import Canvas, OnCanvas
from glimpse.image_set import ImageSource
from glimpse.loop import Learner, train
from glimpse.run_folder import RunFolder

TRAIN = [1, 2, 4, 6, 7, 9, 10, 11, 13, 14, 15, 16]


def _images() -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (17, 1, 9, 12), dtype=torch.uint8, generator=generator)
    splits = {"train": TRAIN, "validation": [0, 3, 5], "test": [8, 12]}
    return ImageSet.from_arrays(images, [k % 3 for k in range(17)], splits=splits)


def _canvas() -> OnCanvas:
    return OnCanvas(_images(), Canvas(14, 18, pieces=2, piece=3))


class Recording(GlimpseBatch):
    """A batch that keeps which images were asked for."""

    def reset(self, **options: Any) -> Any:
        self.__dict__.setdefault("asked", []).append(options["options"]["indices"].tolist())
        return super().reset(**options)

    @property
    def shown(self) -> list[list[int]]:
        asked: list[list[int]] = self.__dict__.get("asked", [])
        return asked


SIZES: dict[str, Any] = {"steps": 10, "batch": 4, "hidden": 8, "features": 8}


def _config(kind: type[TrainingConfig] = ReinforceConfig, **options: Any) -> Any:
    return kind(**{**SIZES, **options})


def _learner(
    config: Any, images: Callable[[], ImageSource] = _images, first: str = "random"
) -> EpisodeLearner:
    eye = Eye(sensor=GlimpseSensor(3, scales=2), glimpses=3, first=first)
    batch = Recording(images(), eye, config.batch * config.copies, copies=config.copies)
    agent = Agent.for_batch(config, batch)
    make: Any = reinforce if isinstance(config, ReinforceConfig) else control
    learner: EpisodeLearner = make(config, batch, agent.model)
    return learner


def _run(learner: EpisodeLearner, start: int, stop: int) -> list[Mapping[str, float]]:
    metrics: list[Mapping[str, float]] = []
    train(learner, stop, [lambda progress: metrics.append(progress.metrics)], start=start)
    return metrics


def _weights(learner: EpisodeLearner) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in learner.model.state_dict().items()}


def _assert_same(got: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    assert got.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.equal(got[name], value), name


def _differ(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return any(not torch.equal(one[name], other[name]) for name in one)


# Resuming

CASES = [
    pytest.param(_config(), _images, id="reinforce"),
    pytest.param(_config(core="relu", precision="float32"), _images, id="relu"),
    pytest.param(_config(precision="bfloat16"), _images, id="bfloat16"),
    pytest.param(_config(copies=2, reward="correct"), _canvas, id="canvas"),
    pytest.param(_config(UniformConfig, batch=5), _images, id="uniform"),
    pytest.param(_config(batch=20), _images, id="large-batch"),
]


@pytest.mark.parametrize(("config", "images"), CASES)
def test_ten_steps_are_five_a_checkpoint_and_five_more(
    config: Any, images: Callable[[], ImageSource], tmp_path: Path
) -> None:
    whole = _learner(config, images)
    wanted = _run(whole, 0, 10)
    first = _learner(config, images)
    metrics = _run(first, 0, 5)
    run = RunFolder.create(tmp_path / "run")
    run.write_checkpoint({"step": 5, "learner": first.state_dict()})
    _run(first, 5, 7)  # what comes later is not in the checkpoint
    second = _learner(config, images)
    assert _differ(_weights(first), _weights(second))
    second.load_state_dict(run.read_checkpoint()["learner"])
    metrics += _run(second, 5, 10)
    assert metrics == wanted
    _assert_same(_weights(second), _weights(whole))
    assert second.batch.shown == whole.batch.shown[5:]  # type: ignore[attr-defined]
    states = [learner.state_dict() for learner in (second, whole)]
    assert states[0]["schedule"] == states[1]["schedule"]
    assert states[0]["step"] == states[1]["step"] == 10


def test_the_global_generator_does_not_matter() -> None:
    learners = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        learner = _learner(_config())
        _run(learner, 0, 2)
        torch.rand(3)
        _run(learner, 2, 4)
        learners.append(learner)
    _assert_same(_weights(learners[0]), _weights(learners[1]))


def test_training_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    _run(_learner(_config()), 0, 2)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("first", ["random", "centre", "agent"])
def test_a_seed_is_a_run(first: str) -> None:
    learners = [_learner(_config(seed=seed), first=first) for seed in (3, 3, 4)]
    metrics = [_run(learner, 0, 6) for learner in learners]
    assert metrics[0] == metrics[1] != metrics[2]
    _assert_same(_weights(learners[0]), _weights(learners[1]))
    assert _differ(_weights(learners[0]), _weights(learners[2]))
    shown = [learner.batch.shown for learner in learners]  # type: ignore[attr-defined]
    assert shown[0] == shown[1] != shown[2]


def test_another_seed_is_other_weights_from_the_start() -> None:
    assert _differ(_weights(_learner(_config())), _weights(_learner(_config(seed=1))))


def test_first_locations_and_draws_differ_from_step_to_step() -> None:
    """One batch of all images: only what is random in the episodes tells the steps apart."""
    learner = _learner(_config(batch=12, learning_rate=0.0))
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
    learner = _learner(_config(CentreConfig, batch=batch))
    epochs = [_epoch(learner, len(TRAIN) // batch) for _ in range(3)]
    for epoch in epochs:
        assert sorted(epoch) == TRAIN
    if batch < 12:
        assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
        assert epochs[0] != TRAIN


def test_what_does_not_fill_a_batch_waits_for_another_epoch() -> None:
    learner = _learner(_config(CentreConfig, batch=5))
    epochs = [_epoch(learner, 2) for _ in range(12)]
    for epoch in epochs:
        assert len(set(epoch)) == len(epoch) == 10
        assert set(epoch) < set(TRAIN)
    assert {index for epoch in epochs for index in epoch} == set(TRAIN)
    assert len({frozenset(epoch) for epoch in epochs}) > 1


@pytest.mark.parametrize(("batch", "times"), [(24, {2}), (30, {2, 3}), (13, {1, 2})])
def test_a_batch_larger_than_the_split_shows_all_equally_often(batch: int, times: set[int]) -> None:
    learner = _learner(_config(CentreConfig, batch=batch))
    shown = _epoch(learner, 1)
    assert len(shown) == batch
    assert set(shown) == set(TRAIN)
    assert {shown.count(index) for index in TRAIN} == times


def test_copies_share_an_image_and_have_places_of_their_own() -> None:
    learner = _learner(_config(batch=4, copies=3))
    learner.step()
    assert len(learner.batch.shown[0]) == 4  # type: ignore[attr-defined]
    trail = learner.batch.trail
    assert trail.shape == (12, 3, 2)
    assert len({tuple(place) for place in trail[:, 0].tolist()}) == 12


# Steps


def test_a_learner_is_one() -> None:
    assert isinstance(_learner(_config()), Learner)


def test_what_a_step_tells() -> None:
    metrics = _learner(_config()).step()
    assert set(metrics) == {"answer loss", "policy loss", "baseline loss", "train error %"}
    assert all(type(value) is float for value in metrics.values())
    assert metrics["train error %"] in (0, 25, 50, 75, 100)
    assert metrics["answer loss"] > 0
    assert set(_learner(_config(CentreConfig)).step()) == {"answer loss", "train error %"}


def test_the_learning_rate_falls_to_zero_along_a_cosine() -> None:
    learner = _learner(_config(steps=8, learning_rate=0.01))
    rates = []
    for _ in range(8):
        rates.append(learner.state_dict()["optimiser"]["param_groups"][0]["lr"])
        learner.step()
    steps = torch.arange(8) / 8 * torch.pi
    wanted = (0.005 * (1 + steps.cos())).tolist()
    assert rates == pytest.approx(wanted, rel=1e-5)
    assert learner.state_dict()["optimiser"]["param_groups"][0]["lr"] == pytest.approx(0, abs=1e-9)


def test_the_gradient_is_cut_to_the_clip() -> None:
    norms = []
    for clip in (1e-3, 1e3):
        learner = _learner(_config(CentreConfig, clip=clip, precision="float32"))
        learner.step()
        gradients = [p.grad for p in learner.model.parameters() if p.grad is not None]
        norms.append(torch.stack([gradient.norm() for gradient in gradients]).norm().item())
    assert norms[0] == pytest.approx(1e-3, rel=1e-2)
    assert 1e-2 < norms[1] < 1e3


def test_memorising_a_few_images_works() -> None:
    config = _config(CentreConfig, steps=150, batch=12, hidden=32, learning_rate=1e-2)
    learner = _learner(config, first="centre")
    metrics = _run(learner, 0, 150)
    assert metrics[0]["answer loss"] > 0.5
    assert metrics[-1]["answer loss"] < 0.05
    assert metrics[-1]["train error %"] == 0


def test_a_step_trains_after_an_evaluation() -> None:
    learner = _learner(_config())
    learner.model.eval()
    learner.step()
    assert learner.model.training


# Refusals


@pytest.mark.parametrize(
    ("rows", "copies", "config"),
    [
        (8, 1, _config(batch=4)),
        (4, 2, _config(batch=4)),
        (4, 1, _config(batch=4, copies=2)),
        (8, 4, _config(batch=4, copies=2)),
    ],
)
def test_a_batch_of_other_rows_is_refused(rows: int, copies: int, config: Any) -> None:
    eye = Eye(sensor=GlimpseSensor(3), glimpses=2)
    batch = GlimpseBatch(_images(), eye, rows, copies=copies)
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
    "hidden": lambda state: _learner(_config(hidden=9)).state_dict(),
    "core": lambda state: _learner(_config(core="relu")).state_dict(),
    "no model": lambda state: _without(state, "model"),
    "no optimiser": lambda state: _without(state, "optimiser"),
    "no schedule": lambda state: _without(state, "schedule"),
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
    learner = _learner(_config())
    learner.step()
    state = OTHERS[name](learner.state_dict())
    message = r"^the checkpoint must be this agent's, got another \(.*\): resume with the options"
    with pytest.raises(ValueError, match=message):
        _learner(_config()).load_state_dict(state)


@pytest.mark.parametrize("name", ["steps", "batch", "copies", "hidden", "features"])
def test_counts_below_one_are_refused(name: str) -> None:
    message = f"^`{name}` must be a whole number from 1, got 0: choose another$"
    with pytest.raises(ValueError, match=message):
        _config(**{name: 0})


@pytest.mark.parametrize("name", ["learning_rate", "early", "clip"])
@pytest.mark.parametrize("value", [-0.5, float("nan"), float("inf")])
def test_numbers_below_zero_or_not_finite_are_refused(name: str, value: float) -> None:
    message = f"^`{name}` must be finite and at least 0, got {value}: choose another$"
    with pytest.raises(ValueError, match=message):
        _config(**{name: value})


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="`seed` must be a whole number from 0, got -1: "):
        _config(seed=-1)


@pytest.mark.plain
def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="`core` must be one of lstm, relu, got 'gru': "):
        _config(core="gru")
    message = "`precision` must be one of auto, bfloat16, float32, got 'float16': "
    with pytest.raises(ValueError, match=message):
        _config(precision="float16")
