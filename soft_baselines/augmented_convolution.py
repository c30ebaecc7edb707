"""Attention-augmented convolution: some channels convolve, the others look at the whole map.

Convention:
    Feature maps are `(B, C, H, W)`. An offset is key minus query. For maps of at most S along an
    axis the embedding of an offset is row `offset + S - 1`: for S = 14, row 13 is "the same
    column", row 14 "one to the right". Channels are head-major; the convolution's come first.

Source: I. Bello et al., "Attention augmented convolutional networks", ICCV 2019, section 3;
widths and heads from section 4.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from glimpse.checks import check_count, check_counts, check_share

from .heads import join_heads, split_heads
from .maps import check_maps
from .piecewise import concatenate, slices
from .softmax_attention import softmax_attention


class AugmentedConvolution(nn.Module):
    """Return concat[conv(x), W softmax((q k^T + q r_across + q r_down) / sqrt(d)) v], no bias.

    Embeddings are shared by the heads. The paper makes them for one size per layer (28, 14, 7 in
    its ResNets); an offset means the same on every smaller map, so a module made for `size` takes
    all maps up to it. Batch normalisation follows in the paper's networks; it is not in here.

    Args:
        channels: C, of input and output.
        kernel: Side of the convolution's window, odd.
        heads: M.
        key_share: The paper's kappa: features of the keys (all heads) to C.
        value_share: The paper's upsilon: channels that attention makes, to C.
        key_least: Features of a key per head, at least.
        size: Height and width of the largest maps; the default is the largest on which the paper
            attends. A larger one costs parameters, not time.

    Attributes:
        key_width: The paper's d_k, a multiple of the heads.
        value_width: The paper's d_v, a multiple of the heads; C of them leaves no convolution.

    Raises:
        ValueError: Attention would make no channel or more than C, or an option does not fit.
    """

    def __init__(
        self,
        channels: int,
        *,
        kernel: int = 3,
        heads: int = 8,
        key_share: float = 0.2,
        value_share: float = 0.1,
        key_least: int = 20,
        size: tuple[int, int] = (32, 32),
    ) -> None:
        super().__init__()
        check_count(1, kernel=kernel, heads=heads, key_least=key_least)
        check_share(key_share=key_share, value_share=value_share)
        check_counts(1, size=size)
        if len(size) != 2:
            raise ValueError(f"`size` must be height and width, got {size!r}: give two numbers")
        if kernel % 2 == 0:
            raise ValueError(f"`kernel` must be odd, got {kernel}: use {kernel + 1}")
        self.key_width = max(round(key_share * channels / heads), key_least) * heads
        self.value_width = max(round(value_share * channels / heads), 1) * heads
        if self.value_width > channels:
            raise ValueError(
                f"`heads` and `value_share` must leave at most {channels} channels to attention, "
                f"got {self.value_width}: choose fewer heads or a smaller share"
            )
        self.channels = channels
        self.heads = heads
        self.size = size
        convolved = channels - self.value_width
        self.convolve = (
            nn.Conv2d(channels, convolved, kernel, padding=kernel // 2, bias=False)
            if convolved
            else None
        )
        width = 2 * self.key_width + self.value_width
        self.query_key_value = nn.Conv2d(channels, width, 1, bias=False)
        features = self.key_width // heads
        self.across = nn.Parameter(torch.empty(2 * size[1] - 1, features))
        self.down = nn.Parameter(torch.empty(2 * size[0] - 1, features))
        for embeddings in (self.across, self.down):
            nn.init.normal_(embeddings, std=features**-0.5)
        self.project = nn.Conv2d(self.value_width, self.value_width, 1, bias=False)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return what the convolution makes and, behind it, what attention makes.

        Raises:
            ValueError: The maps are of another shape or larger than `size`.
        """
        check_maps(maps, self.channels)
        if maps.shape[2] > self.size[0] or maps.shape[3] > self.size[1]:
            raise ValueError(
                f"`maps` must be at most {self.size[0]} x {self.size[1]}, got "
                f"{maps.shape[2]} x {maps.shape[3]}: make the module with a larger `size`"
            )
        attended = self._attend(maps)
        return (
            attended if self.convolve is None else torch.cat([self.convolve(maps), attended], dim=1)
        )

    def _attend(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B V H W"]:
        height, width = maps.shape[2:]
        widths = [self.key_width, self.key_width, self.value_width]
        queries, keys, values = (
            split_heads(part, self.heads)
            for part in self.query_key_value(maps).split(widths, dim=1)
        )
        down, across = _offsets(self.down, height), _offsets(self.across, width)

        def gather(some: slice) -> Float[Tensor, "B m V N"]:
            asked = torch.unflatten(queries[:, some], 3, (height, width))  # (B, m, D, H, W)
            return softmax_attention(
                queries[:, some],
                keys[:, some],
                values[:, some],
                queries.shape[2] ** -0.5,
                down=torch.einsum("bmdyx,ykd->bmyxk", asked, down).flatten(2, 3),
                across=torch.einsum("bmdyx,xkd->bmyxk", asked, across).flatten(2, 3),
            )

        groups = slices(self.heads, maps.shape[0] * height * width * (height + width), maps)
        gathered = concatenate(map(gather, groups), values.shape)
        attended: Tensor = self.project(join_heads(gathered, (height, width)))
        return attended


def _offsets(embeddings: Float[Tensor, "S D"], length: int) -> Float[Tensor, "N N D"]:
    """Return the embedding of every key's offset from every query along an axis of `length`."""
    at = torch.arange(length, device=embeddings.device)
    return embeddings[at[None, :] - at[:, None] + embeddings.shape[0] // 2]
