"""Training of a network that sees images whole: what a step does, and what is kept of it."""

from typing import Any

import pytest
import torch
from expect import refused
from gated import CLASSES, image_set
from learners import assert_same, small_canvas
from torch import Tensor, nn

from glimpse.batches import drawn
from glimpse.catalogue import find_images
from glimpse.classifier import Classifier, ClassifierConfig, class_names, error_of
from glimpse.draws import Draws
from glimpse.evaluation import ErrorRate
from glimpse.image_set import ImageSource

TINY: dict[str, Any] = {"steps": 10, "batch": 8}


def make(
    source: ImageSource | None = None, *, dropout: float = 0.0, pool: Any = None, **options: Any
) -> Classifier[ClassifierConfig]:
    """Return who learns with a linear network."""
    shown = source or image_set()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        numbers = shown.shape[0] * shown.shape[1] * shown.shape[2]
        layers = nn.Flatten(), nn.Dropout(dropout), nn.Linear(numbers, CLASSES)
    return Classifier(ClassifierConfig(**{**TINY, **options}), shown, nn.Sequential(*layers), pool)


def run(learner: Classifier[Any], start: int, stop: int) -> list[dict[str, float]]:
    metrics = []
    for step in range(start, stop):
        told = {name: float(value) for name, value in learner.step().items()}
        if step % 2:
            told["validation"] = learner.validate().percent
        metrics.append(told)
    return metrics


def weights(learner: Classifier[Any]) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in learner.network.state_dict().items()}


def test_it_learns_from_the_images_that_its_draws_name() -> None:
    """In the order of the pool, each with what is random in it from the seed of its row."""
    shown, seen = small_canvas(), []
    learner = make(shown, seed=3)
    learner.network.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    run(learner, 0, 1)
    draws = Draws(shown, 8, 3)
    wanted = drawn(shown, draws.first_seed(0) + torch.arange(8), draws.images(0))
    assert torch.equal(seen[0], wanted.images)


def test_a_pool_is_all_that_is_learned_from() -> None:
    one = make(pool=image_set(train=[3]))
    assert one._draws.images(0).tolist() == [3] * 8


def test_ten_steps_are_five_a_state_and_five_more() -> None:
    whole, first, second = (make(small_canvas(), dropout=0.4) for _ in range(3))
    wanted, metrics = run(whole, 0, 10), run(first, 0, 5)
    torch.rand(3)  # whatever was drawn in between
    second.load_state_dict(first.state_dict())
    assert metrics + run(second, 5, 10) == wanted
    assert_same(weights(second), weights(whole))


def test_what_a_step_tells_is_of_its_batch() -> None:
    """Of all images at once, with nothing dropped: as computed beforehand from the network."""
    shown = image_set()
    learner = make(shown, batch=24)
    pixels, target = shown.images[:24] / 255, shown.targets[:24]
    with torch.no_grad():
        logits = learner.network(pixels)
    told = learner.step()
    log_probs = logits.log_softmax(dim=1)[torch.arange(24), target]
    assert float(told["loss"]) == pytest.approx(-float(log_probs.mean()), rel=1e-5)
    wrong = int((logits.argmax(dim=1) != target).sum())
    assert float(told["train error %"]) == pytest.approx(100 * wrong / 24, rel=1e-5)
    assert 0 < wrong < 24


def test_a_step_is_one_of_adamw_at_a_rate_that_falls_along_a_cosine() -> None:
    learner = make(learning_rate=0.1, weight_decay=0.5)
    rates = []
    for _ in range(10):
        before = weights(learner)["2.bias"]
        learner.step()
        (group,) = learner.state_dict()["optimiser"]["param_groups"]
        rates.append(group["lr"])
        assert group["weight_decay"] == 0.5
        assert not torch.equal(weights(learner)["2.bias"], before)
    assert rates[0] == 0.1
    assert rates[5] == pytest.approx(0.05)
    assert rates[9] == pytest.approx(0.1 * 0.0244717, rel=1e-5)  # (1 + cos 0.9 pi) / 2


def test_training_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    run(make(), 0, 2)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_weights_that_were_best_on_validation_images_are_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learner, kept = make(), []
    errors = iter([5, 3, 3, 4])  # the second and third are as good: the earlier is kept

    def error(*_: object) -> ErrorRate:
        return ErrorRate(next(errors), 8)

    monkeypatch.setattr("glimpse.classifier.error_of", error)
    for _ in range(4):
        learner.step()
        kept.append(weights(learner))
        learner.validate()
    learner.step()
    learner.choose_best()
    assert_same(weights(learner), kept[1])


def test_validation_looks_at_validation_images() -> None:
    shown = image_set(validation=[30, 31, 39])
    learner = make(shown)
    run(learner, 0, 3)
    with torch.no_grad():
        answers = learner.network.eval()(shown.images[[30, 31, 39]] / 255).argmax(dim=1)
    wrong = int((answers != shown.targets[[30, 31, 39]]).sum())
    assert learner.validate() == ErrorRate(wrong, 3)


def test_without_validation_the_last_weights_are_chosen() -> None:
    learner = make()
    learner.step()
    wanted = weights(learner)
    learner.choose_best()
    assert_same(weights(learner), wanted)


def test_an_error_is_counted_over_all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, learner = image_set(), make()
    whole = error_of(learner.network, shown, "train")
    monkeypatch.setattr("glimpse.classifier._ROWS", 5)
    assert error_of(learner.network, shown, "train") == whole
    assert whole.count == 24


def test_images_without_a_training_split_are_refused() -> None:
    with refused("the images must have a training split, got none"):
        make(image_set(train=[]))


@pytest.mark.parametrize("part", ["network", "optimiser", "best", "wrong", "step"])
@pytest.mark.parametrize("damage", ["missing", "a number", "none"])
def test_the_state_of_another_learner_is_refused(part: str, damage: str) -> None:
    learner = make()
    learner.step()
    state = learner.state_dict()
    if damage == "missing":
        del state[part]
    else:
        state[part] = {"a number": 3, "none": None}[damage]
    if damage == "a number" and part in ("wrong", "step"):
        make().load_state_dict(state)
        return
    with refused("the checkpoint must be this agent's, got another ("):
        make().load_state_dict(state)


def test_what_is_no_classification_of_images_of_one_size_is_refused() -> None:
    assert class_names(find_images("digits")) == tuple("0123456789")
    with refused("`images` must be a classification of images of one size, got a Search: give an"):
        class_names(find_images("haystack"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "`steps` must be a whole number from 1, got 0"),
        ({"batch": 0}, "`batch` must be a whole number from 1, got 0"),
        ({"seed": -1}, "`seed` must be a whole number from 0, got -1"),
        ({"learning_rate": -1.0}, "`learning_rate` must be finite and at least 0, got -1.0"),
        ({"weight_decay": -1.0}, "`weight_decay` must be finite and at least 0, got -1.0"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], message: str) -> None:
    with refused(message):
        ClassifierConfig(**options)
