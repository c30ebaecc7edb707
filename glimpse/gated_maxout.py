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

# Numbers that the second stage makes at once, before its maximum: what stays in a cache.
_CACHED = 2**20
# Numbers that are kept of images at once: responses, and what the second stage passes on.
_KEPT = 2**24


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

    Raises:
        ValueError: There is one stage only.
    """

    def __init__(self, network: MaxoutNetwork) -> None:
        if len(network.convolutions) < 2:
            raise ValueError(
                "the network must have at least two stages, got one: use GatedModule(network, "
                "list(network.layers), images)"
            )
        self.network = network.eval().requires_grad_(False)
        self.layers = network.layers
        self.classes = network.classifier.out_features

    def chunk(self, images: Float[Tensor, "B C H W"], population: int) -> int:
        """Return how many of such images are best looked at at once by this many individuals."""
        first, second, *_ = self.network.convolutions
        height, width = first.size_of((images.shape[2], images.shape[3]))
        responses = second.filters.out_channels * (first.sizes.maps + 1)
        passed_on = second.sizes.maps * population
        return max(_KEPT // ((responses + passed_on) * height * width), 1)

    @torch.no_grad()
    def prepare(self, images: Float[Tensor, "B C H W"]) -> Responses:
        """Return what does not depend on gains."""
        first, second, *_ = self.network.convolutions
        images = images.to(first.filters.weight.dtype)
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
        gain, *others = self._split(gains.to(prepared.means.dtype))
        factors = F.pad(gain, (0, 1), value=1.0)  # (B, P, M + 1)
        at_once = count if gains.is_cuda else _CACHED // (population * prepared.second.shape[2])
        pieces = zip(
            torch.split(factors, max(at_once, 1)),
            torch.split(prepared.second, max(at_once, 1)),
            strict=True,
        )
        features = torch.cat([self._second(*piece, prepared.size) for piece in pieces])
        later, logits = self._finish(features, [other.flatten(0, 1) for other in others])
        rest = later.view(count, population, -1)
        said = logits.view(count, population, -1).log_softmax(dim=2)
        return Pass(torch.cat([gain * prepared.means[:, None], rest], dim=2), said)

    @torch.no_grad()
    def look_once(self, images: Float[Tensor, "B C H W"], gains: Float[Tensor, "B A"]) -> Pass:
        """Make one pass of one individual, for which alone `prepare` would take longer."""
        first, second, *_ = self.network.convolutions
        images = images.to(first.filters.weight.dtype)
        gain, *others = self._split(gains.to(images.dtype))
        maps = first(images.contiguous(memory_format=torch.channels_last)) * gain[..., None, None]
        later, logits = self._finish(second(maps), others)
        seen = torch.cat([maps.mean(dim=(2, 3)), later], dim=1)
        return Pass(seen[:, None], logits.log_softmax(dim=1)[:, None])

    def _second(
        self,
        factors: Float[Tensor, "b P N"],
        responses: Float[Tensor, "b N K"],
        size: tuple[int, int],
    ) -> Float[Tensor, "R m h w"]:
        """Return the second stage's maps of all individuals, image after image."""
        second = self.network.convolutions[1]
        linear = torch.bmm(factors, responses)  # (b, P, K)
        blocks = linear.view(-1, second.sizes.pieces, *size, second.sizes.maps)
        return second.pooled(blocks.permute(0, 1, 4, 2, 3).unbind(dim=1))

    def _split(self, gains: Float[Tensor, "... A"]) -> tuple[Tensor, ...]:
        """Return the gains of each layer."""
        return torch.split(gains, list(self.layers.values()), dim=-1)

    def _finish(
        self, features: Float[Tensor, "R m h w"], gains: list[Tensor]
    ) -> tuple[Float[Tensor, "R M"], Float[Tensor, "R n"]]:
        """Return the mean activations from the second stage on, and the logits."""
        later = [*self.network.convolutions[2:]]
        layers = [*later, self.network.dense] if self.network.dense else later
        means = []
        for gain, layer in zip_longest(gains, layers):
            features = features * (gain[..., None, None] if features.ndim == 4 else gain)
            means.append(features.mean(dim=(2, 3)) if features.ndim == 4 else features)
            if layer is not None:
                features = layer(features)
        return torch.cat(means, dim=1), self.network.classifier(features.flatten(1))
