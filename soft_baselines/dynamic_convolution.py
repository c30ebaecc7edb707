"""Dynamic convolution: every position makes the weights of its own window.

Convention:
    Feature maps are `(B, C, H, W)`; outside they are zero. Tap `i * K + j` of a K x K window lies
    in its row i, column j. Of 32 channels in 16 groups the first 2 are group 0.

Source: F. Wu et al., "Pay less attention with lightweight and dynamic convolutions", ICLR 2019,
sections 3 and 4. On maps, and as spatial attention: X. Zhu et al., "An empirical study of spatial
attention mechanisms in deep networks", ICCV 2019, section 3.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from glimpse.checks import check_count

from .limits import check_divides
from .maps import check_maps


class DynamicConvolution(nn.Module):
    """Return W sum_n softmax_n(D z(p))_n z(p + p_n), with z = a * sigmoid(b), [a, b] = V x.

    One weight per tap, shared by the channels of a group. It is normalised over all taps of the
    window, so at the border those that fall on zeros take their part.

    Args:
        channels: C.
        kernel: Side of the window, odd.
        groups: A divisor of C (the paper's heads H).

    Raises:
        ValueError: The groups do not divide the channels, or the kernel is even.
    """

    def __init__(self, channels: int, *, kernel: int = 3, groups: int = 16) -> None:
        super().__init__()
        check_count(1, kernel=kernel)
        if kernel % 2 == 0:
            raise ValueError(f"`kernel` must be odd, got {kernel}: use {kernel + 1}")
        check_divides("groups", groups, channels)
        self.channels = channels
        self.kernel = kernel
        self.groups = groups
        self.gate = nn.Conv2d(channels, 2 * channels, 1)
        self.weigh = nn.Conv2d(channels, groups * kernel**2, 1, bias=False)
        self.project = nn.Conv2d(channels, channels, 1)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the convolved maps.

        Raises:
            ValueError: They are of another shape.
        """
        check_maps(maps, self.channels)
        gated = F.glu(self.gate(maps), dim=1)
        weights = torch.unflatten(self.weigh(gated), 1, (self.groups, -1)).softmax(dim=2)
        height, width = maps.shape[2:]
        wide = torch.unflatten(F.pad(gated, [self.kernel // 2] * 4), 1, (self.groups, -1))
        made = torch.zeros_like(torch.unflatten(gated, 1, (self.groups, -1)))
        for tap in range(self.kernel**2):  # views, where `F.unfold` would copy every map as often
            down, right = divmod(tap, self.kernel)
            shifted = wide[..., down : down + height, right : right + width]
            made = torch.addcmul(made, weights[:, :, tap, None], shifted)
        projected: Tensor = self.project(made.flatten(1, 2))
        return projected
