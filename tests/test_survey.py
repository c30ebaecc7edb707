"""An agent's errors and where it looks, counted by hand."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from lookers import CLASSES, SIZES, make_agent, make_batch, make_eye, pixels
from torch import Tensor

from glimpse import GlimpseBatch, ImageSet
from glimpse.agents import Agent, CentreConfig, ReinforceConfig
from glimpse.canvas import Canvas, OnCanvas
from glimpse.coordinates import action_scale, lengths_of
from glimpse.diagnosis import Diagnosis, describe, diagnose
from glimpse.evaluation import ErrorRate
from glimpse.randomness import derive_seed

# Errors


@pytest.mark.parametrize("rows", [1, 7, 25, 100])
@pytest.mark.parametrize("first", ["centre", "agent"])
def test_wrong_answers_are_counted(first: str, rows: int) -> None:
    agent = make_agent(eye=make_eye(first))
    batch = make_batch(agent.eye, rows)
    images: Any = batch.images
    test = images.splits["test"]
    answers = agent.predict(images.images[test]).probabilities.argmax(dim=-1)
    wrong = (answers != images.targets[test][:, None]).sum(dim=0).tolist()
    assert agent.evaluate(batch, "test").mean == tuple(ErrorRate(n, 25) for n in wrong)
    assert agent.survey(batch, "test").errors == tuple(ErrorRate(n, 25) for n in wrong)
    assert len(set(wrong)) > 1


def test_a_perfect_agent_is_never_wrong_and_its_opposite_always() -> None:
    agent = make_agent()
    images = pixels(20)
    answers = agent.predict(images).probabilities[:, -1].argmax(dim=-1)
    for shift, wrong in ((0, 0), (1, 20)):
        splits: dict[str, Any] = {"validation": range(20), "train": [0]}
        shown = ImageSet.from_arrays(images, (answers + shift) % 3, classes=CLASSES, splits=splits)
        batch = GlimpseBatch(shown, agent.eye, 8)
        assert agent.survey(batch, "validation").errors[-1] == ErrorRate(wrong, 20)


def test_the_mean_is_where_an_evaluation_looks_and_sampling_is_asked_for() -> None:
    agent = make_agent(ReinforceConfig(**SIZES, std=0.3, last_std=None))
    batch = make_batch(agent.eye, rows=25)
    images: Any = batch.images
    wanted = agent.predict(images.images[images.splits["test"]]).locations
    agent.survey(batch, "test")
    torch.testing.assert_close(batch.sensed, wanted, rtol=0, atol=1e-5)
    agent.survey(batch, "test", sampled=True)
    drawn = batch.sensed
    off = (drawn[:, 1] - wanted[:, 1]) / action_scale(
        3.0, lengths_of(9, 14, torch.device("cpu"))
    ).float()
    assert 0.1 < off.std() < 0.5
    agent.survey(batch, "test", sampled=True)
    assert torch.equal(batch.sensed, drawn)
    agent.survey(batch, "test", sampled=True, seed=1)
    assert not torch.equal(batch.sensed, drawn)


def test_an_evaluation_has_both() -> None:
    agent = make_agent(ReinforceConfig(**SIZES, std=0.5, last_std=None))
    batch = make_batch(agent.eye)
    evaluation = agent.evaluate(batch, "test", seed=2)
    assert evaluation.mean == agent.survey(batch, "test", seed=2).errors
    assert evaluation.sampled == agent.survey(batch, "test", seed=2, sampled=True).errors
    assert len(evaluation.mean) == len(evaluation.sampled) == 4


@pytest.mark.parametrize("rows", [1, 7, 25])
def test_random_first_locations_and_canvases_do_not_depend_on_the_rows(rows: int) -> None:
    agent = make_agent(eye=make_eye("random"))
    base: Any = make_batch(agent.eye).images
    cluttered = OnCanvas(base, Canvas(20, 24, pieces=2, piece=4))
    for images in (base, cluttered):
        whole = agent.survey(GlimpseBatch(images, agent.eye, 25), "test", seed=4).errors
        assert agent.survey(GlimpseBatch(images, agent.eye, rows), "test", seed=4).errors == whole


def test_a_split_without_images_is_refused() -> None:
    agent = make_agent()
    with pytest.raises(ValueError, match=r"^split 'validation' must hold images, got none: "):
        agent.evaluate(make_batch(agent.eye), "validation")
    with pytest.raises(ValueError, match=r"^`split` must be one of test, train, validation, got "):
        agent.evaluate(make_batch(agent.eye), "tests")


# Where the glimpses lie


def _diagnosed(trail: Tensor, batch: GlimpseBatch) -> Diagnosis:
    """Diagnose the trails of all test images."""
    images: Any = batch.images
    return diagnose(
        trail,
        describe(images.images[images.splits["test"]]),
        windows=batch.eye.sensor.windows,
        shape=(2, 9, 14),
        sensed=trail * action_scale(3.0, lengths_of(9, 14, torch.device("cpu"))).float(),
        chosen=batch.eye.actions,
    )


@pytest.mark.parametrize("rows", [1, 7, 100])
@pytest.mark.parametrize("first", ["centre", "agent"])
def test_a_survey_diagnoses_where_the_agent_looks(first: str, rows: int) -> None:
    agent = make_agent(eye=make_eye(first))
    batch = make_batch(agent.eye, rows)
    images: Any = batch.images
    sensed = agent.predict(images.images[images.splits["test"]]).locations
    wanted = _diagnosed(
        sensed / action_scale(3.0, lengths_of(9, 14, torch.device("cpu"))).float(), batch
    )
    found = agent.survey(batch, "test").diagnosis
    assert found.spread == pytest.approx(wanted.spread, abs=1e-5)
    assert found.information == pytest.approx(wanted.information, abs=0.02)
    assert found.unique_area == pytest.approx(wanted.unique_area, abs=0.002)
    assert found.border == wanted.border
    assert (found.chosen, found.images) == (4 if first == "agent" else 3, 25)
    assert max(found.spread) > 0.02


@pytest.mark.parametrize("sampled", [False, True])
@pytest.mark.parametrize("copies", [1, 3])
def test_a_survey_counts_one_row_an_image(sampled: bool, copies: int) -> None:
    """Copies would make errors look surer than they are, and locations look alike."""
    agent = make_agent(ReinforceConfig(**SIZES, std=0.4, last_std=None), make_eye("random"))
    batch = make_batch(agent.eye, 25 * copies, copies=copies)
    found = agent.survey(batch, "test", sampled=sampled)
    assert found.diagnosis == _diagnosed(batch.trail[::copies], batch)
    assert all(error.count == 25 for error in found.errors)
    assert found.diagnosis.images == 25


def test_an_evaluation_diagnoses_the_means() -> None:
    agent = make_agent(ReinforceConfig(**SIZES, std=0.4, last_std=None), make_eye("random"))
    batch = make_batch(agent.eye)
    found = agent.evaluate(batch, "test", seed=3).diagnosis
    assert found == agent.survey(batch, "test", seed=3).diagnosis
    assert found != agent.survey(batch, "test", seed=3, sampled=True).diagnosis


@pytest.mark.parametrize("bias", [0.0, 0.4])
def test_a_locator_that_says_always_the_same_has_collapsed(bias: float) -> None:
    """However widely its trials spread."""
    agent = make_agent(ReinforceConfig(**SIZES, std=0.4, last_std=None))
    batch = make_batch(agent.eye)
    assert agent.evaluate(batch, "test").diagnosis.warnings() == ()
    with torch.no_grad():
        agent.model.locator.mean.weight.zero_()
        agent.model.locator.mean.bias.fill_(bias)
    found = agent.evaluate(batch, "test").diagnosis
    assert found.spread == pytest.approx((0, 0, 0, 0), abs=1e-6)
    (warning,) = found.warnings()
    assert warning.startswith("the policy has collapsed: each glimpse looks at the same place")
    assert agent.survey(batch, "test", sampled=True).diagnosis.warnings() == ()


# The mean of several looks


def _surer(agent: Agent) -> Agent:
    """Let the classifier exaggerate, so that looks from elsewhere give other answers."""
    with torch.no_grad():
        agent.model.classifier.weight.mul_(200)
    return agent


def _by_hand(
    agent: Agent, batch: GlimpseBatch, seed: int, mean: Callable[[Tensor], Tensor]
) -> list[int]:
    """Return how often the answers are wrong that `mean` makes of the copies' (M, T, n)."""
    model, noise = agent.model, torch.Generator().manual_seed(derive_seed(seed, 0, 4))
    wrong = torch.zeros(batch.eye.glimpses, dtype=torch.int64)
    for start, info in batch.sweep("test", seed=seed):
        state = model(start, model.initial(start))
        answers = [model.classifier(state[0]).softmax(dim=1)]
        for _ in range(batch.eye.actions):
            drawn = agent.config.policy.sample(model.locator(state[0]), noise)
            state = model(batch.step(drawn)[0], state)
            answers.append(model.classifier(state[0]).softmax(dim=1))
        rows = torch.stack(answers, dim=1).detach()
        for first in range(0, len(rows), batch.copies):
            answer = mean(rows[first : first + batch.copies]).argmax(dim=1)
            wrong += answer != info["target"][first]
    return wrong.tolist()


