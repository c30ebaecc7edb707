"""Interaction-aware pyramid attention: a position counts by its share in principal components.

The paper's idea is to learn the basis of a principal component analysis beside the task: the
projected variance is made large while a penalty keeps the basis orthonormal, so that no
eigen-decomposition is needed; maps of several layers each have a basis, and the attention they give
is fused. No public source has the exact form. The score of a position, the sharpness of the softmax
and the weights of the loss are ours.

Convention:
    Feature maps are `(B, C, H, W)`, those of videos `(B, C, T, H, W)`; N positions are
    H W or T H W.

Source: Y. Du et al., "Interaction-aware spatio-temporal pyramid attention networks for action
classification", ECCV 2018.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from glimpse.checks import check_at_least, check_counts

from .limits import check_dimensions, reduced
from .maps import check_maps

_AXES = {2: "H W", 3: "T H W"}


class InteractionTerms(NamedTuple):
    """The parts of the loss, each zero at its best and a mean over the layers.

    Attributes:
        variance: Which share of the variance the basis does not hold.
        orthogonality: How far the basis is from orthonormal.
        diversity: How much the attention of the layers overlaps; zero for one layer.
    """

    variance: Float[Tensor, ""]
    orthogonality: Float[Tensor, ""]
    diversity: Float[Tensor, ""]


class InteractionAware(nn.Module):
    """Return N A_n x_n, A the mean over the layers k of softmax_n(sharpness ||W_k u_kn + b_k||^2).

    u_kn is what layer k holds at position n, divided by its length; its maps are resized to those
    of x, which is the first layer. A sums to one over the positions, so the mean gain is one; the
    order of positions does not matter, nor does any weight depend on their number.

    Args:
        channels: C, of x.
        others: Of further layers.
        reduction: How many times fewer components (rows of W_k, orthonormal at first) there are
            than channels, in the layer that has the fewest.
        sharpness: How much more a position counts that lies within the basis.
        dimensions: Of the maps: 2, or 3 for videos.

    Raises:
        ValueError: An option does not fit.
    """

    def __init__(
        self,
        channels: int,
        *,
        others: Sequence[int] = (),
        reduction: int = 8,
        sharpness: float = 10.0,
        dimensions: int = 2,
    ) -> None:
        super().__init__()
        check_dimensions(dimensions, _AXES)
        check_counts(1, others=others)
        check_at_least(0, sharpness=sharpness)
        self.channels, self.dimensions, self.sharpness = (channels, *others), dimensions, sharpness
        count = reduced(min(self.channels), reduction)
        self.bases = nn.ModuleList(nn.Linear(width, count) for width in self.channels)
        for basis in self._linear():
            nn.init.orthogonal_(basis.weight)
            nn.init.zeros_(basis.bias)

    def forward(
        self, maps: Float[Tensor, "B C *N"], *others: Float[Tensor, "B _ *_"]
    ) -> Float[Tensor, "B C *N"]:
        """Return the maps, weighted.

        Raises:
            ValueError: The maps are of another shape.
        """
        first, *rest = self._each(maps, *others)  # (B, N)
        gain = first.shape[1] / len(self.channels) * sum(rest, start=first)
        return maps * gain.reshape(-1, 1, *maps.shape[2:])

    def attention(
        self, maps: Float[Tensor, "B C *N"], *others: Float[Tensor, "B _ *_"]
    ) -> Float[Tensor, "K B M"]:
        """Return the attention of every layer k of K, over all M positions.

        Raises:
            ValueError: The maps are of another shape.
        """
        return torch.stack(self._each(maps, *others))

    def terms(
        self, maps: Float[Tensor, "B C *N"], *others: Float[Tensor, "B _ *_"]
    ) -> InteractionTerms:
        """Return the parts of the loss.

        Raises:
            ValueError: The maps are of another shape.
        """
        features = self._features(maps, *others)
        weights = [basis.weight for basis in self._linear()]
        lost = [1 - variance_kept(u, w) for u, w in zip(features, weights, strict=True)]
        return InteractionTerms(
            torch.stack(lost).mean(),
            torch.stack([skew(weight) for weight in weights]).mean(),
            overlap(self.attention(maps, *others)),
        )

    def loss(
        self,
        maps: Float[Tensor, "B C *N"],
        *others: Float[Tensor, "B _ *_"],
        orthogonality: float = 1.0,
        diversity: float = 0.1,
    ) -> Float[Tensor, ""]:
        """Return what is added to the loss of the task; the weights of the parts are ours.

        Raises:
            ValueError: The maps are of another shape, or a weight is below 0.
        """
        check_at_least(0, orthogonality=orthogonality, diversity=diversity)
        terms = self.terms(maps, *others)
        return terms.variance + orthogonality * terms.orthogonality + diversity * terms.diversity

    def _each(self, maps: Tensor, *others: Tensor) -> list[Tensor]:
        """Return the attention of every layer, (B, M)."""
        features = self._features(maps, *others)
        return [
            (self.sharpness * basis(unit).square().sum(dim=2)).softmax(dim=1)
            for basis, unit in zip(self.bases, features, strict=True)
        ]

    def _features(self, maps: Tensor, *others: Tensor) -> list[Tensor]:
        """Return what every layer holds at every position, of length one: (B, N, C)."""
        given = (maps, *others)
        if len(given) != len(self.channels):
            raise ValueError(
                f"maps must be of {len(self.channels)} layers, got {len(given)}: "
                "give those of `channels` and `others`, in this order"
            )
        for layer, width in zip(given, self.channels, strict=True):
            check_maps(layer, width, axes=_AXES[self.dimensions])
            if layer.shape[0] != maps.shape[0]:
                raise ValueError(
                    f"maps of all layers must be of as many images, got {maps.shape[0]} and "
                    f"{layer.shape[0]}: give those of the same images"
                )
        size, mode = maps.shape[2:], "bilinear" if self.dimensions == 2 else "trilinear"
        resized = (x if x.shape[2:] == size else F.interpolate(x, size, mode=mode) for x in given)
        return [F.normalize(x.flatten(2), dim=1).mT for x in resized]

    def _linear(self) -> list[nn.Linear]:
        return [basis for basis in self.bases if isinstance(basis, nn.Linear)]


def variance_kept(
    features: Float[Tensor, "B N C"], weight: Float[Tensor, "D C"]
) -> Float[Tensor, ""]:
    """Return tr(W S W^T) / tr(S), S the covariance of the features over images and positions.

    With orthonormal rows it is at most the share of the D largest eigenvalues of S, and just that
    where the rows are their eigenvectors.
    """
    centred = features.flatten(0, 1)
    centred = centred - centred.mean(dim=0)
    total = centred.square().sum().clamp_min(torch.finfo(centred.dtype).tiny)
    return (centred @ weight.mT).square().sum() / total


def skew(weight: Float[Tensor, "D C"]) -> Float[Tensor, ""]:
    """Return ||W W^T - 1||^2 / D, zero if and only if the rows are orthonormal."""
    gram = weight @ weight.mT
    return (gram - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)).square().sum() / len(
        gram
    )


def overlap(attention: Float[Tensor, "K B N"]) -> Float[Tensor, ""]:
    """Return the mean over images and pairs of layers of sum_n A_kn A_ln; zero for one layer."""
    layers, images, _ = attention.shape
    pairs = attention.sum(dim=0).square().sum() - attention.square().sum()
    return pairs / (max(1, layers * (layers - 1)) * images)
