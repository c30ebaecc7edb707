"""Where the eye of every row looks, and where it has looked before.

Convention:
    Locations are in units of actions, levels of zoom count from 0, the finest.
"""

import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from .assignment import Rows
from .eye import Eye


class Fixations:
    """The eyes of B rows; tensors stay where they are in memory, so CUDA can record what is done.

    Args:
        eye: How everybody looks.
        rows: B.
        device: Where the tensors lie.

    Attributes:
        count: How many glimpses each row has had, (B,).
        location: Where each row looks, (B, 2).
        level: Of each row's zoom, (B,).
        trail: Where each row has looked so far, (B, T, 2); NaN where it has not yet.
        levels: The level of each of these looks, (B, T).
    """

    count: Int64[Tensor, "B"]
    location: Float32[Tensor, "B 2"]
    level: Int64[Tensor, "B"]
    trail: Float32[Tensor, "B T 2"]
    levels: Int64[Tensor, "B T"]

    def __init__(self, eye: Eye, rows: int, device: torch.device) -> None:
        self._eye = eye
        self.count = torch.zeros(rows, dtype=torch.int64, device=device)
        self.location = torch.zeros(rows, 2, device=device)
        self.level = self.count.clone()
        self.trail = self.location.new_zeros(rows, eye.glimpses, 2)
        self.levels = self.count.new_zeros(rows, eye.glimpses)

    def begin(self, which: Rows, first: Float[Tensor, "R 2"] | None) -> None:
        """Put the eyes of some rows where an episode begins: at `first`, or in the centre."""
        given = self._eye.glimpses - self._eye.actions  # the glimpse that nobody chooses, if any
        self.count[which] = given
        self.location[which] = 0 if first is None else first
        self.level[which] = self._eye.zoom // 2  # as an action of 0 chooses
        self.trail[which] = torch.nan
        self.levels[which] = self._eye.zoom // 2
        if given:
            self.trail[which, 0] = self.location[which]

    def move(
        self,
        action: Float[Tensor, "B a"],
        looking: Bool[Tensor, "B"],
        stride: Float[Tensor, "*B 2"] | None,
    ) -> None:
        """Move the eyes of those who look.

        Args:
            action: In [-1, 1]: location or direction, then zoom if the eye has it.
            looking: Who does.
            stride: How far a direction of 1 goes, in locations; None for an eye without.
        """
        eye, target = self._eye, action[:, :2]
        if stride is not None:
            target = (self.location + target * stride).clamp(-1, 1)
        self.location.copy_(torch.where(looking[:, None], target, self.location))
        if eye.zoom > 1:
            level = ((action[:, 2] + 1) / 2 * eye.zoom).long().clamp(max=eye.zoom - 1)
            self.level.copy_(torch.where(looking, level, self.level))
        self.count += looking
        last = (self.count - 1).clamp(min=0)[:, None]
        self.trail.scatter_(1, last[..., None].expand(-1, 1, 2), self.location[:, None])
        self.levels.scatter_(1, last, self.level[:, None])
