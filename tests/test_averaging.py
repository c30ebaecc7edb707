"""The mean of weights against the recursion written out."""

import pytest
import torch
from torch import Tensor, nn

from glimpse.agents.averaging import average


def _model(seed: int) -> nn.Module:
    """Return a model with weights, a weight that is not learned, and buffers of both kinds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
        model(torch.randn(8, 3))
        nn.init.normal_(model.get_parameter("1.weight"))
    model.get_parameter("2.bias").requires_grad_(False)
    return model


def _learned(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def _state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("ema", [0.0, 0.3, 0.9, 0.999])
def test_a_hundred_steps_are_the_recursion(ema: float) -> None:
    """w <- d w + (1 - d) w', with d the smaller of `ema` and (1 + step) / (10 + step)."""
    model = _model(0)
    wanted = {name: weight.double() for name, weight in _learned(model).items()}
    for step in range(100):
        learned = _model(step + 1)
        average(model, learned, ema, step)
        kept = min(ema, (1 + step) / (10 + step))
        for name, new in _learned(learned).items():
            wanted[name] = kept * wanted[name] + (1 - kept) * new.double()
    for name, weight in _learned(model).items():
        torch.testing.assert_close(weight.double(), wanted[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("ema", "step", "kept"),
    [(0.998, 0, 0.1), (0.998, 8, 0.5), (0.998, 10**6, 0.998), (0.05, 0, 0.05), (0.0, 5, 0.0)],
)
def test_how_much_is_kept_in_numbers(ema: float, step: int, kept: float) -> None:
    model, learned = nn.Linear(1, 1), nn.Linear(1, 1)
    for one, value in ((model, 1.0), (learned, 0.0)):
        nn.init.constant_(one.weight, value)
        nn.init.constant_(one.bias, 2 * value)
    average(model, learned, ema, step)
    assert model.weight.item() == pytest.approx(kept, rel=1e-6)
    assert model.bias.item() == pytest.approx(2 * kept, rel=1e-6)


def test_what_is_counted_and_not_learned_is_copied() -> None:
    model, learned = _model(0), _model(1)
    learned(torch.randn(4, 3))
    before = _state(model)
    average(model, learned, 0.9, 100)
    for name, buffer in learned.named_buffers():
        assert torch.equal(model.get_buffer(name), buffer), name
        assert not torch.equal(buffer, before[name]), name
    assert model.get_buffer("1.num_batches_tracked") == 2


def test_towards_what_it_moves_stays_where_it_is() -> None:
    model, learned = _model(0), _model(1)
    wanted = _state(learned)
    average(model, learned, 0.5, 3)
    for name, value in learned.state_dict().items():
        assert torch.equal(value, wanted[name]), name
    with torch.no_grad():  # and nothing is shared
        for weight in (*model.parameters(), *model.buffers()):
            weight.zero_()
    for name, value in learned.state_dict().items():
        assert torch.equal(value, wanted[name]), name


def test_the_weights_stay_the_same_leaves() -> None:
    """An optimiser or a record of the step may hold them; no gradient is followed."""
    model, learned = _model(0), _model(1)
    places = [value.data_ptr() for value in model.state_dict().values()]
    needed = [weight.requires_grad for weight in model.parameters()]
    average(model, learned, 0.5, 3)
    assert [value.data_ptr() for value in model.state_dict().values()] == places
    assert [weight.requires_grad for weight in model.parameters()] == needed
    assert all(weight.is_leaf and weight.grad is None for weight in model.parameters())
