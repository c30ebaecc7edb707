"""Selective kernel: convolutions of several widths, of which every channel chooses.

Convention:
    Feature maps are `(B, C, H, W)`. Branch k = 0, 1, ... is a 3 x 3 convolution of dilation
    k + 1, so it reaches as far as one of 3, 5, ... pixels.

Source: X. Li, W. Wang, X. Hu, J. Yang, "Selective kernel networks", CVPR 2019, section 3.1.
"""

from collections import OrderedDict

import torch
from jaxtyping import Float
from torch import Tensor, nn

from glimpse.checks import check_count

from .limits import check_divides, check_training_batch
from .maps import check_maps


class SelectiveKernel(nn.Module):
    """Mix branches U_k by softmax over k of A_k z, where z = ReLU(BN(W mean(sum_k U_k))).

    The output holds the mixed branches and nothing of the maps themselves: the unit takes the
    place of a 3 x 3 convolution. No layer has a bias, as the parameters of the published SKNet-50
    are counted (27.5 M).

    Args:
        channels: C.
        branches: How many there are (the paper's M).
        groups: Of every convolution (G).
        reduction: How many times fewer units than channels z has (r), ...
        minimum: ... but never fewer than these (L).

    Raises:
        ValueError: The groups do not divide the channels, or a number is below 1.
    """

    def __init__(
        self,
        channels: int,
        *,
        branches: int = 2,
        groups: int = 32,
        reduction: int = 16,
        minimum: int = 32,
    ) -> None:
        super().__init__()
        check_divides("groups", groups, channels)
        check_count(1, branches=branches, reduction=reduction, minimum=minimum)
        width = max(channels // reduction, minimum)
        self.channels = channels
        self.branches = nn.ModuleList(
            _branch(channels, groups, dilation) for dilation in range(1, branches + 1)
        )
        self.squeeze = nn.Linear(channels, width, bias=False)
        self.norm = nn.BatchNorm1d(width)
        self.select = nn.Linear(width, branches * channels, bias=False)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the mixed branches.

        Raises:
            ValueError: The maps are of another shape, or a single image in training.
        """
        check_maps(maps, self.channels)
        if self.training:
            check_training_batch(maps)
        features = [branch(maps) for branch in self.branches]
        means = torch.stack([feature.mean(dim=(2, 3)) for feature in features]).sum(dim=0)
        hidden = torch.relu(self.norm(self.squeeze(means)))
        logits = self.select(hidden).unflatten(1, (len(features), self.channels))
        shares = logits.softmax(dim=1)[..., None, None]  # (B, K, C, 1, 1)
        mixed: Tensor = features[0] * shares[:, 0]
        for number, feature in enumerate(features[1:], start=1):
            mixed = mixed + feature * shares[:, number]
        return mixed


def _branch(channels: int, groups: int, dilation: int) -> nn.Sequential:
    convolve = nn.Conv2d(
        channels, channels, 3, padding=dilation, dilation=dilation, groups=groups, bias=False
    )
    return nn.Sequential(
        OrderedDict(convolve=convolve, norm=nn.BatchNorm2d(channels), relu=nn.ReLU())
    )
