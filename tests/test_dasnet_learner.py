"""dasNet's search: it mends a network that is misled, and a resumed run is the same run."""

from pathlib import Path
from typing import Any

import pytest
import torch
from expect import refused
from gated import CLASSES, Misled, image_set, images, misleading_images, network
from learners import assert_same
from torch import Tensor

from glimpse import ImageSet
from glimpse.agents import Dasnet, DasnetConfig, DasnetLearner, portion
from glimpse.bases import Base
from glimpse.feedback import FeedbackBatch
from glimpse.gated_module import GatedModule
from glimpse.run_folder import RunFolder

TINY: dict[str, Any] = {"steps": 10, "population": 6, "batch": 8, "passes": 2, "std": 0.3}


def make(**options: Any) -> DasnetLearner:
    config = DasnetConfig(**{**TINY, **options})
    gated = Base(network()).gated(images(1))
    shown = image_set()
    batch = FeedbackBatch(
        gated, shown, 4, passes=config.passes, reward=config.reward, boost=config.boost
    )
    start = Dasnet.create(config, gated, images(20))
    return DasnetLearner(config, batch, start)


def make_misled(**options: Any) -> tuple[DasnetLearner, ImageSet]:
    shown = misleading_images()
    config = DasnetConfig(
        **{"passes": 2, "population": 10, "batch": 20, "std": 0.3, "boost": 0.1, **options}
    )
    gated = GatedModule(Misled(), ["maps"], torch.zeros(1, 3, 2, 2))
    batch = FeedbackBatch(gated, shown, 4, passes=2, boost=0.1)
    start = Dasnet.create(config, gated, shown.images[shown.splits["train"]])
    return DasnetLearner(config, batch, start), shown


def run(learner: DasnetLearner, steps: int) -> list[dict[str, float]]:
    return [{name: float(value) for name, value in learner.step().items()} for _ in range(steps)]


@pytest.mark.parametrize("policy", ["linear", "static"])
def test_it_learns_to_mute_the_map_that_lies(policy: str) -> None:
    learner, shown = make_misled(policy=policy)
    assert learner.agent.evaluate(shown, "test")[-1].percent == 50
    told = run(learner, 40)
    assert (told[0]["train error %"], told[-1]["train error %"]) == (50, 0)
    assert told[-1]["fitness centre"] > told[0]["fitness centre"] + 0.3
    first, *_, last = learner.agent.evaluate(shown, "test")
    assert (first.percent, last.percent) == (50, 0)
    if policy == "static":  # the only way there
        gains = learner.agent.predict(shown.images[:4]).gains[:, -1]
        assert (gains[:, 2] < 0.8 * gains[:, :2].min(dim=1).values).all()


def test_ten_generations_are_five_a_checkpoint_and_five_more(tmp_path: Path) -> None:
    whole, first = make(), make()
    wanted, metrics = run(whole, 10), run(first, 5)
    folder = RunFolder.create(tmp_path / "run")
    folder.write_checkpoint({"step": 5, "learner": first.state_dict()})
    run(first, 2)  # what comes later is not in the checkpoint
    second = make()
    second.load_state_dict(folder.read_checkpoint()["learner"])
    torch.rand(3)  # whatever was drawn in between
    metrics += run(second, 5)
    assert metrics == wanted
    one, other = second.state_dict(), whole.state_dict()
    assert one.pop("generation") == other.pop("generation") == 10
    assert one.pop("wrong") == other.pop("wrong") == -1
    assert_same(one, other)
    assert torch.equal(second.agent.weights, whole.agent.weights)
    assert wanted[0] != wanted[5]


def test_the_best_on_validation_images_is_kept() -> None:
    learner, shown = make_misled()
    assert torch.equal(learner.best.weights, learner.agent.weights)
    first, *_ = learner.validate()  # all gains one
    start = learner.agent.weights
    assert first.percent == 50
    while learner.agent.evaluate(shown, "validation")[-1].percent > 0:
        assert torch.equal(learner.best.weights, start)
        learner.step()
    learner.validate()
    found = learner.agent.weights
    assert torch.equal(learner.best.weights, found)
    run(learner, 2)
    learner.validate()  # not better
    assert torch.equal(learner.best.weights, found)
    other, _ = make_misled()
    other.load_state_dict(learner.state_dict())
    assert torch.equal(other.best.weights, found)


def _told_by_hand(learner: DasnetLearner) -> tuple[Tensor, Tensor]:
    """Return fitness of every individual, the centre last, and the centre's error: by a loop."""
    search, config = learner._search, learner.config
    batch = learner._images()
    z = search.noise(range(config.population)).double()
    tried = [*(search.centre + search.std * z), search.centre]
    fitness, wrong = [], torch.tensor(0.0)
    gated = GatedModule(network(), ["stages.0", "stages.1"], images(1))
    start = Dasnet.create(config, gated, images(20))
    for weights in tried:
        last = start.with_weights(weights).answers(batch.images)[:, -1]
        paid = []
        for log_probs, target in zip(last, batch.target.tolist(), strict=True):
            right = int(log_probs.argmax()) == target
            log_loss = (config.boost if right else 1.0) * float(log_probs[target])
            paid.append(float(right) if config.reward == "correct" else log_loss)
        fitness.append(sum(paid) / len(paid))
        wrong = (last.argmax(dim=1) != batch.target).float().mean()
    return torch.tensor(fitness), 100 * wrong


