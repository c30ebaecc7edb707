"""Dual attention (DANet): positions attend to positions, channels to channels.

Convention:
    Feature maps are `(B, C, H, W)`; N = H W.

Source: J. Fu et al., "Dual attention network for scene segmentation", CVPR 2019, equations 1 to 4
and figure 2.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from glimpse.checks import check_count, check_name

from .limits import check_training_pixels, reduced
from .maps import check_maps
from .projections import normed_conv
from .softmax_attention import softmax_attention


class PositionAttention(nn.Module):
    """Return gamma sum_j s_ij value_j + x_i, s_i = softmax_j(query_i . key_j), without a scale.

    It is the identity at first: gamma is zero. It holds no N x N numbers (`softmax_attention`).

    Args:
        channels: C.
        reduction: How many times fewer channels queries and keys have.

    Raises:
        ValueError: The reduction leaves no channel.
    """

    def __init__(self, channels: int, *, reduction: int = 8) -> None:
        super().__init__()
        width = reduced(channels, reduction)
        self.query = nn.Conv2d(channels, width, 1)
        self.key = nn.Conv2d(channels, width, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the maps and what they attend to.

        Raises:
            ValueError: They are of another shape.
        """
        check_maps(maps, self.value.out_channels)
        tokens = (layer(maps).flatten(2) for layer in (self.query, self.key, self.value))
        return torch.addcmul(maps, self.gamma, softmax_attention(*tokens).reshape(maps.shape))


class ChannelAttention(nn.Module):
    """Return gamma sum_j s_ij x_j + x_i, i and j channels, s_i a softmax of the products x_i . x_j.

    It is the identity at first: gamma, the only parameter, is zero.

    Args:
        channels: C.
        variant: `official`: s_i = softmax_j(max_k E_ik - E_ij), E = X X^T, so that channels attend
            to those least like them; all published results are from it, and the authors report
            that the other performs badly. So it is the default. `paper`: s_i = softmax_j(E_ij).

    Raises:
        ValueError: The variant is unknown.
    """

    def __init__(self, channels: int, *, variant: str = "official") -> None:
        super().__init__()
        check_count(1, channels=channels)
        check_name("variant", variant, ("paper", "official"))
        self.channels, self.official = channels, variant == "official"
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the maps and what they attend to.

        Raises:
            ValueError: They are of another shape.
        """
        check_maps(maps, self.channels)
        flat = maps.flatten(2)
        energy = flat @ flat.mT  # (B, C, C)
        if self.official:
            energy = energy.amax(dim=2, keepdim=True) - energy
        context = energy.softmax(dim=2) @ flat
        return torch.addcmul(maps, self.gamma, context.reshape(maps.shape))


class DualAttentionOutput(NamedTuple):
    """Logits of the head, at every position.

    Attributes:
        both: Of the sum of the branches: the answer.
        position: Of the branch with position attention, for an auxiliary loss.
        channel: Of the branch with channel attention, likewise.
    """

    both: Float[Tensor, "B n H W"]
    position: Float[Tensor, "B n H W"]
    channel: Float[Tensor, "B n H W"]


class DANetHead(nn.Module):
    """Two branches, 3 x 3 convolution, attention, 3 x 3 convolution, and three classifiers.

    Args:
        channels: Of the features.
        classes: How many logits n.
        reduction: How many times fewer channels the branches have.
        dropout: Which share of channels is dropped before a classifier in training.
        variant: Of `ChannelAttention`.

    Raises:
        ValueError: An option does not fit.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        reduction: int = 4,
        dropout: float = 0.1,
        variant: str = "official",
    ) -> None:
        super().__init__()
        check_count(1, classes=classes)
        self.channels, width = channels, reduced(channels, reduction)
        self.position = nn.Sequential(
            normed_conv(channels, width, 3),
            PositionAttention(width),
            normed_conv(width, width, 3),
        )
        self.classify_position = _classifier(width, classes, dropout)
        self.channel = nn.Sequential(
            normed_conv(channels, width, 3),
            ChannelAttention(width, variant=variant),
            normed_conv(width, width, 3),
        )
        self.classify_channel = _classifier(width, classes, dropout)
        self.classify_both = _classifier(width, classes, dropout)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> DualAttentionOutput:
        """Return the logits of the sum and of each branch.

        Raises:
            ValueError: The maps are of another shape.
        """
        check_maps(maps, self.channels)
        if self.training:
            check_training_pixels(maps)
        position, channel = self.position(maps), self.channel(maps)
        return DualAttentionOutput(
            self.classify_both(position + channel),
            self.classify_position(position),
            self.classify_channel(channel),
        )


def _classifier(width: int, classes: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(width, classes, 1))
