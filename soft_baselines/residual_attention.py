"""Residual attention: residual units, scaled by one plus a mask that an hourglass draws.

Convention:
    Feature maps are `(B, C, H, W)`. A pool of the mask branch has windows of 3, steps of 2 and no
    padding, and covers the last row and column: 56 becomes 28, then 14, then 7; of 2 it leaves 1.

    A side of 1 cannot be pooled. The mask branch goes as deep as the map allows: on 6 x 9 a depth
    of 3 works as one of 2 (6 x 9, 3 x 4, 1 x 2), on 1 x 1 it has no pool at all and M is computed
    from the units before it. The weights of the levels left out then get no gradient.

Source: F. Wang et al., "Residual attention network for image classification", CVPR 2017,
equations 3 to 6 and section 3; what the text leaves open (which units are shared, padding, where
projections start) is as in the authors' published Caffe definitions, which agree with the text
where it speaks. Corners stay corners when masks are enlarged: that is how Caffe's `Interp` does it.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from glimpse.checks import check_count, check_name

from .limits import check_training_pixels, reduced
from .maps import check_maps


def mixed(maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    """Return f_1, the sigmoid of every number (equation 4)."""
    return torch.sigmoid(maps)


def channel(maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    """Return f_2, the vector at every position divided by its length (equation 5)."""
    return F.normalize(maps, dim=1)


def spatial(maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    """Return f_3, the sigmoid of every map less its mean, over its deviation (equation 6).

    The variance is that of all positions, plus 1e-5: a constant map, such as one pixel, gives 1/2.
    """
    variance, mean = torch.var_mean(maps, dim=(2, 3), correction=0, keepdim=True)
    return torch.sigmoid((maps - mean) * (variance + 1e-5).rsqrt())


ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "channel": channel,
    "mixed": mixed,
    "spatial": spatial,
}


class ResidualUnit(nn.Module):
    """Add W_3 a(W_2 a(W_1 a(x))) to x, a normalisation and ReLU; W_2 is 3 x 3, the others 1 x 1.

    Args:
        channels: Of what comes in.
        wanted: Channels of what goes out; if they are others, or `stride` is not 1, what the sum is
            added to is a 1 x 1 convolution of a(x).
        width: Channels between.
        stride: Of W_2.
    """

    def __init__(self, channels: int, wanted: int, *, width: int, stride: int = 1) -> None:
        super().__init__()
        self.norm_1 = nn.BatchNorm2d(channels)
        self.conv_1 = nn.Conv2d(channels, width, 1, bias=False)
        self.norm_2 = nn.BatchNorm2d(width)
        self.conv_2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm_3 = nn.BatchNorm2d(width)
        self.conv_3 = nn.Conv2d(width, wanted, 1, bias=False)
        self.project: nn.Conv2d | None = None
        if channels != wanted or stride != 1:
            self.project = nn.Conv2d(channels, wanted, 1, stride, bias=False)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B wanted h w"]:
        """Return the sum."""
        active = torch.relu(self.norm_1(maps))
        inside = self.conv_2(torch.relu(self.norm_2(self.conv_1(active))))
        added: Tensor = self.conv_3(torch.relu(self.norm_3(inside)))
        return added + (maps if self.project is None else self.project(active))


class Hourglass(nn.Module):
    """Pool, go deeper, and enlarge to the size before: one level of the mask branch.

    Args:
        channels: C.
        depth: Number of levels, this one included.
        units: Residual units before and after the deeper levels (the paper's r).
        width: Channels inside a unit.
    """

    def __init__(self, channels: int, *, depth: int, units: int, width: int) -> None:
        super().__init__()
        self.down = _units(units, channels, width)
        self.deeper: Hourglass | None = None
        self.skip: ResidualUnit | None = None
        if depth > 1:
            self.deeper = Hourglass(channels, depth=depth - 1, units=units, width=width)
            self.skip = ResidualUnit(channels, channels, width=width)
        self.up = _units(units, channels, width)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return maps that have seen further; as they are where a side is 1."""
        if min(maps.shape[2:]) < 2:
            return maps
        small = self.down(F.max_pool2d(maps, 3, 2, ceil_mode=True))  # (B, C, H//2, W//2)
        if self.deeper is not None and self.skip is not None and min(small.shape[2:]) > 1:
            small = self.deeper(small) + self.skip(small)
        size = maps.shape[2:]
        return F.interpolate(self.up(small), size, mode="bilinear", align_corners=True)


class ResidualAttention(nn.Module):
    """Return units of (1 + M) T, T the trunk and M = f(mask branch), both of the first units' maps.

    Args:
        channels: C.
        depth: How many times the mask branch pools. The paper takes 3, 2 and 1 on maps of 56, 28
            and 14, down to 7; the default is the middle one. Small maps cut it, see above.
        activation: f: "mixed" (the paper's best), "channel" or "spatial".
        before: Residual units before the branches part, and again after they have met (p).
        trunk: Residual units of the trunk (t).
        mask: Residual units between two sizes of the mask branch (r).
        reduction: How many times fewer channels are inside a unit; rounded down.

    Raises:
        ValueError: A count is below 1, there is no such activation, or a unit would be empty.
    """

    def __init__(
        self,
        channels: int,
        *,
        depth: int = 2,
        activation: str = "mixed",
        before: int = 1,
        trunk: int = 2,
        mask: int = 1,
        reduction: int = 4,
    ) -> None:
        super().__init__()
        check_count(1, depth=depth, before=before, trunk=trunk, mask=mask)
        check_name("activation", activation, ACTIVATIONS)
        width = reduced(channels, reduction)
        self.channels, self.activation = channels, activation
        self.before = _units(before, channels, width)
        self.trunk = _units(trunk, channels, width)
        self.hourglass = Hourglass(channels, depth=depth, units=mask, width=width)
        self.mask = nn.Sequential(
            OrderedDict(
                norm_1=nn.BatchNorm2d(channels),
                relu_1=nn.ReLU(),
                conv_1=nn.Conv2d(channels, channels, 1, bias=False),
                norm_2=nn.BatchNorm2d(channels),
                relu_2=nn.ReLU(),
                conv_2=nn.Conv2d(channels, channels, 1, bias=False),
            )
        )
        self.after = _units(before, channels, width)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the maps, attended.

        Raises:
            ValueError: They are of another shape.
        """
        check_maps(maps, self.channels)
        if self.training:
            check_training_pixels(maps)
        maps = self.before(maps)
        mask = ACTIVATIONS[self.activation](self.mask(self.hourglass(maps)))
        attended: Tensor = self.after((1 + mask) * self.trunk(maps))
        return attended


def _units(number: int, channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualUnit(channels, channels, width=width) for _ in range(number)))
