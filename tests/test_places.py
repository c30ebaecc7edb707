"""Where the papers put their modules, in networks of three stages and of four."""

import pytest
import torch
from expect import refused
from torch import nn

from glimpse.soft_baselines import ResNet, SmallResNet
from glimpse.soft_baselines.places import paper_places


def _large() -> ResNet:
    with torch.device("meta"):
        return ResNet(18)


@pytest.mark.parametrize(
    ("name", "domain", "large", "small"),
    [
        ("bam", "mixed", ["layer1", "layer2", "layer3"], ["layer1", "layer2"]),
        (
            "gc",
            "mixed",
            [f"layer{stage}.{block}.bn2" for stage in (2, 3, 4) for block in (0, 1)],
            ["layer2.0.bn2", "layer3.0.bn2"],
        ),
        ("any", "self-attention", ["layer3.0"], ["layer2.0"]),
        (
            "any",
            "channel",
            [f"layer{stage}.{block}.bn2" for stage in (1, 2, 3, 4) for block in (0, 1)],
            ["layer1.0.bn2", "layer2.0.bn2", "layer3.0.bn2"],
        ),
    ],
)
def test_places(name: str, domain: str, large: list[str], small: list[str]) -> None:
    assert list(paper_places(_large(), name, domain)) == large
    assert list(paper_places(SmallResNet((1, 8, 8), 2), name, domain)) == small


def test_self_attention_stands_after_the_last_block_but_one() -> None:
    three = SmallResNet((1, 8, 8), 2, width=2, blocks=3)
    assert paper_places(three, "any", "self-attention") == ("layer2.1",)


def test_a_network_that_does_not_know_its_places_is_refused() -> None:
    with refused("`where` must be given for a Linear, got None: name layers"):
        paper_places(nn.Linear(2, 2), "se", "channel")
