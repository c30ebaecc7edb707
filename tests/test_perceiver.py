"""A perceiver's step against AdamW and its loss written out, and what it leaves alone."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from expect import refused
from learners import assert_same, differ
from lookers import CLASSES, SIZES, make_agent, make_batch, make_eye
from torch import Tensor

from glimpse import GlimpseBatch, ImageSet
from glimpse.agents import Agent, Episodes, Perceiver, ReinforceConfig
from glimpse.networks import RecurrentAttention
from glimpse.tasks import Classification

TASK = Classification(CLASSES)
ROWS, GLIMPSES = 7, 4
HEADS = ("locator.", "baseline.")
every_first = pytest.mark.parametrize("first", ["random", "centre", "agent"])
every_core = pytest.mark.parametrize("core", ["relu", "lstm"])


def _episodes(first: Any = "centre", rows: int = ROWS, seed: int = 0) -> Episodes:
    """Return what is seen at random places."""
    batch = make_batch(make_eye(first), rows)
    noise = torch.Generator().manual_seed(seed)
    observation, info = batch.reset(seed=seed)
    seen = [observation]
    for _ in range(batch.eye.actions):
        seen.append(batch.step(2 * torch.rand(rows, 2, generator=noise) - 1)[0])
    return Episodes(seen, GLIMPSES, info["target"])


def _model(core: Any = "lstm", first: Any = "centre") -> RecurrentAttention:
    return make_agent(ReinforceConfig(**SIZES, core=core), make_eye(first)).model


def _perceiver(model: RecurrentAttention | None = None, **options: Any) -> Perceiver:
    return Perceiver(model or _model(), TASK, **{"precision": "float32", **options})


def _double(episodes: Episodes) -> Episodes:
    seen = [{name: of.double() for name, of in one.items()} for one in episodes.observations]
    return Episodes(seen, episodes.glimpses, episodes.target)


def _weights(model: RecurrentAttention) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def _taught(name: str) -> bool:
    return not name.startswith(HEADS)


def _answers(model: RecurrentAttention, episodes: Episodes) -> Tensor:
    """Return the log-probability (B, T) of the class after every glimpse that is answered."""
    state, of_class = model.initial(episodes.observations[0]), []
    rows = torch.arange(len(episodes.target))
    for observation in episodes.observations:
        state = model(observation, state)
        scores = model.classifier(state[0])
        of_class.append(scores[rows, episodes.target] - torch.logsumexp(scores, dim=1))
    return torch.stack(of_class[len(of_class) - GLIMPSES :], dim=1)


def _loss(model: RecurrentAttention, episodes: Episodes, early: float) -> Tensor:
    """Return the mean over rows of -log p_T - early / (T - 1) sum_{t<T} log p_t."""
    of_class, total = _answers(model, episodes), torch.zeros(())
    for row in of_class:
        total = total - row[-1] - early * sum(row[:-1]) / (GLIMPSES - 1)
    return total / len(of_class)


class ByHand:
    """AdamW written out, for weights by name."""

    def __init__(self, rate: float, decay: float, clip: float) -> None:
        self.rate, self.decay, self.clip, self.steps = rate, decay, clip, 0
        self.first: dict[str, Tensor] = {}
        self.second: dict[str, Tensor] = {}

    def step(self, model: RecurrentAttention, loss: Tensor) -> float:
        """Take a step; return the norm of the gradient before it is cut."""
        taught = {name: w for name, w in model.named_parameters() if _taught(name)}
        gradients = dict(zip(taught, torch.autograd.grad(loss, list(taught.values())), strict=True))
        norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients.values()))
        share, self.steps = min(1, self.clip / norm), self.steps + 1
        for name, weight in taught.items():
            g = share * gradients[name]
            m = 0.9 * self.first.get(name, torch.zeros_like(g)) + 0.1 * g
            v = 0.999 * self.second.get(name, torch.zeros_like(g)) + 0.001 * g * g
            self.first[name], self.second[name] = m, v
            unbiased = m / (1 - 0.9**self.steps)
            deviation = (v / (1 - 0.999**self.steps)).sqrt() + 1e-8
            with torch.no_grad():
                weight -= self.rate * self.decay * weight
                weight -= self.rate * unbiased / deviation
        return norm


@every_first
@every_core
@pytest.mark.parametrize("early", [0.0, 0.3])
@pytest.mark.parametrize("clip", [0.05, 1e6])
def test_steps_are_adamw_s_on_the_answers_loss(
    first: str, core: str, early: float, clip: float
) -> None:
    """In float64, where Adam's division by a gradient near 0 does not hide an error."""
    model, wanted = _model(core, first).double(), _model(core, first).double()
    perceiver = _perceiver(
        model, learning_rate=0.01, weight_decay=0.3, minibatches=1, early=early, clip=clip
    )
    by_hand = ByHand(0.01, 0.3, clip)
    for number in range(3):
        episodes = _double(_episodes(first, seed=number))
        loss = _loss(wanted, episodes, early)
        norm = by_hand.step(wanted, loss)
        assert (norm > clip) == (clip < 1)
        perceiver.learn(episodes)
        assert perceiver.metrics["answer loss"] == pytest.approx(loss.item(), rel=1e-6)
        for name, weight in wanted.state_dict().items():
            torch.testing.assert_close(model.state_dict()[name], weight, rtol=1e-4, atol=3e-5)


