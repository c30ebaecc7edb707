"""Checks at the border: one line that says what was wanted, what came and how to mend it."""

import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
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


def check_options(whose: str, options: Iterable[str], known: Sequence[str]) -> None:
    """Refuse options by names that are not known.

    Args:
        whose: Whom they are given to.
        options: The names that came.
        known: Those there are.

    Raises:
        ValueError: One is unknown.
    """
    unknown = [name for name in options if name not in known]
    if unknown:
        raise ValueError(
            f"options of {whose} must be among {', '.join(known) or 'none'}, got "
            f"{', '.join(unknown)}: check the spelling"
        )


def check_images(images: Tensor) -> None:
    """Refuse anything but `(N, C, H, W)` pixels, uint8 or float in [0, 1].

    Raises:
        ValueError: The rank, the type or the range is another, or there is no pixel.
    """
    check_shape("images", images, "N C H W", mend="use images[:, None] if they are grey")
    if 0 in images.shape[1:]:
        raise ValueError(
            f"`images` must have at least one pixel each, got {tuple(images.shape)}: give some"
        )
    if images.dtype == torch.uint8 or len(images) == 0:
        return
    if not images.is_floating_point():
        raise ValueError(
            f"`images` must be uint8 or float in [0, 1], got {images.dtype}: convert them"
        )
    low, high = (float(bound) for bound in images.detach().aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        number = int((~images.isfinite()).flatten(1).any(dim=1).nonzero()[0])
        raise ValueError(
            f"`images` must be finite, got NaN or infinity in image {number}: "
            "leave it out or mend it"
        )
    if low < 0 or high > 1:
        raise ValueError(
            f"`images` of floats must lie in [0, 1], got {low:g} to {high:g}: divide by 255?"
        )


def check_at_least(least: float | int, **values: float | int) -> None:
    """Refuse numbers below `least` (or not finite), each under its own name.

    Raises:
        ValueError: A value is too small, infinite or NaN.
    """
    for name, value in values.items():
        if not (isinstance(value, Real) and math.isfinite(value) and value >= least):
            raise ValueError(
                f"`{name}` must be finite and at least {least}, got {value!r}: choose another"
            )


def check_count(least: int, **values: int) -> None:
    """Refuse what is not a whole number from `least`, each under its own name.

    Raises:
        ValueError: A value is too small or a fraction.
    """
    for name, value in values.items():
        whole = isinstance(value, Integral | torch.SymInt) and not isinstance(value, bool)
        if not whole or value < least:
            raise ValueError(
                f"`{name}` must be a whole number from {least}, got {value!r}: choose another"
            )


def check_counts(least: int, **values: Sequence[int]) -> None:
    """Refuse what is not a list of whole numbers from `least`, each under its own name.

    Raises:
        ValueError: It is something else, or one of them is too small or a fraction.
    """
    for name, value in values.items():
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ValueError(
                f"`{name}` must be a list of whole numbers, got {value!r}: write ({least}, ...)"
            )
        for number in value:
            check_count(least, **{name: number})


def check_share(**values: float) -> None:
    """Refuse what is not a number from 0 to 1, each under its own name.

    Raises:
        ValueError: A value is another.
    """
    for name, value in values.items():
        if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= value <= 1:
            raise ValueError(f"`{name}` must be in [0, 1], got {value!r}: choose another")


def check_switch(**values: bool) -> None:
    """Refuse what is neither True nor False, each under its own name.

    Raises:
        ValueError: A value is another.
    """
    for name, value in values.items():
        if not isinstance(value, bool):
            raise ValueError(f"`{name}` must be True or False, got {value!r}: choose one")


def whole_numbers(name: str, numbers: Any) -> Tensor:
    """Return whole numbers as a tensor of int64 with one axis.

    Raises:
        ValueError: They are fractions or a mask, have another number of axes, or are too large.
    """
    if isinstance(numbers, np.ndarray) and numbers.dtype.kind not in "iufcb":
        numbers = numbers.tolist()
    if not isinstance(numbers, Tensor | np.ndarray):
        return _from_iterable(name, numbers)
    tensor = to_tensor(numbers)
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise ValueError(
            f"`{name}` must be whole numbers, got {tensor.dtype}: "
            "use np.flatnonzero of a mask, .long() of whole floats"
        )
    check_shape(name, tensor, "N", mend="give one axis of numbers")
    if tensor.dtype == torch.uint64 and bool((tensor.view(torch.int64) < 0).any()):
        raise ValueError(f"`{name}` must be below 2**63, got {max(tensor.tolist())}: count from 0")
    return tensor.long()


def _from_iterable(name: str, numbers: Any) -> Tensor:
    listed = list(numbers) if isinstance(numbers, Iterable) else [numbers]
    for number in listed:
        whole = isinstance(number, Integral) and not isinstance(number, bool)
        if not isinstance(numbers, Iterable) or not whole or not -(2**63) <= number < 2**63:
            raise ValueError(
                f"`{name}` must be whole numbers below 2**63, got {number!r}: give one axis of them"
            )
    return torch.tensor([int(number) for number in listed], dtype=torch.int64)


def to_tensor(array: Tensor | np.ndarray) -> Tensor:
    """Return a tensor of an array of any strides and byte order."""
    if isinstance(array, Tensor):
        return array
    return torch.from_numpy(np.array(array, array.dtype.newbyteorder("="), order="C"))


def check_name(thing: str, name: str, known: Iterable[str]) -> None:
    """Refuse a name that is not among the known ones, and list those.

    Raises:
        ValueError: `name` is not in `known`.
    """
    names = sorted(known)
    if name not in names:
        raise ValueError(f"`{thing}` must be one of {', '.join(names)}, got {name!r}: choose one")
