"""Many images at a time: the Gymnasium vector environment."""

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from glimpse.batch_checks import check_step
from glimpse.checks import check_name
from glimpse.drawing import draw_fixations

from .config import EnvConfig, build_core
from .spaces import Actions, check_indices, observation_space, to_numpy

Array = NDArray[Any]
Observation = dict[str, Any]  # arrays by name


class GlimpseVectorEnv(VectorEnv[Observation, Any, Array]):
    """`GlimpseEnv` for many images at once, on one engine: `core`, which speaks torch.

    Row b of `reset(seed=s)` begins the episode that `GlimpseEnv.reset(seed=s + b)` begins, unless
    it is a copy of another row. `info` holds `target`, what is right (B, ...) of the images in the
    observation beside it, as the task has it.

    Args:
        num_envs: How many rows B.
        render_mode: `rgb_array` or None.
        autoreset_mode: What follows the end of an episode: `NextStep`, the next step begins
            another; `SameStep`, the last step does, and `info["final_obs"]` and
            `info["final_info"]` hold the end; `Disabled`, the caller resets with
            `options={"reset_mask": ...}`.
        options: Those of `EnvConfig`.

    Raises:
        ValueError: An option does not fit; images are unknown or cannot be read.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        render_mode: str | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        **options: Any,
    ) -> None:
        modes = {mode.value: mode for mode in AutoresetMode}
        mode = autoreset_mode.value if isinstance(autoreset_mode, AutoresetMode) else autoreset_mode
        check_name("autoreset_mode", mode, modes)
        self.autoreset_mode = modes[mode]
        self.metadata = {
            "render_modes": ["rgb_array"],
            "render_fps": 2,
            "autoreset_mode": self.autoreset_mode,
        }
        config = EnvConfig.of(options)
        self.core = build_core(config, num_envs)
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.single_observation_space = observation_space(self.core)
        self._actions = Actions(self.core, config.grid)
        self.single_action_space = self._actions.space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._over = np.zeros(num_envs, dtype=np.bool_)
        self._begun = False

    def reset(
        self,
        *,
        seed: int | list[int] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin episodes, in all rows or in those of `options["reset_mask"]`.

        Raises:
            ValueError: An option is unknown or of the wrong shape.
        """
        check_indices(self.core, options)
        super().reset(seed=seed if isinstance(seed, int) else None)
        if seed is None and not self._begun:
            seed = int(self.np_random.integers(2**31))
        self._begun = True
        mask = (options or {}).get("reset_mask")
        observation, info = self.core.reset(seed=seed, options=options)
        self._over[slice(None) if mask is None else np.asarray(mask, dtype=np.bool_)] = False
        return to_numpy(observation), self._info(info)

    def step(self, actions: Any) -> tuple[Observation, Array, Array, Array, dict[str, Any]]:
        """Look, answer if the environment judges, and begin anew where the mode says so.

        Raises:
            ValueError: The actions are of the wrong shape or NaN, `reset` was not called, or, with
                autoreset disabled, an episode that is over was not reset.
        """
        if self.autoreset_mode is AutoresetMode.DISABLED and self._over.any():
            raise ValueError(
                f"episodes must be reset when they are over, got row {int(self._over.argmax())}: "
                'call reset(options={"reset_mask": terminations})'
            )
        look, answer = self._actions.to_core(actions, self.num_envs)
        if self._over.all():  # all only wait for their reset: no look is needed before it
            core = self.core
            size = core.eye.action_size
            check_step(look, answer, self.num_envs, size, core.scores, core.predict)
            observation, raw = self.core.reset()
            self._over, terminations, truncations = np.zeros((3, self.num_envs), dtype=np.bool_)
            nothing = np.zeros(self.num_envs)
            return to_numpy(observation), nothing, terminations, truncations, self._info(raw)
        observation, reward, over, truncated, raw = self.core.step(look, answer)
        ended = (
            over.numpy(force=True) & ~self._over
        )  # rows that were over only wait for their reset
        begin, final = self._over, {}
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            begin = ended
            final = self._final(observation, raw, ended)
        if begin.any():
            observation, fresh = self.core.reset(options={"reset_mask": begin})
            raw = {**raw, **fresh}
        self._over = ended & ~begin
        rewards = reward.numpy(force=True).astype(np.float64)
        info = {**self._info(raw, answered=~begin), **final}
        return to_numpy(observation), rewards, ended, truncated.numpy(force=True), info

    def render(self) -> tuple[Array, ...] | None:
        """Return a picture of every row, each (H, W, 3) uint8."""
        if self.render_mode is None:
            return None
        sensed, levels = self.core.sensed, self.core.level.tolist()
        return tuple(
            np.asarray(
                draw_fixations(
                    self.core.pixels(row),
                    sensed[row],
                    self.core.eye.at_level(levels[row]),
                    width=self.core.width(row),
                )
            )
            for row in range(self.num_envs)
        )

    def _info(
        self,
        info: dict[str, Any],
        rows: NDArray[np.bool_] | None = None,
        answered: NDArray[np.bool_] | None = None,
    ) -> dict[str, Any]:
        """Return what is known, with Gymnasium's masks that say of which rows.

        Args:
            info: What the engine says.
            rows: Those that it is about; None: all.
            answered: Those of them whose answer was judged; None: all.
        """
        known = np.ones(self.num_envs, dtype=np.bool_) if rows is None else rows
        judged = known if answered is None else known & answered
        arrays = to_numpy(info)
        told: dict[str, Any] = {"target": arrays["target"], "_target": known.copy()}
        if "loss" in arrays:  # in `ap_gym`'s words
            told["prediction"] = {name: arrays[name] for name in ("target", "loss")}
            told |= {"_prediction": judged.copy(), "base_reward": 0 - arrays["cost"]}
            told["_base_reward"] = judged.copy()
        return told

    def _final(
        self, observation: dict[str, Any], info: dict[str, Any], ended: NDArray[np.bool_]
    ) -> dict[str, Any]:
        """Return what Gymnasium keeps of the episodes that ended in this step."""
        if not ended.any():
            return {}
        last = to_numpy(observation)
        observations = np.full(self.num_envs, None, dtype=object)
        for row in np.flatnonzero(ended):
            observations[row] = {name: batch[row] for name, batch in last.items()}
        return {
            "final_obs": observations,
            "_final_obs": ended.copy(),
            "final_info": self._info(info, ended),
            "_final_info": ended.copy(),
        }
