"""Episodes: how many choices there are, what the environment saw, and which way gradients go."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from glimpse import Eye, GlimpseBatch, GlimpseSensor, ImageSet
from glimpse.agents.losses import answer_loss, baseline_loss, policy_loss
from glimpse.agents.policies import GaussianPolicy
from glimpse.agents.rollout import Rollout, roll_out
from glimpse.networks import RecurrentAttention
from glimpse.precision import autocast

ROWS, GLIMPSES, CLASSES = 6, 4, 3
PARTS = {"glimpse", "core", "classifier", "locator", "baseline", "context"}
every_first = pytest.mark.parametrize("first", ["random", "centre", "agent"])
every_core = pytest.mark.parametrize("core", ["relu", "lstm"])
POLICY = GaussianPolicy(0.5)


def _images() -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (12, 2, 9, 12), dtype=torch.uint8, generator=generator)
    return ImageSet.from_arrays(images, [k % CLASSES for k in range(12)])


def _batch(first: str = "random", glimpses: int = GLIMPSES, **options: Any) -> GlimpseBatch:
    sensor = GlimpseSensor(3, scales=2)
    eye = Eye(sensor=sensor, glimpses=glimpses, first=first, context=3, reach=4.0)
    return GlimpseBatch(_images(), eye, ROWS, **options)


def _model(core: str = "lstm") -> RecurrentAttention:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return RecurrentAttention(
            (2, 2, 3, 3), CLASSES, context=3, core=core, hidden=16, features=12
        )


def _sampler(seed: int = 0) -> Callable[[Tensor], Tensor]:
    noise = torch.Generator().manual_seed(seed)
    return lambda mean: POLICY.sample(mean, noise)


def _play(
    batch: GlimpseBatch,
    model: RecurrentAttention,
    choose: Callable[[Tensor], Tensor],
    **options: Any,
) -> Rollout:
    observation, _ = batch.reset(seed=3)
    return roll_out(model, batch, observation, choose, **options)


# Counts


@every_first
@every_core
def test_there_are_as_many_answers_as_glimpses_and_as_many_choices_as_the_agent_has(
    first: str, core: str
) -> None:
    batch, calls = _batch(first), []

    def choose(mean: Tensor) -> Tensor:
        calls.append(mean.clone())
        return torch.zeros_like(mean)

    rollout = _play(batch, _model(core), choose)
    actions = GLIMPSES if first == "agent" else GLIMPSES - 1
    assert len(calls) == actions
    assert rollout.answers.shape == (ROWS, GLIMPSES, CLASSES)
    assert rollout.means.shape == rollout.actions.shape == (ROWS, actions, 2)
    assert rollout.values.shape == (ROWS, actions)
    assert torch.equal(rollout.target, batch.reset(seed=3)[1]["target"])
    torch.testing.assert_close(rollout.means, torch.stack(calls, dim=1), rtol=0, atol=1e-5)
    total = rollout.answers.exp().sum(dim=-1)
    torch.testing.assert_close(total, torch.ones_like(total))


@pytest.mark.parametrize("first", ["random", "centre"])
def test_one_given_glimpse_leaves_no_choice(first: str) -> None:
    def choose(mean: Tensor) -> Tensor:
        raise AssertionError("there is nothing to choose")

    rollout = _play(_batch(first, 1), _model(), choose)
    assert rollout.answers.shape == (ROWS, 1, CLASSES)
    assert rollout.means.shape == rollout.actions.shape == (ROWS, 0, 2)
    assert rollout.values.shape == (ROWS, 0)
    assert rollout.actions.dtype == torch.float32


def test_one_chosen_glimpse_is_one_choice() -> None:
    rollout = _play(_batch("agent", 1), _model(), _sampler())
    assert rollout.answers.shape == (ROWS, 1, CLASSES)
    assert rollout.actions.shape == (ROWS, 1, 2)


# What the environment saw


@every_first
def test_the_environment_saw_the_clipped_locations(first: str) -> None:
    batch = _batch(first)
    rollout = _play(batch, _model(), lambda mean: mean + torch.tensor([1.2, -1.2]))
    assert rollout.actions.abs().max() > 1
    seen = batch.trail[:, GLIMPSES - rollout.actions.shape[1] :]
    assert torch.equal(seen, rollout.actions.clamp(-1, 1))
    assert not bool(batch.trail.isnan().any())
    if first == "centre":
        assert torch.equal(batch.trail[:, 0], torch.zeros(ROWS, 2))


@every_first
@every_core
def test_a_rollout_is_what_a_loop_written_out_gives(first: str, core: str) -> None:
    batch, model = _batch(first), _model(core)
    rollout = _play(batch, model, _sampler())
    observation, _ = batch.reset(seed=3)
    state = model.initial(observation)
    answers, means, values = [], [], []
    for number in range(rollout.actions.shape[1] + 1):
        state = model(observation, state)
        answers.append(model.classifier(state[0]).log_softmax(dim=-1))
        if number < rollout.actions.shape[1]:
            means.append(model.locator(state[0]))
            values.append(model.baseline(state[0])[:, 0])
            *_, over, _, _ = stepped = batch.step(rollout.actions[:, number].clone())
            observation = stepped[0]
            assert bool(over.all()) == (number + 1 == rollout.actions.shape[1])
    answers = answers[-GLIMPSES:]  # nothing is answered before the first glimpse
    for got, wanted in zip(rollout[:2], (answers, means), strict=True):
        torch.testing.assert_close(got, torch.stack(wanted, dim=1), rtol=0, atol=1e-5)
    torch.testing.assert_close(rollout.values, torch.stack(values, dim=1), rtol=0, atol=1e-5)


def test_what_is_seen_depends_on_where_one_looked() -> None:
    one = _play(_batch(), _model(), lambda mean: torch.zeros_like(mean))
    other = _play(_batch(), _model(), lambda mean: torch.ones_like(mean))
    assert torch.equal(one.answers[:, 0], other.answers[:, 0])
    assert torch.equal(one.means[:, 0], other.means[:, 0])
    for t in range(1, GLIMPSES):
        assert not torch.equal(one.answers[:, t], other.answers[:, t])


def test_a_batch_that_judges_is_refused() -> None:
    message = r"^`predict` must be 'external' for this agent, got 'flat': it judges itself$"
    with pytest.raises(ValueError, match=message):
        _play(_batch(predict="flat"), _model(), _sampler())


# Fewer glimpses


@every_first
@every_core
@pytest.mark.parametrize("glimpses", [1, 2, 3, 4])
def test_fewer_glimpses_are_the_beginning_of_all(first: str, core: str, glimpses: int) -> None:
    batch, model = _batch(first), _model(core)
    whole = _play(batch, model, _sampler())
    trail = batch.trail
    part = _play(batch, model, _sampler(), glimpses=glimpses)
    actions = glimpses if first == "agent" else glimpses - 1
    assert part.answers.shape == (ROWS, glimpses, CLASSES)
    assert part.actions.shape == part.means.shape == (ROWS, actions, 2)
    assert part.values.shape == (ROWS, actions)
    assert torch.equal(part.actions, whole.actions[:, :actions])
    assert torch.equal(part.target, whole.target)
    for name in ("answers", "means", "values"):
        got, wanted = getattr(part, name), getattr(whole, name)[:, : getattr(part, name).shape[1]]
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-5)
    assert torch.equal(batch.trail[:, :glimpses], trail[:, :glimpses])
    assert bool(batch.trail[:, glimpses:].isnan().all())


# Gradients


def _reached(model: RecurrentAttention, loss: Tensor) -> set[str]:
    """Return the parts of the model whose every parameter gets a gradient that is not zero."""
    names = [name for name, _ in model.named_parameters()]
    gradients = torch.autograd.grad(
        loss, list(model.parameters()), allow_unused=True, retain_graph=True
    )
    reached: dict[str, set[bool]] = {}
    for name, gradient in zip(names, gradients, strict=True):
        touched = gradient is not None and bool((gradient != 0).any())
        reached.setdefault(name.split(".")[0], set()).add(touched)
    assert set(reached) == PARTS
    assert all(len(touched) == 1 for touched in reached.values()), reached
    return {part for part, touched in reached.items() if touched == {True}}


def _gradients(model: RecurrentAttention, loss: Tensor) -> dict[str, Tensor]:
    """Return the gradient of every weight; zero where the loss does not reach it."""
    names = [name for name, _ in model.named_parameters()]
    gradients = torch.autograd.grad(
        loss,
        list(model.parameters()),
        allow_unused=True,
        materialize_grads=True,
        retain_graph=True,
    )
    return dict(zip(names, gradients, strict=True))


def _losses(rollout: Rollout) -> dict[str, Tensor]:
    chosen = rollout.target[:, None, None].expand(-1, rollout.answers.shape[1], 1)
    returns = torch.linspace(-1, 1, rollout.values.numel()).view_as(rollout.values)
    log_prob = POLICY.log_prob(rollout.actions, rollout.means)
    return {
        "answer": answer_loss(-rollout.answers.gather(2, chosen)[..., 0], 0.5),
        "policy": policy_loss(log_prob, returns, rollout.values, rollout.chosen),
        "baseline": baseline_loss(rollout.values, returns, rollout.chosen),
    }


@every_first
def test_the_sampled_location_carries_no_gradient_and_its_mean_does(first: str) -> None:
    rollout = _play(_batch(first), _model(), _sampler())
    assert not rollout.actions.requires_grad
    assert rollout.means.requires_grad
    assert rollout.values.requires_grad
    assert rollout.answers.requires_grad


@every_first
@every_core
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_each_loss_reaches_its_parts_only(first: str, core: str, precision: str) -> None:
    batch, model = _batch(first), _model(core)
    with autocast(batch.device, precision):
        rollout = _play(batch, model, _sampler())
    losses = _losses(rollout)
    assert _reached(model, losses["answer"]) == {"glimpse", "core", "classifier", "context"}
    assert _reached(model, losses["policy"]) == {"locator"}
    assert _reached(model, losses["baseline"]) == {"baseline"}
    assert _reached(model, torch.stack(list(losses.values())).sum()) == PARTS


@every_first
@every_core
@pytest.mark.parametrize("joint", [0.0, 0.25, 1.0, 3.0])
def test_what_reinforce_teaches_the_rest_has_the_weight_joint(
    first: str, core: str, joint: float
) -> None:
    """Against a loop in which no gradient is cut: the heads get theirs, the rest `joint` of it."""
    batch, model = _batch(first), _model(core)
    rollout = _play(batch, model, _sampler(), joint=joint)
    observation, _ = batch.reset(seed=3)
    state, hidden = model.initial(observation), []
    for action in rollout.actions.unbind(dim=1):
        state = model(observation, state)
        hidden.append(state[0])
        observation = batch.step(action)[0]
    seen = torch.stack(hidden, dim=1)
    values, means = model.baseline(seen)[..., 0], model.locator(seen)
    whole = _losses(rollout._replace(means=means, values=values))
    parts = _losses(rollout)
    heads = {"policy": "locator", "baseline": "baseline"}
    for name, head in heads.items():
        reached = {"glimpse", "core", "context", head} if joint else {head}
        assert _reached(model, parts[name]) == reached
        got, wanted = (_gradients(model, losses[name]) for losses in (parts, whole))
        for weight, gradient in wanted.items():
            factor = 1.0 if weight.startswith(head) else joint
            torch.testing.assert_close(
                got[weight], factor * gradient, rtol=1e-4, atol=1e-5, msg=lambda m, w=weight: w + m
            )


@every_core
def test_joint_changes_gradients_only(core: str) -> None:
    rollouts = [
        _play(_batch(), _model(core), _sampler(), joint=joint) for joint in (0.0, 0.3, 1.0, 7.0)
    ]
    for rollout in rollouts[1:]:
        for got, wanted in zip(rollout, rollouts[0], strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-6, atol=1e-6)


def test_joint_lets_nothing_through_to_what_the_answers_are_taught() -> None:
    gradients = [
        _gradients(model, _losses(_play(_batch(), model, _sampler(), joint=joint))["answer"])
        for joint in (0.0, 2.0)
        for model in [_model()]
    ]
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


def test_no_gradient_passes_through_a_location_that_is_the_mean_itself() -> None:
    model = _model()
    rollout = _play(_batch(), model, lambda mean: mean)
    assert not rollout.actions.requires_grad
    assert _reached(model, _losses(rollout)["answer"]) == PARTS - {"locator", "baseline"}


def test_the_locators_gradient_is_that_of_the_chosen_locations_alone() -> None:
    """A last location nobody looks at would add a term."""
    batch, model = _batch(), _model()
    rollout = _play(batch, model, _sampler())
    losses = _losses(rollout)
    (gradient,) = torch.autograd.grad(losses["policy"], [model.locator.mean.weight])
    observation, _ = batch.reset(seed=3)
    state, hidden = model.initial(observation), []
    for number in range(GLIMPSES - 1):
        state = model(observation, state)
        hidden.append(state[0].detach())
        observation = batch.step(rollout.actions[:, number].clone())[0]
    h = torch.stack(hidden, dim=1)  # (B, A, D)
    mean = rollout.means.detach()
    returns = torch.linspace(-1, 1, rollout.values.numel()).view_as(rollout.values)
    advantage = (returns - rollout.values.detach())[..., None]
    of_mean = -(rollout.actions - mean) / POLICY.std**2 * advantage / ROWS
    wanted = torch.einsum("bai,bad->id", of_mean * (1 - mean**2), h)  # tanh' = 1 - tanh^2
    torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-6)


@every_core
def test_in_bfloat16_means_are_in_full_precision(core: str) -> None:
    batch, model = _batch(), _model(core)
    given = []

    def choose(mean: Tensor) -> Tensor:
        given.append(mean)
        return mean

    with autocast(batch.device, "bfloat16"):
        rollout = _play(batch, model, choose)
    for tensor in rollout[:4]:
        assert tensor.dtype == torch.float32
    assert not torch.equal(rollout.means, rollout.means.bfloat16().float())
    torch.testing.assert_close(rollout.means, torch.stack(given, dim=1), rtol=0, atol=1e-5)


def test_without_gradients_nothing_carries_any() -> None:
    with torch.no_grad():
        rollout = _play(_batch(), _model(), _sampler())
    assert not any(tensor.requires_grad for tensor in rollout)
