"""DRAW's window: a grid of Gaussian filters that reads a patch of the map and writes one back.

Convention:
    Feature maps are `(B, C, H, W)`, patches `(B, C, N, N)`. Pixels and filters are counted from 1,
    as in the paper: on 28 pixels a centre of 0 is pixel 14.5, the middle, -1 is pixel 0 and 1 is
    pixel 29, the first ones outside. With a stride of 1 the filters reach from the first pixel of
    the longer side to the last: 28 filters on 28 pixels are one for each.

    Rows of filters sum to 1, however far outside they lie: they are softmax of the exponents, where
    a quotient of exponentials would be 0 / 0 and would need a small number that stops gradients.

Source: K. Gregor et al., "DRAW: a recurrent neural network for image generation", ICML 2015,
sections 3.2 and 3.3. Ports that count from 0 and keep the constants look elsewhere: with filters
3.35 apart their middle is at 12.15 instead of 14.5.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from glimpse.checks import check_count, check_shape

from .maps import check_maps


class Window(NamedTuple):
    """Where to read or write.

    Attributes:
        down: Filters over the height (the paper's F_Y), rows sum to 1.
        across: Filters over the width (F_X), rows sum to 1.
        gain: What is read is times this, what is written divided by it (gamma).
    """

    down: Float[Tensor, "B N H"]
    across: Float[Tensor, "B N W"]
    gain: Float[Tensor, " B"]


def filters(
    centre: Float[Tensor, " B"],
    stride: Float[Tensor, " B"],
    variance: Float[Tensor, " B"],
    *,
    size: int,
    length: int,
) -> Float[Tensor, "B {size} {length}"]:
    """Return F[i, a] = exp(-(a - mu_i)^2 / 2 variance) / Z_i, mu_i = g + (i - N/2 - 1/2) stride.

    Args:
        centre: Of the filters, in pixels from 1 (g).
        stride: Between two filters, in pixels (delta).
        variance: Of a filter, in pixels squared.
        size: Number of filters (N).
        length: Number of pixels.

    Raises:
        ValueError: A number is below 1.

    Example:
        >>> one, narrow = torch.ones(1), torch.full((1,), 1e-3)
        >>> filters(2 * one, one, narrow, size=2, length=3)
        tensor([[[0.5000, 0.5000, 0.0000],
                 [0.0000, 0.5000, 0.5000]]])
    """
    check_count(1, size=size, length=length)
    count = torch.arange(1, size + 1, dtype=centre.dtype, device=centre.device)
    means = centre[:, None] + (count - size / 2 - 0.5) * stride[:, None]  # (B, N)
    pixels = torch.arange(1, length + 1, dtype=centre.dtype, device=centre.device)
    far = (pixels - means[:, :, None]).square()  # (B, N, length)
    return torch.softmax(-far / (2 * variance[:, None, None]), dim=-1)


def window(told: Float[Tensor, "B 5"], *, size: int, height: int, width: int) -> Window:
    """Return the window that five numbers stand for.

    Args:
        told: The centre over the width and over the height, -1 to 1 on the map, and the
            logarithms of the variance, of the stride and of the gain.
        size: Height and width of the patch, N.
        height: Of the map.
        width: Of the map.

    Raises:
        ValueError: There are not five numbers, or one filter only, which has no stride.
    """
    check_shape("told", told, "B 5", mend="centre x and y, logs of variance, stride and gain")
    check_count(2, size=size)
    x, y, variance, stride, gain = told.unbind(1)
    stride = stride.exp() * ((max(height, width) - 1) / (size - 1))
    down, across = (
        filters((side + 1) / 2 * (at + 1), stride, variance.exp(), size=size, length=side)
        for at, side in ((y, height), (x, width))
    )
    return Window(down, across, gain.exp())


def read(maps: Float[Tensor, "B C H W"], at: Window) -> Float[Tensor, "B C N N"]:
    """Return gain F_Y x F_X^T, of every map. DRAW reads the image and its error map together.

    Raises:
        ValueError: The window is of another size or number of maps.
    """
    batch, sides = at.gain.shape[0], f"{at.down.shape[2]} {at.across.shape[2]}"
    check_shape("maps", maps, f"{batch} C {sides}", mend="make the window for these maps")
    patch = at.down[:, None] @ maps @ at.across[:, None].mT
    return at.gain[:, None, None, None] * patch


def write(patch: Float[Tensor, "B C N N"], at: Window) -> Float[Tensor, "B C H W"]:
    """Return F_Y^T w F_X / gain, of every channel of the patch.

    Raises:
        ValueError: The window is of another size of patches, or number.
    """
    batch, size = at.down.shape[:2]
    check_shape("patch", patch, f"{batch} C {size} {size}", mend="make the window for its size")
    # all channels in one product: one after the other takes three times as long on small maps
    maps = torch.einsum("bnh,bcnm,bmw->bchw", at.down, patch, at.across)
    return maps / at.gain[:, None, None, None]


class DrawAttention(nn.Module):
    """Add to the map a patch read from it, its channels mixed, and written where it says.

    Both windows are linear in the means of `cells` x `cells` parts of the map, as DRAW's are in its
    decoder's state, and each has weights of its own. In DRAW what is written comes from a recurrent
    decoder; here one linear map of the channels of what was read takes its place.

    Args:
        channels: C.
        size: Height and width of the patch, N.
        cells: Of a side of what the windows depend on; of smaller maps pixels are seen repeatedly.

    Raises:
        ValueError: `size` is below 2, or `cells` below 1.
    """

    def __init__(self, channels: int, *, size: int = 5, cells: int = 4) -> None:
        super().__init__()
        check_count(2, size=size)
        check_count(1, cells=cells)
        self.channels, self.size = channels, size
        self.see = nn.AdaptiveAvgPool2d(cells)
        self.read_at = nn.Linear(channels * cells**2, 5)
        self.mix = nn.Conv2d(channels, channels, 1)
        self.write_at = nn.Linear(channels * cells**2, 5)

    def windows(self, maps: Float[Tensor, "B C H W"]) -> tuple[Window, Window]:
        """Return where it reads and where it writes."""
        height, width = maps.shape[2:]
        seen = self.see(maps).flatten(1)
        # Positions need more digits than bfloat16 has.
        kind = torch.float64 if maps.dtype == torch.float64 else torch.float32
        read_at, write_at = (
            window(told.to(kind), size=self.size, height=height, width=width)
            for told in (self.read_at(seen), self.write_at(seen))
        )
        return read_at, write_at

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the maps, written on.

        Raises:
            ValueError: They are of another shape.
        """
        check_maps(maps, self.channels)
        read_at, write_at = self.windows(maps)
        patch = read(maps.to(read_at.gain.dtype), read_at)
        return maps + write(self.mix(patch.to(maps.dtype)).to(patch.dtype), write_at).to(maps.dtype)
