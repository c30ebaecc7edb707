"""The classes of `active_form`: subclasses of `ap_gym`'s, made when they are first asked for.

Convention:
    A base is `ap_gym`'s class; its `step` calls `_step`, reckons the loss of the answer against the
    target that `_step` returns, and pays the base reward minus that.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .single import GlimpseEnv
from .spaces import check_parts
from .vector import GlimpseVectorEnv

Array = NDArray[Any]
Told = dict[str, Any]


@cache
def single_form(base: Any) -> Any:
    """Return the class of single environments, made when first asked for."""

    class ActiveGlimpseEnv(base):  # type: ignore[misc]
        """`GlimpseEnv` as an `ActiveClassificationEnv`."""

        def __init__(self, env: GlimpseEnv) -> None:
            self.env, self._told = env, Told()
            look = env.action_space["action"]  # type: ignore[index]
            super().__init__(env.core.scores, look)
            self.observation_space = env.observation_space
            self.metadata, self.render_mode = env.metadata, env.render_mode

        def reset(self, *, seed: int | None = None, options: Told | None = None) -> Any:
            super().reset(seed=seed)
            observation, info = self.env.reset(seed=seed, options=options)
            return observation, info | _nothing(info["target"])

        def step(self, action: Any) -> tuple[Any, float, bool, bool, Told]:
            check_parts(action)
            observation, reward, over, cut, info = super().step(action)
            return observation, float(reward), over, cut, {**self._told, **info}

        def _step(self, action: Any, prediction: Any) -> tuple[Any, ...]:
            parts = {"action": action, "prediction": prediction}
            observation, _, over, cut, self._told = self.env.step(parts)
            target = np.int64(self._told["target"])
            return observation, self._told["base_reward"], over, cut, {}, target

        def render(self) -> Any:
            return self.env.render()

        def close(self) -> None:
            self.env.close()

    return ActiveGlimpseEnv


@cache
def vector_form(base: Any) -> Any:
    """Return the class of vector environments, made when first asked for."""

    class ActiveGlimpseVectorEnv(base):  # type: ignore[misc]
        """`GlimpseVectorEnv` as an `ActiveClassificationVectorEnv`."""

        def __init__(self, env: GlimpseVectorEnv) -> None:
            self.env = env
            look = env.single_action_space["action"]  # type: ignore[index]
            super().__init__(env.num_envs, env.core.scores, look)
            self.single_observation_space = env.single_observation_space
            self.observation_space = env.observation_space
            self.metadata, self.render_mode = env.metadata, env.render_mode

        def reset(self, *, seed: int | list[int] | None = None, options: Told | None = None) -> Any:
            super().reset(seed=seed if isinstance(seed, int) else None)
            observation, info = self.env.reset(seed=seed, options=options)
            return observation, info | _nothing(info["target"])

        def step(self, actions: Any) -> tuple[Any, Array, Array, Array, Told]:
            check_parts(actions)
            observation, reward, over, cut, info = super().step(actions)
            judged, answer = info["_prediction"], info["prediction"]
            answer["loss"] = np.where(judged, answer["loss"], 0.0)
            return observation, np.where(judged, reward, 0.0), over, cut, info

        def _step(self, action: Any, prediction: Any) -> tuple[Any, ...]:
            parts = {"action": action, "prediction": prediction}
            observation, _, over, cut, info = self.env.step(parts)
            base, target, judged = _judged(info, self.num_envs)
            info |= {"_prediction": judged, "_base_reward": judged.copy()}
            return observation, base, over, cut, info, target

        def render(self) -> Any:
            return self.env.render()

        def close_extras(self, **options: Any) -> None:
            self.env.close()

    return ActiveGlimpseVectorEnv


def _nothing(target: Any) -> Told:
    """Return what a step tells, before any answer: a SyncVectorEnv begins episodes in steps."""
    zero, target = np.zeros(np.shape(target))[()], np.array(target)[()]
    answer = {"target": target, "loss": np.copy(zero)[()], "metrics": Told()}
    return {"base_reward": zero, "prediction": answer}


def _judged(info: Told, rows: int) -> tuple[Array, Array, Array]:
    """Return base rewards, the targets that answers are about, and which rows had an answer."""
    base = np.array(info.get("base_reward", np.zeros(rows)), dtype=np.float64)
    target = info["target"].copy()
    judged = info.get("_prediction", np.zeros(rows, dtype=np.bool_))
    if "final_info" in info:  # the next episode has begun; the answer is about the one that ended
        ended = info["_final_info"]
        judged, target = judged | ended, np.where(ended, info["final_info"]["target"], target)
    return base, target, judged
