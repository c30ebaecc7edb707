"""Global context: one vector of the whole image, transformed, joins every position.

Convention:
    Feature maps are `(B, C, H, W)`; a context is one value per image and channel.

Source: Y. Cao, J. Xu, S. Lin, F. Wei, H. Hu, "GCNet: Non-local networks meet
squeeze-excitation networks and beyond", ICCV workshops 2019, equation 5.
"""

from collections import OrderedDict
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from glimpse.checks import check_name

from .limits import reduced
from .maps import check_maps


class GlobalContext(nn.Module):
    """Return y_i = x_i + W_2 ReLU(LN(W_1 sum_j a_j x_j)), a_j = softmax over j of w x_j + b.

    Every W has a bias. W_2 starts at zero, so that y = x at first.

    Args:
        channels: C.
        reduction: How many times fewer units lie between W_1 and W_2 (the paper's r).
        pooling: "attention" as above, "average" with a_j = 1 / (H W).
        fusion: "add" as above. "multiply": y_i = x_i sigmoid(W_2 ...), thus x / 2 at first.
            "both": first multiply, then add, each with layers of its own.

    Raises:
        ValueError: Fewer than one unit would be left, or an option is unknown.
    """

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 16,
        pooling: Literal["attention", "average"] = "attention",
        fusion: Literal["add", "multiply", "both"] = "add",
    ) -> None:
        super().__init__()
        width = reduced(channels, reduction)
        check_name("pooling", pooling, ("attention", "average"))
        check_name("fusion", fusion, ("add", "multiply", "both"))
        self.channels = channels
        self.score = nn.Conv2d(channels, 1, 1) if pooling == "attention" else None
        if self.score is not None:  # as the authors' code draws it
            nn.init.kaiming_normal_(self.score.weight, nonlinearity="relu")
            nn.init.zeros_(self.score.bias)  # type: ignore[arg-type]
        self.multiply = _transform(channels, width) if fusion != "add" else None
        self.add = _transform(channels, width) if fusion != "multiply" else None

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the maps, joined by their context.

        Raises:
            ValueError: They are of another shape.
        """
        check_maps(maps, self.channels)
        context = self._context(maps)
        if self.multiply is not None:
            maps = maps * torch.sigmoid(self.multiply(context))
        if self.add is not None:
            maps = maps + self.add(context)
        return maps

    def _context(self, maps: Tensor) -> Tensor:
        """Return the pooled maps, `(B, C, 1, 1)`."""
        if self.score is None:
            return maps.mean(dim=(2, 3), keepdim=True)
        weights: Tensor = self.score(maps).flatten(2).softmax(dim=2)  # (B, 1, N)
        return (maps.flatten(2) @ weights.transpose(1, 2))[..., None]


def _transform(channels: int, width: int) -> nn.Sequential:
    last = nn.Conv2d(width, channels, 1)
    for weights in last.parameters():
        nn.init.zeros_(weights)
    return nn.Sequential(
        OrderedDict(
            squeeze=nn.Conv2d(channels, width, 1),
            norm=nn.LayerNorm([width, 1, 1]),
            relu=nn.ReLU(),
            excite=last,
        )
    )
