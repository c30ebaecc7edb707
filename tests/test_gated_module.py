"""Gains by hooks, for any network."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from expect import refused
from nets import CLASSES, Convolutional, convolutional, floats, gains
from torch import Tensor, nn

from glimpse.gated_module import GatedModule
from glimpse.gating import Gated

LAYERS = ("first", "block", "units")


class Odd(nn.Module):
    """A network that may do what none should.

    Args:
        end: Makes of the logits what is returned.
    """

    def __init__(self, end: Callable[[Tensor], Any] = lambda logits: logits) -> None:
        super().__init__()
        self.inner, self.pair, self.end = convolutional(), Pair(), end
        self.rows = nn.Flatten(0, 1)

    def forward(self, images: Tensor) -> Any:
        self.rows(images)
        return self.end(self.inner(self.pair(images)[0]))


class Pair(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images, images


def _hooks(network: nn.Module) -> int:
    return sum(len(layer._forward_hooks) for layer in network.modules())


def _by_hand(network: Convolutional, images: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
    first, second, third = torch.split(given, [4, 6, 7], dim=1)
    maps = network.first(images) * first[:, :, None, None]
    later = network.block(network.norm(maps).relu()) * second[:, :, None, None]
    units = network.units(later.mean(dim=(2, 3))) * third
    means = torch.cat([maps.mean(dim=(2, 3)), later.mean(dim=(2, 3)), units], dim=1)
    return means, network.head(units).log_softmax(dim=1)


def test_a_pass_is_that_of_outputs_multiplied_by_hand() -> None:
    network, images = convolutional(), floats(3)
    gated = GatedModule(network, LAYERS, images[:1])
    assert isinstance(gated, Gated)
    assert (gated.layers, gated.classes) == ({"first": 4, "block": 6, "units": 7}, CLASSES)
    given = gains(3, 5, 17)
    seen = gated.look(gated.prepare(images), given)
    for individual in range(5):
        means, log_probs = _by_hand(network, images, given[:, individual])
        torch.testing.assert_close(seen.activations[:, individual], means)
        torch.testing.assert_close(seen.log_probs[:, individual], log_probs)
        once = gated.look_once(images, given[:, individual])
        torch.testing.assert_close(once.activations[:, 0], means)
        torch.testing.assert_close(once.log_probs[:, 0], log_probs)


def test_gains_follow_the_order_of_the_names() -> None:
    network, images, given = convolutional(), floats(3), gains(3, 17)
    turned = GatedModule(network, LAYERS[::-1], images).look_once(
        images, torch.cat(torch.split(given, [4, 6, 7], dim=1)[::-1], dim=1)
    )
    _, log_probs = _by_hand(network, images, given)
    torch.testing.assert_close(turned.log_probs[:, 0], log_probs)


@pytest.mark.parametrize("layers", [["first"], ["block.0"], ["block.1"], ["norm", "units"]])
def test_gains_of_one_leave_the_network_as_it_is(layers: list[str]) -> None:
    network, images = convolutional(), floats(3)
    gated = GatedModule(network, layers, images)
    seen = gated.look_once(images, torch.ones(3, sum(gated.layers.values())))
    torch.testing.assert_close(seen.log_probs[:, 0], network(images).log_softmax(dim=1))


def test_gains_of_zero_leave_the_bias_only() -> None:
    network, images = convolutional(), floats(3)
    seen = GatedModule(network, ["units"], images).look_once(images, torch.zeros(3, 7))
    assert not seen.activations.any()
    wanted = network.head.bias.log_softmax(dim=0).expand(3, -1)
    torch.testing.assert_close(seen.log_probs[:, 0], wanted)


def test_what_is_noted_stays_though_the_network_writes_over_it() -> None:
    """A ReLU in place writes where the layer before it put its output."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(216, 5), nn.ReLU(inplace=True))
    images = floats(4)
    linear = network[1](network[0](images))
    seen = GatedModule(network, ["1"], images).look_once(images, torch.ones(4, 5))
    assert (linear < 0).any()
    torch.testing.assert_close(seen.activations[:, 0], linear)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_a_network_of_another_precision_sees_images_in_its_own(dtype: torch.dtype) -> None:
    network, images, given = convolutional(), floats(3), gains(3, 17)
    wanted = _by_hand(network, images, given)[1]
    seen = GatedModule(convolutional().to(dtype), LAYERS, images).look_once(images, given)
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    assert seen.log_probs.dtype == seen.activations.dtype == exact
    tolerance = 1e-5 if dtype == torch.float64 else 0.05
    torch.testing.assert_close(seen.log_probs[:, 0].float(), wanted, rtol=tolerance, atol=tolerance)


