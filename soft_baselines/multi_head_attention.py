"""Multi-head attention: every position looks at all others, by scaled products of their features.

Convention:
    Feature maps are `(B, C, H, W)`; positions are the tokens. Of 32 channels in 8 heads the first 4
    are head 0.

Source: A. Vaswani et al., "Attention is all you need", NeurIPS 2017, equation 1 and section 3.2.2.
"""

from jaxtyping import Float
from torch import Tensor, nn

from glimpse.checks import check_switch

from .heads import join_heads, split_heads
from .limits import check_divides
from .maps import check_maps
from .softmax_attention import softmax_attention


class MultiHeadAttention(nn.Module):
    """Return W_o concat_m softmax(q_m k_m^T / sqrt(C/M)) v_m, with [q, k, v] = W x.

    The bare attention of the paper: no position is known to it (permuted maps give permuted
    results), and what surrounds it in the paper, skip, norm and dropout, is the network's.

    Args:
        channels: C.
        heads: M, a divisor of C.
        bias: Whether both projections add one; the paper's formulae have none, its code has.

    Raises:
        ValueError: The heads do not divide the channels.
    """

    def __init__(self, channels: int, *, heads: int = 8, bias: bool = True) -> None:
        super().__init__()
        check_divides("heads", heads, channels)
        check_switch(bias=bias)
        self.channels = channels
        self.heads = heads
        self.query_key_value = nn.Conv2d(channels, 3 * channels, 1, bias=bias)
        self.project = nn.Conv2d(channels, channels, 1, bias=bias)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return what every position gathers.

        Raises:
            ValueError: The maps are of another shape.
        """
        check_maps(maps, self.channels)
        queries, keys, values = (
            split_heads(part, self.heads) for part in self.query_key_value(maps).chunk(3, dim=1)
        )
        gathered = softmax_attention(queries, keys, values, (self.channels // self.heads) ** -0.5)
        height, width = maps.shape[2:]
        made: Tensor = self.project(join_heads(gathered, (height, width)))
        return made
