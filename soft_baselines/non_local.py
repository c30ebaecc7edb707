"""Non-local block: every position adds what all positions hold, weighted by a pairwise function.

Convention:
    Maps are `(B, C, T)`, `(B, C, H, W)` or `(B, C, T, H, W)`; i and j number the N positions.

Source: X. Wang, R. Girshick, A. Gupta, K. He, "Non-local neural networks", CVPR 2018, equations 1
to 6, section 3.3.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from glimpse.checks import check_name, check_switch

from .limits import check_dimensions, check_training_pixels, reduced
from .maps import check_maps
from .softmax_attention import softmax_attention

KINDS = ("gaussian", "embedded", "dot", "concatenation")
_AXES = {1: "T", 2: "H W", 3: "T H W"}
_CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_POOLS = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


class NonLocal(nn.Module):
    """Return z_i = W y_i + x_i, y_i = (1 / C_i) sum_j f(x_i, x_j) g(x_j).

    `gaussian`: f = exp(x_i . x_j) and `embedded`: f = exp(theta(x_i) . phi(x_j)), with C_i = sum_j
    f; `dot`: f = theta(x_i) . phi(x_j) and `concatenation`: f = ReLU(w . [theta(x_i), phi(x_j)]),
    with C_i = N. None of the kinds holds N x N numbers on a CPU.

    Args:
        channels: C.
        kind: One of `KINDS`.
        dimensions: Of the maps: 1, 2 or 3.
        reduction: How many times fewer channels theta, phi and g have.
        subsample: Whether j runs over maps whose height and width (1-D: length) were halved by
            maximum pooling; an axis of length 1 stays.
        normalised: Whether batch normalisation follows W; its gain is zero at first. Without it, W
            is. Either way the block is the identity at first.
        bias: Whether theta, phi, g and W have one.
        variant: `official`, the default since all published results are from it: pools x before
            phi and g, as the paper's equation has it, and divides embedded products by
            sqrt(channels of theta), without which the softmax saturates as channels grow. `paper`:
            pools after phi and g, as its section 3.3 puts it, and does not divide.

    Raises:
        ValueError: An option is unknown, or the reduction leaves no channel.
    """

    def __init__(
        self,
        channels: int,
        *,
        kind: str = "embedded",
        dimensions: int = 2,
        reduction: int = 2,
        subsample: bool = False,
        normalised: bool = True,
        bias: bool = True,
        variant: str = "official",
    ) -> None:
        super().__init__()
        check_name("kind", kind, KINDS)
        check_name("variant", variant, ("paper", "official"))
        check_dimensions(dimensions, _AXES)
        check_switch(subsample=subsample, normalised=normalised, bias=bias)
        self.channels, self.kind, self.dimensions = channels, kind, dimensions
        self.subsample, self.official = subsample, variant == "official"
        width, conv = reduced(channels, reduction), _CONVOLUTIONS[dimensions]
        raw = kind == "gaussian"
        self.theta = nn.Identity() if raw else conv(channels, width, 1, bias=bias)
        self.phi = nn.Identity() if raw else conv(channels, width, 1, bias=bias)
        self.g = conv(channels, width, 1, bias=bias)
        self.pair = nn.Linear(2 * width, 1, bias=False) if kind == "concatenation" else None
        self.out = conv(width, channels, 1, bias=bias)
        self.norm = _NORMS[dimensions](channels) if normalised else nn.Identity()
        self.scale = width**-0.5 if self.official and kind == "embedded" else 1.0
        self._initialise()

    def forward(self, maps: Float[Tensor, "B C *N"]) -> Float[Tensor, "B C *N"]:
        """Return the maps and what they attend to.

        Raises:
            ValueError: They are of another shape, or a single pixel in training.
        """
        check_maps(maps, self.channels, axes=_AXES[self.dimensions])
        if self.training and not isinstance(self.norm, nn.Identity):
            check_training_pixels(maps)
        theta = self.theta(maps).flatten(2)  # (B, D, N)
        seen = self._pooled(maps) if self.official else maps
        phi, g = self.phi(seen), self.g(seen)
        if not self.official:
            phi, g = self._pooled(phi), self._pooled(g)
        response = self._respond(theta, phi.flatten(2), g.flatten(2))
        out: Tensor = self.norm(self.out(response.reshape(*g.shape[:2], *maps.shape[2:])))
        return maps + out

    def _respond(self, theta: Tensor, phi: Tensor, g: Tensor) -> Tensor:
        if self.kind == "dot":
            return (g @ phi.mT / g.shape[2]) @ theta
        if self.pair is not None:
            of_theta, of_phi = self.pair.weight.chunk(2, dim=1)  # (1, D)
            return rectified_sums((of_theta @ theta)[:, 0], (of_phi @ phi)[:, 0], g) / g.shape[2]
        return softmax_attention(theta, phi, g, self.scale)

    def _pooled(self, maps: Tensor) -> Tensor:
        if not self.subsample:
            return maps
        window = [min(2, length) for length in maps.shape[2:]]
        if self.dimensions == 3:
            window[0] = 1
        pooled: Tensor = _POOLS[self.dimensions](maps, window)
        return pooled

    def _initialise(self) -> None:
        """Draw weights as the authors do, N(0, 0.01^2), and make the block the identity."""
        for name, weights in self.named_parameters():
            if not name.startswith("norm."):
                nn.init.zeros_(weights) if name.endswith("bias") else nn.init.normal_(
                    weights, std=0.01
                )
        last = self.out if isinstance(self.norm, nn.Identity) else self.norm
        nn.init.zeros_(last.weight)


def rectified_sums(
    a: Float[Tensor, "B N"], b: Float[Tensor, "B M"], g: Float[Tensor, "B V M"]
) -> Float[Tensor, "B V N"]:
    """Return sum_j ReLU(a_i + b_j) g_j in O((N + M) (V + log M)).

    Among b in descending order those above -a_i come first, so two running sums hold all that is
    needed: a_i sum_j g_j + sum_j b_j g_j.
    """
    kind = g.dtype
    if kind in (torch.float16, torch.bfloat16):
        a, b, g = a.float(), b.float(), g.float()
    b, order = b.sort(dim=1, descending=True)
    g = g.gather(2, order[:, None].expand_as(g))
    plain, weighted = (F.pad(x.cumsum(dim=2), (1, 0)) for x in (g, b[:, None] * g))  # (B, V, M + 1)
    above = torch.searchsorted(-b.detach(), a.detach().contiguous())  # how many b_j > -a_i
    above = above[:, None].expand(-1, g.shape[1], -1)
    return (a[:, None] * plain.gather(2, above) + weighted.gather(2, above)).to(kind)
