"""The projection that several modules share: a convolution with normalisation.

Convention:
    Feature maps are `(B, C, H, W)`.
"""

from collections import OrderedDict

from torch import nn


def normed_conv(
    channels: int,
    width: int,
    kernel: int = 1,
    *,
    dilation: int = 1,
    bias: bool = False,
    slope: float = 0.0,
) -> nn.Sequential:
    """Return a convolution that keeps height and width, batch normalisation and a (leaky) ReLU.

    Args:
        channels: That come in.
        width: How many come out.
        kernel: Height and width of the filters, odd.
        dilation: From one weight of a filter to the next, in pixels.
        bias: Whether the convolution has one.
        slope: Of the activation below zero. InPlaceABN's is 0.01.
    """
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        OrderedDict(
            convolve=nn.Conv2d(
                channels, width, kernel, padding=padding, dilation=dilation, bias=bias
            ),
            norm=nn.BatchNorm2d(width),
            # In place: normalisation does not need what it gave, for its gradients.
            activation=nn.LeakyReLU(slope, inplace=True) if slope else nn.ReLU(inplace=True),
        )
    )
