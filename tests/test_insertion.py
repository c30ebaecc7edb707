"""Soft attention in any network."""

import copy
from collections import OrderedDict
from typing import Any

import pytest
import torch
from attention import drawn, parameters, some_maps
from expect import refused
from torch import Tensor, nn

from glimpse.soft_baselines import ATTENTION, After, ResNet, SqueezeExcitation, insert
from glimpse.soft_baselines.places import Place, names_of

DEPTHS = (18, 34, 50, 101, 152)


def _on_meta(depth: int) -> ResNet:
    with torch.device("meta"):
        return ResNet(depth)


@pytest.mark.parametrize(
    ("name", "options", "counts"),
    [
        ("se", {}, [11_778_592, 21_958_868, 28_088_024, 49_326_872, 66_821_848]),
        ("cbam", {}, [11_779_392, 21_960_468, 28_089_624, 49_330_172]),
        ("bam", {}, [11_712_503, 21_820_663, 25_915_099, 44_907_227]),
    ],
)
def test_published_networks_have_their_parameters(
    name: str, options: dict[str, Any], counts: list[int]
) -> None:
    networks = [insert(_on_meta(depth), name, **options) for depth in DEPTHS[: len(counts)]]
    assert [parameters(network) for network in networks] == counts


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("eca", {}, 25_557_032 + 86),
        ("eca", {"variant": "official"}, 25_557_032 + 80),
        ("gc", {}, 28_078_773),
        ("gc", {"where": "layer3.4"}, 25_690_345),
        ("gc", {"where": "*.bn3"}, 28_105_032),
    ],
)
def test_resnet_50_with_a_module(name: str, options: dict[str, Any], count: int) -> None:
    assert parameters(insert(_on_meta(50), name, **options)) == count


