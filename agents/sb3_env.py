"""Any Gymnasium vector environment for stable-baselines3, which refuses them as they are.

stable-baselines3 has a vector interface of its own, `VecEnv`, older than Gymnasium's: one `info`
for each environment, and what an episode ended with inside of it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

Indices = int | Iterable[int] | None
Observations = NDArray[Any] | dict[str, NDArray[Any]]


class SB3VecEnv(VecEnv):
    """A Gymnasium vector environment as stable-baselines3 wants it, without one copy a row.

    Args:
        env: The environment; an episode's last step must begin the next one.

    Attributes:
        env: As given.
        info: What the environment said last, for all rows together, `target` for instance.
            stable-baselines3's own `infos` tell only how episodes ended.

    Raises:
        ValueError: The environment is no vector environment, or begins episodes later.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        if not isinstance(env, VectorEnv):
            raise ValueError(
                f"`env` must be a Gymnasium vector environment, got a {type(env).__name__}: make "
                'it with gymnasium.make_vec(..., autoreset_mode="SameStep")'
            )
        mode = (env.metadata or {}).get("autoreset_mode")
        if mode is not AutoresetMode.SAME_STEP:
            raise ValueError(
                "`autoreset_mode` must be SameStep for stable-baselines3, got "
                f"{mode.value if isinstance(mode, AutoresetMode) else mode}: make the environment "
                'with gymnasium.make_vec(..., autoreset_mode="SameStep")'
            )
        self.env, self.info = env, dict[str, Any]()
        self._wanted: dict[str, Any] | None = None
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> Observations:
        """Begin episodes, with the seed and options that `seed` and `set_options` were told."""
        observations: Observations
        observations, self.info = self.env.reset(seed=self._seeds[0], options=self._wanted)
        self._wanted = None
        self._reset_seeds()
        return observations

    def set_options(self, options: list[dict[str, Any]] | dict[str, Any] | None = None) -> None:
        """Keep options for the next `reset`: those of the whole vector environment.

        Raises:
            ValueError: There is one dict for each row.
        """
        if isinstance(options, list):
            raise ValueError(
                "options must be one dict for all rows, got a list: they are one environment"
            )
        self._wanted = options

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions."""
        self._actions = actions

    def step_wait(
        self,
    ) -> tuple[Observations, NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Take the step."""
        observations, rewards, over, cut, self.info = self.env.step(self._actions)
        done = np.logical_or(over, cut)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if done.any():
            last = self.info["final_obs"]
            for row in np.flatnonzero(done):
                infos[row] = {
                    "terminal_observation": last[row],
                    "TimeLimit.truncated": bool(cut[row] and not over[row]),
                }
        return observations, rewards.astype(np.float32), done, infos

    def close(self) -> None:
        """Close the environment."""
        self.env.close()

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """Return a picture of every row."""
        pictures: Any = self.env.render()
        return [None] * self.num_envs if pictures is None else list(pictures)

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """Return an attribute of the vector environment, once for each row asked for."""
        value = getattr(self._owner(attr_name), attr_name)
        return [value] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Set an attribute of the vector environment.

        Raises:
            ValueError: It shall be set for some rows only.
        """
        if indices is not None and len(list(self._get_indices(indices))) != self.num_envs:
            raise ValueError(
                f"`{attr_name}` must be set for all rows, got some: they are one environment"
            )
        setattr(self._owner(attr_name), attr_name, value)

    def _owner(self, attr_name: str) -> VectorEnv[Any, Any, Any]:
        """Return the first of the environment and what it wraps that has an attribute."""
        env = self.env
        while isinstance(env, VectorWrapper) and attr_name not in dir(env):
            env = env.env
        return env

    def env_method(
        self, method_name: str, *method_args: Any, indices: Indices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Refuse: rows have no methods.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            f"`{method_name}` must be called on the vector environment, got a call on its rows: "
            f"use .env.{method_name}(...)"
        )

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: Indices = None
    ) -> list[bool]:
        """Say no: rows are not wrapped one by one."""
        return [False] * len(list(self._get_indices(indices)))
