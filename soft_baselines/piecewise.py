"""What is made piece by piece, as one tensor."""

from collections.abc import Iterable

import torch
from torch import Tensor


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
