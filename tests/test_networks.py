"""The networks against their equations, written out in plain tensor operations in float64."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glimpse.networks import (
    CORES,
    GlimpseNetwork,
    LocationHead,
    LSTMCore,
    RecurrentAttention,
    ReluCore,
)

SHAPE = (2, 3, 4, 4)


def _parameters(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in module.named_parameters()}


def _random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _observation(rows: int, context: int | None = None, seed: int = 0) -> dict[str, Tensor]:
    seen = {"glimpse": _random(rows, *SHAPE, seed=seed), "location": _random(rows, 2, seed=seed)}
    if context:
        seen["context"] = _random(rows, SHAPE[1], context, context, seed=seed + 1)
    return seen


def _model(**options: Any) -> RecurrentAttention:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        options = {"hidden": 6, "features": 5, **options}
        return RecurrentAttention(SHAPE, 4, **options).double()


def _features(p: Mapping[str, Tensor], glimpse: Tensor, location: Tensor) -> Tensor:
    """g = relu(W_what relu(W_see_what x) + W_where relu(W_see_where l)), biases throughout."""
    seen = glimpse.reshape(len(glimpse), -1) @ p["see_what.weight"].T + p["see_what.bias"]
    place = location @ p["see_where.weight"].T + p["see_where.bias"]
    what = seen.clamp(min=0) @ p["what.weight"].T + p["what.bias"]
    where = place.clamp(min=0) @ p["where.weight"].T + p["where.bias"]
    return (what + where).clamp(min=0)


def _relu(p: Mapping[str, Tensor], g: Tensor, h: Tensor) -> Tensor:
    pre = g @ p["cell.weight_ih"].T + p["cell.bias_ih"] + h @ p["cell.weight_hh"].T
    return (pre + p["cell.bias_hh"]).clamp(min=0)


def _lstm(p: Mapping[str, Tensor], g: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    pre = g @ p["cell.weight_ih"].T + p["cell.bias_ih"] + h @ p["cell.weight_hh"].T
    into, forget, new, out = (pre + p["cell.bias_hh"]).chunk(4, dim=1)
    into, forget, out = (1 / (1 + torch.exp(-gate)) for gate in (into, forget, out))
    cell = forget * c + into * torch.tanh(new)
    return out * torch.tanh(cell), cell


def test_the_glimpse_network_is_its_equation() -> None:
    network = GlimpseNetwork(SHAPE, features=7, hidden=9).double()
    seen = _observation(5)
    wanted = _features(_parameters(network), *seen.values())
    assert wanted.shape == (5, 7)
    assert bool((wanted > 0).any())
    torch.testing.assert_close(network(*seen.values()), wanted, rtol=1e-12, atol=1e-14)


def test_the_relu_core_is_its_equation() -> None:
    core = ReluCore(5, 6).double()
    features, hidden = _random(4, 5), _random(4, 6, seed=1)
    assert core.initial(hidden) == (hidden,)
    (after,) = core(features, (hidden,))
    wanted = _relu(_parameters(core), features, hidden)
    assert bool((wanted > 0).any())
    assert bool((wanted == 0).any())
    torch.testing.assert_close(after, wanted, rtol=1e-12, atol=1e-14)


def test_the_lstm_core_is_its_equation() -> None:
    core = LSTMCore(5, 6).double()
    features, hidden, cell = _random(4, 5), _random(4, 6, seed=1), _random(4, 6, seed=2)
    first = core.initial(hidden)
    assert torch.equal(first[0], hidden)
    assert torch.equal(first[1], torch.zeros_like(hidden))
    wanted = _lstm(_parameters(core), features, hidden, cell)
    torch.testing.assert_close(core(features, (hidden, cell)), wanted, rtol=1e-12, atol=1e-14)


def test_the_location_head_is_its_equation() -> None:
    head = LocationHead(6).double()
    hidden = 3 * _random(4, 3, 6)
    p = _parameters(head)
    wanted = torch.tanh(hidden @ p["mean.weight"].T + p["mean.bias"])
    assert wanted.shape == (4, 3, 2)
    torch.testing.assert_close(head(hidden), wanted, rtol=1e-12, atol=1e-14)
    assert head(1e3 * hidden).abs().max() <= 1


@pytest.mark.parametrize("core", ["relu", "lstm"])
@pytest.mark.parametrize("context", [None, 2])
def test_two_looks_of_the_whole_model(core: str, context: int | None) -> None:
    model = _model(core=core, context=context)
    p = _parameters(model)
    parts = {
        part: {name.removeprefix(part): value for name, value in p.items() if name.startswith(part)}
        for part in ("glimpse.", "core.")
    }
    looks = [_observation(3, context, seed) for seed in (0, 10)]
    hidden = torch.zeros(3, 6, dtype=torch.float64)
    if context:
        flat = looks[0]["context"].reshape(3, -1)
        hidden = (flat @ p["context.weight"].T + p["context.bias"]).clamp(min=0)
        assert bool((hidden > 0).any())
    state, cell = model.initial(looks[0]), torch.zeros_like(hidden)
    for look in looks:
        state = model(look, state)
        g = _features(parts["glimpse."], look["glimpse"], look["location"])
        if core == "relu":
            hidden = _relu(parts["core."], g, hidden)
            wanted: tuple[Tensor, ...] = (hidden,)
        else:
            hidden, cell = _lstm(parts["core."], g, hidden, cell)
            wanted = (hidden, cell)
        torch.testing.assert_close(state, wanted, rtol=1e-11, atol=1e-13)
    scores = hidden @ p["classifier.weight"].T + p["classifier.bias"]
    value = hidden @ p["baseline.weight"].T + p["baseline.bias"]
    torch.testing.assert_close(model.classifier(state[0]), scores, rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(model.baseline(state[0]), value, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("core", ["relu", "lstm"])
def test_gradients_of_the_whole_model_are_right(core: str) -> None:
    small = GlimpseNetwork(SHAPE, features=3, hidden=4).double()
    model = _model(core=core, context=2, hidden=4, features=3, glimpse_network=small)
    looks = [_observation(2, 2, seed) for seed in (0, 10)]
    names = [name for name, _ in model.named_parameters()]

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, glimpse: Tensor, location: Tensor) -> tuple[Tensor, ...]:
            state = self.model.initial(looks[0])
            state = self.model({"glimpse": glimpse, "location": location}, state)
            state = self.model(looks[1], state)
            heads = (self.model.classifier, self.model.baseline, self.model.locator)
            return tuple(head(state[0]) for head in heads)

    whole = Whole()

    def outputs(glimpse: Tensor, location: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        named = {f"model.{name}": value for name, value in zip(names, values, strict=True)}
        return torch.func.functional_call(whole, named, (glimpse, location))  # type: ignore[no-any-return]

    inputs = [looks[0]["glimpse"], looks[0]["location"], *_parameters(model).values()]
    leaves = [value.clone().requires_grad_() for value in inputs]
    assert torch.autograd.gradcheck(outputs, leaves, eps=1e-6, atol=1e-7)


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameter_counts_of_the_papers_sizes() -> None:
    """One scale of 8x8 grey pixels, 128 + 128 for what and where, 256, ten classes."""
    glimpse = (64 + 1) * 128 + (2 + 1) * 128 + 2 * (128 + 1) * 256
    relu = 256 * 256 + 256 + 256 * 256 + 256
    heads = (256 + 1) * (2 + 1 + 10)
    assert _count(RecurrentAttention((1, 1, 8, 8), 10)) == glimpse + relu + heads == 209_677
    lstm = RecurrentAttention((1, 1, 8, 8), 10, core="lstm")
    assert _count(lstm) == glimpse + 4 * relu + heads == 604_429
    assert _count(lstm.locator) == 514
    assert _count(lstm.baseline) == 257


def test_the_shape_of_the_glimpse_and_the_context_are_counted() -> None:
    plain = RecurrentAttention((1, 1, 8, 8), 10)
    wide = RecurrentAttention((3, 2, 12, 12), 10, context=5)
    more_to_see = (3 * 2 * 12 * 12 - 64) * 128
    assert _count(wide) - _count(plain) == more_to_see + (2 * 5 * 5 + 1) * 256


class Summing(nn.Module):
    """A glimpse network of one's own: what it returns can be computed in the head."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, glimpse: Tensor, location: Tensor) -> Tensor:
        seen = glimpse.flatten(1).sum(dim=1, keepdim=True) + location.sum(dim=1, keepdim=True)
        return self.scale * seen.expand(-1, self.features)


