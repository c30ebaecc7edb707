"""A small environment that shows images of any layout, for the tests of the wrappers."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

HEIGHT, WIDTH = 6, 10


class Shown(gymnasium.Env[Any, Any]):
    """Show new random pixels in every step; the reward is the sum of the action.

    Args:
        shape: Of an image.
        dtype: uint8, or floats in [0, 1].
        actions: The space of actions.
        key: Where the image is in the observation, beside `step`; None: it is the observation.
        length: Of an episode.
        render_mode: `rgb_array` shows the image that was observed.
    """

    metadata = {"render_modes": ["rgb_array", "ansi"], "render_fps": 4}  # noqa: RUF012 Gymnasium's form

    def __init__(
        self,
        shape: tuple[int, ...] = (HEIGHT, WIDTH, 3),
        dtype: Any = np.uint8,
        actions: spaces.Space[Any] | None = None,
        key: str | None = None,
        length: int = 3,
        render_mode: str | None = None,
    ) -> None:
        self.key, self.length, self.render_mode = key, length, render_mode
        self.image_space = spaces.Box(0, 255 if dtype == np.uint8 else 1, shape, dtype)
        self.action_space = spaces.Discrete(3, start=1) if actions is None else actions
        self.observation_space = self.image_space
        if key is not None:
            step = spaces.Box(0, 100, (1,), np.float32)
            self.observation_space = spaces.Dict({key: self.image_space, "step": step})
        self.taken: list[Any] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return self._observe(), {"steps": 0}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        self.taken.append(action)
        self.steps += 1
        over = self.steps == self.length
        return self._observe(), float(np.sum(action)), over, False, {"steps": self.steps}

    def render(self) -> Any:
        return "text" if self.render_mode == "ansi" else self.image

    def _observe(self) -> Any:
        shape, dtype = self.image_space.shape, self.image_space.dtype
        if dtype == np.uint8:
            self.image: NDArray[Any] = self.np_random.integers(0, 256, shape, np.uint8)
        else:
            self.image = self.np_random.uniform(0, 1, shape).astype(dtype)
        if self.key is None:
            return self.image.copy()
        return {self.key: self.image.copy(), "step": np.array([self.steps], dtype=np.float32)}
