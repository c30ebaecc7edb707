"""Maxout networks with gains: the shared responses change nothing but the time it takes."""

import pytest
import torch
from expect import refused
from nets import ODD, ONE, TWO, floats, gains, gated_by_hand, maxout

from glimpse.gated_maxout import GatedMaxout
from glimpse.gated_module import GatedModule
from glimpse.gating import Gated
from glimpse.maxout import Sizes

SMALL, PAPER = (1, 28, 20), (3, 32, 32)
every_network = pytest.mark.parametrize(
    ("sizes", "shape"),
    [(ODD, (2, 9, 12)), (TWO, (2, 9, 12)), ("small", SMALL), ("paper", PAPER)],
    ids=["odd", "two", "small", "paper"],
)
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
CLOSE = {torch.float32: {"rtol": 1e-4, "atol": 1e-5}, torch.float64: {"rtol": 1e-9, "atol": 1e-12}}


@every_network
@every_dtype
def test_a_pass_is_that_of_maps_multiplied_one_after_the_other(
    sizes: Sizes | str, shape: tuple[int, int, int], dtype: torch.dtype
) -> None:
    network, images = maxout(sizes, shape).to(dtype), floats(2, shape).to(dtype)
    gated = GatedMaxout(network)
    assert isinstance(gated, Gated)
    given = gains(2, 3, sum(gated.layers.values())).to(dtype)
    seen = gated.look(gated.prepare(images), given)
    hooked = GatedModule(network, list(network.layers), images)
    other = hooked.look(hooked.prepare(images), given)
    for individual in range(3):
        means, log_probs = gated_by_hand(network, images, given[:, individual])
        once = gated.look_once(images, given[:, individual])
        for found in (seen, other):
            torch.testing.assert_close(found.activations[:, individual], means, **CLOSE[dtype])
            torch.testing.assert_close(found.log_probs[:, individual], log_probs, **CLOSE[dtype])
        torch.testing.assert_close(once.activations[:, 0], means, **CLOSE[dtype])
        torch.testing.assert_close(once.log_probs[:, 0], log_probs, **CLOSE[dtype])
    assert seen.activations.dtype == other.activations.dtype == dtype


@every_network
def test_gains_of_one_leave_the_network_as_it_is(
    sizes: Sizes | str, shape: tuple[int, int, int]
) -> None:
    network, images = maxout(sizes, shape), floats(2, shape)
    gated = GatedMaxout(network)
    ones = torch.ones(2, 1, sum(gated.layers.values()))
    wanted = network(images).log_softmax(dim=1)[:, None]
    for seen in (gated.look(gated.prepare(images), ones), gated.look_once(images, ones[:, 0])):
        torch.testing.assert_close(seen.log_probs, wanted, rtol=1e-4, atol=1e-5)


def test_images_in_single_precision_are_seen_in_the_network_s() -> None:
    network = maxout().double()
    gated, given = GatedMaxout(network), gains(2, 18)
    wanted = gated_by_hand(network, floats(2).double(), given.double())[1]
    torch.testing.assert_close(gated.look_once(floats(2), given).log_probs[:, 0], wanted)
    prepared = gated.prepare(floats(2))
    torch.testing.assert_close(gated.look(prepared, given[:, None]).log_probs[:, 0], wanted)


def test_the_network_is_frozen_and_nothing_is_dropped() -> None:
    network = maxout().train()
    gated = GatedMaxout(network)
    assert not network.training
    assert not any(weights.requires_grad for weights in network.parameters())
    assert gated.layers == {"stages.0": 4, "stages.1": 5, "stages.2": 3, "dense": 6}
    assert gated.classes == 3


def test_a_chunk_is_one_image_at_least_and_fewer_the_more_look() -> None:
    gated, images = GatedMaxout(maxout("small", SMALL)), floats(2, SMALL)
    sizes = [gated.chunk(images, population) for population in (1, 10, 100, 10**9)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[2]
    assert sizes[-1] == 1


def test_one_stage_is_refused() -> None:
    with refused("the network must have at least two stages, got one: use GatedModule("):
        GatedMaxout(maxout(ONE))
