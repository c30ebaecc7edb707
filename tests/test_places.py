"""Where modules stand, in networks of three stages and of four."""

import pytest
import torch
from expect import refused
from torch import nn

from glimpse.soft_baselines import ResNet, SmallResNet
from glimpse.soft_baselines.places import Place, names_of


def _ends(*stages: int, blocks: int = 2) -> list[str]:
    return [f"layer{stage}.{block}.bn2" for stage in stages for block in range(blocks)]


@pytest.mark.parametrize(
    ("place", "large", "small"),
    [
        ("input", ["input"], ["input"]),
        ("branches", _ends(1, 2, 3, 4), _ends(1, 2, 3, blocks=1)),
        ("later", _ends(2, 3, 4), _ends(2, 3, blocks=1)),
        ("last", _ends(3, 4), _ends(2, 3, blocks=1)),
        ("block", ["layer3.0"], ["layer2.0"]),
        ("stages", ["layer1", "layer2", "layer3"], ["layer1", "layer2"]),
        ("top", ["layer4"], ["layer3"]),
    ],
)
def test_places(place: Place, large: list[str], small: list[str]) -> None:
    with torch.device("meta"):
        four = ResNet(18)
    assert list(names_of(four, place)) == large
    assert list(names_of(SmallResNet((1, 8, 8), 2), place)) == small


def test_a_block_is_the_last_but_one() -> None:
    three = SmallResNet((1, 8, 8), 2, width=2, blocks=3)
    assert names_of(three, "block") == ("layer2.1",)


def test_a_network_that_does_not_know_its_places_is_refused() -> None:
    with refused("`where` must be given for a Linear, got None: name layers"):
        names_of(nn.Linear(2, 2), "branches")
