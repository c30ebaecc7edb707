"""Evolution of where to look: fitness by hand, the same images for all, the same run again."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from active import FakeActive
from cue import EYE, cue_task
from expect import generator, refused
from learners import GLIMPSES, SIZES, assert_same, differ, small_canvas, small_images
from torch import Tensor, nn

from glimpse import Eye, GlimpseBatch, GlimpseSensor
from glimpse.agents import Agent, EsConfig, EsLearner
from glimpse.agents.es_learner import together
from glimpse.agents.rollout import Rollout, costs, roll_out
from glimpse.envs import ActiveBatch
from glimpse.loop import train
from glimpse.processes import ALONE, Processes
from glimpse.rewards import REWARDS
from glimpse.run_folder import RunFolder

HEADS, TRIALS = 6, 5
PLAIN: dict[str, Any] = {
    **SIZES,
    "ema": 0.0,
    "precision": "float32",
    "uniform": 0.0,
    "population": HEADS,
    "trials": TRIALS,
    "search_std": 0.5,
}
# Options of training, then of the eye: together each that changes what a step does.
VARIANTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"ema": 0.9, "warm_up": 3, "weight_decay": 0.1, "uniform": 0.3}, {"first": "centre"}),
    ({"copies": 2, "core": "relu", "curriculum": 7}, {"first": "agent", "context": 4}),
    ({"reward": "correct", "std_rate": 0.3, "precision": "bfloat16"}, {"stop": True, "zoom": 2}),
]
every_variant = pytest.mark.parametrize(("options", "view"), VARIANTS)


def _learner(
    source: Callable[[], Any] = small_canvas,
    processes: Processes = ALONE,
    view: dict[str, Any] | None = None,
    **options: Any,
) -> EsLearner:
    config = EsConfig(**{**PLAIN, **options})
    eye = Eye(**{"sensor": GlimpseSensor(3, scales=2), "glimpses": GLIMPSES, **(view or {})})
    batch = GlimpseBatch(
        source(), eye, config.batch * config.copies, copies=config.copies, cost=0.01
    )
    return EsLearner(config, batch, Agent.for_batch(config, batch).model, processes)


def _take(learner: EsLearner, steps: int) -> list[dict[str, float]]:
    return [{name: float(value) for name, value in learner.step().items()} for _ in range(steps)]


def _weights(learner: EsLearner) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in learner.model.state_dict().items()}


def _locator(learner: EsLearner) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in learner.model.locator.parameters()])


def _tried(learner: EsLearner) -> Tensor:
    """Return the heads of the generation to come."""
    search = learner.search
    return search.weights(search.noise(range(search.population)))


# Fitness


@every_variant
def test_the_fitness_is_that_of_every_head_by_itself(
    options: dict[str, Any], view: dict[str, Any]
) -> None:
    learner = _learner(view=view, **{**options, "precision": "float32"})
    _take(learner, 2)
    weights = _tried(learner)
    torch.testing.assert_close(learner.fitness(weights), _one_by_one(learner, weights))


@torch.no_grad()
def _one_by_one(learner: EsLearner, weights: Tensor) -> Tensor:
    """Return the fitness of heads, each written into the model and played alone."""
    batch, config, before = learner._batch.twin(), learner.config, _locator(learner)
    rows = torch.arange(TRIALS * config.copies)
    seeds, indices = learner._draws.first_seed(2) + rows, learner._draws.images(2)
    found = []
    for head in weights:
        nn.utils.vector_to_parameters(head, learner.model.locator.parameters())
        seen = batch.begin(seeds, indices)
        count = config.glimpses_at(2, GLIMPSES)
        rollout = roll_out(learner.model, batch, seen, lambda mean: mean, glimpses=count)
        found.append(_earned(learner, rollout).mean())
    nn.utils.vector_to_parameters(before, learner.model.locator.parameters())
    return torch.stack(found)


def _earned(learner: EsLearner, rollout: Rollout) -> Tensor:
    reward = REWARDS[learner.config.reward](learner._task, rollout.answers, rollout.target)
    return (reward - costs(rollout, 0.01)).sum(dim=1)


@pytest.mark.parametrize("copies", [1, 2])
def test_all_heads_see_the_same(copies: int, monkeypatch: pytest.MonkeyPatch) -> None:
    learner, seen = _learner(copies=copies), []
    begin = learner._batch.begin

    def spy(seeds: Tensor, indices: Tensor) -> Any:
        observation = begin(seeds, indices)
        seen.append((observation, learner._batch.shown, learner._batch.target))
        return observation

    monkeypatch.setattr(learner._batch, "begin", spy)
    _take(learner, 2)
    for observation, shown, target in seen:
        for part in (*observation.values(), shown, target):
            of_each = part.view(HEADS + 1, TRIALS * copies, *part.shape[1:])  # and the centre's
            assert (of_each == of_each[0]).all()
    one, other = (shown for _, shown, _ in seen)
    assert not torch.equal(one, other)  # and new ones in every generation


def test_where_rows_are_given_heads_are_tried_one_after_another() -> None:
    batch, config = ActiveBatch(lambda: FakeActive(8)), EsConfig(**{**PLAIN, "batch": 8})
    learner = EsLearner(config, batch, Agent.for_batch(config, batch).model)
    one, other, *_ = _tried(learner)
    first, again, second = learner.fitness(torch.stack([one, one, other]))
    assert first == again
    assert torch.equal(learner.fitness(other[None])[0], second)


def test_many_heads_as_one() -> None:
    torch.manual_seed(0)
    locator = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    weights = torch.randn(5, 3 * 5 + 2 * 4, generator=generator())
    hidden = torch.randn(15, 2, 4, generator=generator(1))
    locate = together(locator, weights)
    before = nn.utils.parameters_to_vector(locator.parameters()).clone()
    for rows in (hidden, hidden[:, 0]):  # of several looks, and of one
        wanted = []
        for head, seen in zip(weights, rows.split(3), strict=True):
            nn.utils.vector_to_parameters(head, locator.parameters())
            wanted.append(locator(seen))
        nn.utils.vector_to_parameters(before, locator.parameters())
        torch.testing.assert_close(locate(rows), torch.cat(wanted))


# The search


def test_the_centre_of_the_search_is_the_models_location_head() -> None:
    for ema in (0.0, 0.9):
        learner = _learner(ema=ema)
        first = _locator(learner)
        for _ in range(3):
            learner.step()
            assert torch.equal(_locator(learner), learner.search.centre.float())
        assert not torch.equal(_locator(learner), first)


def test_fitness_is_told_with_best_mean_and_centre() -> None:
    learner = _learner()
    _take(learner, 2)
    weights, centre = _tried(learner), learner.search.centre.float()
    learner._perceiver.step()  # what the step does before it tries heads
    fitness, of_centre = learner.fitness(weights), learner.fitness(centre[None])
    again = _learner()
    told = _take(again, 3)[-1]
    assert told["fitness best"] == pytest.approx(float(fitness.max()))
    assert told["fitness mean"] == pytest.approx(float(fitness.mean()))
    assert told["fitness centre"] == pytest.approx(float(of_centre))
    assert told["search std"] == pytest.approx(float(again.search.std.mean()))


def test_a_head_that_is_no_number_ranks_last() -> None:
    learner, other = _learner(), _learner()
    _with_fitness(learner, [3.0, torch.nan, 1.0, 2.0, 0.0, -1.0])
    _with_fitness(other, [3.0, -2.0, 1.0, 2.0, 0.0, -1.0])
    told, _ = _take(learner, 1)[0], _take(other, 1)
    assert torch.equal(learner.search.centre, other.search.centre)
    assert (told["fitness best"], told["fitness mean"]) == (3.0, 1.0)


def test_a_head_of_nan_has_a_fitness_of_nan_and_the_others_theirs() -> None:
    learner = _learner()
    weights = _tried(learner)
    wanted = learner.fitness(weights)
    weights[2] = torch.nan
    got = learner.fitness(weights)
    assert got.isnan().tolist() == [head == 2 for head in range(HEADS)]
    wanted[2] = torch.nan
    torch.testing.assert_close(got, wanted, equal_nan=True)


def _with_fitness(learner: EsLearner, fitness: list[float]) -> None:
    learner.fitness = lambda weights: torch.tensor([*fitness, 0.0])  # type: ignore[method-assign]


def test_the_rate_of_the_centre_falls_as_the_other() -> None:
    learner = _learner(centre_rate=0.5, warm_up=2)
    for step in range(5):
        learner.step()
        wanted = 0.5 * learner.config.schedule(step)
        assert learner.search.centre_rate == pytest.approx(wanted)


def test_while_looks_are_uniform_nothing_evolves() -> None:
    learner = _learner(uniform=0.3, steps=10)
    before = _locator(learner)
    told = _take(learner, 4)
    assert [("fitness best" in metrics) for metrics in told] == [False, False, False, True]
    assert learner.search.generation == 1
    assert not torch.equal(_locator(learner), before)
    assert all(set(metrics) >= {"answer loss", "train error %"} for metrics in told)


def test_without_a_rate_the_head_stays_and_the_perceiver_learns() -> None:
    learner = _learner(centre_rate=0.0)
    before = _weights(learner)
    _take(learner, 3)
    for name, value in _weights(learner).items():
        taught = name.split(".")[0] not in ("locator", "baseline")
        assert torch.equal(value, before[name]) != taught, name


# The same run


@pytest.mark.parametrize("source", [small_images, small_canvas])
@every_variant
def test_ten_steps_are_five_a_checkpoint_and_five_more(
    source: Any, options: dict[str, Any], view: dict[str, Any], tmp_path: Path
) -> None:
    whole = _learner(source, view=view, **options)
    told = _take(whole, 10)
    first = _learner(source, view=view, **options)
    assert _take(first, 5) == told[:5]
    folder = RunFolder.create(tmp_path / "run")
    folder.write_checkpoint({"learner": first.state_dict()})
    _take(first, 2)  # what comes later is not in the checkpoint
    second = _learner(source, view=view, **options)
    assert differ(_weights(second), _weights(first))
    second.load_state_dict(folder.read_checkpoint()["learner"])
    assert _take(second, 5) == told[5:]
    assert_same(_weights(second), _weights(whole))


def test_the_seed_decides() -> None:
    told = _take(_learner(), 3)
    torch.rand(5)
    assert _take(_learner(), 3) == told
    assert _take(_learner(seed=1), 3) != told


@dataclass(frozen=True)
class InMemory(Processes):
    """Processes that are threads.

    Attributes:
        told: What each of them has to add.
        meet: Where they wait for one another.
    """

    told: dict[int, Tensor] = field(default_factory=dict)
    meet: threading.Barrier = field(default_factory=lambda: threading.Barrier(1))

    def add(self, mine: Tensor) -> Tensor:
        self.told[self.rank] = mine
        self.meet.wait(60)
        whole = torch.stack([self.told[rank] for rank in range(self.count)]).sum(dim=0)
        self.meet.wait(60)
        return whole


@pytest.mark.parametrize("count", [2, 4])
def test_shares_come_to_the_same_as_one(count: int) -> None:
    alone = _learner()
    told = _take(alone, 5)
    table: dict[int, Tensor] = {}
    meet, found = threading.Barrier(count), dict[int, list[dict[str, float]]]()
    learners = [_learner(processes=InMemory(rank, count, table, meet)) for rank in range(count)]

    def work(rank: int) -> None:
        found[rank] = _take(learners[rank], 5)

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for rank in range(count):
        assert found[rank] == found[0]
        assert_same(_weights(learners[rank]), _weights(learners[0]))
        assert [set(metrics) for metrics in found[rank]] == [set(metrics) for metrics in told]
        for got, wanted in zip(found[rank], told, strict=True):
            assert got == pytest.approx(wanted, rel=1e-4)
        torch.testing.assert_close(_locator(learners[rank]), _locator(alone))


# What it learns


def test_it_learns_where_to_look() -> None:
    config = EsConfig(
        steps=150,
        batch=64,
        hidden=32,
        features=32,
        learning_rate=5e-3,
        core="relu",
        precision="float32",
        std=0.3,
        population=16,
        search_std=0.1,
    )
    images, side = cue_task()
    batch = GlimpseBatch(images, EYE, 64)
    agent = Agent.for_batch(config, batch)
    train(EsLearner(config, batch, agent.model), config.steps)
    evaluation = agent.evaluate(GlimpseBatch(images, EYE, 200), "test")
    assert evaluation.mean[0].percent > 35  # nothing to be seen yet
    assert evaluation.mean[1].percent < 10
    test = images.splits["test"]
    x = agent.predict(images.images[test]).locations[:, 1, 0]
    assert ((x < 0) == (side[test] == 0)).float().mean() > 0.95


# What is refused


def test_a_batch_of_another_size_is_refused() -> None:
    eye = Eye(sensor=GlimpseSensor(3), glimpses=GLIMPSES)
    batch, config = GlimpseBatch(small_images(), eye, 3), EsConfig(**PLAIN)
    with refused("the environment must have 4 rows and copies=1, got 3 and 1"):
        EsLearner(config, batch, Agent.for_batch(config, batch).model)


@pytest.mark.parametrize("part", ["perceiver", "search", "step"])
def test_a_checkpoint_of_another_is_refused(part: str) -> None:
    learner = _learner()
    state = {name: value for name, value in learner.state_dict().items() if name != part}
    with refused("the checkpoint must be this agent's, got another"):
        learner.load_state_dict(state)
    with refused("the checkpoint must be this agent's, got another"):
        learner.load_state_dict(_learner(hidden=9).state_dict())
