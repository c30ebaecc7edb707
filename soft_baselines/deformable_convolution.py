"""Deformable convolution: every position says where the taps of its window lie.

Convention:
    Feature maps are `(B, C, H, W)`. Tap `i * K + j` of a K x K window lies in its row i, column j.
    Channels `2 n` and `2 n + 1` of the offsets are those of tap n, down and then right, in pixels:
    the order of public code. Between pixels the maps are interpolated bilinearly; outside they are
    zero, so half a pixel beyond the last row counts half of that row.

Source: J. Dai et al., "Deformable convolutional networks", ICCV 2017, section 2.1, equations 1
to 4. As spatial attention with one head per tap and weights G(key, query + tap + offset): X. Zhu
et al., "An empirical study of spatial attention mechanisms in deep networks", ICCV 2019, section 3.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from glimpse.checks import check_count

from .maps import check_maps


class DeformableConvolution(nn.Module):
    """Return sum_n W_n x(p + p_n + offset_n(p)), the plain convolution at first: offsets are 0.

    The offsets come from a second convolution of the same window and dilation over the same maps,
    as in the paper; the empirical study writes a projection of the centre.

    Args:
        channels: C.
        kernel: K, odd.
        dilation: Pixels between taps.

    Raises:
        ValueError: The kernel is even, or an option is below 1.
    """

    def __init__(self, channels: int, *, kernel: int = 3, dilation: int = 1) -> None:
        super().__init__()
        check_count(1, kernel=kernel, dilation=dilation)
        if kernel % 2 == 0:
            raise ValueError(f"`kernel` must be odd, got {kernel}: use {kernel + 1}")
        self.channels = channels
        self.kernel = kernel
        self.dilation = dilation
        padding = dilation * (kernel // 2)
        self.offset = nn.Conv2d(channels, 2 * kernel**2, kernel, padding=padding, dilation=dilation)
        for weights in self.offset.parameters():
            nn.init.zeros_(weights)
        self.convolve = nn.Conv2d(
            channels, channels, kernel, padding=padding, dilation=dilation, bias=False
        )

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the convolved maps.

        Raises:
            ValueError: They are of another shape.
        """
        check_maps(maps, self.channels)
        taps = self._at_taps(maps).to(maps.dtype).flatten(1, 2).flatten(2)  # (B, C * K * K, N)
        return torch.unflatten(self.convolve.weight.flatten(1) @ taps, 2, maps.shape[2:])

    def _at_taps(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C T H W"]:
        """Return the maps where the taps of every position lie, at least in float32."""
        precise = torch.promote_types(maps.dtype, torch.float32)
        offsets = torch.unflatten(self.offset(maps).to(precise), 1, (-1, 2))  # (B, T, 2, H, W)
        taps = self.dilation * (torch.arange(self.kernel, device=maps.device) - self.kernel // 2)
        height, width = maps.shape[2:]
        down = (
            torch.arange(height, device=maps.device)[:, None]
            + taps.repeat_interleave(self.kernel)[:, None, None]
        )
        right = torch.arange(width, device=maps.device) + taps.repeat(self.kernel)[:, None, None]
        grid = [  # of outer edges at -1 and 1: (B, T, H, W)
            (2 * (at + offsets[:, :, axis]) + 1) / length - 1
            for axis, at, length in ((1, right, width), (0, down, height))
        ]
        sampled = F.grid_sample(
            maps.to(precise), torch.stack(grid, dim=-1).flatten(1, 2), align_corners=False
        )
        return torch.unflatten(sampled, 2, (self.kernel**2, -1))