def test_a_glimpse_network_of_ones_own() -> None:
    own = Summing(5)
    model = _model(glimpse_network=own, core="relu")
    assert model.glimpse is own
    look = _observation(3)
    features = 2 * (look["glimpse"].flatten(1).sum(1) + look["location"].sum(1))[:, None]
    p = {name.removeprefix("core."): value for name, value in _parameters(model).items()}
    wanted = _relu(p, features.expand(-1, 5), torch.zeros(3, 6, dtype=torch.float64))
    (hidden,) = model(look, model.initial(look))
    assert bool((wanted > 0).any())
    torch.testing.assert_close(hidden, wanted, rtol=1e-11, atol=1e-13)
    hidden.sum().backward()
    assert own.scale.grad is not None
    assert own.scale.grad != 0


@pytest.mark.parametrize("core", ["relu", "lstm"])
def test_without_a_context_the_first_state_is_zero(core: str) -> None:
    model = _model(core=core)
    assert model.context is None
    state = model.initial(_observation(3))
    assert len(state) == (1 if core == "relu" else 2)
    for part in state:
        assert torch.equal(part, torch.zeros(3, 6, dtype=torch.float64))


@pytest.mark.parametrize("core", ["relu", "lstm"])
def test_the_context_is_the_first_state_and_nothing_else(core: str) -> None:
    model = _model(core=core, context=2)
    first, second = _observation(3, 2), _observation(3, 2, seed=7)
    second["context"] = first["context"]
    assert torch.equal(model.initial(first)[0], model.initial(second)[0])
    other = {**first, "context": first["context"] + 1}
    assert not torch.equal(model.initial(first)[0], model.initial(other)[0])
    state = model.initial(first)
    seen = model(first, state)
    for got, wanted in zip(model(other, state), seen, strict=True):
        assert torch.equal(got, wanted)


def test_images_of_a_batch_do_not_mix() -> None:
    model = _model(core="lstm", context=2)
    looks = [_observation(4, 2, seed) for seed in (0, 10)]
    state = model.initial(looks[0])
    for look in looks:
        state = model(look, state)
    for row in range(4):
        one = [{name: value[row : row + 1] for name, value in look.items()} for look in looks]
        alone = model.initial(one[0])
        for look in one:
            alone = model(look, alone)
        for got, wanted in zip(alone, state, strict=True):
            torch.testing.assert_close(got, wanted[row : row + 1], rtol=1e-11, atol=1e-13)


def test_the_cores_have_names() -> None:
    assert isinstance(_model().core, ReluCore)
    for name, core in CORES.items():
        assert isinstance(_model(core=name).core, core)


def test_an_unknown_core_is_refused() -> None:
    message = "^`core` must be one of lstm, relu, got 'gru': choose one$"
    with pytest.raises(ValueError, match=message):
        RecurrentAttention(SHAPE, 4, core="gru")
