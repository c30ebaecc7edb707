"""Environments of `ap_gym` for our learners: a vector environment of theirs as a batch of episodes.

Convention:
    Theirs observe `glimpse` (B, H, W, C), `glimpse_pos` (B, 2) and `time_step` (B,); ours `glimpse`
    (B, 1, C, s, s), `location` (B, 2) and `step` (B, 1), the glimpses counted from 1. An answer
    comes with every action of theirs and is about the glimpse seen before it, so T steps judge T
    glimpses: that of `reset` and those of the first T - 1 moves. The last step brings an answer and
    its move is never seen; here the learner judges, and that step is not played.
    An action of 1 is the end of the environment's action space.

Source: `ap_gym` 0.7 (https://github.com/TimSchneider42/active-perception-gym).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from jaxtyping import Float, Float32, Int64
from numpy.typing import NDArray
from torch import Tensor

from glimpse.checks import check_count, check_name
from glimpse.episodes import Info, Observation
from glimpse.eye import Eye
from glimpse.image_set import SPLITS
from glimpse.randomness import derive_seed
from glimpse.sensor import GlimpseSensor
from glimpse.tasks import Classification

from .active_spaces import Pictures, checked_spaces, pictures_of, to_glimpse

Array = NDArray[Any]
# What tells evaluation's seeds from all others, which are made of fewer numbers.
_EVALUATION = 2**40


@dataclass(frozen=True)
class ActivePool:
    """What stands for images: `ap_gym` draws its own, so there is one index and it says nothing.

    Attributes:
        splits: The one index, in every split.
    """

    splits: Mapping[str, Int64[Tensor, "M"]]


class ActiveBatch:
    """Episodes of an `ap_gym` classification environment; an `EpisodeBatch`, on the CPU.

    The learner judges its own answers: the environment is told none, and its rewards are not read.
    All rows begin together with `reset(seed=...)`, and a batch of episodes is a function of its
    first row's seed. Prefetched images are thrown away at every such reset: make `ap_gym`'s image
    environments with `prefetch=False`, which is more than twice as fast.

    Args:
        make: Makes the vector environment; called once more for every `twin`.
        episodes: How many episodes `sweep` begins at least: `ap_gym` draws them anew, and has no
            last image.
        glimpses: How many steps T an episode has; by default one is played to count them.
        classes: The names of the answers; by default their numbers.

    Raises:
        ValueError: It makes no vector environment, one that wants no class or moves in no plane,
            shows no square glimpse, or shows more than glimpse, position and time.

    Example:
        `ActiveBatch(lambda: gymnasium.make_vec("CircleSquare-v0", 128))`
    """

    copies, split, predict, cost = 1, "train", "external", 0.0

    def __init__(
        self,
        make: Callable[[], VectorEnv[Any, Any, Any]],
        *,
        episodes: int = 5000,
        glimpses: int | None = None,
        classes: tuple[str, ...] | None = None,
    ) -> None:
        check_count(1, episodes=episodes)
        self._make, self._episodes, self.env = make, episodes, make()
        size, channels, count = checked_spaces(self.env)
        box = self.env.single_action_space["action"]  # type: ignore[index]
        self._centre, self._half = (box.high + box.low) / 2, (box.high - box.low) / 2
        self._answer = np.zeros((self.env.num_envs, count), dtype=np.float32)
        self.rows, self.device = self.env.num_envs, torch.device("cpu")
        self.task = Classification(classes or tuple(str(number) for number in range(count)))
        if self.task.scores != count:
            raise ValueError(
                f"`classes` must be {count} names, got {self.task.scores}: name every class"
            )
        self._pictures: Pictures | None = pictures_of(self.env)
        self._seed, self._looks, self._label = 0, 0, torch.empty(0, dtype=torch.int64)
        self._trail = torch.empty(0, 0, 2)
        if glimpses is None:
            glimpses = self._count_steps()
        self.eye = Eye(sensor=GlimpseSensor(size), glimpses=glimpses)
        only = torch.zeros(1, dtype=torch.int64)
        self.images = ActivePool(dict.fromkeys(SPLITS, only))
        self.channels = channels
        self._shape = self._pictures.shape if self._pictures else (channels, size, size)

    @property
    def target(self) -> Int64[Tensor, "B"]:
        """The class of every row; asked for before the first look, that is found out."""
        if not len(self._label) and self._looks:
            self._peek()
        return self._label.clone()

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """Channels, height and width of the images, if that is known."""
        return self._shape if self._pictures else None

    @property
    def count(self) -> Int64[Tensor, "B"]:
        """How many glimpses each row has had: all rows as many."""
        return torch.full((self.rows,), self._looks)

    @property
    def levels(self) -> Int64[Tensor, "B T"]:
        """Zero: there is one level of zoom."""
        return torch.zeros(self.rows, self.eye.glimpses, dtype=torch.int64)

    def width(self, row: int) -> int:
        """Return the width of the images, in pixels."""
        return self._shape[2]

    @property
    def trail(self) -> Float32[Tensor, "B T 2"]:
        """Where each row was so far, as `ap_gym` says it; NaN where it has not yet been."""
        return self._trail.clone()

    @property
    def sensed(self) -> Float32[Tensor, "B T 2"]:
        """The same in [-1, 1] of the image, if that is known."""
        return self._trail * (self._pictures.reach if self._pictures else 1.0)

    @property
    def shown(self) -> Float32[Tensor, "B C H W"]:
        """The whole images, if they are known; else black ones."""
        if self._pictures is not None and self._looks:
            return self._pictures.images()
        return torch.zeros(len(self._trail), *self._shape)

    def pixels(self, row: int) -> Float32[Tensor, "C H W"]:
        """Return the whole image that a row looks at, if it is known; else a black one."""
        return self.shown[row].clone()

    def reset(
        self, *, seed: int | list[int] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observation, Info]:
        """Begin episodes with a seed, of several the first row's, or the next ones.

        Raises:
            ValueError: There are options: neither images nor rows can be chosen.
        """
        if options:
            raise ValueError(
                f"options must not be given, got {', '.join(options)}: the environment draws its "
                "images, for all rows together"
            )
        if isinstance(seed, list):
            seed = seed[0]
        observation = self._begin(derive_seed(self._seed) if seed is None else seed)
        return observation, {"target": self.target}

    def begin(self, seeds: Int64[Tensor, "B"], indices: Int64[Tensor, "G"]) -> Observation:
        """Begin the episodes of the first row's seed; the others and the indices say nothing."""
        return self._begin(int(seeds[0]))

    def look(self, action: Float[Tensor, "B 2"]) -> Observation:
        """Move every row.

        Raises:
            ValueError: An episode ends before its last glimpse.
        """
        observation, over = self._step(action.detach().float().clamp(-1, 1).numpy())
        if over.any():
            raise ValueError(
                f"episodes must have {self.eye.glimpses} steps in every row, got an end at step "
                f"{self._looks}: give the right `glimpses`, to an environment of equal episodes"
            )
        return self._observe(observation)

    def sweep(
        self, split: str | None = None, *, seed: int = 0
    ) -> Iterator[tuple[Observation, Info]]:
        """Begin `episodes` episodes, batch after batch of all rows, of seeds that training has not.

        Raises:
            ValueError: There is no such split.
        """
        check_name("split", split or self.split, SPLITS)
        place = SPLITS.index(split or self.split)
        for number in range(-(-self._episodes // self.rows)):
            yield self.reset(seed=derive_seed(seed, number, place, _EVALUATION))

    def twin(self) -> "ActiveBatch":
        """Return another batch of the same kind, on an environment of its own."""
        return ActiveBatch(
            self._make,
            episodes=self._episodes,
            glimpses=self.eye.glimpses,
            classes=self.task.classes,
        )

    def close(self) -> None:
        """Close the environment."""
        self.env.close()

    def _begin(self, seed: int) -> Observation:
        self._seed, self._looks = seed, 0
        observation, _ = self.env.reset(seed=seed)
        self._label = torch.empty(0, dtype=torch.int64)
        if self._pictures is not None:
            self._label = self._pictures.labels()
        self._trail = torch.full((self.rows, self.eye.glimpses, 2), torch.nan)
        return self._observe(observation)

    def _step(self, action: Array) -> tuple[Any, Array]:
        """Take a step of theirs; return what it shows and which rows are over."""
        moved = (self._centre + self._half * action).astype(np.float32)
        observation, _, over, cut, info = self.env.step(
            {"action": moved, "prediction": self._answer}
        )
        target = np.asarray(info["prediction"]["target"])
        self._label = torch.from_numpy(target.astype(np.int64))
        return observation, np.logical_or(over, cut)

    def _observe(self, observation: Any) -> Observation:
        seen = observation if isinstance(observation, dict) else {"glimpse": observation}
        location = torch.zeros(self.rows, 2)
        if "glimpse_pos" in seen:
            location = torch.from_numpy(seen["glimpse_pos"].astype(np.float32))
        self._trail[:, self._looks] = location
        self._looks += 1
        step = torch.full((self.rows, 1), float(self._looks))
        return {"glimpse": to_glimpse(seen["glimpse"]), "location": location, "step": step}

    def _peek(self) -> None:
        """Learn the classes from a step, and begin the same episodes again."""
        if self._looks == 1:
            self._step(np.zeros((self.rows, 2)))
            self.env.reset(seed=self._seed)

    def _count_steps(self) -> int:
        """Play an episode that stays where it is; return how many steps it had."""
        self.env.reset(seed=0)
        for number in range(1, 10_001):
            _, over = self._step(np.zeros((self.rows, 2)))
            if over.any():
                return number
        raise ValueError("episodes must end, got none in 10000 steps: give `glimpses`")
