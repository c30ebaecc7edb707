"""One image at a time: the Gymnasium environment."""

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from glimpse.drawing import draw_fixations

from .config import EnvConfig, build_core
from .spaces import Actions, check_indices, observation_space, target_of, to_numpy

Observation = dict[str, Any]  # arrays by name


class GlimpseEnv(gymnasium.Env[Observation, Any]):
    """Find out what an image shows by looking at it a few times.

    ## Action Space
    `Box(-1, 1, (2,))`: where to look next, `(x, y)`, x to the right and y downwards, 0 the image's
    centre and 1 as many pixels from it as `reach` says, by default its edge; with `stride` a move
    from where the eye is. With `zoom` a third number chooses the level, [-1, 1] divided evenly from
    the finest on; with `stop` a last one above 0 ends the episode. With `grid=g` all that is
    `Discrete`: one of g x g places (row by row from the top left) for each level, and the end.

    With `predict="flat"` n class scores follow, times 10 the logits of the answer; with a grid it
    is `MultiDiscrete`, the place and the class. With `predict="dict"` it is
    `Dict(action=..., prediction=Box(-inf, inf, (n,)))`, the prediction being logits.

    ## Observation Space
    | key        | shape          | range   | what it is                                           |
    | ---------- | -------------- | ------- | ---------------------------------------------------- |
    | `glimpse`  | (K, C, s, s)   | [0, 1]  | K windows around the location, finest first          |
    | `location` | (2,)           | [-1, 1] | where the glimpse was taken, in units of actions     |
    | `step`     | (1,)           | [0, T]  | how many glimpses there have been                    |
    | `zoom`     | (1,)           | [0, z)  | the level of zoom (only with `zoom=z` above 1)       |
    | `context`  | (C, c, c)      | [0, 1]  | the whole image, averaged (only with `context=c`)    |

    All are float32. After every `reset` and `step` `info["target"]` is what is right: the image's
    class, several in a sequence, or in a search the place `(x, y)` in [-1, 1] of the image. With
    `predict="dict"` a step's `info["prediction"]` holds it too, with the answer's `loss`, 1 that of
    who has seen nothing, and `info["base_reward"]` minus what the look cost: `ap_gym`'s words.

    ## Rewards
    0 with `predict="external"`: whoever predicts computes its own (`glimpse.rewards`). With `flat`
    and `dict` the reward of the answer about the glimpse seen last: `correct`, 1 if the last answer
    is right; `gain`, by how much the target's log-probability rose, in nats; `loss`, minus the
    answer's loss. In a search 1 for the first look of an action whose finest window covers the
    place. Always `cost` less for a look that an action chose.

    ## Starting State
    A random image of the split; the first glimpse at random, in the centre or, with
    `first="agent"`, an empty one at step 0, so that the first action says where it lies.

    ## Episode End
    With the last glimpse (`external`): T - 1 steps, or T with `first="agent"`. With `flat` and
    `dict` one step later: its location is ignored, its answer counts. Sooner with an action that
    stops, and in a search when the place is found. Episodes terminate, they are never truncated.

    ## Arguments
    Those of `EnvConfig`. `reset(options={"indices": [i]})` shows image number i.

    ## Version History
    * v0: the first.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 2}  # noqa: RUF012

    def __init__(self, *, render_mode: str | None = None, **options: Any) -> None:
        """Make the environment; `options` are those of `EnvConfig`.

        Raises:
            ValueError: An option does not fit; images are unknown or cannot be read.
        """
        config = EnvConfig.of(options)
        self.core = build_core(config, rows=1)
        self.render_mode = render_mode
        self.observation_space = observation_space(self.core)
        self._actions = Actions(self.core, config.grid)
        self.action_space = self._actions.space
        self._begun = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode: with a seed its first, without one the next of the same seed."""
        check_indices(self.core, options)
        super().reset(seed=seed)
        if seed is None and not self._begun:
            seed = int(self.np_random.integers(2**31))
        self._begun = True
        observation, info = self.core.reset(seed=seed, options=options)
        return self._row(observation), {"target": target_of(info)}

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Look, and answer if the environment judges.

        Raises:
            ValueError: The action is of the wrong shape or NaN, or `reset` was not called.
        """
        if isinstance(action, Mapping):
            action = {name: np.asarray(part)[None] for name, part in action.items()}
        else:
            action = np.asarray(action)[None]
        look, answer = self._actions.to_core(action, 1)
        observation, reward, over, _, raw = self.core.step(look, answer)
        info: dict[str, Any] = {"target": target_of(raw)}
        if "loss" in raw:
            info["prediction"] = {"target": target_of(raw), "loss": float(raw["loss"][0])}
            info["base_reward"] = 0 - float(raw["cost"][0])
        return self._row(observation), float(reward[0]), bool(over[0]), False, info

    def render(self) -> NDArray[np.uint8] | None:
        """Return the image with the windows of all scales and the path, (H, W, 3) uint8."""
        if self.render_mode is None:
            return None
        return np.asarray(
            draw_fixations(
                self.core.pixels(0),
                self.core.sensed[0],
                self.core.eye.at_level(int(self.core.level[0])),
                width=self.core.width(0),
            )
        )

    def _row(self, observation: dict[str, Any]) -> Observation:
        return {name: batch[0] for name, batch in to_numpy(observation).items()}
