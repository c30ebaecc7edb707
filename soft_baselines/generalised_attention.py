"""Generalised spatial attention: four terms of what a query asks of a key, each to be left out.

Convention:
    Feature maps are `(B, C, H, W)`. The offset of a key from a query is key minus query, in pixels,
    x to the right and y down. It is encoded as C/2 numbers per axis: C/4 sines and then C/4 cosines
    of `offset / 1000^(4 f / C)`, f = 0, 1, ... (C = 8: of the offset and of a 31.6th of it).

Source: X. Zhu et al., "An empirical study of spatial attention mechanisms in deep networks",
ICCV 2019, section 3. Its other instances are `deformable_convolution.py` and
`dynamic_convolution.py`.
"""

import re

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from glimpse.checks import check_count

from .heads import join_heads, split_heads
from .limits import check_divides
from .maps import check_maps
from .piecewise import concatenate, slices
from .softmax_attention import softmax_attention

WAVE = 1000.0


class GeneralisedAttention(nn.Module):
    """Return x + gamma W softmax(logits) v, the identity at first: gamma is 0.

    The logit of a query and a key of one head is the sum of those terms that are switched on, each
    unscaled:

    * 1: `q . k`, of the content of both;
    * 2: `q . r`, of the query's content and of the key's offset;
    * 3: `a . k`, of the key's content alone, a learned (the paper's u);
    * 4: `b . r`, of the key's offset alone, b learned (the paper's v);

    with `r = (P_x e(x) + P_y e(y)) / sqrt(2)` of the encoded offset. Only what a term needs is
    made. Where term 3 stands alone all queries see the same: one average per head, at a cost linear
    in the positions.

    Args:
        channels: C; a multiple of 4 where offsets are encoded.
        terms: Four digits, 1 for on, as in the paper's tables.
        heads: M, a divisor of C.
        stride: Between the positions that are asked, along both axes; 2 in widespread detectors.

    Raises:
        ValueError: There are no such terms, or an option does not fit the channels.
    """

    def __init__(
        self, channels: int, *, terms: str = "1111", heads: int = 8, stride: int = 1
    ) -> None:
        super().__init__()
        if not isinstance(terms, str) or not re.fullmatch("[01]{4}", terms) or terms == "0000":
            raise ValueError(
                f"`terms` must be four digits 0 or 1, one of them 1, got {terms!r}: "
                "'0010' is the third alone"
            )
        check_divides("heads", heads, channels)
        check_count(1, stride=stride)
        on = [digit == "1" for digit in terms]
        if (on[1] or on[3]) and channels % 4:
            raise ValueError(
                f"`channels` must be a multiple of 4, got {channels}: offsets take a quarter for "
                "each sine and cosine; switch off terms 2 and 4, or give more channels"
            )
        self.channels = channels
        self.stride = stride
        self.terms = terms
        self.heads = heads
        placed, width = on[1] or on[3], channels // heads
        self.query = nn.Conv2d(channels, channels, 1, bias=False) if on[0] or on[1] else None
        self.key = nn.Conv2d(channels, channels, 1, bias=False) if on[0] or on[2] else None
        self.value = nn.Conv2d(channels, channels, 1, bias=False)
        self.across = nn.Linear(channels // 2, channels, bias=False) if placed else None
        self.down = nn.Linear(channels // 2, channels, bias=False) if placed else None
        self.of_content = _learned(heads, width) if on[2] else None
        self.of_offset = _learned(heads, width) if on[3] else None
        self.project = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the maps and what every position gathers.

        Raises:
            ValueError: The maps are of another shape.
        """
        check_maps(maps, self.channels)
        return torch.addcmul(maps, self.gamma, self.project(self._gathered(maps)))

    def _gathered(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        (batch, _, height, width) = maps.shape
        positions = height * width
        asked = maps[:, :, :: self.stride, :: self.stride]
        queries = None if self.query is None else split_heads(self.query(maps), self.heads)
        values = split_heads(self.value(asked), self.heads)
        keys = values[:, :, :0] if self.key is None else split_heads(self.key(asked), self.heads)
        down, across = self._known(self.down, height), self._known(self.across, width)

        def gather(some: slice) -> Float[Tensor, "B m D n"]:
            mine = None if queries is None else queries[:, some]
            content = _sum(mine if self.terms[0] == "1" else None, self.of_content, some)
            offset = _sum(mine if self.terms[1] == "1" else None, self.of_offset, some)
            content = values[:, some, :0, :1] if content is None else content
            content = content.expand(batch, -1, -1, -1)  # (B, m, D, 1) where all ask the same
            rows = columns = None
            if offset is not None and down is not None and across is not None:
                offset = offset.expand(batch, -1, -1, positions)
                asking = torch.unflatten(offset, 3, (height, width))
                rows = torch.einsum("bmdyx,ykmd->bmyxk", asking, self._from_each(down, some))
                columns = torch.einsum("bmdyx,xkmd->bmyxk", asking, self._from_each(across, some))
                rows, columns = rows.flatten(2, 3), columns.flatten(2, 3)
                content = content.expand(-1, -1, -1, positions)
            return softmax_attention(
                content, keys[:, some], values[:, some], down=rows, across=columns
            )

        groups = slices(self.heads, batch * positions * sum(asked.shape[2:]), maps)
        wanted = 1 if self.terms == "0010" else positions
        shape = (batch, self.heads, values.shape[2], wanted)
        gathered = concatenate(map(gather, groups), shape)
        return join_heads(gathered.expand(-1, -1, -1, positions), (height, width))

    def _known(self, project: nn.Linear | None, length: int) -> Float[Tensor, "N M D"] | None:
        """Return what is known of offsets along an axis, from the lowest one on."""
        if project is None:
            return None
        offsets = torch.arange(1 - length, length, device=project.weight.device)
        code = encode(offsets, project.in_features).to(project.weight.dtype)
        return torch.unflatten(project(code * 0.5**0.5), 1, (self.heads, -1))

    def _from_each(self, known: Float[Tensor, "N M D"], some: slice) -> Float[Tensor, "Q K m D"]:
        """Return what some heads know of every key's offset from every query."""
        middle = known.shape[0] // 2  # where the offset is zero
        at = torch.arange(middle + 1, device=known.device)
        return known[at[None, :: self.stride] - at[:, None] + middle, some]


def encode(offsets: Int[Tensor, "*N"], width: int) -> Float[Tensor, "*N {width}"]:
    """Return the sines and then the cosines of offsets, in float64."""
    steps = torch.arange(width // 2, device=offsets.device, dtype=torch.float64)
    waves = WAVE ** (2 * steps / width)
    angles = offsets[..., None] / waves
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def _sum(
    queries: Float[Tensor, "B m D N"] | None, learned: Float[Tensor, "1 M 1 D"] | None, some: slice
) -> Float[Tensor, "b m D n"] | None:
    """Return the sum of those that are there, for some heads; n is 1 where all ask the same."""
    if learned is None:
        return queries
    return learned[:, some].mT if queries is None else queries + learned[:, some].mT


def _learned(heads: int, width: int) -> nn.Parameter:
    """Return what stands for a query, one per head: (1, M, 1, D)."""
    bound = (2 * width) ** -0.5
    return nn.Parameter(torch.empty(1, heads, 1, width).uniform_(-bound, bound))
