"""Bottleneck attention: one gain for every channel and position, from two branches at once.

Convention:
    Feature maps are `(B, C, H, W)`. Both branches give logits; the gain lies in (1, 2).

Source: J. Park, S. Woo, J.-Y. Lee, I. S. Kweon, "BAM: Bottleneck attention module", BMVC 2018,
equations 1 to 4.
"""

from collections import OrderedDict
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from glimpse.checks import check_count, check_name

from .limits import check_training_batch, reduced
from .maps import check_maps


class BottleneckAttention(nn.Module):
    """Return y = x (1 + sigmoid(M_c + M_s)), or of M_c M_s: M_c of channels, M_s of places.

    M_c(x) are two dense layers over the channels' means; M_s(x) are a 1 x 1 convolution to C / r
    channels, two dilated 3 x 3 and a 1 x 1 to one. ReLU stands between layers (the paper prints
    none, its authors' code has it: without, each branch would be linear), and all have biases.

    Args:
        channels: C.
        reduction: How many times fewer channels the inner layers have (the paper's r).
        dilation: Of the 3 x 3 convolutions (d).
        variant: "paper": each branch ends in batch normalisation, and the two are added.
            "official", the authors' code: batch normalisation stands before each ReLU and not at
            the end, and the two are multiplied. The default, for it is what the published
            networks' parameters and released weights are of.
        combine: "sum" or "product" of the branches, if not that of the variant.

    Raises:
        ValueError: Fewer than one inner channel would be left, or an option is unknown.
    """

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 16,
        dilation: int = 4,
        variant: Literal["paper", "official"] = "official",
        combine: Literal["sum", "product"] | None = None,
    ) -> None:
        super().__init__()
        width = reduced(channels, reduction)
        check_count(1, dilation=dilation)
        check_name("variant", variant, ("paper", "official"))
        if combine is not None:
            check_name("combine", combine, ("sum", "product"))
        official = variant == "official"
        self.channels = channels
        self.combine = combine or ("product" if official else "sum")
        self.channel = _channel_branch(channels, width, official)
        self.spatial = _spatial_branch(channels, width, dilation, official)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the maps, scaled.

        Raises:
            ValueError: They are of another shape, or a single image in training.
        """
        check_maps(maps, self.channels)
        if self.training:
            check_training_batch(maps)
        of_channels = self.channel(maps.mean(dim=(2, 3)))[:, :, None, None]
        of_places = self.spatial(maps)  # (B, 1, H, W)
        product = self.combine == "product"
        logits = of_channels * of_places if product else of_channels + of_places
        return maps * (1 + torch.sigmoid(logits))


def _channel_branch(channels: int, width: int, official: bool) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict(squeeze=nn.Linear(channels, width))
    if official:
        layers["norm"] = nn.BatchNorm1d(width)
    layers["relu"] = nn.ReLU()
    layers["excite"] = nn.Linear(width, channels)
    if not official:
        layers["norm"] = nn.BatchNorm1d(channels)
    return nn.Sequential(layers)


def _spatial_branch(channels: int, width: int, dilation: int, official: bool) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name in ("squeeze", "first", "second"):
        layers[name] = (
            nn.Conv2d(channels, width, 1)
            if name == "squeeze"
            else nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        )
        if official:
            layers[f"{name}_norm"] = nn.BatchNorm2d(width)
        layers[f"{name}_relu"] = nn.ReLU()
    layers["project"] = nn.Conv2d(width, 1, 1)
    if not official:
        layers["norm"] = nn.BatchNorm2d(1)
    return nn.Sequential(layers)
