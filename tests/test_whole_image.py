"""Networks that see an image whole, against their equations written out in float64."""

from typing import Any

import pytest
import torch
from expect import generator
from torch import Tensor, nn

from glimpse import Eye, GlimpseSensor
from glimpse.agents import Agent, CentreConfig
from glimpse.tasks import Classification
from glimpse.whole_image import Convolutional, FullyConnected

CLASSES = tuple("0123456789")
Network = FullyConnected | Convolutional


def _shape(side: int, scales: int = 1, channels: int = 1) -> tuple[int, int, int, int]:
    return scales, channels, side, side


def _glimpse(shape: tuple[int, int, int, int], count: int = 3) -> Tensor:
    return torch.rand(count, *shape, generator=generator())


def _numbers(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize("shape", [_shape(5), _shape(4, scales=2, channels=3)])
def test_fully_connected_is_a_sum_for_every_unit(shape: tuple[int, int, int, int]) -> None:
    network = FullyConnected(shape, 7)
    glimpse = _glimpse(shape)
    got = network(glimpse, torch.zeros(3, 2))
    weight, bias = network.see.weight.double(), network.see.bias.double()
    wanted = torch.zeros(3, 7, dtype=torch.float64)
    for b in range(3):
        pixels = glimpse[b].double().flatten()
        for unit in range(7):
            total = bias[unit] + sum(w * p for w, p in zip(weight[unit], pixels, strict=True))
            wanted[b, unit] = total.clamp(min=0)
    torch.testing.assert_close(got.double(), wanted, rtol=0, atol=1e-5)
    assert 0 < int((got == 0).sum()) < got.numel()


@pytest.mark.parametrize("shape", [_shape(11), _shape(9, scales=2, channels=2)])
@pytest.mark.parametrize(("width", "stride"), [(4, 3), (3, 1)])
def test_convolutional_is_a_sum_for_every_place(
    shape: tuple[int, int, int, int], width: int, stride: int
) -> None:
    """Of all scales and channels; filter after filter, row after row."""
    network = Convolutional(shape, filters=3, width=width, stride=stride)
    glimpse = _glimpse(shape)
    got = network(glimpse, torch.zeros(3, 2))
    images = glimpse.double().view(3, -1, *shape[2:])
    weight, bias = network.see.weight.double(), network.see.bias.double()
    starts = range(0, shape[2] - width + 1, stride)
    wanted = []
    for number in range(3):
        for top in starts:
            for left in starts:
                part = images[:, :, top : top + width, left : left + width]
                wanted.append((part * weight[number]).sum(dim=(1, 2, 3)) + bias[number])
    torch.testing.assert_close(
        got.double(), torch.stack(wanted, dim=1).clamp(min=0), rtol=0, atol=1e-5
    )
    assert 0 < int((got == 0).sum()) < got.numel()


@pytest.mark.parametrize("side", [28, 60, 100])
def test_features_is_how_many_numbers_there_are(side: int) -> None:
    """Filters of 10 pixels, one every 5: 4, 11 and 19 of them side by side."""
    shape = _shape(side)
    places = {28: 4, 60: 11, 100: 19}[side]
    wanted: list[tuple[Network, int]] = [
        (Convolutional(shape), 8 * places**2),
        (FullyConnected(shape, 64), 64),
        (FullyConnected(shape, 256), 256),
    ]
    assert Convolutional.features_of(side) == 8 * places**2
    for network, features in wanted:
        assert network.features == features
        assert network(_glimpse(shape), torch.zeros(3, 2)).shape == (3, features)


@pytest.mark.parametrize(("width", "stride"), [(4, 3), (3, 1), (9, 5)])
def test_features_are_known_before_the_network_is_made(width: int, stride: int) -> None:
    options = {"filters": 3, "width": width, "stride": stride}
    network = Convolutional(_shape(9), **options)
    features = network(_glimpse(_shape(9)), torch.zeros(3, 2)).shape[1]
    assert Convolutional.features_of(9, **options) == network.features == features


@pytest.mark.parametrize("network", [FullyConnected(_shape(12), 5), Convolutional(_shape(12))])
def test_where_the_glimpse_lies_does_not_matter(network: Network) -> None:
    glimpse = _glimpse(_shape(12))
    for place in (torch.ones(3, 2), torch.rand(3, 2, generator=generator(1))):
        assert torch.equal(network(glimpse, place), network(glimpse, torch.zeros(3, 2)))
    assert not torch.equal(network(1 - glimpse, place), network(glimpse, place))


def _baseline(side: int, network: Network, hidden: int) -> Agent:
    """Return an agent that sees an image whole, once."""
    config = CentreConfig(
        core="relu", hidden=hidden, features=network.features, precision="float32"
    )
    eye = Eye(sensor=GlimpseSensor(side), glimpses=1, first="centre")
    return Agent.create(config, eye, 1, Classification(CLASSES), glimpse_network=network)


def _ordinary(first: nn.Module, agent: Agent) -> nn.Sequential:
    """Return the ordinary network with an agent's weights."""
    cell: Any = agent.model.core.cell
    hidden = nn.Linear(cell.input_size, cell.hidden_size)
    with torch.no_grad():
        hidden.weight.copy_(cell.weight_ih)
        hidden.bias.copy_(cell.bias_ih + cell.bias_hh)
    return nn.Sequential(first, nn.ReLU(), nn.Flatten(), hidden, nn.ReLU(), agent.model.classifier)


@pytest.mark.parametrize("side", [28, 60])
@pytest.mark.parametrize("units", [64, 256])
def test_an_agent_of_two_layers_is_an_ordinary_network(side: int, units: int) -> None:
    images = torch.rand(20, 1, side, side, generator=generator())
    network = FullyConnected(_shape(side), units)
    agent = _baseline(side, network, units)
    ordinary = nn.Sequential(nn.Flatten(), _ordinary(network.see, agent))
    got = agent.predict(images)
    assert got.probabilities.shape == (20, 1, 10)
    wanted = ordinary(images).softmax(dim=1)
    torch.testing.assert_close(got.probabilities[:, 0], wanted, rtol=0, atol=1e-5)
    assert wanted.std(dim=0).max() > 1e-3
    layers = (side**2 + 1) * units + (units + 1) * units + (units + 1) * 10
    assert _numbers(ordinary) == layers
    unused = units**2 + units  # of the state before, which is zero, and another bias
    heads = (units + 1) * 2 + (units + 1)
    assert _numbers(agent.model) == layers + unused + heads


@pytest.mark.parametrize(("side", "places"), [(28, 4), (60, 11), (100, 19)])
def test_a_convolutional_agent_is_an_ordinary_network(side: int, places: int) -> None:
    images = torch.rand(20, 1, side, side, generator=generator())
    network = Convolutional(_shape(side))
    agent = _baseline(side, network, 256)
    ordinary = _ordinary(network.see, agent)
    wanted = ordinary(images).softmax(dim=1)
    torch.testing.assert_close(agent.predict(images).probabilities[:, 0], wanted, rtol=0, atol=1e-5)
    assert wanted.std(dim=0).max() > 1e-3
    filters, units = (10**2 + 1) * 8, (8 * places**2 + 1) * 256
    assert _numbers(ordinary) == filters + units + 257 * 10
