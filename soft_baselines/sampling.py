"""Maps read between their pixels, at whole pixels to the last bit.

Convention:
    Positions are `(x, y)` as `F.grid_sample` has them with `align_corners=False`, on a map that is
    enlarged by zeros to the right and below until its sides are powers of two: for a width of 3,
    enlarged to 4, the pixels lie at -0.75, -0.25, 0.25, and 0.75 is zero as all else outside.

`F.grid_sample` counts from -1 to 1 in floats, and multiplies by the side. For most sides no floats
give all whole pixels (in float32 for 56 none gives 9 of them, aligned or not), so that even the
identity mixes neighbours; for a power of two all pixels are floats and all products exact.
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

# How many numbers of an enlarged map are held at once on a CPU: 1 MiB of float32.
NUMBERS = 2**18


def sample(
    maps: Float[Tensor, "B C H W"], at: Float[Tensor, "B h w 2"], tall: int, wide: int
) -> Float[Tensor, "B C h w"]:
    """Return maps between pixels, bilinear, zero outside.

    On a CPU large maps are enlarged some channels at a time, in training once more for the
    gradients: fetching memory for all of them takes longer than reading them.

    Args:
        maps: What is read.
        at: Where, see above.
        tall: The power of two to which the height is enlarged.
        wide: The same for the width.
    """
    if maps.shape[2:] == (tall, wide):
        return _read(maps, at)
    together = NUMBERS // max(1, maps.shape[0] * tall * wide)
    if together < maps.shape[1] and maps.is_cpu and not torch.compiler.is_compiling():
        read: Tensor = _InPieces.apply(  # type: ignore[no-untyped-call]
            maps, at, (tall, wide), max(together, 1)
        )
        return read
    return _read(_enlarged(maps, tall, wide), at)


def _enlarged(maps: Tensor, tall: int, wide: int) -> Tensor:
    return F.pad(maps, (0, wide - maps.shape[3], 0, tall - maps.shape[2]))


def _read(enlarged: Tensor, at: Tensor) -> Tensor:
    return F.grid_sample(enlarged, at, "bilinear", "zeros", align_corners=False)


class _InPieces(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, at: Tensor, sides: tuple[int, int], together: int
    ) -> Tensor:
        ctx.save_for_backward(maps, at)
        ctx.sides, ctx.together = sides, together
        read = maps.new_empty(*maps.shape[:2], *at.shape[1:3])
        for part, enlarged in _pieces(maps, sides, together):
            read[:, part] = _read(enlarged, at)
        return read

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        maps, at = ctx.saved_tensors
        needed = ctx.needs_input_grad[:2]
        if torch.is_grad_enabled():  # whoever differentiates again pays for all of it
            # Through aliases: `at` may come from the maps, into which nothing shall go on here.
            maps, at = maps.view_as(maps), at.view_as(at)
            wanted = [x for x, need in zip((maps, at), needed, strict=True) if need]
            whole = _read(_enlarged(maps, *ctx.sides), at)
            found = iter(torch.autograd.grad(whole, wanted, gradient, create_graph=True))
            return *(next(found) if need else None for need in needed), None, None
        to_maps, to_at = torch.empty_like(maps) if needed[0] else None, torch.zeros_like(at)
        for part, enlarged in _pieces(maps, ctx.sides, ctx.together):
            to_enlarged, by_part = torch.ops.aten.grid_sampler_2d_backward(
                gradient[:, part], enlarged, at, 0, 0, False, [needed[0], True]
            )
            if to_maps is not None:
                to_maps[:, part] = to_enlarged[..., : maps.shape[2], : maps.shape[3]]
            to_at += by_part
        return to_maps, to_at, None, None


def _pieces(
    maps: Tensor, sides: tuple[int, int], together: int
) -> Iterator[tuple[slice, Float[Tensor, "B c tall wide"]]]:
    """Yield which channels, and their maps enlarged, in the same memory every time."""
    room = maps.new_zeros(len(maps), together, *sides)
    for first in range(0, maps.shape[1], together):
        part = slice(first, first + together)
        enlarged = room[:, : maps[:, part].shape[1]]
        enlarged[..., : maps.shape[2], : maps.shape[3]] = maps[:, part]
        yield part, enlarged