@pytest.mark.parametrize("early", [0.0, 0.3, 2.0])
def test_the_loss_in_numbers(early: float) -> None:
    """Of a model that says after every glimpse that class k has a share of (k + 1) / 6."""
    model = _model()
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.log(torch.tensor([1.0, 2.0, 3.0])))
    target = torch.tensor([0, 1, 2, 2, 2, 1, 2])
    perceiver = _perceiver(model, early=early, minibatches=1)
    perceiver.learn(_episodes()._replace(target=target))
    of_class = -sum(math.log((k + 1) / 6) for k in target.tolist()) / 7
    wanted = {"answer loss": (1 + early) * of_class, "train error %": 100 * 3 / 7}
    assert perceiver.metrics == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("minibatches", [1, 2, 3, 7, 50])
def test_a_step_for_each_part_in_order(minibatches: int) -> None:
    """As if the parts were batches of their own; what is told is their mean."""
    count = min(minibatches, ROWS)
    bounds = [ROWS * number // count for number in range(count + 1)]
    whole = _perceiver(_model().double(), minibatches=minibatches, weight_decay=0.1)
    each = _perceiver(_model().double(), minibatches=1, weight_decay=0.1)
    for seed in range(2):
        episodes, told = _double(_episodes(seed=seed)), list[dict[str, float]]()
        whole.learn(episodes)
        for start, end in pairwise(bounds):
            rows = list(range(start, end))
            seen = [{name: of[rows] for name, of in one.items()} for one in episodes.observations]
            each.learn(Episodes(seen, GLIMPSES, episodes.target[rows]))
            told.append(each.metrics)
        mean = {name: sum(one[name] for one in told) / len(told) for name in told[0]}
        assert whole.metrics == pytest.approx(mean, rel=1e-5)
    for name, weight in each.model.state_dict().items():
        torch.testing.assert_close(whole.model.state_dict()[name], weight, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("rows", "count", "sizes"),
    [
        (8, 1, [8]),
        (8, 4, [2, 2, 2, 2]),
        (7, 4, [1, 2, 2, 2]),
        (7, 3, [2, 2, 3]),
        (3, 3, [1, 1, 1]),
        (2, 5, [1, 1]),
        (1, 1, [1]),
    ],
)
def test_parts_hold_each_row_once_and_in_order(rows: int, count: int, sizes: list[int]) -> None:
    target = torch.arange(rows) * 10
    seen: Sequence[Mapping[str, Tensor]] = [
        {"a": target.float() + time, "b": torch.stack([target, target + time], dim=1)}
        for time in range(3)
    ]
    parts = list(Episodes(seen, 2, target).parts(count))
    assert [len(part.target) for part in parts] == sizes
    assert torch.equal(torch.cat([part.target for part in parts]), target)
    for part in parts:
        assert part.glimpses == 2
        assert len(part.observations) == 3
    for time, one in enumerate(seen):
        for name, wanted in one.items():
            got = torch.cat([part.observations[time][name] for part in parts])
            assert torch.equal(got, wanted)


# What is taught, and what is not


@every_core
@every_first
def test_all_is_taught_but_location_head_and_baseline(first: str, core: str) -> None:
    model = _model(core, first)
    before = _weights(model)
    perceiver = _perceiver(model, weight_decay=0.5)
    for seed in range(2):
        perceiver.learn(_episodes(first, seed=seed))
    parts = {name.split(".")[0] for name in before if _taught(name)}
    assert parts == {"context", "glimpse", "core", "classifier"}
    for name, value in model.named_parameters():
        assert torch.equal(value, before[name]) != _taught(name), name
        if _taught(name):
            assert value.grad is not None, name
            assert bool(value.grad.any()), name
        else:
            assert value.grad is None, name


def test_heads_of_one_s_own_are_left_alone_too() -> None:
    def head(outputs: int) -> Any:
        return lambda hidden: torch.nn.Sequential(
            torch.nn.Linear(hidden, 5), torch.nn.Tanh(), torch.nn.Linear(5, outputs)
        )

    torch.manual_seed(0)
    model = RecurrentAttention(
        (2, 2, 3, 3), 3, context=3, hidden=16, features=12, locator=head(2), baseline=head(1)
    )
    before = _weights(model)
    _perceiver(model, weight_decay=0.5).learn(_episodes())
    untouched = {
        name for name, value in before.items() if torch.equal(_weights(model)[name], value)
    }
    assert untouched == {name for name in before if not _taught(name)}
    assert len(untouched) == 8


def test_what_the_heads_learned_in_between_stays() -> None:
    """Gradients that somebody else left behind are not the perceiver's, nor to be cleared."""
    model = _model()
    perceiver = _perceiver(model)
    heads = [weight for name, weight in model.named_parameters() if not _taught(name)]
    for weight in heads:
        weight.grad = torch.ones_like(weight)
    before = _weights(model)
    perceiver.learn(_episodes())
    for weight in heads:
        assert bool((weight.grad == 1).all())
    for name in before:
        assert _taught(name) or torch.equal(model.state_dict()[name], before[name])


def test_an_empty_look_is_remembered_and_not_answered() -> None:
    """Where the agent looks first: T answers, the state before them of what was shown."""
    episodes = _episodes("agent")
    assert len(episodes.observations) == GLIMPSES + 1
    model = _model(first="agent").double()
    perceiver = _perceiver(model, minibatches=1, learning_rate=0.0, early=1.0)
    perceiver.learn(_double(episodes))
    of_class = _answers(model, _double(episodes)).detach()
    assert of_class.shape == (ROWS, GLIMPSES)
    wanted = -(of_class[:, -1] + of_class[:, :-1].mean(dim=1)).mean()
    assert perceiver.metrics["answer loss"] == pytest.approx(wanted.item(), rel=1e-6)
    # Without its empty look the first state is another, and so is the loss.
    perceiver.learn(_double(episodes._replace(observations=episodes.observations[1:])))
    assert perceiver.metrics["answer loss"] != pytest.approx(wanted.item(), rel=1e-4)


@pytest.mark.parametrize("early", [0.0, 0.3])
def test_one_answer_has_none_before_it(early: float) -> None:
    episodes = _episodes()
    model = _model().double()
    perceiver = _perceiver(model, minibatches=1, learning_rate=0.0, early=early)
    perceiver.learn(_double(episodes)._replace(glimpses=1))
    wanted = -_answers(model, _double(episodes))[:, -1].mean().item()
    assert perceiver.metrics["answer loss"] == pytest.approx(wanted, rel=1e-6)


def test_the_model_is_put_into_training() -> None:
    model = _model().eval()
    _perceiver(model).learn(_episodes())
    assert model.training


# What it comes to


@every_core
def test_it_learns_what_can_be_learned(core: str) -> None:
    """Images of three shades, each a class: the mean of a glimpse tells."""
    shades = torch.tensor([40, 120, 200], dtype=torch.uint8).repeat(8)
    images = shades[:, None, None, None].expand(-1, 2, 9, 14).contiguous()
    shown = ImageSet.from_arrays(images, [k % 3 for k in range(24)], classes=CLASSES)
    eye = make_eye()
    batch = GlimpseBatch(shown, eye, 24)
    perceiver = _perceiver(
        Agent.for_batch(ReinforceConfig(**SIZES, core=core), batch).model, learning_rate=0.01
    )
    losses = []
    for number in range(30):
        observation, info = batch.reset(seed=number)
        seen = [observation, *(batch.look(torch.zeros(24, 2)) for _ in range(3))]
        perceiver.learn(Episodes(seen, GLIMPSES, info["target"]))
        losses.append(perceiver.metrics["answer loss"])
    assert losses[0] > 1.2  # 1.3 log 3, within what random weights say
    assert losses[-1] < 0.1
    assert perceiver.metrics["train error %"] == 0


def test_the_train_error_is_of_the_last_answers_before_the_step() -> None:
    model, episodes = _model(), _episodes(rows=40)
    with torch.no_grad():
        scores = []
        state = model.initial(episodes.observations[0])
        for observation in episodes.observations:
            state = model(observation, state)
            scores.append(model.classifier(state[0]))
    wrong = scores[-1].argmax(dim=1) != episodes.target
    assert 0 < wrong.sum() < 40
    perceiver = _perceiver(model, minibatches=1)
    assert perceiver.metrics == {}
    perceiver.learn(episodes)
    assert perceiver.metrics["train error %"] == pytest.approx(100 * wrong.sum().item() / 40)


def test_the_learning_rate_may_be_set_anew() -> None:
    """Adam's first step is as long as the rate, whatever the gradient; at 0 nothing moves."""
    changes = []
    for rate in (0.0, 1e-3, 2e-3):
        perceiver = _perceiver(minibatches=1, learning_rate=0.5, weight_decay=0.0)
        before = _weights(perceiver.model)
        perceiver.learning_rate = rate
        perceiver.learn(_episodes())
        after = _weights(perceiver.model)
        changes.append({name: after[name] - before[name] for name in before})
    for name, change in changes[1].items():
        assert not bool(changes[0][name].any())
        torch.testing.assert_close(changes[2][name], 2 * change, rtol=1e-3, atol=1e-6)
        assert change.abs().max() <= 1e-3 * (1 + 1e-3)
        assert bool(change.any()) == _taught(name)


def test_bfloat16_is_nearly_the_same() -> None:
    models = [_model(), _model()]
    told = []
    for model, precision in zip(models, ("float32", "bfloat16"), strict=True):
        perceiver = _perceiver(model, precision=precision, minibatches=1)
        perceiver.learn(_episodes())
        told.append(perceiver.metrics["answer loss"])
        assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert told[1] == pytest.approx(told[0], rel=0.02)
    assert told[0] != told[1]


def test_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(0)
    perceiver, episodes = _perceiver(), _episodes()
    before = torch.get_rng_state()
    perceiver.learn(episodes)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_it_is_told_stays_as_it_is() -> None:
    episodes, wanted = _episodes(), _episodes()
    _perceiver().learn(episodes)
    assert torch.equal(episodes.target, wanted.target)
    for one, other in zip(episodes.observations, wanted.observations, strict=True):
        assert_same(one, other)
        assert not any(tensor.requires_grad for tensor in one.values())


# Resuming


def test_learning_twice_is_learning_a_checkpoint_and_learning_on(tmp_path: Any) -> None:
    whole = _perceiver(weight_decay=0.1)
    first = _perceiver(weight_decay=0.1)
    for perceiver in (whole, first):
        perceiver.learn(_episodes(seed=0))
    path = tmp_path / "state"
    torch.save({"model": first.model.state_dict(), "rest": first.state_dict()}, path)
    first.learn(_episodes(seed=5))  # what comes later is not in it
    second = _perceiver(make_agent(ReinforceConfig(**SIZES, seed=9)).model, weight_decay=0.1)
    state = torch.load(path, weights_only=True)
    second.model.load_state_dict(state["model"])
    second.load_state_dict(state["rest"])
    fresh = _perceiver(weight_decay=0.1)
    fresh.model.load_state_dict(state["model"])
    for perceiver in (whole, second, fresh):
        perceiver.learn(_episodes(seed=1))
    assert second.metrics == whole.metrics
    assert_same(_weights(second.model), _weights(whole.model))
    assert differ(_weights(fresh.model), _weights(whole.model))  # the moments matter


# Refusals


@pytest.mark.parametrize("part", ["classifier", "core", "glimpse"])
def test_a_loss_that_is_no_number_is_refused(part: str) -> None:
    perceiver = _perceiver()
    with torch.no_grad():
        for weight in getattr(perceiver.model, part).parameters():
            weight.fill_(torch.nan)
    with refused("the answers' loss must be a number, got nan: choose a lower learning_rate"):
        perceiver.learn(_episodes())
    assert perceiver.metrics == {}


def test_a_perceiver_that_diverges_is_ended() -> None:
    perceiver = _perceiver(learning_rate=1e30, clip=1e30)
    message = "the answers' loss must be a number, got nan: choose a lower learning_rate"
    with refused(message):
        for seed in range(10):
            perceiver.learn(_episodes(seed=seed))


@pytest.mark.parametrize("name", ["learning_rate", "weight_decay", "early", "clip"])
@pytest.mark.parametrize("value", [-0.5, math.nan, math.inf])
def test_numbers_that_cannot_be_meant_are_refused(name: str, value: float) -> None:
    with refused(f"`{name}` must be finite and at least 0, got {value}: choose another"):
        _perceiver(**{name: value})


def test_no_parts_are_refused() -> None:
    with refused("`minibatches` must be a whole number from 1, got 0: choose another"):
        _perceiver(minibatches=0)
    with refused("`precision` must be one of auto, bfloat16, float32, got 'half': choose one"):
        _perceiver(precision="half").learn(_episodes())
