"""What is made piece by piece, as one tensor."""

from collections.abc import Iterable

import torch
from torch import Tensor


def concatenate(pieces: Iterable[Tensor], shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Return pieces side by side along axis 1, the one after the images.

    In inference they are written into memory taken beforehand, so that a piece is forgotten before
    the next is made, and its memory is used again.

    Args:
        pieces: Made one after the other.
        shape: Of the result.
        like: Has its dtype and device.
    """
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return torch.cat(list(pieces), dim=1)
    joined, first = like.new_empty(shape), 0
    for piece in pieces:
        joined[:, first : first + piece.shape[1]] = piece
        first += piece.shape[1]
    return joined
