"""Coordinate attention: a gain for every row and one for every column, of each channel.

Convention:
    Feature maps are `(B, C, H, W)`. The means of the rows, `(B, C, H)`, come before those of the
    columns, `(B, C, W)`, wherever the two stand in one tensor.

Source: Q. Hou, D. Zhou, J. Feng, "Coordinate attention for efficient mobile network design",
CVPR 2021, equations 4 to 9.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from glimpse.checks import check_count

from .maps import check_maps


class CoordinateAttention(nn.Module):
    """Return y_c(i, j) = x_c(i, j) g_c(i) h_c(j) with gains in (0, 1).

    f = hardswish(BN(F_1 [z^h, z^w])) of the means of rows z^h and columns z^w, then
    g = sigmoid(F_h f^h) and h = sigmoid(F_w f^w). Every F is a 1 x 1 convolution with a bias.

    Args:
        channels: C.
        reduction: How many times fewer channels than C has f (the paper's r), ...
        minimum: ... but never fewer than these, as in the authors' code.

    Raises:
        ValueError: A number is below 1.
    """

    def __init__(self, channels: int, *, reduction: int = 32, minimum: int = 8) -> None:
        super().__init__()
        check_count(1, channels=channels, reduction=reduction, minimum=minimum)
        width = max(channels // reduction, minimum)
        self.squeeze = nn.Conv2d(channels, width, 1)
        self.norm = nn.BatchNorm2d(width)
        self.rows = nn.Conv2d(width, channels, 1)
        self.columns = nn.Conv2d(width, channels, 1)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the maps, scaled.

        Raises:
            ValueError: They are of another shape.
        """
        check_maps(maps, self.rows.out_channels)
        height = maps.shape[2]
        means = torch.cat([maps.mean(dim=3), maps.mean(dim=2)], dim=2)[..., None]  # (B, C, H+W, 1)
        hidden = functional.hardswish(self.norm(self.squeeze(means)))
        rows = torch.sigmoid(self.rows(hidden[:, :, :height]))  # (B, C, H, 1)
        columns = torch.sigmoid(self.columns(hidden[:, :, height:])).transpose(2, 3)  # (B, C, 1, W)
        return maps * rows * columns
