"""Where the papers put their modules in a residual network."""

from typing import Protocol, runtime_checkable

from torch import nn


@runtime_checkable
class Staged(Protocol):
    """A residual network that knows the names of its places.

    Attributes:
        branches: The last layer of every residual branch, before the addition.
        blocks: The blocks.
        stages: The stages, two or more.
    """

    branches: tuple[str, ...]
    blocks: tuple[str, ...]
    stages: tuple[str, ...]


def paper_places(network: nn.Module, name: str, domain: str) -> tuple[str, ...]:
    """Return the names of the layers after which a module stands.

    Args:
        network: Knows its places.
        name: Of the module, as the table has it.
        domain: Over what it attends.

    Raises:
        ValueError: The network does not know its places.
    """
    if not isinstance(network, Staged):
        raise ValueError(
            f"`where` must be given for a {type(network).__name__}, got None: name layers; "
            "only a ResNet knows the places of the papers"
        )
    first, *_, last = network.stages
    if name == "bam":
        return tuple(stage for stage in network.stages if stage != last)
    if name == "gc":
        return tuple(at for at in network.branches if not at.startswith(f"{first}."))
    if domain == "self-attention":
        before_last = network.stages[-2]
        return ([at for at in network.blocks if at.startswith(f"{before_last}.")][-2:][0],)
    return network.branches
