"""Criss-cross attention (CCNet): a position attends to its row and its column, again and again.

Convention:
    Feature maps are `(B, C, H, W)`.

Source: Z. Huang et al., "CCNet: criss-cross attention for semantic segmentation", ICCV 2019,
equations 1 and 2, section 3.3 (recurrence).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from glimpse.checks import check_count

from .limits import check_training_pixels, reduced
from .maps import check_maps
from .piecewise import concatenate, slices
from .projections import normed_conv

_SLOPE = 0.01  # of InPlaceABN


class CrissCross(nn.Module):
    """Repeat x_u <- gamma sum_v a_uv value_v + x_u, v the H + W - 1 positions in line with u.

    a_u is one softmax over all of them of query_u . key_v, without a scale; u itself counts once.
    Every round has the same weights. It is the identity at first: gamma is zero.

    Args:
        channels: C.
        reduction: How many times fewer channels queries and keys have.
        rounds: How often (the paper's R). After one a position has seen its row and its column,
            after two, the default as the paper's, every position.

    Raises:
        ValueError: There is no round, or the reduction leaves no channel.
    """

    def __init__(self, channels: int, *, reduction: int = 8, rounds: int = 2) -> None:
        super().__init__()
        check_count(1, rounds=rounds)
        self.rounds, width = rounds, reduced(channels, reduction)
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
        for _ in range(self.rounds):
            maps = self._once(maps)
        return maps

    def _once(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        weights = _weights(self.query(maps), self.key(maps))
        values: Tensor = self.value(maps)
        # Some channels at a time: the products go through copies of another layout.
        made = (
            torch.addcmul(maps[:, some], self.gamma, _gathered(weights, values[:, some]))
            for some in slices(maps.shape[1], maps[:, 0].numel(), maps)
        )
        return concatenate(made, maps.shape)


class RCCAHead(nn.Module):
    """Convolutions around criss-cross attention, beside the features, and a classifier.

    InPlaceABN is batch normalisation and a leaky ReLU here: the same function, more memory.

    Args:
        channels: Of the features.
        classes: How many logits n.
        width: Of the last hidden layer.
        reduction: How many times fewer channels the attention sees.
        rounds: Of the attention.
        dropout: Which share of channels is dropped before the classifier in training.

    Raises:
        ValueError: An option does not fit.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        width: int = 512,
        reduction: int = 4,
        rounds: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        check_count(1, classes=classes, width=width)
        self.channels, narrow = channels, reduced(channels, reduction)
        self.before = normed_conv(channels, narrow, 3, slope=_SLOPE)
        self.attention = CrissCross(narrow, rounds=rounds)
        self.after = normed_conv(narrow, narrow, 3, slope=_SLOPE)
        self.fuse = normed_conv(channels + narrow, width, 3, slope=_SLOPE)
        self.dropout = nn.Dropout2d(dropout)
        self.classify = nn.Conv2d(width, classes, 1)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B n H W"]:
        """Return the logits at every position.

        Raises:
            ValueError: The maps are of another shape.
        """
        check_maps(maps, self.channels)
        if self.training:
            check_training_pixels(maps)
        context = self.after(self.attention(self.before(maps)))
        fused = self.fuse(torch.cat([maps, context], dim=1))
        logits: Tensor = self.classify(self.dropout(fused))
        return logits


def _weights(query: Tensor, key: Tensor) -> Float[Tensor, "B H W L"]:
    """Return how every position weighs its column and then its row, L = H + W, together."""
    itself = torch.eye(query.shape[2], dtype=torch.bool, device=query.device)
    column = query.permute(0, 3, 2, 1) @ key.permute(0, 3, 1, 2)  # (B, W, H, H)
    row = query.permute(0, 2, 3, 1) @ key.permute(0, 2, 1, 3)  # (B, H, W, W)
    column = column.masked_fill(itself, -torch.inf).transpose(1, 2)
    return torch.cat([column, row], dim=3).softmax(dim=3)


def _gathered(
    weights: Float[Tensor, "B H W L"], value: Float[Tensor, "B c H W"]
) -> Float[Tensor, "B c H W"]:
    """Return what every position gets from its column and its row."""
    down, across = weights[..., : value.shape[2]], weights[..., value.shape[2] :]
    column = value.permute(0, 3, 1, 2) @ down.permute(0, 2, 3, 1)  # (B, W, c, H)
    row = value.permute(0, 2, 1, 3) @ across.mT  # (B, H, c, W)
    return column.permute(0, 2, 3, 1) + row.permute(0, 2, 1, 3)
