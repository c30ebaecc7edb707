"""A frozen network that looks at one image again and again: the Gymnasium environment."""

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from glimpse.gain_drawing import draw_gains

from .feedback_config import FeedbackConfig, build_feedback, feedback_spaces, gains_of
from .spaces import check_indices, target_of, to_numpy

Observation = dict[str, Any]  # arrays by name


class FeedbackEnv(gymnasium.Env[Observation, Any]):
    """Help a frozen network to tell what an image shows, by a gain for each of its feature maps.

    ## Action Space
    `Box(0, A, (A,))`: the gains of the A maps of the gated layers, layer after layer, in the next
    pass; 1 leaves a map as it is. A is the largest gain that a softmax over the maps can give if
    its gains are 1 on average. Actions are clipped to that; NaN is refused.

    ## Observation Space
    | key           | shape | range   | what it is                                             |
    | ------------- | ----- | ------- | ------------------------------------------------------ |
    | `activation`  | (A,)  | any     | the mean of every map over the image, after its gain   |
    | `probability` | (n,)  | [0, 1]  | what the network makes of the n classes                |
    | `step`        | (1,)  | [0, T]  | how many passes have followed the first                |

    All are float32 and of the last pass. After every `reset` and `step` `info["target"]` is the
    image's class.

    ## Rewards
    0, but for the last pass: `log_loss`, the target's log-probability, times `boost` if the answer
    is right: minus the paper's loss; `correct`, 1 if the answer is right.

    ## Starting State
    A random image of the split, after a pass with all gains 1.

    ## Episode End
    With the T-th pass that followed. Episodes terminate, they are never truncated.

    ## Arguments
    Those of `FeedbackConfig`. `reset(options={"indices": [i]})` shows image number i.

    ## Version History
    * v0: the first.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 2}  # noqa: RUF012

    def __init__(self, *, render_mode: str | None = None, **options: Any) -> None:
        """Make the environment; `options` are those of `FeedbackConfig`.

        Raises:
            ValueError: An option does not fit; the base or images are unknown or cannot be read.
        """
        self.core = build_feedback(FeedbackConfig.of(options), rows=1)
        self.render_mode = render_mode
        self.observation_space, self.action_space = feedback_spaces(self.core)
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
        return _row(observation), {"target": target_of(info)}

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Look again with these gains.

        Raises:
            ValueError: The action is of the wrong shape or NaN, or `reset` was not called.
        """
        gains = gains_of(np.asarray(action)[None], self.core, 1)
        observation, reward, over, _, info = self.core.step(gains)
        told = {"target": target_of(info)}
        return _row(observation), float(reward[0]), bool(over[0]), False, told

    def render(self) -> NDArray[np.uint8] | None:
        """Return the image and, beside it, the gains of the last pass, (H, W, 3) uint8."""
        if self.render_mode is None:
            return None
        return draw_gains(self.core, 0)


def _row(observation: dict[str, Any]) -> Observation:
    return {name: batch[0] for name, batch in to_numpy(observation).items()}
