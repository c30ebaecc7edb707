"""Compact generalised non-local attention: all positions of all channels meet, at linear cost.

Convention:
    Feature maps are `(B, C, H, W)`. An entry is one channel of one position. Of C/2 = 16 inner
    channels in 8 groups the first 2 are group 0.

Source: K. Yue et al., "Compact generalized non-local network", NeurIPS 2018, section 3.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from glimpse.checks import check_at_least, check_count, check_name

from .maps import check_maps


def dot_kernel(
    theta: Float[Tensor, "B G E"], phi: Float[Tensor, "B G E"], values: Float[Tensor, "B G E"]
) -> Float[Tensor, "B G E"]:
    """Return y_i = sum_j theta_i phi_j v_j over the entries of a group: a scalar times theta."""
    return theta * (phi * values).sum(dim=-1, keepdim=True)


def gaussian_kernel(
    theta: Float[Tensor, "B G E"],
    phi: Float[Tensor, "B G E"],
    values: Float[Tensor, "B G E"],
    *,
    order: int = 3,
    gamma: float = 1e-4,
) -> Float[Tensor, "B G E"]:
    r"""Return y_i = sum_j f(theta_i, phi_j) v_j, f a Gaussian cut after a Taylor term.

    `f(a, b) = sum_{q=0}^{order} exp(-2 gamma) (2 gamma)^q / q! (a b)^q`, the beginning of
    `exp(-gamma (a - b)^2)` where `a^2 + b^2 = 2`. The paper supposes that; nothing makes it so, in
    its authors' code neither.

    Args:
        theta: One operand of the kernel, and the entries of the result.
        phi: The other operand.
        values: v.
        order: Of the last term, 0 or more.
        gamma: Of the Gaussian.
    """
    made = torch.zeros_like(theta)
    for power in range(order + 1):
        alpha = math.exp(-2 * gamma) * (2 * gamma) ** power / math.factorial(power)
        made = made + alpha * dot_kernel(theta**power, phi**power, values)
    return made


class CompactNonLocal(nn.Module):
    """Return x + GN(W kernel(theta(x), phi(x), g(x))), the identity at first: the gain of GN is 0.

    theta, phi and g are convolutions 1 x 1 to half the channels, W is one in groups, all without
    bias. Every group attends among its own entries.

    GN comes right behind W, and with the kernel `"dot"` what W gets of a group is theta times one
    number. So the norm cancels that number but for its sign (and for epsilon): phi and g hardly
    learn. This is the method as published; the kernels by themselves are `dot_kernel` and
    `gaussian_kernel`.

    Args:
        channels: C.
        groups: A divisor of C and of C/2.
        kernel: `"dot"`, or `"gaussian"`, the authors' CGNLx.
        order: Taylor terms of `"gaussian"` beyond the constant.
        gamma: Of `"gaussian"`.

    Raises:
        ValueError: The groups do not divide the channels, or an option does not fit.
    """

    def __init__(
        self,
        channels: int,
        *,
        groups: int = 8,
        kernel: Literal["dot", "gaussian"] = "dot",
        order: int = 3,
        gamma: float = 1e-4,
    ) -> None:
        super().__init__()
        check_count(2, channels=channels)
        check_count(0, order=order)
        check_at_least(0, gamma=gamma)
        check_name("kernel", kernel, ("dot", "gaussian"))
        inner = channels // 2
        check_count(1, groups=groups)
        if channels % groups or inner % groups:
            raise ValueError(
                f"`groups` must divide the {channels} channels and half of them, {inner}, got "
                f"{groups}: choose {math.gcd(channels, inner)}, for example"
            )
        self.channels = channels
        self.groups = groups
        self.kernel = kernel
        self.order = order
        self.gamma = gamma
        self.theta = nn.Conv2d(channels, inner, 1, bias=False)
        self.phi = nn.Conv2d(channels, inner, 1, bias=False)
        self.value = nn.Conv2d(channels, inner, 1, bias=False)
        self.project = nn.Conv2d(inner, channels, 1, groups=groups, bias=False)
        self.norm = nn.GroupNorm(groups, channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the maps and what was gathered.

        Raises:
            ValueError: The maps are of another shape.
        """
        check_maps(maps, self.channels)
        theta, phi, values = (
            torch.unflatten(project(maps), 1, (self.groups, -1)).flatten(2)  # (B, G, E)
            for project in (self.theta, self.phi, self.value)
        )
        if self.kernel == "dot":
            made = dot_kernel(theta, phi, values)
        else:
            made = gaussian_kernel(theta, phi, values, order=self.order, gamma=self.gamma)
        gathered = torch.unflatten(made, 2, (-1, *maps.shape[2:])).flatten(1, 2)
        added: Tensor = self.norm(self.project(gathered))
        return maps + added
