"""Checks at the border: one line that says what was wanted, what came and how to mend it."""

import math

from torch import Tensor


def check_shape(name: str, tensor: Tensor, axes: str, *, mend: str) -> None:
    """Refuse a tensor whose rank, or whose axes of a fixed length, are not the wanted ones.

    Args:
        name: What the user called it.
        tensor: What came.
        axes: What is wanted: letters stand for any length, numbers for themselves, `"B 2"`.
        mend: How to mend it; the end of the message.

    Raises:
        ValueError: The shape differs.

    Example:
        >>> import torch
        >>> check_shape("images", torch.zeros(28, 28), "B C H W", mend="use images[None, None]")
        Traceback (most recent call last):
        ValueError: `images` must be (B, C, H, W), got (28, 28): use images[None, None]
    """
    wanted = axes.split()
    fits = tensor.ndim == len(wanted) and all(
        not axis.isdigit() or int(axis) == length
        for axis, length in zip(wanted, tensor.shape, strict=True)
    )
    if not fits:
        got = tuple(tensor.shape)
        raise ValueError(f"`{name}` must be ({', '.join(wanted)}), got {got}: {mend}")


def check_at_least(least: float, **values: float) -> None:
    """Refuse numbers below `least` (or not finite), each under its own name.

    Raises:
        ValueError: A value is too small or not finite.
    """
    for name, value in values.items():
        if not (math.isfinite(value) and value >= least):
            raise ValueError(f"`{name}` must be at least {least}, got {value}: choose a larger one")


def check_name(thing: str, name: str, known: object) -> None:
    """Refuse a name that is not among the known ones, and list those.

    Raises:
        ValueError: `name` is not in `known`.
    """
    names = sorted(map(str, known))  # type: ignore[call-overload]
    if name not in names:
        raise ValueError(f"`{thing}` must be one of {', '.join(names)}, got {name!r}: choose one")
