"""Checkpoints of another run, refused in words."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def own_checkpoint() -> Iterator[None]:
    """Load parts of a checkpoint in here.

    Raises:
        ValueError: A part is missing or does not fit.
    """
    try:
        yield
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).strip().rpartition("\n")[2].strip()  # PyTorch's first line has none
        raise ValueError(
            f"the checkpoint must be this agent's, got another ({reason}): "
            "resume with the options it was trained with"
        ) from error
