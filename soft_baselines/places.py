"""Where the papers put their modules in a residual network."""

from collections.abc import Mapping
from typing import Literal, Protocol, runtime_checkable

from torch import nn

Kind = Literal["input", "branches", "later", "last", "block", "stages", "top"]

# Four are convolutions, which in their papers take the place of a 3 x 3 one: here they stand behind
# it. Those of two branches, or of a head for segmentation, stand on top.
KINDS: Mapping[str, Kind] = {
    "aa_conv": "later",
    "bam": "stages",
    "base_object_context": "top",
    "cbam": "branches",
    "cgnl": "block",
    "coordinate": "branches",
    "criss_cross": "top",
    "danet_channel": "top",
    "danet_position": "top",
    "deformable_conv": "later",
    "draw": "input",
    "dynamic_conv": "branches",
    "eca": "branches",
    "fpa": "top",
    "gc": "later",
    "generalised": "last",
    "interaction_aware": "top",
    "mhsa": "block",
    "non_local": "block",
    "pyramid_object_context": "top",
    "residual": "stages",
    "se": "branches",
    "sk": "branches",
    "spatial_transformer": "input",
}


@runtime_checkable
class Staged(Protocol):
    """A residual network that knows the names of its places.

    Attributes:
        input: What the images go through first.
        branches: The last layer of every residual branch, before the addition.
        blocks: The blocks.
        stages: The stages, two or more.
    """

    input: nn.Module
    branches: tuple[str, ...]
    blocks: tuple[str, ...]
    stages: tuple[str, ...]


def paper_places(network: nn.Module, name: str) -> tuple[str, ...]:
    """Return the names of the layers after which a module stands.

    Args:
        network: Knows its places.
        name: Of the module, as the table has it.

    Raises:
        ValueError: The network does not know its places.
    """
    if not isinstance(network, Staged):
        raise ValueError(
            f"`where` must be given for a {type(network).__name__}, got None: name layers; "
            "only a ResNet knows the places of the papers"
        )
    *early, last = network.stages
    match KINDS[name]:
        case "input":
            return ("input",)
        case "branches":
            return network.branches
        case "later":
            return tuple(at for at in network.branches if not at.startswith(f"{early[0]}."))
        case "last":
            ends = (f"{early[-1]}.", f"{last}.")
            return tuple(at for at in network.branches if at.startswith(ends))
        case "block":  # the last but one, or the only one
            return ([at for at in network.blocks if at.startswith(f"{early[-1]}.")][-2:][0],)
        case "stages":
            return tuple(early)
        case "top":
            return (last,)
