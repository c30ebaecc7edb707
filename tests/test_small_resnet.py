"""The small residual network: its sizes, its places, and what it refuses."""

import pytest
import torch
from attention import drawn, parameters, some_maps
from expect import refused
from torch import nn

from glimpse.soft_baselines import After, SmallResNet, insert


def test_parameters_by_hand() -> None:
    """Convolutions without biases, two numbers a channel of every normalisation."""

    def block(channels: int, width: int) -> int:
        branch = 9 * width * (channels + width) + 4 * width
        return branch if channels == width else branch + channels * width + 2 * width

    blocks = block(16, 16) + block(16, 32) + block(32, 64)
    wanted = 9 * 3 * 16 + 2 * 16 + blocks + 64 * 10 + 10
    assert parameters(SmallResNet((3, 28, 28), 10)) == wanted
    more = block(16, 16) + block(32, 32) + block(64, 64)
    assert parameters(SmallResNet((3, 28, 28), 10, blocks=2)) == wanted + more


@pytest.mark.parametrize(
    ("height", "width", "sides"),
    [
        (28, 28, [(28, 28), (14, 14), (7, 7)]),
        (32, 30, [(32, 30), (16, 15), (8, 8)]),
        (28, 33, [(14, 17), (7, 9), (4, 5)]),
        (60, 60, [(30, 30), (15, 15), (8, 8)]),
        (100, 100, [(50, 50), (25, 25), (13, 13)]),
    ],
)
def test_stages_have_positions(height: int, width: int, sides: list[tuple[int, int]]) -> None:
    network, seen = SmallResNet((2, height, width), 4, width=2), []
    for stage in network.stages:
        layer = network.get_submodule(stage)
        layer.register_forward_hook(lambda *told: seen.append(tuple(told[2].shape)))
    assert network(torch.zeros(3, 2, height, width)).shape == (3, 4)
    assert seen == [(3, 2 << number, *side) for number, side in enumerate(sides)]


def test_it_is_its_layers_one_after_the_other() -> None:
    network, images = drawn(SmallResNet((2, 9, 7), 3, width=4, blocks=2)), some_maps(2, 2, 9, 7)
    maps = network.bn1(network.conv1(images)).relu()
    for block in network.blocks:
        maps = network.get_submodule(block)(maps)
    torch.testing.assert_close(network(images), network.fc(maps.mean(dim=(2, 3))))


@pytest.mark.parametrize(
    ("name", "blocks", "places"),
    [
        ("cbam", 1, ["layer1.0.bn2", "layer2.0.bn2", "layer3.0.bn2"]),
        ("gc", 2, [f"layer{stage}.{block}.bn2" for stage in (2, 3) for block in (0, 1)]),
        ("bam", 1, ["layer1", "layer2"]),
    ],
)
def test_modules_stand_where_the_papers_put_them(name: str, blocks: int, places: list[str]) -> None:
    network = insert(SmallResNet((1, 12, 12), 3, blocks=blocks), name)
    assert [at for at, module in network.named_modules() if isinstance(module, After)] == places


def test_what_stands_at_the_input_comes_before_all_layers() -> None:
    network, images = drawn(SmallResNet((2, 9, 7), 3, width=4)), some_maps(2, 2, 9, 7)
    double = nn.Conv2d(2, 2, 1, bias=False).double()
    double.weight.data = 2 * torch.eye(2, dtype=torch.float64)[..., None, None]
    wanted = network(2 * images)
    network.input = After(network.input, double)
    torch.testing.assert_close(network(images), wanted)


def test_other_channels_are_refused() -> None:
    with refused("`images` must be (B, 3, H, W), got (2, 1, 8, 8): give those it was made for"):
        SmallResNet((3, 8, 8), 2)(torch.zeros(2, 1, 8, 8))


@pytest.mark.parametrize("name", ["width", "blocks"])
def test_counts_are_refused(name: str) -> None:
    with refused(f"`{name}` must be a whole number from 1, got 0"):
        SmallResNet((1, 8, 8), 2, **{name: 0})
