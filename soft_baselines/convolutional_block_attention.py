"""Convolutional block attention: a gain for every channel, then one for every position.

Convention:
    Feature maps are `(B, C, H, W)`. Both gates lie in (0, 1) and can stand alone.

Source: S. Woo, J. Park, J.-Y. Lee, I. S. Kweon, "CBAM: Convolutional block attention module",
ECCV 2018, equations 1 to 3.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from glimpse.checks import check_count, check_name

from .limits import check_training_pixels, reduced
from .maps import check_maps


class ConvolutionalBlockAttention(nn.Module):
    """Scale channels, then positions: the channel gate and the spatial gate, one after the other.

    Args:
        channels: C.
        reduction: Of the channel gate (the paper's r).
        kernel: Of the spatial gate.
        variant: Of the spatial gate; see there.

    Raises:
        ValueError: An option does not fit.
    """

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 16,
        kernel: int = 7,
        variant: Literal["paper", "official"] = "official",
    ) -> None:
        super().__init__()
        self.channel = ChannelGate(channels, reduction=reduction)
        self.spatial = SpatialGate(channels, kernel=kernel, variant=variant)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the maps, scaled twice.

        Raises:
            ValueError: They are of another shape.
        """
        scaled: Tensor = self.spatial(self.channel(maps))
        return scaled


class ChannelGate(nn.Module):
    """Scale channels by sigmoid(f(mean) + f(maximum)), f(z) = W_1 ReLU(W_0 z + b_0) + b_1.

    The paper prints no biases, but its counts of parameters and the authors' code have them.

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
        pooled = torch.stack([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))])  # (2, B, C)
        logits = self.excite(torch.relu(self.squeeze(pooled))).sum(dim=0)
        return maps * torch.sigmoid(logits)[:, :, None, None]


class SpatialGate(nn.Module):
    """Scale positions by the sigmoid of a convolution over the channels' mean and maximum.

    Args:
        channels: C; of no parameter's size.
        kernel: Of the convolution, odd.
        variant: "paper": the convolution reads [mean, maximum] and has a bias, its output is the
            logit. "official", the authors' code: it reads [maximum, mean], has no bias, and batch
            normalisation (momentum 0.01) follows, whose weight starts at zero, as that of the
            authors' networks: the gate is 1/2 everywhere at first. The default, for it is what
            the published networks' parameters and released weights are of.

    Raises:
        ValueError: The kernel is even, or there is no such variant.
    """

    def __init__(
        self,
        channels: int,
        *,
        kernel: int = 7,
        variant: Literal["paper", "official"] = "official",
    ) -> None:
        super().__init__()
        check_count(1, channels=channels, kernel=kernel)
        check_name("variant", variant, ("paper", "official"))
        if kernel % 2 == 0:
            raise ValueError(f"`kernel` must be odd, got {kernel}: the gate must fit the maps")
        self.channels = channels
        self.official = variant == "official"
        self.convolve = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=not self.official)
        self.norm = nn.BatchNorm2d(1, momentum=0.01) if self.official else nn.Identity()
        if isinstance(self.norm, nn.BatchNorm2d):
            nn.init.zeros_(self.norm.weight)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the maps, scaled.

        Raises:
            ValueError: They are of another shape, or a single pixel in training.
        """
        check_maps(maps, self.channels)
        if self.training and self.official:
            check_training_pixels(maps)
        mean, maximum = maps.mean(dim=1, keepdim=True), maps.amax(dim=1, keepdim=True)
        pooled = torch.cat([maximum, mean] if self.official else [mean, maximum], dim=1)
        return maps * torch.sigmoid(self.norm(self.convolve(pooled)))
