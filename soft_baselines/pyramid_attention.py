"""Pyramid attention network: a gate for every position from a pyramid of context, and its decoder.

Convention:
    Feature maps are `(B, C, H, W)`. Maps are enlarged bilinearly with `align_corners=False`. A
    level of the pyramid is half as large as the one above, rounded up: 5 x 9, 3 x 5, 2 x 3, 1 x 2.

Source: H. Li, P. Xiong, J. An, L. Wang, "Pyramid attention network for semantic segmentation",
BMVC 2018, section 3.
"""

from collections import OrderedDict
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from glimpse.checks import check_count, check_name

from .limits import check_training_batch
from .maps import check_maps

KERNELS = (7, 5, 3)  # from the finest level of the pyramid to the coarsest


class FeaturePyramidAttention(nn.Module):
    """Return pyramid(x) * f(x) + g(mean of x), f and g convolutions 1 x 1.

    The pyramid is a U of three levels: down by convolutions 7 x 7, 5 x 5 and 3 x 3, on every level
    a second convolution of the same kernel, and up by adding to the finer level. Every convolution
    has no bias and is followed by batch normalisation (said in the paper) and ReLU (not said).

    The paper does not say how wide the pyramid is, nor how its maps shrink and grow, and its
    authors published no code. Public code reads it in two ways:

    * `pyramid="map"`: one channel, a map of attention that all channels share; maximum pooling
      before a convolution, bilinear enlargement. The default: the paper calls the result attention
      of pixels and the large kernels no burden. From 2048 to 32 channels it has 231 681 parameters.
    * `pyramid="maps"`: a quarter of the channels; the first convolution of a level has stride 2,
      and transposed convolutions (4 x 4, stride 2) enlarge, the last one to all channels. With
      2048 channels it has 115.6 million parameters.

    Args:
        channels: C, of the input.
        out_channels: Of the output; None for C.
        pyramid: See above.

    Raises:
        ValueError: There is no such pyramid, or fewer than 4 channels for `"maps"`.
    """

    def __init__(
        self,
        channels: int,
        *,
        out_channels: int | None = None,
        pyramid: Literal["map", "maps"] = "map",
    ) -> None:
        super().__init__()
        check_name("pyramid", pyramid, ("map", "maps"))
        out = channels if out_channels is None else out_channels
        check_count(1, out_channels=out)
        if pyramid == "maps" and channels < 4:
            raise ValueError(
                f"`channels` must be at least 4, got {channels}: a pyramid of maps has a quarter"
            )
        self.channels = channels
        self.pyramid = pyramid
        self.context = _convolution(channels, out, 1)
        self.master = _convolution(channels, out, 1)
        width, stride = (1, 1) if pyramid == "map" else (channels // 4, 2)
        inputs = (channels, width, width)
        self.shrink = nn.MaxPool2d(2, ceil_mode=True) if stride == 1 else nn.Identity()
        self.down = nn.ModuleList(
            _convolution(given, width, kernel, stride)
            for given, kernel in zip(inputs, KERNELS, strict=True)
        )
        self.level = nn.ModuleList(_convolution(width, width, kernel) for kernel in KERNELS[::-1])
        self.up = nn.ModuleList(
            nn.Identity() if stride == 1 else _enlarging(width, made)
            for made in (width, width, out)
        )

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B O H W"]:
        """Return the attended maps.

        Raises:
            ValueError: The maps are of another shape, or a single image in training.
        """
        check_maps(maps, self.channels)
        if self.training:
            check_training_batch(maps)
        context: Tensor = self.context(maps.mean(dim=(2, 3), keepdim=True))
        master: Tensor = self.master(maps)
        return self._pyramid(maps) * master + context

    def _pyramid(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B P H W"]:
        levels = [maps]
        for down in self.down:
            levels.append(down(self.shrink(levels[-1])))
        made = torch.zeros_like(levels[-1])
        for number, (level, up) in enumerate(zip(self.level, self.up, strict=True), start=1):
            made = up(level(levels[-number]) + made)
            height, width = levels[-number - 1].shape[2:]
            if self.pyramid == "map":
                made = _enlarge(made, height, width)
            else:  # twice as large, which may be one too many
                made = made[:, :, :height, :width]
        return made


class GlobalAttentionUpsample(nn.Module):
    """Return gate * h(low) + high, enlarged to the low maps, with gate = s(f(mean of high)).

    The step of the decoder: deep maps, which know what is there, say which channels count of the
    shallow ones, which know where. h is a convolution 3 x 3 and f one 1 x 1, both without bias and
    followed by batch normalisation. Not in the table, for it takes two maps.

    Args:
        channels: C, of the high maps and of the result.
        low_channels: Of the low maps; None for C.
        gate: s: `"relu"`, the paper's, or `"sigmoid"`, that of widespread code.

    Raises:
        ValueError: There is no such gate.
    """

    def __init__(
        self,
        channels: int,
        *,
        low_channels: int | None = None,
        gate: Literal["relu", "sigmoid"] = "relu",
    ) -> None:
        super().__init__()
        check_name("gate", gate, ("relu", "sigmoid"))
        low = channels if low_channels is None else low_channels
        check_count(1, channels=channels, low_channels=low)
        self.channels = channels
        self.low_channels = low
        self.gate = gate
        self.context = _normalised(nn.Conv2d(channels, channels, 1, bias=False))
        self.detail = _normalised(nn.Conv2d(low, channels, 3, padding=1, bias=False))

    def forward(
        self, low: Float[Tensor, "B L H W"], high: Float[Tensor, "B C Y X"]
    ) -> Float[Tensor, "B C H W"]:
        """Return the sum, of the size of the low maps.

        Args:
            low: Shallow maps, usually the larger ones.
            high: Deep maps of any size.

        Raises:
            ValueError: Either is of another shape, they are not equally many, or a single image is
                given in training.
        """
        check_maps(low, self.low_channels, name="low")
        check_maps(high, self.channels, name="high")
        if high.shape[0] != low.shape[0]:
            raise ValueError(
                f"`high` must be as many images as `low`, {low.shape[0]}, got {high.shape[0]}: "
                "give both maps of the same images"
            )
        if self.training:
            check_training_batch(high, "high")
        context: Tensor = self.context(high.mean(dim=(2, 3), keepdim=True))
        gate = torch.relu(context) if self.gate == "relu" else torch.sigmoid(context)
        detail: Tensor = self.detail(low)
        return gate * detail + _enlarge(high, *low.shape[2:])


def _normalised(convolve: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    norm = nn.BatchNorm2d(convolve.out_channels)
    return nn.Sequential(OrderedDict(convolve=convolve, norm=norm))


def _convolution(given: int, made: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return _rectified(nn.Conv2d(given, made, kernel, stride, kernel // 2, bias=False))


def _enlarging(given: int, made: int) -> nn.Sequential:
    return _rectified(nn.ConvTranspose2d(given, made, 4, stride=2, padding=1, bias=False))


def _rectified(convolve: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    layers = _normalised(convolve)
    layers.add_module("relu", nn.ReLU())
    return layers


def _enlarge(maps: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(maps, (height, width), mode="bilinear", align_corners=False)
