"""What `glimpse.envs.ActiveBatch` asks of an `ap_gym` environment, and what it can know of one.

Convention:
    Their images and glimpses are `(B, H, W, C)`, ours `(B, C, H, W)` and `(B, 1, C, s, s)`.
"""

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from jaxtyping import Float32, Int64
from numpy.typing import NDArray
from torch import Tensor

_KNOWN = ("glimpse", "glimpse_pos", "time_step")


@runtime_checkable
class Pictures(Protocol):
    """What is known beyond the spaces of an environment that shows images."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        ...

    @property
    def reach(self) -> Float32[Tensor, "2"]:
        """Where, in [-1, 1] of the image, a glimpse at position 1 has its centre."""
        ...

    def images(self) -> Float32[Tensor, "B C H W"]:
        """Return the images of the running episodes."""
        ...

    def labels(self) -> Int64[Tensor, "B"]:
        """Return their classes."""
        ...


def checked_spaces(env: VectorEnv[Any, Any, Any]) -> tuple[int, int, int]:
    """Return size and channels of an environment's glimpse, and how many classes it has.

    Raises:
        ValueError: As `ActiveBatch` has it.
    """
    if not isinstance(env, VectorEnv):
        raise ValueError(
            f"`make` must make a vector environment, got a {type(env).__name__}: use "
            "gymnasium.make_vec"
        )
    wanted, action = {"action", "prediction"}, env.single_action_space
    if not isinstance(action, spaces.Dict) or set(action.spaces) != wanted:
        raise ValueError(
            f"the action space must be a Dict of action and prediction, got {action}: use an "
            "ap_gym environment"
        )
    move, answer = action["action"], action["prediction"]
    if not isinstance(move, spaces.Box) or move.shape != (2,) or not move.is_bounded():
        raise ValueError(
            f"actions must be a bounded Box of shape (2,), got {move}: our agents move in a plane"
        )
    target = getattr(env.unwrapped, "single_prediction_target_space", spaces.Discrete(1))
    of_class = isinstance(target, spaces.Discrete) and len(answer.shape or ()) == 1
    if not of_class or not isinstance(answer, spaces.Box):
        raise ValueError(
            f"what is predicted must be a class, got {target} from {answer}: use a classification "
            "environment"
        )
    return *_checked_glimpse(env.single_observation_space), answer.shape[0]


def _checked_glimpse(space: spaces.Space[Any]) -> tuple[int, int]:
    shown = dict(space.spaces) if isinstance(space, spaces.Dict) else {"glimpse": space}
    glimpse = shown.get("glimpse")
    if not isinstance(glimpse, spaces.Box) or len(glimpse.shape) != 3:
        raise ValueError(
            f"the observation must hold an image `glimpse` (H, W, C), got {space}: use an image "
            "environment"
        )
    height, width, channels = glimpse.shape
    if height != width:
        raise ValueError(
            f"glimpses must be square, got {height} x {width}: make the environment with a square "
            "sensor_size"
        )
    if strange := sorted(set(shown) - set(_KNOWN)):
        raise ValueError(
            f"the observation must hold {', '.join(_KNOWN)} and no more, got {', '.join(strange)}: "
            "our agents would not see it; wrap the environment"
        )
    return height, channels


def to_glimpse(glimpse: NDArray[Any]) -> Float32[Tensor, "B 1 C s s"]:
    """Return their glimpses as ours, in [0, 1]."""
    white = 255 if glimpse.dtype == np.uint8 else 1
    return torch.from_numpy((glimpse / white).astype(np.float32)).movedim(3, 1)[:, None]


def pictures_of(env: VectorEnv[Any, Any, Any]) -> Pictures | None:
    """Return what is known of an environment; nothing, unless it is one of `ap_gym`'s of images."""
    inner = env.unwrapped
    # `ap_gym` need not be there to be asked: only its image environments have such a module.
    known = getattr(inner, "image_perception_module", None) is not None
    return _ApGymPictures(inner) if known else None


class _ApGymPictures:
    """The public face of the module that reads `ap_gym`'s images."""

    def __init__(self, env: Any) -> None:
        self._module = env.image_perception_module
        channels = env.single_observation_space["glimpse"].shape[2]
        self.shape: tuple[int, int, int] = (channels, *self._module.image_size)

    @property
    def reach(self) -> Float32[Tensor, "2"]:
        """The glimpse never leaves the image: its centre stays half a glimpse from the edge."""
        _, height, width = self.shape
        side = np.asarray(self._module.effective_sensor_size)
        return torch.from_numpy((1 - side / (width, height)).astype(np.float32))

    def images(self) -> Float32[Tensor, "B C H W"]:
        """Return the images of the running episodes."""
        return torch.from_numpy(self._module.current_images.astype(np.float32)).movedim(3, 1)

    def labels(self) -> Int64[Tensor, "B"]:
        """Return their classes."""
        return torch.from_numpy(self._module.current_labels.astype(np.int64))