@pytest.mark.parametrize("images_at_once", [4, 25])
def test_the_average_is_that_of_the_copies_probabilities(images_at_once: int) -> None:
    agent = _surer(make_agent(ReinforceConfig(**SIZES, std=0.5, last_std=None), make_eye("random")))
    batch = make_batch(agent.eye, 5 * images_at_once, copies=5)
    wanted = _by_hand(agent, batch, 2, lambda copies: copies.mean(dim=0))
    assert agent.averaged(batch, "test", seed=2) == tuple(ErrorRate(n, 25) for n in wanted)
    assert wanted != _by_hand(agent, batch, 2, lambda copies: copies[0])
    assert wanted != _by_hand(agent, batch, 2, lambda copies: copies.log().mean(dim=0))
    assert wanted != _by_hand(agent, batch, 3, lambda copies: copies.mean(dim=0))


def test_the_average_of_one_look_is_that_look() -> None:
    agent = _surer(make_agent(ReinforceConfig(**SIZES, std=0.5, last_std=None), make_eye("random")))
    batch = make_batch(agent.eye)
    for seed in (0, 1):
        sampled = agent.survey(batch, "test", seed=seed, sampled=True).errors
        assert agent.averaged(batch, "test", seed=seed) == sampled
    assert agent.survey(batch, "test", seed=1).errors != sampled


def test_looks_that_do_not_differ_average_to_one_of_them() -> None:
    agent = make_agent(CentreConfig(**SIZES))
    errors = agent.survey(make_batch(agent.eye), "test").errors
    assert agent.averaged(make_batch(agent.eye, 6, copies=3), "test") == errors


# Weights that are no numbers


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("count", [30, 600])
@pytest.mark.parametrize("part", ["classifier", "core", "locator"])
def test_answers_that_are_no_numbers_are_refused(part: str, count: int, value: float) -> None:
    """Of few images the sensor computes in NumPy, of many in torch."""
    agent = make_agent()
    batch = make_batch(agent.eye, rows=count, count=count)
    with torch.no_grad():
        for weight in getattr(agent.model, part).parameters():
            weight.fill_(value)
    images: Any = batch.images
    calls: list[Callable[[], object]] = [
        lambda: agent.predict(images.images),
        lambda: agent.evaluate(batch, "test"),
        lambda: agent.averaged(batch, "test"),
        lambda: agent.looks(batch, "test", 2),
    ]
    message = "^the agent's answers must be numbers, got NaN or infinity: .* lower learning_rate, "
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call()
