"""Any environment that shows images, seen through glimpses: the wrapper for a single one."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from glimpse.sensor import GlimpseSensor

from .gaze import Gaze
from .layout import FrameLayout
from .looks import join
from .wrapper_config import WrapperConfig, as_sensor, join_spaces

Observation = dict[str, Any]
_ONLY = np.array([0])  # the one row


class GlimpseWrapper(
    gymnasium.Wrapper[Observation, Any, Any, Any],
    RecordConstructorArgs,
):
    """Let an environment be seen through glimpses only.

    A step takes the environment's own step first; then the eye moves to where the same action says
    and looks at the new image. Reward, end and `info` are the environment's.

    ## Action Space
    `actions="dict"`: `Dict(action=the environment's own, look=Box(-1, 1, (2,)))`. Without a stride
    `look` is a location `(x, y)`, x to the right and y downwards, 0 the image's centre and 1 as
    many pixels from it as `reach` says, by default its edge. With a stride it is a move: 1 is so
    many pixels. Looks are clipped to [-1, 1] and the eye stays within reach; NaN is refused.

    `actions="flat"`: one array. Of an environment with `Box(n)`: `Box(n + 2)`, the look last. With
    `Discrete` or `MultiDiscrete`: `MultiDiscrete([..., grid, grid])`, every number from 0, at the
    end the column and the row of a cell whose centre is the look: of 5 cells a side they lie at
    -0.8, -0.4, 0, 0.4, 0.8.

    ## Observation Space
    | key           | shape        | range   | what it is                                          |
    | ------------- | ------------ | ------- | --------------------------------------------------- |
    | `glimpse`     | (K, C, s, s) | [0, 1]  | K windows around the location, finest first         |
    | `image`       | as it was    | [0, 1]  | instead with `view="mask"`: the whole image, black  |
    |               |              | or 255  | beyond all windows, else as the finest shows it     |
    | `location`    | (2,)         | [-1, 1] | where the eye rests, in units of actions            |
    | `context`     | (C, c, c)    | [0, 1]  | the whole image, averaged (only with `context=c`)   |
    | the others    |              |         | of a `Dict` observation, unchanged                  |
    | `observation` |              |         | with `image="render"`: the whole, if it has no keys |

    `glimpse`, `location` and `context` are float32.

    ## Rewards
    The environment's.

    ## Starting State
    The environment's; the eye in the centre, or at random.

    ## Episode End
    The environment's.

    ## Arguments
    See `__init__`.

    ## Version History
    * v0: the first.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
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
        """Wrap an environment.

        Args:
            env: The environment, with images of one size, uint8 or float in [0, 1].
            sensor: What one look sees; or its options by name, as in a spec.
            image: What is looked at: the observation, or the frame that `env.render()` returns; to
                learn its size the environment is reset and rendered once.
            key: Which part of a `Dict` observation is the image.
            channels: Where an image of three axes has its channels; None: at the one end of at most
                4. Stacked frames count as channels.
            view: What is seen: windows, or the whole image with all else in black.
            context: Height and width c of the area-averaged whole image that is seen beside, in
                pixels; None: it is not seen.
            first: Where the eye rests when an episode begins. What is random follows from the seed
                of `reset` and changes nothing of the environment's own chance.
            stride: How many pixels an action of 1 moves the eye; None: actions are locations.
            reach: How many pixels from the image's centre the eye may go; None: to its edge.
            actions: A `Dict`, or all in one array.
            grid: How many cells a side the looks have where a flat action is of whole numbers; with
                a stride the middle one of an odd number stays.

        Raises:
            ValueError: The environment shows no images there, or is a vector environment; an option
                does not fit; a key is taken.
        """
        if not isinstance(env, gymnasium.Env):
            raise ValueError(
                f"`env` must be a gymnasium.Env, got a {type(env).__name__}: of a vector of them "
                "use GlimpseVectorWrapper"
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
        RecordConstructorArgs.__init__(self, **asdict(config))
        gymnasium.Wrapper.__init__(self, env)
        self._gaze = Gaze(config, FrameLayout.of(self._image_space(config), channels), rows=1)
        self.observation_space = join_spaces(
            config.beside(env.observation_space), self._gaze.spaces
        )
        self._looks = join(env.action_space, actions, grid)
        self.action_space = self._looks.space
        self._image: NDArray[Any] | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode and look where it begins."""
        observation, info = self.env.reset(seed=seed, options=options)
        if seed is not None:
            self._gaze.seed(0, seed)
        self._gaze.begin(_ONLY)
        return self._observe(observation), info

    def step(self, action: Any) -> tuple[Observation, Any, bool, bool, dict[str, Any]]:
        """Take the environment's step, then look at what it shows.

        Raises:
            ValueError: The action is of another form or shape, its look is NaN, or `reset` was not
                called.
        """
        if self._image is None:
            raise ValueError("`reset` must come before `step`, got a step: call reset(seed=0)")
        own, look = self._looks.split(action, ())
        observation, reward, over, truncated, info = self.env.step(own)
        self._gaze.move(look[None])
        return self._observe(observation), reward, over, truncated, info

    def render(self) -> Any:
        """Return what is looked at with the windows drawn over it, (H, W, 3) uint8.

        With another render mode than `rgb_array` that is the environment's own picture.
        """
        if self.render_mode != "rgb_array":
            return self.env.render()
        if self._image is None:
            raise ValueError("`reset` must come first, got no image to show: call reset(seed=0)")
        return self._gaze.draw(self._image, 0)

    def _image_space(self, config: WrapperConfig) -> spaces.Space[Any]:
        if not config.rendered:
            return config.image_space(self.env.observation_space)
        check_render_mode(self.render_mode)
        self.env.reset()
        return frame_space(self.env.render())

    def _observe(self, observation: Any) -> Observation:
        config = self._gaze.config
        image = np.asarray(self.env.render() if config.rendered else config.shown(observation))
        seen = self._gaze.see(image[None], _ONLY)
        # The environment may go on writing where it wrote this.
        self._image = image.copy() if self.render_mode == "rgb_array" else image
        return {**config.beside(observation), **{name: part[0] for name, part in seen.items()}}


def check_render_mode(mode: str | None) -> None:
    """Refuse to look at what is rendered where it is no array.

    Raises:
        ValueError: The mode is another.
    """
    if mode != "rgb_array":
        raise ValueError(
            f"`render_mode` must be 'rgb_array' to look at what is rendered, got {mode!r}: make "
            'the environment with render_mode="rgb_array"'
        )


def frame_space(frame: Any) -> spaces.Space[Any]:
    """Return the space of what an environment renders.

    Raises:
        ValueError: It is no picture of bytes.
    """
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8:
        got = frame.dtype if isinstance(frame, np.ndarray) else type(frame).__name__
        raise ValueError(
            f"`env.render()` must return an array of uint8, got {got}: look at the observation"
        )
    return spaces.Box(0, 255, frame.shape, np.uint8)
