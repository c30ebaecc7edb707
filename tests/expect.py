"""What several test files expect or make."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor


@contextmanager
def refused(message: str) -> Iterator[None]:
    """Expect an error of one line."""
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        yield
    assert "\n" not in str(caught.value)


def random_pixels(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def anywhere(*shape: int, seed: int = 0) -> Tensor:
    """Return locations, uniform in [-1, 1] x [-1, 1]."""
    return torch.rand((*shape, 2), generator=generator(seed)) * 2 - 1


def assert_alike(got: Any, wanted: Any) -> None:
    """Compare to the last bit, types and data types included."""
    assert type(got) is type(wanted)
    if isinstance(wanted, dict):
        assert got.keys() == wanted.keys()
        for name in wanted:
            assert_alike(got[name], wanted[name])
    elif isinstance(wanted, np.ndarray) and wanted.dtype == object:
        for one, other in zip(got, wanted, strict=True):
            assert_alike(one, other)
    elif isinstance(wanted, np.ndarray):
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)
    else:
        assert got == wanted
