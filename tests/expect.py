"""What several test files expect or make."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from numpy.typing import NDArray


@contextmanager
def refused(message: str) -> Iterator[None]:
    """Expect an error of one line."""
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        yield
    assert "\n" not in str(caught.value)


def random_pixels(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
