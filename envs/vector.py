"""Many images at a time: the Gymnasium vector environment."""

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from glimpse.batch_checks import check_step
from glimpse.drawing import draw_fixations

from .autoreset import Array, Autoreset, Observation
from .config import EnvConfig, build_core
from .spaces import Actions, check_indices, observation_space


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
        config = EnvConfig.of(options)
        self.core = build_core(config, num_envs)
        self._autoreset = Autoreset(self.core, autoreset_mode)
        self.autoreset_mode = self._autoreset.mode
        self.metadata = {
            "render_modes": ["rgb_array"],
            "render_fps": 2,
            "autoreset_mode": self.autoreset_mode,
        }
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.single_observation_space = observation_space(self.core)
        self._actions = Actions(self.core, config.grid)
        self.single_action_space = self._actions.space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
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
        return self._autoreset.reset(seed, options)

    def step(self, actions: Any) -> tuple[Observation, Array, Array, Array, dict[str, Any]]:
        """Look, answer if the environment judges, and begin anew where the mode says so.

        Raises:
            ValueError: The actions are of the wrong shape or NaN, `reset` was not called, or, with
                autoreset disabled, an episode that is over was not reset.
        """
        self._autoreset.check()
        look, answer = self._actions.to_core(actions, self.num_envs)
        core = self.core
        wanted = (self.num_envs, core.eye.action_size, core.scores, core.predict)
        return self._autoreset.step(
            lambda: core.step(look, answer), lambda: check_step(look, answer, *wanted)
        )

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