class _Small(nn.Module):
    """Two convolutions, one of them in a box that does not tell its channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.box = nn.Sequential(nn.Conv2d(16, 20, 1), nn.ReLU())
        self.last = nn.Linear(20, 4)
        self.unused = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.last(self.box(self.first(images)).mean(dim=(2, 3)))
        return logits


def test_the_module_sees_what_the_layer_gives() -> None:
    network = drawn(_Small())
    plain, images = copy.deepcopy(network), some_maps(2, 3, 5, 7)
    assert insert(network, "se", where="first", reduction=4) is network
    attention = network.first.attention
    assert isinstance(attention, SqueezeExcitation)
    drawn(attention, seed=5)
    maps = attention(plain.first(images))
    wanted = plain.last(plain.box(maps).mean(dim=(2, 3)))
    torch.testing.assert_close(network(images), wanted)
    assert not torch.allclose(network(images), plain(images))


def test_in_a_residual_network_it_stands_before_the_addition() -> None:
    network = drawn(ResNet(18, classes=3, stem="small"))
    block, maps = copy.deepcopy(network.layer1[1]), some_maps(2, 64, 5, 4)
    insert(network, "se")
    attention = drawn(network.layer1[1].bn2.attention)
    branch = block.bn2(block.conv2(block.bn1(block.conv1(maps)).relu()))
    torch.testing.assert_close(network.layer1[1](maps), (maps + attention(branch)).relu())
    assert _after(network) == list(network.branches)


def _after(network: nn.Module) -> list[str]:
    return [at for at, module in network.named_modules() if isinstance(module, After)]


# As docs/soft_training.md has it.
STANDS: dict[Place, str] = {
    "input": "spatial_transformer draw",
    "branches": "se eca cbam coordinate sk dynamic_conv",
    "later": "gc aa_conv deformable_conv",
    "last": "generalised",
    "stages": "bam residual",
    "block": "non_local cgnl mhsa",
    "top": "base_object_context pyramid_object_context criss_cross danet_channel danet_position "
    "fpa interaction_aware",
}


@pytest.mark.parametrize("place", list(STANDS))
def test_every_module_has_its_place(place: Place) -> None:
    names = [name for name, entry in ATTENTION.items() if entry.place == place]
    assert sorted(names) == sorted(STANDS[place].split())
    for name in names:
        network = _on_meta(18)
        wanted = list(names_of(network, place))
        with torch.device("meta"):
            assert _after(insert(network, name)) == wanted


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [("non_local", {"bias": False}, 27_656_232), ("cgnl", {}, 27_197_480)],
)
def test_self_attention_stands_after_one_block(
    name: str, options: dict[str, Any], count: int
) -> None:
    network = insert(_on_meta(50), name, **options)
    assert _after(network) == ["layer3.4"]
    assert parameters(network) == count


def test_networks_of_other_dimensions() -> None:
    for dimensions, layer in ((1, nn.Conv1d(3, 8, 1)), (3, nn.Conv3d(3, 8, 1))):
        images = torch.zeros(2, 3, *[4] * dimensions)
        for given in (None, images):
            network = nn.Sequential(layer)
            insert(network, "non_local", where="0", images=given, dimensions=dimensions)
            assert network(images).shape == (2, 8, *[4] * dimensions)
    with refused("output of '0' must be (B, C, T, H, W), got (2, 8, 4, 4): name a layer that"):
        images = torch.zeros(2, 3, 4, 4)
        insert(
            nn.Sequential(nn.Conv2d(3, 8, 1)), "non_local", where="0", images=images, dimensions=3
        )


def test_a_layer_of_two_names_gets_a_module_where_it_is_named() -> None:
    shared = nn.Conv2d(8, 8, 1)
    network = nn.Sequential(OrderedDict(a=shared, between=nn.ReLU(), b=shared))
    insert(network, "se", where="b", reduction=2)
    assert _after(network) == ["b"]
    assert network.a is shared
    assert network.b.layer is shared


def test_modules_that_are_the_identity_at_first_change_nothing() -> None:
    network = ResNet(18, classes=3, stem="small").eval()
    images = some_maps(2, 3, 16, 12).float()
    plain = network(images)
    assert torch.equal(insert(network, "gc", where=network.blocks)(images), plain)


def test_names_stay_and_a_second_module_comes_after_the_first() -> None:
    network = ResNet(18, classes=3, stem="small")
    insert(network, "bam")
    insert(network, "se")
    insert(network, "eca", where="layer1.0.bn2")
    insert(network, "eca", where="layer1")
    assert isinstance(network.layer1.layer.layer[0].bn2.layer.layer, nn.BatchNorm2d)
    assert isinstance(network.layer1.layer.layer[0].bn2.layer.attention, SqueezeExcitation)
    kinds = [type(module.attention).__name__ for module in (network.layer1, network.layer1.layer)]
    assert kinds == ["EfficientChannelAttention", "BottleneckAttention"]
    kinds = [type(module).__name__ for module in network.modules()]
    assert [kinds.count(name) for name in ("SqueezeExcitation", "BottleneckAttention")] == [8, 3]
    assert network(some_maps(2, 3, 16, 16).float()).shape == (2, 3)


def test_patterns_and_lists_name_layers_once() -> None:
    network = insert(_on_meta(50), "eca", where=["layer3.*.bn2", "layer3.0.bn2", "layer1.0"])
    after = [at for at, module in network.named_modules() if isinstance(module, After)]
    assert after == ["layer1.0", *(f"layer3.{block}.bn2" for block in range(6))]


def test_channels_are_learnt_by_running() -> None:
    network, images = _Small().train(), torch.zeros(1, 3, 4, 4)
    network.last.eval()
    insert(network, "se", where=["box", "box.1"], images=images)
    for place in (network.box, network.box.layer[1]):
        assert place.attention.excite.out_features == 20
    modes = (network.training, network.last.training, network.box.attention.training)
    assert modes == (True, False, True)
    assert not any(module._forward_hooks for module in network.modules())
    with refused("channels of 'box' must be known, got a ReLU, which does not tell: give `images`"):
        insert(_Small(), "se", where="box")


@pytest.mark.parametrize(
    ("layer", "channels"),
    [
        (nn.Conv2d(3, 16, 1), 16),
        (nn.ConvTranspose2d(3, 17, 1), 17),
        (nn.BatchNorm2d(18), 18),
        (nn.GroupNorm(1, 19), 19),
        (nn.Sequential(nn.ReLU(), nn.Sequential(nn.Conv2d(3, 20, 1))), 20),
        (After(nn.Conv2d(3, 21, 1), nn.Identity()), 21),
    ],
    ids=str,
)
def test_layers_that_tell_their_channels(layer: nn.Module, channels: int) -> None:
    network = insert(nn.Sequential(layer), "se", where="0")
    assert network[0].attention.excite.out_features == channels


def test_modules_are_as_their_layers() -> None:
    network = nn.Sequential(nn.Conv2d(3, 16, 1).double().eval(), nn.Conv2d(16, 16, 1))
    insert(network, "cbam", where=["0", "1"])
    for place in network:
        weights = next(place.layer.parameters())
        assert {p.dtype for p in place.attention.parameters()} == {weights.dtype}
        assert place.attention.training == place.layer.training
    meta = insert(_on_meta(18), "se")
    assert {weights.device.type for weights in meta.parameters()} == {"meta"}


def test_weights_of_the_plain_network_are_kept() -> None:
    network = _Small()
    before = [weights.clone() for weights in network.parameters()]
    insert(network, "eca", where="first")
    names = dict(network.named_parameters())
    assert "first.attention.convolve.weight" in names
    after = [weights for name, weights in names.items() if "attention" not in name]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_it_can_be_exported() -> None:
    network = insert(drawn(_Small()), "cbam", where="first").eval()
    images = some_maps(2, 3, 5, 7)
    exported = torch.export.export(network, (images,)).module()
    torch.testing.assert_close(exported(images), network(images))


def test_what_is_refused_alters_nothing() -> None:
    network = _Small()
    names = list(network.state_dict())
    with refused("got 'sse': choose one"):
        insert(network, "sse", where="first")
    with refused("`where` must be given for a _Small, got None: name layers; only a ResNet knows"):
        insert(network, "se")
    with refused("`where` must name layers of the _Small, got 'frist': there are first"):
        insert(network, "se", where=["first", "frist"])
    with refused("got 'zzz': there are first, box, box.0, box.1, last"):
        insert(network, "se", where="zzz")
    with refused("`where` must be at least one layer's name, got none: name one"):
        insert(network, "se", where=[])
    with refused("`reduction` must be in [1, 16], got 17"):
        insert(network, "se", where=["box.0", "first"], reduction=17)
    with refused("options of 'se' must be among reduction, got ratio"):
        insert(network, "se", where="first", ratio=4)
    images = torch.zeros(1, 3, 4, 4)
    with refused("output of 'last' must be (B, C, H, W), got (1, 4): name a layer that gives"):
        insert(network, "se", where=["first", "last"], images=images)
    with refused("output of 'unused' must be (B, C, H, W), got nothing: name a layer that gives"):
        insert(network, "se", where="unused", images=images)
    assert list(network.state_dict()) == names
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.plain
@pytest.mark.parametrize("where", [3, [3]])
def test_places_that_are_no_names_are_refused(where: Any) -> None:
    with refused("`where` must be names of layers, got 3: write 'layer1'"):
        insert(_Small(), "se", where=where)
