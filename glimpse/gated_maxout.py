"""Maxout networks with gains, of which only what depends on them is computed more than once.

The first stage never sees a gain, so it is computed once for an image. The second is linear in the
gains of the first before its maximum: for one image, with x_c the first stage's maps and w_c the
second's filters on them,

    w * (g x) + b = sum_c g_c (w_c * x_c) + b,

so the responses w_c * x_c are computed once as well, and a pass is a product of the gains (P, M)
with the responses (M, K): as many times fewer operations as the filter has pixels. Later stages are
computed for every individual.
"""

from itertools import zip_longest
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from .gating import Pass
from .maxout import MaxoutNetwork

# Numbers that the second stage holds at once: what stays in a processor's cache.
_CHUNK = 2**20


class Responses(NamedTuple):
    """What of a batch of images does not depend on gains.

    Attributes:
        means: Of the first stage's maps.
        second: Of the second stage's filters to each of these maps, and the bias as one more map:
            (pieces, height, width, maps) in a row.
        size: Height and width of the second stage before its maximum.
    """

    means: Float[Tensor, "B M"]
    second: Float[Tensor, "B N K"]
    size: tuple[int, int]


class GatedMaxout:
    """A frozen maxout network of at least two stages, all of whose layers have gains.

    Args:
        network: Frozen: it is put into evaluation.

    Attributes:
        layers: How many maps each layer has, by its name.
        classes: How many classes n.
    """

    def __init__(self, network: MaxoutNetwork) -> None:
        self.network = network.eval().requires_grad_(False)
        self.layers = network.layers
        self.classes = network.classifier.out_features

    def chunk(self, images: Float[Tensor, "B C H W"], population: int) -> int:
        """Return how many of such images are best looked at at once by this many individuals."""
        if images.is_cuda:
            return len(images)
        first, second, *_ = self.network.convolutions
        height, width = first.size_of((images.shape[2], images.shape[3]))
        return max(_CHUNK // (population * second.filters.out_channels * height * width), 1)

    @torch.no_grad()
    def prepare(self, images: Float[Tensor, "B C H W"]) -> Responses:
        """Return what does not depend on gains."""
        first, second, *_ = self.network.convolutions
        maps = first(images.contiguous(memory_format=torch.channels_last))  # (B, M, h, w)
        count, channels = maps.shape[:2]
        weight, sizes = second.filters.weight, second.sizes
        apart = weight.transpose(0, 1).flatten(0, 1)[:, None]  # (M p m, 1, k, k)
        each = F.conv2d(maps, apart, padding=sizes.padding, groups=channels)
        size = (each.shape[2], each.shape[3])
        blocks = each.view(count, channels, sizes.pieces, sizes.maps, *size)
        responses = blocks.permute(0, 1, 2, 4, 5, 3)
        bias = second.filters.get_parameter("bias")
        offset = bias.view(sizes.pieces, 1, 1, sizes.maps).expand(count, 1, -1, *size, -1)
        second_stage = torch.cat([responses, offset], dim=1).flatten(2)
        return Responses(maps.mean(dim=(2, 3)), second_stage, size)

    @torch.no_grad()
    def look(self, prepared: Responses, gains: Float[Tensor, "B P A"]) -> Pass:
        """Make one pass with these gains."""
        count, population, _ = gains.shape
        _, second, *later = self.network.convolutions
        sizes = second.sizes
        gain, *others = torch.split(gains, list(self.layers.values()), dim=2)
        means = [gain * prepared.means[:, None]]
        linear = torch.bmm(F.pad(gain, (0, 1), value=1.0), prepared.second)  # (B, P, K)
        blocks = linear.view(-1, sizes.pieces, *prepared.size, sizes.maps)
        features = second.pooled(
            blocks.permute(0, 1, 4, 2, 3).unbind(dim=1)
        )  # (B P, m, h, w), its maps innermost in memory
        layers = [*later, self.network.dense] if self.network.dense else later
        for gain, layer in zip_longest(others, layers):
            rows = gain.reshape(count * population, -1)
            features = features * (rows[:, :, None, None] if features.ndim == 4 else rows)
            spatial = features.flatten(2).mean(dim=2) if features.ndim == 4 else features
            means.append(spatial.view(count, population, -1))
            if layer is not None:
                features = layer(features)
        logits = self.network.classifier(features.flatten(1)).view(count, population, -1)
        return Pass(torch.cat(means, dim=2), logits.log_softmax(dim=2))
