"""Random numbers that are functions of a seed, not of what was drawn before.

A batch of environments needs one independent stream a row, on any device, so that a row shows the
same episode alone, among others, on CPU and on CUDA. `torch.Generator` is one stream for a whole
tensor; here every number is a hash of (key, stream, position).

Source: S. Vigna's SplitMix64 finaliser, as in G. Steele, D. Lea, C. Flood, "Fast splittable
pseudorandom number generators", OOPSLA 2014, figure 14.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # 2**64 over the golden ratio, as int64
_FIRST = 0xBF58476D1CE4E5B9 - 2**64
_SECOND = 0x94D049BB133111EB - 2**64


def derive_seed(*numbers: int) -> int:
    """Return a seed in [0, 2**62) for these whole numbers in [0, 2**64), unlike any others'.

    Example:
        >>> derive_seed(0, 1) == derive_seed(0, 1), derive_seed(0, 1) == derive_seed(1, 0)
        (True, False)
    """
    for number in numbers:
        if not 0 <= number < 2**64:
            raise ValueError(f"`seed` must be in [0, 2**64), got {number}: choose another")
    # SeedSequence pads with zeros and splits at 32 bits: without the count, (5,) would be (5, 0).
    words = [len(numbers), *(word for n in numbers for word in divmod(n, 2**32))]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> np.uint64(2))


@contextmanager
def own_randomness(device: torch.device) -> Iterator[None]:
    """Put the global generators of PyTorch and NumPy back afterwards to where they were.

    For libraries that draw from them.
    """
    before = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            np.random.set_state(before)  # noqa: NPY002


def seed_globally(seed: int, device: torch.device) -> None:
    """Seed those generators, within `own_randomness` of the same device."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002


def keys_of(
    seeds: Int64[Tensor, "B"], stream: int | Int64[Tensor, "*S B"] | Int64[Tensor, "*S 1"]
) -> Int64[Tensor, "*S B"]:
    """Return one key a seed for this stream: independent of the seed's keys for other streams."""
    if isinstance(stream, int):  # filled in there: a copy from here would wait for the device
        stream = torch.full((), stream, device=seeds.device)
    return _mix(_mix(seeds) + _GOLDEN * (stream + 1))


def uniform(keys: Int64[Tensor, "B"], count: int) -> Float64[Tensor, "B count"]:
    """Return `count` independent uniform numbers in [0, 1) for every key."""
    position = torch.arange(1, count + 1, device=keys.device)
    bits = _mix(keys[:, None] + _GOLDEN * position)
    return _shift(bits, 11).double() * 2.0**-53


def _mix(x: Int64[Tensor, "..."]) -> Int64[Tensor, "..."]:
    x = (x ^ _shift(x, 30)) * _FIRST
    x = (x ^ _shift(x, 27)) * _SECOND
    return x ^ _shift(x, 31)


def _shift(x: Int64[Tensor, "..."], bits: int) -> Int64[Tensor, "..."]:
    """Shift right without dragging the sign along."""
    return torch.bitwise_and(x >> bits, 2 ** (64 - bits) - 1)
