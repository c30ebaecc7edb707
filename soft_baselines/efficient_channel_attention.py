"""Efficient channel attention: a gain for every channel, from the means of its neighbours.

Convention:
    Feature maps are `(B, C, H, W)`. Neighbours are channels of near numbers; what lies outside
    is zero. With a kernel of 3, channel 0 sees the means of the channels 0 and 1.

Source: Q. Wang et al., "ECA-Net: Efficient channel attention for deep convolutional neural
networks", CVPR 2020, equations 5, 9 and 12.
"""

from math import log2
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from glimpse.checks import check_count, check_name

from .maps import check_maps

_RELEASED = {256: 3, 512: 5, 1024: 5, 2048: 7}  # of the released ECA-ResNet-50, by channels


class EfficientChannelAttention(nn.Module):
    """Scale channels by s = sigmoid(w * z): a convolution over the channels' means z, no bias.

    Args:
        channels: C.
        variant: Where the kernel's size comes from. "paper": k = |(log2(C) + 1) / 2|, to the
            nearest odd number (a tie goes up), which knows every C and is thus the default:
            5, 5, 5, 7 for the stages of ResNet-50. "official": the authors' released
            ECA-ResNet-50, which has 3, 5, 5, 7, and no other C.
        kernel: Its size, if neither of them is wanted.

    Raises:
        ValueError: The kernel is even, or the released network has no such C.
    """

    def __init__(
        self,
        channels: int,
        *,
        variant: Literal["paper", "official"] = "paper",
        kernel: int | None = None,
    ) -> None:
        super().__init__()
        check_count(1, channels=channels)
        check_name("variant", variant, ("paper", "official"))
        size = _kernel(channels, variant) if kernel is None else kernel
        check_count(1, kernel=size)
        if size % 2 == 0:
            raise ValueError(
                f"`kernel` must be odd, got {size}: a channel has as many neighbours on both sides"
            )
        self.channels = channels
        self.convolve = nn.Conv1d(1, 1, size, padding=size // 2, bias=False)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the maps, scaled.

        Raises:
            ValueError: They are of another shape.
        """
        check_maps(maps, self.channels)
        means = maps.mean(dim=(2, 3))
        scale = torch.sigmoid(self.convolve(means[:, None])[:, 0])  # (B, C)
        return maps * scale[:, :, None, None]


def _kernel(channels: int, variant: str) -> int:
    if variant == "official":
        if channels not in _RELEASED:
            known = ", ".join(str(count) for count in _RELEASED)
            raise ValueError(
                f"`channels` of the official variant must be one of {known}, got {channels}: "
                "give `kernel`, or take the paper's variant"
            )
        return _RELEASED[channels]
    below = int((log2(channels) + 1) / 2)
    return below if below % 2 else below + 1
