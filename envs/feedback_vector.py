"""A frozen network that looks at many images again and again: the Gymnasium vector environment."""

from typing import Any

from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from glimpse.batch_checks import check_gains
from glimpse.gain_drawing import draw_gains

from .autoreset import Array, Autoreset, Observation
from .feedback_config import FeedbackConfig, build_feedback, feedback_spaces, gains_of
from .spaces import check_indices


class FeedbackVectorEnv(VectorEnv[Observation, Any, Array]):
    """`FeedbackEnv` for many images at once, on one engine: `core`, which speaks torch.

    Row b of `reset(seed=s)` begins the episode that `FeedbackEnv.reset(seed=s + b)` begins, unless
    it is a copy of another row. `info["target"]` (B,) are the classes of the images in the
    observation beside it.

    Args:
        num_envs: How many rows B.
        render_mode: `rgb_array` or None.
        autoreset_mode: What follows the end of an episode, as in `GlimpseVectorEnv`.
        options: Those of `FeedbackConfig`.

    Raises:
        ValueError: An option does not fit; the base or images are unknown or cannot be read.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        render_mode: str | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        **options: Any,
    ) -> None:
        self.core = build_feedback(FeedbackConfig.of(options), num_envs)
        self._autoreset = Autoreset(self.core, autoreset_mode)
        self.autoreset_mode = self._autoreset.mode
        self.metadata = {
            "render_modes": ["rgb_array"],
            "render_fps": 2,
            "autoreset_mode": self.autoreset_mode,
        }
        self.num_envs, self.render_mode = num_envs, render_mode
        self.single_observation_space, self.single_action_space = feedback_spaces(self.core)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._begun = False

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
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
        """Look again with these gains, and begin anew where the mode says so.

        Raises:
            ValueError: The actions are of the wrong shape or NaN, `reset` was not called, or, with
                autoreset disabled, an episode that is over was not reset.
        """
        self._autoreset.check()
        core, gains = self.core, gains_of(actions, self.core, self.num_envs)
        return self._autoreset.step(
            lambda: core.step(gains), lambda: check_gains(gains, self.num_envs, core.maps)
        )

    def render(self) -> tuple[Array, ...] | None:
        """Return a picture of every row, each (H, W, 3) uint8."""
        if self.render_mode is None:
            return None
        return tuple(draw_gains(self.core, row) for row in range(self.num_envs))
