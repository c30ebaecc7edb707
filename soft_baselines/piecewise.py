"""Work done piece by piece, so that less memory is held at once."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

# How many numbers a piece may need: 4 MiB of float32.
NUMBERS = 2**20


def slices(number: int, each: int, like: Tensor) -> Iterator[slice]:
    """Yield which heads or channels to serve together; on a CPU few, elsewhere and compiled all.

    Args:
        number: How many there are.
        each: How many numbers one of them needs.
        like: Is where the work is done.
    """
    if torch.compiler.is_compiling() or not like.is_cpu:
        yield slice(0, number)
        return
    together = min(number, max(1, NUMBERS // max(1, each)))
    for first in range(0, number, together):
        yield slice(first, first + together)


def concatenate(pieces: Iterable[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Return pieces side by side along axis 1, the one after the images.

    In inference they are written into memory taken beforehand, and a piece is forgotten before the
    next is made.

    Args:
        pieces: Made one after the other; at least one.
        shape: Of the result.
    """
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        made = list(pieces)
        return made[0] if len(made) == 1 else torch.cat(made, dim=1)
    joined, first = torch.empty(0), 0
    for piece in pieces:
        if piece.shape == shape:
            return piece
        if first == 0:
            joined = piece.new_empty(shape)
        joined[:, first : first + piece.shape[1]] = piece
        first += piece.shape[1]
        del piece
    return joined
