"""Any environment that shows images, seen through glimpses: the wrapper for a vector of them."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from jaxtyping import Bool, Shaped
from numpy.typing import NDArray

from glimpse.sensor import GlimpseSensor

from .gaze import Gaze
from .layout import FrameLayout
from .looks import join
from .wrapper import check_render_mode, frame_space
from .wrapper_config import WrapperConfig, as_sensor, join_spaces

Array = NDArray[Any]
Observation = dict[str, Any]


class GlimpseVectorWrapper(VectorWrapper[Observation, Any, Any, Any, Array]):
    """`GlimpseWrapper` for a vector environment: all images are looked at in one call.

    Row b sees what `GlimpseWrapper` would let its environment see, to the last bit. Where an
    episode ends, the eye begins with the next episode: with autoreset mode `NextStep` in the step
    that resets the row, whose look is ignored; with `SameStep` in the last step, and
    `info["final_obs"]` holds what the eye saw at the end; with `Disabled` when
    `reset(options={"reset_mask": ...})` names the row.

    Args:
        env: The vector environment, with images of one size, uint8 or float in [0, 1].
        sensor: What one look sees; or its options by name.
        image: The observation, or the frames that `env.render()` returns; those of `SameStep` are
            gone before they can be looked at.
        key: These and all the others are as in `GlimpseWrapper`.
        channels: See there.
        view: See there.
        context: See there.
        first: See there; row b with seed s begins as one environment with seed s + b.
        stride: See there.
        reach: See there.
        actions: See there.
        grid: See there.

    Raises:
        ValueError: The environment shows no images there, or is none or a single one; an option
            does not fit; a key is taken.
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        sensor: GlimpseSensor | Mapping[str, Any],
        *,
        image: Literal["observation", "render"] = "observation",
        key: str | None = None,
        channels: Literal["first", "last"] | None = None,
        view: Literal["glimpse", "mask"] = "glimpse",
        context: int | None = None,
        first: Literal["centre", "random"] = "centre",
        stride: float | None = None,
        reach: float | None = None,
        actions: Literal["dict", "flat"] = "dict",
        grid: int = 5,
    ) -> None:
        if not isinstance(env, VectorEnv):
            raise ValueError(
                f"`env` must be a gymnasium.vector.VectorEnv, got a {type(env).__name__}: of a "
                "single environment use GlimpseWrapper"
            )
        config = WrapperConfig(
            sensor=as_sensor(sensor),
            image=image,
            key=key,
            channels=channels,
            view=view,
            context=context,
            first=first,
            stride=stride,
            reach=reach,
            actions=actions,
            grid=grid,
        )
        super().__init__(env)
        self._mode = self._autoreset_mode(config)
        layout = FrameLayout.of(self._image_space(config), channels)
        self._gaze = Gaze(config, layout, env.num_envs)
        single, batched = env.single_observation_space, env.observation_space
        seen = self._gaze.spaces
        self.single_observation_space = join_spaces(config.beside(single), seen)
        self.observation_space = join_spaces(
            config.beside(batched),
            {name: batch_space(space, env.num_envs) for name, space in seen.items()},
        )
        self._looks = join(env.single_action_space, actions, grid)
        self.single_action_space = self._looks.space
        self.action_space = batch_space(self._looks.space, env.num_envs)
        self._frames: Array | None = None
        self._over = np.zeros(env.num_envs, dtype=np.bool_)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: Any = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin episodes, in all rows or in those of `options["reset_mask"]`."""
        mask = (options or {}).get("reset_mask")
        begun = np.arange(self.num_envs) if mask is None else np.flatnonzero(mask)
        given: Any = seed
        # Gymnasium takes the mask out of what it is given.
        observation, info = self.env.reset(seed=given, options=options and dict(options))
        seeds = [seed + row for row in range(self.num_envs)] if isinstance(seed, int) else seed
        for row, own in enumerate([] if seeds is None else seeds):
            if own is not None and row in begun:
                self._gaze.seed(row, own)
        self._gaze.begin(begun)
        self._over[begun] = False
        return self._observe(observation), info

    def step(self, actions: Any) -> tuple[Observation, Array, Array, Array, dict[str, Any]]:
        """Take the environments' steps, then look at what they show.

        Raises:
            ValueError: The actions are of another form or shape, a look is NaN, or `reset` was not
                called.
        """
        if self._frames is None:
            raise ValueError("`reset` must come before `step`, got a step: call reset(seed=0)")
        own, looks = self._looks.split(actions, (self.num_envs,))
        observation, rewards, over, truncated, info = self.env.step(own)
        self._gaze.move(looks)
        begun, self._over = self._over, np.logical_or(over, truncated)
        if self._mode is AutoresetMode.SAME_STEP:
            begun = self._over
            info = self._final(info, begun)
        self._gaze.begin(np.flatnonzero(begun))
        return self._observe(observation), rewards, over, truncated, info

    def render(self) -> Any:
        """Return what each row looks at with its windows drawn over it, (H, W, 3) uint8.

        With another render mode than `rgb_array` those are the environment's own pictures.
        """
        if self.render_mode != "rgb_array":
            return self.env.render()
        if self._frames is None:
            raise ValueError("`reset` must come first, got no image to show: call reset(seed=0)")
        return tuple(self._gaze.draw(frame, row) for row, frame in enumerate(self._frames))

    def _autoreset_mode(self, config: WrapperConfig) -> AutoresetMode:
        mode = (self.env.metadata or {}).get("autoreset_mode")
        if not isinstance(mode, AutoresetMode):
            raise ValueError(
                "`metadata['autoreset_mode']` of the environment must be a "
                f"gymnasium.vector.AutoresetMode, got {mode!r}: say what follows an episode's end"
            )
        if config.rendered and mode is AutoresetMode.SAME_STEP:
            raise ValueError(
                '`autoreset_mode` must be NextStep or Disabled with image="render", got SameStep: '
                "the last frame of an episode would never be seen"
            )
        return mode

    def _image_space(self, config: WrapperConfig) -> spaces.Space[Any]:
        if not config.rendered:
            return config.image_space(self.env.single_observation_space)
        check_render_mode(self.render_mode)
        self.env.reset()
        frames: Any = self.env.render()
        return frame_space(frames[0])

    def _observe(self, observation: Any) -> Observation:
        config = self._gaze.config
        if config.rendered:
            rendered: Any = self.env.render()
            frames = _stack(rendered)
        else:
            frames = np.asarray(config.shown(observation))
        seen = self._gaze.see(frames, np.arange(self.num_envs))
        # The environment may go on writing where it wrote these.
        self._frames = frames.copy() if self.render_mode == "rgb_array" else frames
        return {**config.beside(observation), **seen}

    def _final(self, info: dict[str, Any], ended: Bool[np.ndarray, "B"]) -> dict[str, Any]:
        """Return the info with what the eyes saw at the end of the episodes that ended."""
        rows, config = np.flatnonzero(ended), self._gaze.config
        if len(rows) == 0:
            return info
        last = info["final_obs"]
        seen = self._gaze.see(_stack([config.shown(last[row]) for row in rows]), rows)
        final = np.full(self.num_envs, None, dtype=np.object_)
        for at, row in enumerate(rows):
            mine = {name: part[at] for name, part in seen.items()}
            final[row] = {**config.beside(last[row]), **mine}
        return {**info, "final_obs": final}


def _stack(frames: Sequence[Array]) -> Shaped[np.ndarray, "R ..."]:
    shapes = list(dict.fromkeys(np.shape(frame) for frame in frames))
    if len(shapes) > 1:
        raise ValueError(
            f"images of all environments must have one shape, got {shapes[0]} and {shapes[1]}: "
            "resize them"
        )
    return np.stack(frames)
