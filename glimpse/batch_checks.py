"""What an engine, its `reset` and its `step` are given, checked before anything changes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64, Shaped
from torch import Tensor

from .checks import check_shape, whole_numbers
from .eye import Eye
from .tasks import Search, Sequence, Task


def checked_options(
    options: Mapping[str, Any], rows: int, copies: int, images: int, device: torch.device
) -> tuple[Int64[Tensor, "G"] | None, Bool[Tensor, "B"] | None]:
    """Return the options `indices` and `reset_mask` as tensors.

    Args:
        options: What the user gave.
        rows: How many rows have been begun; 0 before the first reset.
        copies: How many consecutive rows share an image.
        images: How many images there are.
        device: Where the tensors shall lie.

    Raises:
        ValueError: An option is unknown, of the wrong shape or type, or names no image.
    """
    unknown = [name for name in options if name not in ("indices", "reset_mask")]
    if unknown:
        raise ValueError(
            f"`options` must be among indices and reset_mask, got {', '.join(unknown)}: "
            "leave it out"
        )
    mask, indices = options.get("reset_mask"), options.get("indices")
    if mask is not None:
        mask = _checked_mask(mask, rows, copies).to(device)
    if indices is not None:
        groups = None if mask is None else rows // copies
        indices = _checked_indices(indices, groups, images).to(device)
    return indices, mask


def check_kind(task: Task | Search, eye: Eye, predict: str) -> None:
    """Refuse an eye or a judge that does not fit what is asked.

    Raises:
        ValueError: A search is to be answered or zoomed, or a sequence stopped or cut short.
    """
    if isinstance(task, Sequence) and eye.stop:
        raise ValueError(
            "`stop` must be False for a sequence, got True: every answer needs its glimpses"
        )
    if isinstance(task, Sequence) and eye.glimpses < task.length:
        raise ValueError(
            f"`glimpses` must be at least {task.length}, one for each answer of a "
            f"sequence, got {eye.glimpses}: choose more"
        )
    if isinstance(task, Search) and eye.zoom > 1:
        raise ValueError(
            f"`zoom` must be 1 for a search, got {eye.zoom}: what is found is seen in the "
            "finest window"
        )
    if isinstance(task, Search) and predict != "external":
        raise ValueError(
            f"`predict` must be 'external' for a search, got {predict!r}: "
            "the location is the answer"
        )


def check_step(
    action: Shaped[Tensor, "..."],
    answer: Shaped[Tensor, "..."] | None,
    rows: int,
    size: int,
    scores: int,
    predict: str,
) -> None:
    """Refuse an action or an answer that is missing, out of place, misshapen or no number.

    Args:
        action: Wanted as (rows, size).
        answer: Wanted as (rows, scores), or None where scores is 0.
        rows: How many rows have been begun; 0 before the first reset.
        size: How many numbers an action has.
        scores: How many numbers an answer has; 0 where none is wanted.
        predict: Who judges.

    Raises:
        ValueError: One of these.
    """
    if rows == 0:
        raise ValueError("`reset` must come before `step`, got a step: call reset(seed=0)")
    wanted = "one (x, y) pair" if size == 2 else f"{size} numbers, (x, y) first,"
    check_shape("action", action, f"{rows} {size}", mend=f"give {wanted} for each row")
    if bool(action.isnan().any()):
        row = int(action.isnan().any(dim=1).nonzero()[0])
        raise ValueError(
            f"`action` must be numbers, got {action[row].tolist()} in row {row}: "
            "look for a division by zero or a diverged network"
        )
    if answer is None:
        if scores:
            raise ValueError(f"`answer` must be given with predict={predict!r}, got none: give one")
        return
    if not scores:
        raise ValueError(
            "`answer` must not be given with predict='external', got one: leave it out, or choose "
            "predict='flat'"
        )
    check_shape("answer", answer, f"{rows} {scores}", mend="give one number for each class")
    if not bool(answer.isfinite().all()):
        raise ValueError("`answer` must be finite, got NaN or infinity: use log_softmax of scores")


def check_gains(action: Shaped[Tensor, "..."], rows: int, maps: int) -> None:
    """Refuse gains that are misshapen, below 0 or no numbers.

    Args:
        action: Wanted as (rows, maps).
        rows: How many rows have been begun; 0 before the first reset.
        maps: How many maps have a gain.

    Raises:
        ValueError: One of these.
    """
    if rows == 0:
        raise ValueError("`reset` must come before `step`, got a step: call reset(seed=0)")
    check_shape("action", action, f"{rows} {maps}", mend="give a gain for every map of each row")
    wrong = ~(action.isfinite() & (action >= 0))
    if bool(wrong.any()):
        row = int(wrong.any(dim=1).nonzero()[0])
        raise ValueError(
            f"`action` must be gains of at least 0, got {float(action[row][wrong[row]][0])} in "
            f"row {row}: look for a division by zero or a diverged policy"
        )


def _checked_mask(mask: Any, rows: int, copies: int) -> Bool[Tensor, "B"]:
    tensor = mask if isinstance(mask, Tensor) else torch.from_numpy(np.array(mask))
    if tensor.shape != (rows,) or rows == 0 or tensor.dtype != torch.bool:
        raise ValueError(
            f"`reset_mask` must be ({rows},) of bool, got {tuple(tensor.shape)} of {tensor.dtype}: "
            "reset all rows once, then give one truth value for each"
        )
    shared = tensor.view(-1, copies)
    if not bool((shared == shared[:, :1]).all()):
        raise ValueError(
            f"`reset_mask` must hold for all copies={copies} of an image, got some: "
            "reset them together"
        )
    return tensor


def _checked_indices(indices: Any, groups: int | None, images: int) -> Int64[Tensor, "G"]:
    numbers = whole_numbers("indices", indices)
    if len(numbers) == 0 or groups not in (None, len(numbers)):
        raise ValueError(
            f"`indices` must be ({groups or 'images'},), got {tuple(numbers.shape)}: "
            "name one image for each group of copies"
        )
    if not 0 <= int(numbers.min()) <= int(numbers.max()) < images:
        raise ValueError(
            f"`indices` must be in [0, {images}), got {int(numbers.min())} to "
            f"{int(numbers.max())}: name images that are there"
        )
    return numbers