@pytest.mark.parametrize("reward", ["log_loss", "correct"])
def test_what_a_step_tells_is_what_a_loop_over_individuals_finds(reward: str) -> None:
    learner = make(reward=reward)
    run(learner, 2)
    fitness, wrong = _told_by_hand(learner)
    std = learner.state_dict()["std"].mean()
    (told,) = run(learner, 1)
    every, centre = fitness[:-1], float(fitness[-1])
    assert told["fitness centre"] == pytest.approx(centre, rel=1e-4)
    assert told["fitness best"] == pytest.approx(float(every.max()), rel=1e-4)
    assert told["fitness mean"] == pytest.approx(float(every.mean()), rel=1e-4)
    assert told["train error %"] == pytest.approx(float(wrong), rel=1e-5)
    assert told["search std"] == pytest.approx(float(learner.state_dict()["std"].mean()), rel=1e-12)
    assert told["search std"] != float(std)
    assert float(every.std()) > 1e-6


def test_every_individual_sees_the_same_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """And other ones in every generation, each of them once an epoch."""
    learner, drawn = make(), []
    draw = ImageSet.draw

    def spy(self: ImageSet, index: Tensor, keys: Tensor) -> Tensor:
        drawn.append(index.tolist())
        return draw(self, index, keys)

    with monkeypatch.context() as patch:
        patch.setattr(ImageSet, "draw", spy)
        run(learner, 3)
    assert [len(each) for each in drawn] == [8, 8, 8]  # once a generation, not once an individual
    assert sorted(index for each in drawn for index in each) == list(range(24))


def test_only_the_pool_is_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    config, gated, shown = DasnetConfig(**TINY), Base(network()).gated(images(1)), image_set()
    pool = portion(shown, 14, other=True)
    start = Dasnet.create(config, gated, images(20))
    learner = DasnetLearner(config, FeedbackBatch(gated, shown, 4), start, pool=pool)
    seen: set[int] = set()
    draw = ImageSet.draw

    def spy(self: ImageSet, index: Tensor, keys: Tensor) -> Tensor:
        seen.update(index.tolist())
        return draw(self, index, keys)

    monkeypatch.setattr(ImageSet, "draw", spy)
    run(learner, 6)
    assert seen <= set(pool.splits["train"].tolist())
    assert len(seen) > 8


@pytest.mark.parametrize("seeds", [(3, 3), (3, 4)])
def test_a_seed_is_a_run(seeds: tuple[int, int]) -> None:
    told = []
    for seed, before in zip(seeds, (0, 1), strict=True):
        torch.manual_seed(before)
        told.append(run(make(seed=seed), 3))
    assert (told[0] == told[1]) == (seeds[0] == seeds[1])


def test_training_leaves_the_global_generator_and_the_network_alone() -> None:
    learner = make()
    weights = {name: of.clone() for name, of in network().state_dict().items()}
    torch.manual_seed(5)
    before = torch.get_rng_state()
    run(learner, 2)
    assert torch.equal(torch.get_rng_state(), before)
    gated: Any = learner.batch.network
    assert_same(gated.network.state_dict(), weights)


def _with_nan(learner: DasnetLearner, monkeypatch: pytest.MonkeyPatch, which: list[int]) -> None:
    fitness = learner._fitness

    def some_nan(weights: Tensor, batch: Any) -> tuple[Tensor, Tensor]:
        paid, wrong = fitness(weights, batch)
        paid[which] = torch.nan
        return paid, wrong

    monkeypatch.setattr(learner, "_fitness", some_nan)


def test_an_individual_of_nan_is_the_worst(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, other = make(), make()
    fitness, _ = _told_by_hand(learner)
    _with_nan(learner, monkeypatch, [0, 3])
    (told,) = run(learner, 1)
    rest = fitness[[1, 2, 4, 5]]
    assert told["fitness best"] == pytest.approx(float(rest.max()), rel=1e-4)
    assert told["fitness mean"] == pytest.approx(float(rest.mean()), rel=1e-4)
    search = other._search
    fitness[[0, 3]] = -99
    search.improve(search.noise(range(6)), fitness[:-1])
    torch.testing.assert_close(learner.state_dict()["centre"], search.centre)


def test_nan_of_all_is_an_error_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = make()
    run(learner, 1)
    before = learner.state_dict()
    _with_nan(learner, monkeypatch, list(range(7)))
    message = "the fitness of some individual must be a number, got NaN of all: choose a smaller"
    with refused(message):
        learner.step()
    assert learner.state_dict() == before  # the very same tensors


@pytest.mark.parametrize("part", ["centre", "std", "generation"])
@pytest.mark.parametrize("damage", ["missing", "none", "a number", "short"])
def test_the_state_of_another_learner_is_refused(part: str, damage: str) -> None:
    state = make().state_dict()
    if damage == "missing":
        del state[part]
    elif part == "generation" and damage != "none":
        return
    else:
        state[part] = {"none": None, "a number": 3, "short": torch.zeros(5)}[damage]
    with refused("the checkpoint must be this agent's, got another ("):
        make().load_state_dict(state)


def test_the_agent_is_the_centre() -> None:
    learner = make()
    run(learner, 2)
    agent, state = learner.agent, learner.state_dict()
    assert torch.equal(agent.weights, state["centre"].float())
    assert agent.weights.shape == (7 * (7 + CLASSES + 1),)
    assert agent.config == learner.config
