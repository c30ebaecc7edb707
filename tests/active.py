"""A vector environment in the form of `ap_gym`, for several test files.

A row's class is written in every glimpse, 0 or 200 of 255 in its first channel; the second channel
counts the steps. The position moves by a tenth of the action.
"""

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

STEPS, SIZE = 3, 4


class FakeActive(VectorEnv[Any, Any, Any]):
    """Episodes of `STEPS` steps; `spaces_of` replaces spaces, `early` ends the first row earlier.

    Attributes:
        seeds: What `reset` was given, in order.
        actions: What `step` was given.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self, rows: int = 2, *, early: bool = False, **spaces_of: spaces.Space[Any]):
        self.num_envs, self._early = rows, early
        glimpse = spaces.Box(0, 255, (SIZE, SIZE, 2), np.uint8)
        seen = {
            "glimpse": glimpse,
            "glimpse_pos": spaces.Box(-1, 1, (2,)),
            "time_step": spaces.Box(-1, 1, ()),
        }
        move = spaces.Box(np.array([0, -2], np.float32), np.array([4, 2], np.float32))
        answer = spaces.Box(-np.inf, np.inf, (2,))
        action = spaces.Dict(action=move, prediction=answer)
        self.single_observation_space = spaces_of.get("observation", spaces.Dict(seen))
        self.single_action_space = spaces_of.get("action", action)
        self.single_prediction_target_space = spaces_of.get("target", spaces.Discrete(2))
        self.observation_space = batch_space(self.single_observation_space, rows)
        self.action_space = batch_space(self.single_action_space, rows)
        self.seeds: list[int | None] = []
        self.actions: list[Any] = []
        self.classes, self.position, self.number = np.zeros(rows, int), np.zeros((rows, 2)), 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.classes = self.np_random.integers(2, size=self.num_envs)
        self.position = self.np_random.uniform(-1, 1, (self.num_envs, 2))
        self.number = 0
        return self._observe(), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        self.actions.append(actions)
        self.number += 1
        self.position = np.clip(self.position + actions["action"] / 10, -1, 1)
        over = np.full(self.num_envs, self.number >= STEPS)
        over[0] |= self._early and self.number == 1
        info = {"prediction": {"target": self.classes.copy()}}
        return self._observe(), np.zeros(self.num_envs), over, np.zeros_like(over), info

    def _observe(self) -> Any:
        glimpse = np.zeros((self.num_envs, SIZE, SIZE, 2), np.uint8)
        glimpse[..., 0] = 200 * self.classes[:, None, None]
        glimpse[..., 1] = self.number
        if not isinstance(self.single_observation_space, spaces.Dict):
            return glimpse
        time = np.full(self.num_envs, 2 * self.number / STEPS - 1, np.float32)
        place = self.position.astype(np.float32)
        return {"glimpse": glimpse, "glimpse_pos": place, "time_step": time}
