"""The residual network that carries the modules."""

from typing import Literal

import pytest
import torch
from attention import drawn, parameters, some_maps
from expect import refused
from torch import Tensor, nn
from torch.nn import functional

from glimpse.soft_baselines import ResNet

PARAMETERS = {18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160, 152: 60_192_808}


@pytest.mark.parametrize("depth", list(PARAMETERS))
def test_counts(depth: int) -> None:
    with torch.device("meta"):
        assert parameters(ResNet(depth)) == PARAMETERS[depth]


def test_counts_of_other_classes_channels_and_stems() -> None:
    with torch.device("meta"):
        assert parameters(ResNet(18, classes=10)) == 11_689_512 - 990 * 513
        assert parameters(ResNet(18, channels=1)) == 11_689_512 - 2 * 49 * 64
        small = ResNet(18, classes=10, stem="small")
        assert parameters(small) == 11_689_512 - 990 * 513 - 3 * 40 * 64


@pytest.mark.parametrize(
    ("depth", "stride", "wanted"),
    [(50, "first", 3.86e9), (50, "middle", 4.09e9), (18, "middle", 1.81e9), (101, "middle", 7.8e9)],
)
def test_multiplications(depth: int, stride: Literal["first", "middle"], wanted: float) -> None:
    """3.8e9 stand in the paper's table 1, the others beside torchvision's weights."""
    total = 0

    def count(layer: nn.Module, _: object, out: Tensor) -> None:
        nonlocal total
        total += out.numel() * layer.get_parameter("weight")[0].numel()

    with torch.device("meta"):
        network = ResNet(depth, stride=stride).eval()
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.register_forward_hook(count)
        network(torch.empty(1, 3, 224, 224))
    assert total == pytest.approx(wanted, rel=5e-3)


def test_entries_are_as_many_and_named_as_in_torchvision() -> None:
    with torch.device("meta"):
        names = {depth: list(ResNet(depth).state_dict()) for depth in (18, 50)}
    assert [len(names[depth]) for depth in (18, 50)] == [122, 320]
    assert names[50][0] == "conv1.weight"
    assert names[50][-1] == "fc.bias"
    assert {"layer2.0.downsample.0.weight", "layer4.2.bn3.running_var"} <= set(names[50])


def _norm(layer: nn.Module, maps: Tensor) -> Tensor:
    state = layer.state_dict()
    return functional.batch_norm(
        maps, state["running_mean"], state["running_var"], state["weight"], state["bias"]
    )


@pytest.mark.parametrize(("depth", "strides"), [(18, (2, 1)), (50, (1, 2, 1))])
@pytest.mark.parametrize("place", ["layer1.1", "layer2.0"])
def test_a_block_is_the_formula(depth: int, strides: tuple[int, ...], place: str) -> None:
    network = ResNet(depth, classes=2)
    block = drawn(network.get_submodule(place))
    shrinks = place.endswith("0")
    maps = some_maps(2, block.get_parameter("conv1.weight").shape[1], 5, 4)
    branch = shortcut = maps
    for number, stride in enumerate(strides, start=1):
        weights = block.get_parameter(f"conv{number}.weight")
        branch = branch if number == 1 else branch.relu()
        branch = functional.conv2d(
            branch, weights, stride=stride if shrinks else 1, padding=weights.shape[-1] // 2
        )
        branch = _norm(block.get_submodule(f"bn{number}"), branch)
    if shrinks:
        shortcut = functional.conv2d(maps, block.get_parameter("downsample.0.weight"), stride=2)
        shortcut = _norm(block.get_submodule("downsample.1"), shortcut)
    torch.testing.assert_close(block(maps), (shortcut + branch).relu())


def test_sizes_of_the_stages() -> None:
    sizes: list[tuple[int, ...]] = []
    with torch.device("meta"):
        for network, images in [
            (ResNet(18, classes=7), torch.empty(2, 3, 224, 224)),
            (ResNet(50, classes=7), torch.empty(2, 3, 65, 33)),
            (ResNet(18, classes=7, channels=1, stem="small"), torch.empty(2, 1, 28, 32)),
        ]:
            for stage in network.stages:
                network.get_submodule(stage).register_forward_hook(
                    lambda _, __, out: sizes.append(tuple(out.shape[1:]))
                )
            assert network(images).shape == (2, 7)
    assert sizes == [
        *[(64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7)],
        *[(256, 17, 9), (512, 9, 5), (1024, 5, 3), (2048, 3, 2)],
        *[(64, 28, 32), (128, 14, 16), (256, 7, 8), (512, 4, 4)],
    ]


def test_places_have_names() -> None:
    with torch.device("meta"):
        basic, bottleneck = ResNet(34), ResNet(101)
    assert [len(network.blocks) for network in (basic, bottleneck)] == [16, 33]
    assert bottleneck.stages == ("layer1", "layer2", "layer3", "layer4")
    assert (basic.blocks[3], basic.branches[3]) == ("layer2.0", "layer2.0.bn2")
    assert (bottleneck.blocks[-1], bottleneck.branches[-1]) == ("layer4.2", "layer4.2.bn3")
    for network in (basic, bottleneck):
        assert {*network.stages, *network.blocks, *network.branches} <= {
            name for name, _ in network.named_modules()
        }


def test_weights_are_drawn_for_relu() -> None:
    weights = ResNet(18).get_parameter("layer3.0.conv1.weight")  # 128 to 256 channels
    assert float(weights.detach().std()) == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.01)


def test_every_parameter_gets_a_gradient() -> None:
    torch.manual_seed(0)
    network = ResNet(18, classes=3, stem="small")
    network(torch.randn(4, 3, 16, 16)).square().sum().backward()
    assert all(weights.grad is not None and weights.grad.any() for weights in network.parameters())


@pytest.mark.plain
def test_what_is_refused() -> None:
    with refused("`depth` must be one of 18, 34, 50, 101, 152, got 20: choose one"):
        ResNet(20)
    with refused("`classes` must be a whole number from 1, got 0"):
        ResNet(18, classes=0)
    with refused("`stem` must be one of imagenet, small, got 'tiny'"):
        ResNet(18, stem="tiny")  # type: ignore[arg-type]
    with refused("`stride` must be one of first, middle, got 'last'"):
        ResNet(18, stride="last")  # type: ignore[arg-type]
    with torch.device("meta"):
        network = ResNet(18)
        with refused("`images` must be (B, 3, H, W), got (1, 1, 8, 8): give `channels` to ResNet"):
            network(torch.empty(1, 1, 8, 8))
        with refused("`images` must be floats, got torch.uint8: divide by 255"):
            network(torch.empty(1, 3, 8, 8, dtype=torch.uint8))
