"""Squeeze-and-excitation: a gain for every channel, from the means of all of them.

Convention:
    Feature maps are `(B, C, H, W)`.

Source: J. Hu, L. Shen, G. Sun, "Squeeze-and-excitation networks", CVPR 2018, equations 2 to 4.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .limits import reduced
from .maps import check_maps


class SqueezeExcitation(nn.Module):
    """Scale channels by s = sigmoid(W_2 ReLU(W_1 z)), z_c the mean of channel c.

    Args:
        channels: C.
        reduction: How many times fewer units lie between the two layers (the paper's r).

    Raises:
        ValueError: Fewer than one unit would be left.
    """

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        width = reduced(channels, reduction)
        self.squeeze = nn.Linear(channels, width)
        self.excite = nn.Linear(width, channels)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the maps, scaled.

        Raises:
            ValueError: They are of another shape.
        """
        check_maps(maps, self.excite.out_features)
        scale = torch.sigmoid(self.excite(torch.relu(self.squeeze(maps.mean(dim=(2, 3))))))
        return maps * scale[:, :, None, None]