def test_the_network_is_frozen_and_keeps_no_hooks() -> None:
    network, images = convolutional().train(), floats(3)
    gated = GatedModule(network, LAYERS, images)
    assert not network.training
    assert not any(weights.requires_grad for weights in network.parameters())
    gated.look_once(images, gains(3, 17))
    assert _hooks(network) == 0


def test_hooks_are_removed_after_an_error() -> None:
    network, images = convolutional(), floats(3)
    gated = GatedModule(network, LAYERS, images)
    with pytest.raises(RuntimeError):
        gated.look_once(floats(3, (1, 9, 12)), gains(3, 17))
    assert _hooks(network) == 0
    with refused("`layers` must run in every pass, got 'spare', which did not: leave it out"):
        GatedModule(network, ["first", "spare"], images)
    assert _hooks(network) == 0


def test_a_chunk_is_one_image_at_least() -> None:
    gated = GatedModule(convolutional(), LAYERS, floats(1))
    assert [gated.chunk(floats(9), many) for many in (1, 5, 640, 10**6)] == [640, 128, 1, 1]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "`layers` must be at least one name, got none: choose of first, norm, block, block.0"),
        (["fist"], "must be names of the network's layers, got 'fist': did you mean first?"),
        (["?"], "got '?': did you mean first, norm, block, block.0, block.1, units, head, spare?"),
        ([""], "`layers` must be names of the network's layers, got '': did you mean first, norm"),
        (["first", "norm", "first"], "`layers` must be different names, got 'first' twice: leave"),
    ],
    ids=str,
)
def test_names_of_no_layers_are_refused(layers: list[str], message: str) -> None:
    with refused(message):
        GatedModule(convolutional(), layers, floats(1))


def test_a_layer_that_runs_twice_is_refused() -> None:
    layer = nn.Conv2d(2, 2, 1)
    network = nn.Sequential(layer, nn.ReLU(), layer, nn.Flatten(), nn.Linear(216, 3))
    with refused("`layers` must run once in a pass, got '0', which runs twice: choose one around"):
        GatedModule(network, ["0"], floats(2))
    assert _hooks(network) == 0


@pytest.mark.parametrize(
    ("name", "got"), [("pair", "got tuple of 'pair'"), ("rows", "got (4, 9, 12) of 'rows'")]
)
def test_a_layer_without_maps_of_every_image_is_refused(name: str, got: str) -> None:
    with refused(f"the output of a layer must be (B, M, ...), B being 2, {got}: choose another"):
        GatedModule(Odd(), [name], floats(2))


@pytest.mark.parametrize(
    ("end", "got"),
    [
        (lambda logits: (logits, logits), "tuple"),
        (lambda logits: {"logits": logits}, "dict"),
        (lambda logits: logits[:, :, None], "(2, 3, 1)"),
        (lambda logits: logits[:1], "(1, 3)"),
        (lambda logits: logits.sum(), "()"),
    ],
    ids=["tuple", "dict", "axes", "rows", "number"],
)
def test_a_network_without_logits_is_refused(end: Callable[[Tensor], Any], got: str) -> None:
    message = f"the network must return logits (2, n) for 2 images, got {got}: wrap it so that it"
    with refused(message):
        GatedModule(Odd(end), ["inner.first"], floats(2))


def test_images_that_the_network_does_not_take_are_refused() -> None:
    with refused("the network must take images, got (2, 1, 9, 12), which it does not (Given group"):
        GatedModule(convolutional(), LAYERS, floats(2, (1, 9, 12)))


def test_a_network_of_timm() -> None:
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # there may be a torchvision for another torch
        pytest.skip(f"timm cannot be imported: {error}")
    network = timm.create_model("resnet10t", num_classes=CLASSES).eval()
    images = floats(2, (3, 32, 32))
    gated = GatedModule(network, ["layer1", "layer4.0.conv2"], images)
    maps = sum(gated.layers.values())
    seen = gated.look_once(images, torch.ones(2, maps))
    torch.testing.assert_close(seen.log_probs[:, 0], network(images).log_softmax(dim=1))
    other = gated.look_once(images, gains(2, maps))
    assert not torch.allclose(other.log_probs, seen.log_probs)
