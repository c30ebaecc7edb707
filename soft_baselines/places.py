"""Where the papers put their modules in a residual network."""

from typing import Literal, Protocol, runtime_checkable

from torch import nn

# Before all layers; at the end of every residual branch, before the addition, of all stages, of all
# but the first, of the last two; after the last block but one of the last stage but one; after all
# stages but the last; after the last.
Place = Literal["input", "branches", "later", "last", "block", "stages", "top"]


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


def names_of(network: nn.Module, place: Place) -> tuple[str, ...]:
    """Return the names of the layers after which a module stands.

    Args:
        network: Knows its places.
        place: Of the module, as the table has it.

    Raises:
        ValueError: The network does not know its places.
    """
    if not isinstance(network, Staged):
        raise ValueError(
            f"`where` must be given for a {type(network).__name__}, got None: name layers; "
            "only a ResNet knows the places of the papers"
        )
    *early, last = network.stages
    match place:
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
