"""The spaces of an environment, and what crosses them: numpy outside, torch inside."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from glimpse.batch import GlimpseBatch
from glimpse.tasks import classification

# A flat action's class scores lie in [-1, 1]. Ten times as large they are logits, so that one class
# can be 5e8 times as probable as another.
SCORE_SCALE = 10.0


def observation_space(core: GlimpseBatch) -> spaces.Dict:
    """Return the space of what one row sees."""
    eye, channels = core.eye, core.images.shape[0]
    glimpse = (eye.sensor.scales, channels, eye.sensor.size, eye.sensor.size)
    parts: dict[str, spaces.Space[Any]] = {
        "glimpse": spaces.Box(0, 1, glimpse),
        "location": spaces.Box(-1, 1, (2,)),
        "step": spaces.Box(0, eye.glimpses, (1,)),
    }
    if eye.context is not None:
        parts["context"] = spaces.Box(0, 1, (channels, eye.context, eye.context))
    return spaces.Dict(parts)


def action_space(core: GlimpseBatch) -> spaces.Box:
    """Return the space of what one row does: a location and, with `flat`, a score a class."""
    return spaces.Box(-1, 1, (2 + core.scores,))


def to_core(
    core: GlimpseBatch, actions: NDArray[np.generic], rows: int
) -> tuple[Tensor, Tensor | None]:
    """Return the locations (B, 2) and the log-probabilities (B, n), if any, of actions.

    Raises:
        ValueError: The actions have another shape, or are no numbers.
    """
    wanted = (rows, 2 + core.scores)
    actions = np.asarray(actions)
    if actions.shape != wanted or actions.dtype.kind not in "fiu":
        raise ValueError(
            f"actions must be numbers of shape {wanted}, got {actions.dtype} of shape "
            f"{actions.shape}: give one (x, y) pair"
            + (" and one score a class" if core.predict == "flat" else "")
            + " for each environment"
        )
    tensor = torch.from_numpy(np.array(actions, dtype=np.float32, order="C")).to(core.device)
    if core.predict == "external":
        return tensor, None
    return tensor[:, :2], classification(core.task).log_probs(
        SCORE_SCALE * tensor[:, 2:].clamp(-1, 1)
    )


def check_indices(core: GlimpseBatch, options: Mapping[str, Any] | None) -> None:
    """Refuse to show more or fewer images than the environment has rows; the engine itself may.

    Raises:
        ValueError: `options["indices"]` has another length.
    """
    indices = (options or {}).get("indices")
    groups = core.rows // core.copies
    if indices is not None and np.shape(indices) != (groups,):
        raise ValueError(
            f"`indices` must be ({groups},), got {np.shape(indices)}: "
            "name one image for each group of copies"
        )


def target_of(info: dict[str, Tensor]) -> int | NDArray[Any]:
    """Return the one row's target: a class, or a place `(x, y)`."""
    target = info["target"][0]
    return int(target) if target.ndim == 0 else np.array(target.numpy(force=True))


def to_numpy(tensors: dict[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Return the same by name as arrays that share no memory with the tensors."""
    return {name: np.array(tensor.numpy(force=True)) for name, tensor in tensors.items()}
