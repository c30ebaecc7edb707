"""The base network: it learns, the best weights are kept, and a resumed run is the same run."""

from pathlib import Path
from typing import Any

import pytest
import torch
from expect import refused
from gated import CLASSES, image_set, images
from learners import assert_same, differ
from torch import Tensor

from glimpse import ImageSet
from glimpse.agents import BaseConfig, BaseLearner
from glimpse.catalogue import find_images
from glimpse.classifier import error_of
from glimpse.image_set import ImageSource
from glimpse.run_folder import RunFolder

TINY: dict[str, Any] = {"steps": 10, "batch": 8}


def make(source: ImageSource | None = None, **options: Any) -> BaseLearner:
    shown = source or image_set()
    config = BaseConfig(**{**TINY, **options})
    return BaseLearner(config, shown, config.make(shown))


def run(learner: BaseLearner, start: int, stop: int) -> list[dict[str, float]]:
    metrics = []
    for step in range(start, stop):
        told = {name: float(value) for name, value in learner.step().items()}
        if step % 2:
            told["validation"] = learner.validate().percent
        metrics.append(told)
    return metrics


def weights(learner: BaseLearner) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in learner.network.state_dict().items()}


def test_it_learns_the_digits() -> None:
    digits = find_images("digits")
    learner = make(digits, steps=60, batch=64)
    before = error_of(learner.network, digits, "test")
    first = [float(learner.step()["loss"]) for _ in range(60)]
    after = error_of(learner.network, digits, "test")
    assert before.percent > 75
    assert after.percent < 30
    assert sum(first[-5:]) < sum(first[:5]) / 2


def test_dropout_acts_in_training_only() -> None:
    """And is another in each step: of a network that learns nothing the loss still differs."""
    shown = image_set()
    learner = make(shown, batch=24, dropout=0.5, input_dropout=0.3, learning_rate=0.0)
    losses = {float(learner.step()["loss"]) for _ in range(4)}
    assert len(losses) == 4
    errors = {error_of(learner.network, shown, "train") for _ in range(3)}
    assert len(errors) == 1


def test_ten_steps_are_five_a_checkpoint_and_five_more(tmp_path: Path) -> None:
    options: dict[str, Any] = {"dropout": 0.3, "input_dropout": 0.1, "train_images": 17}
    whole, first = make(**options), make(**options)
    wanted, metrics = run(whole, 0, 10), run(first, 0, 5)
    folder = RunFolder.create(tmp_path / "run")
    folder.write_checkpoint({"learner": first.state_dict()})
    run(first, 5, 7)  # what comes later is not in the checkpoint
    second = make(**options)
    assert differ(weights(first), weights(second))
    torch.rand(3)  # whatever was drawn in between
    second.load_state_dict(folder.read_checkpoint()["learner"])
    metrics += run(second, 5, 10)
    assert metrics == wanted
    assert_same(weights(second), weights(whole))
    one, other = second.state_dict(), whole.state_dict()
    assert (one["step"], one["wrong"]) == (other["step"], other["wrong"])
    assert_same(one["best"], other["best"])
    for number, moments in other["optimiser"]["state"].items():
        assert_same(one["optimiser"]["state"][number], moments)
    for learner in (second, whole):
        learner.choose_best()
    assert_same(weights(second), weights(whole))


def test_a_seed_is_a_run() -> None:
    learners = []
    for seed, drawn in ((3, 0), (3, 1), (4, 0)):
        torch.manual_seed(drawn)
        learners.append(make(seed=seed, dropout=0.3))
        run(learners[-1], 0, 4)
    assert_same(weights(learners[0]), weights(learners[1]))
    assert differ(weights(learners[0]), weights(learners[2]))


def test_the_network_is_made_for_the_images() -> None:
    network = BaseConfig(dropout=0.3, input_dropout=0.1, sizes="small").make(image_set())
    assert network(images(2)).shape == (2, CLASSES)
    assert network.dropout.p == 0.3
    assert [stage.dropout.p for stage in network.convolutions] == [0.1, 0.3]


# Refusals


def test_images_of_another_task_are_refused() -> None:
    haystack = find_images("haystack")
    with refused("`images` must be a classification of images of one size, got a Search: give an"):
        BaseConfig().make(haystack)


def test_images_too_small_are_refused() -> None:
    tiny = ImageSet.from_arrays(torch.zeros(4, 1, 4, 4), [0, 1, 0, 1])
    with refused("images must be large enough for 3 stages, got 4x4 pixels"):
        BaseConfig(sizes="paper").make(tiny)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_images": 0}, "`train_images` must be a whole number from 1, got 0"),
        ({"dropout": 1.0}, "`dropout` must be below 1, got 1.0: nothing would be left"),
        ({"input_dropout": -0.1}, "`input_dropout` must be finite and at least 0, got -0.1"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], message: str) -> None:
    with refused(message):
        BaseConfig(**options)


@pytest.mark.plain
def test_sizes_nobody_knows_are_refused() -> None:
    with refused("`sizes` must be one of paper, small, got 'large': choose one"):
        BaseConfig(sizes="large")  # type: ignore[arg-type]
