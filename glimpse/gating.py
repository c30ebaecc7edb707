"""Frozen networks whose feature maps have gains: what dasNet's policy sets between two passes.

Convention:
    Gains are `(B, P, A)`: on each of B images, of P individuals, one for each of the A maps of the
    gated layers, layer after layer; 1 leaves a map as it is. Individuals share images and weights,
    so a pass of all of them is one pass of B * P rows. What is observed of a map is its mean over
    the image, after its gain.

Source: M. Stollenga, J. Masci, F. Gomez, J. Schmidhuber, "Deep networks with internal selective
attention through feedback connections", NIPS 2014.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


class Pass(NamedTuple):
    """What one pass of a network gives.

    Attributes:
        activations: The mean of every map after its gain.
        log_probs: Of the classes.
    """

    activations: Float[Tensor, "B P A"]
    log_probs: Float[Tensor, "B P n"]


@runtime_checkable
class Gated(Protocol):
    """A frozen network with gains.

    Attributes:
        layers: How many maps each gated layer has, by its name, in the order of the gains.
        classes: How many classes n.
    """

    layers: dict[str, int]
    classes: int

    def chunk(self, images: Float[Tensor, "B C H W"], population: int) -> int:
        """Return how many of such images are best looked at at once by this many individuals."""
        ...

    def prepare(self, images: Float[Tensor, "B C H W"]) -> Any:
        """Return what of images does not depend on gains, for `look`."""
        ...

    def look(self, prepared: Any, gains: Float[Tensor, "B P A"]) -> Pass:
        """Make one pass with these gains."""
        ...

    def look_once(self, images: Float[Tensor, "B C H W"], gains: Float[Tensor, "B A"]) -> Pass:
        """Make one pass of one individual, which need not be prepared."""
        ...
