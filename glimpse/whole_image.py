"""Networks that see an image whole, in the place of the glimpse network: the paper's baselines.

With one glimpse as large as the image and the `relu` core, whose first hidden state is zero, these
are the ordinary networks: the core is their last hidden layer.

Source: V. Mnih et al., "Recurrent Models of Visual Attention", NeurIPS 2014, section 4: two layers
of 64 or 256 units; a layer of 8 filters of 10x10 pixels at a stride of 5, then one of 256 units.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class FullyConnected(nn.Module):
    """One layer: g = ReLU(W x).

    Args:
        shape: Of one glimpse, (K, C, s, s).
        features: How many units.
    """

    def __init__(self, shape: tuple[int, int, int, int], features: int) -> None:
        super().__init__()
        self.features = features
        self.see = nn.Linear(torch.Size(shape).numel(), features)

    def forward(
        self, glimpse: Float[Tensor, "B K C s s"], location: Float[Tensor, "B 2"]
    ) -> Float[Tensor, "B D"]:
        """Return the units; where the glimpse lies does not matter."""
        return F.relu(self.see(glimpse.flatten(1)))


class Convolutional(nn.Module):
    """One layer of filters: g = ReLU(w * x), laid out in a row.

    Args:
        shape: Of one glimpse, (K, C, s, s); scales count as channels.
        filters: How many.
        width: Height and width of each, in pixels.
        stride: From one to the next, in pixels.

    Attributes:
        features: How many numbers that makes, D.
    """

    def __init__(
        self,
        shape: tuple[int, int, int, int],
        *,
        filters: int = 8,
        width: int = 10,
        stride: int = 5,
    ) -> None:
        super().__init__()
        scales, channels, height, _ = shape
        self.see = nn.Conv2d(scales * channels, filters, width, stride)
        self.features = self.features_of(height, filters=filters, width=width, stride=stride)

    @staticmethod
    def features_of(side: int, *, filters: int = 8, width: int = 10, stride: int = 5) -> int:
        """Return D for images of this height and width, in pixels."""
        return int(filters * ((side - width) // stride + 1) ** 2)

    def forward(
        self, glimpse: Float[Tensor, "B K C s s"], location: Float[Tensor, "B 2"]
    ) -> Float[Tensor, "B D"]:
        """Return what the filters find; where the glimpse lies does not matter."""
        return F.relu(self.see(glimpse.flatten(1, 2))).flatten(1)
