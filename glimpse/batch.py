"""The engine of the environments: a batch of images looked at at once, on one device, in torch.

Convention:
    Actions are locations `(x, y)`, clipped to [-1, 1] and then multiplied by the eye's reach;
    `observation["location"]` is in the same units, `observation["step"]` counts the glimpses.
    With `first="random"` or `"centre"` the glimpse that `reset` returns is number 1; with `"agent"`
    `reset` returns an empty glimpse, number 0.
    With `predict="external"` an episode ends with its last glimpse. With `"flat"` an answer comes
    with every action, about the glimpse seen before it; so one more step follows the last glimpse,
    and its location is ignored.
    A search needs no answer: the first look of an action whose finest window covers the place pays
    1 and ends the episode.
"""

from collections.abc import Iterator, Mapping
from copy import copy
from typing import Any

import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64, Shaped
from torch import Tensor
from torch.nn import functional as F

from .assignment import Assignment, Rows, Seed, row_seeds
from .batch_checks import check_step, checked_options
from .checks import check_at_least, check_count, check_name
from .coordinates import action_scale, checked_to_pixels
from .eye import Eye
from .image_set import SPLITS, ImageSource
from .rewards import REWARDS
from .sensor import Prepared
from .tables import SummedAreaTables
from .tasks import Search

Observation = dict[str, Tensor]
Info = dict[str, Tensor]
Step = tuple[Observation, Tensor, Tensor, Tensor, Info]


class GlimpseBatch:
    """Episodes of looking at a batch of images.

    `reset` and `step` have Gymnasium's signatures, with tensors of B rows on the images' device.
    An observation holds `glimpse` (B, K, C, s, s) and, if the eye has it, `context` (B, C, c, c),
    both in [0, 1], `location` (B, 2) and `step` (B, 1), all float32. `info["target"]` belongs to
    the observation beside it: the class (B,), or the place (B, 2) in [-1, 1] of the image, float64.
    Rows whose episode is over stay as they are until they are reset.

    Args:
        images: What is looked at.
        eye: How it is looked at.
        rows: How many rows B `reset` begins, copies included.
        copies: How many consecutive rows M share an image.
        split: From which split the images are drawn.
        predict: Who judges the answers: `external`, the learner (every reward is 0), or `flat`, the
            environment, which gets an answer with every action.
        reward: One of `REWARDS`, for `predict="flat"`.
        memory: How many bytes the tables of a set may take; a larger set is read directly.

    Raises:
        ValueError: A name is not known, a number too small, the split empty, the rows cannot be
            divided into copies, or a search is to be answered.
    """

    # What every row is about: the target (B,) or (B, 2), steps taken (B,), whether its episode is
    # over (B,), location (B, 2), locations so far (B, T, 2), answers so far (B, T, n), whole image
    # (B, C, c, c), and what it looks at: prepared images, and which of them (B,); where images are
    # drawn anew these are its own tables.
    _target: Tensor
    _steps: Tensor
    _over: Tensor
    _location: Tensor
    _trail: Tensor
    _answers: Tensor
    _context: Tensor
    _view: Prepared
    _index: Tensor
    _canvases: SummedAreaTables

    def __init__(
        self,
        images: ImageSource,
        eye: Eye,
        rows: int,
        *,
        copies: int = 1,
        split: str = "train",
        predict: str = "external",
        reward: str = "correct",
        memory: float = 2.0**33,
    ) -> None:
        check_count(1, rows=rows, copies=copies)
        check_at_least(0, memory=memory)
        check_name("split", split, SPLITS)
        check_name("predict", predict, ("external", "flat"))
        check_name("reward", reward, REWARDS)
        if rows % copies:
            raise ValueError(
                f"`rows` must be a multiple of copies={copies}, got {rows}: "
                f"choose {max(rows // copies, 1) * copies}"
            )
        if len(images.splits.get(split, ())) == 0:
            raise ValueError(f"split {split!r} must hold images, got none: choose another split")
        if isinstance(images.task, Search) and predict != "external":
            raise ValueError(
                f"`predict` must be 'external' for a search, got {predict!r}: "
                "the location is the answer"
            )
        self.images, self.eye, self.rows, self.copies = images, eye, rows, copies
        self.split, self.predict = split, predict
        self.task = images.task
        self.device = images.targets.device
        self._reward = REWARDS[reward]
        self._scale = action_scale(eye.reach, *images.shape[1:], device=self.device)
        self._prepared = images.prepared(eye.sensor, memory)
        self._windows = eye.sensor.windows
        self._assignment = Assignment(images, copies, split)
        self._allot(0)

    @property
    def scores(self) -> int:
        """How many numbers an answer has that comes with every action; 0 where none is wanted."""
        return self.task.scores if self.predict == "flat" else 0

    @property
    def trail(self) -> Float32[Tensor, "B T 2"]:
        """Where each row has looked so far, in units of actions; NaN where it has not yet."""
        return self._trail.clone()

    @property
    def sensed(self) -> Float32[Tensor, "B T 2"]:
        """The same in locations of the image, whatever the eye's reach."""
        return self._trail * self._scale.float()

    def pixels(self, row: int) -> Shaped[Tensor, "C H W"]:
        """Return the whole image that a row looks at.

        Raises:
            ValueError: `reset` was not called.
        """
        if self._assignment.rows == 0:
            raise ValueError("`reset` must come first, got no image to show: call reset(seed=0)")
        return self._draw(slice(row, row + 1))[0].clone()

    @property
    def shown(self) -> Shaped[Tensor, "B C H W"]:
        """The whole images that all rows look at."""
        return self._draw(slice(None))

    @torch.inference_mode(mode=False)  # what it keeps may be used outside of that mode later
    def reset(
        self, *, seed: Seed = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observation, Info]:
        """Begin new episodes.

        Args:
            seed: Row b gets `seed + b`, or its own of a sequence; None: every row goes on to the
                next episode of its seed.
            options: `indices` names the images, one for each group of copies; there may be fewer or
                more than usual. `reset_mask` (B,) says which rows begin anew, by default all.

        Raises:
            ValueError: An option is not known or of the wrong shape, or there are not as many seeds
                as rows.
        """
        count, begun = len(self.images.targets), self._assignment.rows
        indices, mask = checked_options(options or {}, begun, self.copies, count, self.device)
        rows = begun if mask is not None else self.rows
        rows = rows if indices is None else len(indices) * self.copies
        seeds = row_seeds(seed, rows, self.device)
        if mask is None:
            if rows != self._assignment.rows:
                self._allot(rows)
            which: Rows = slice(None)  # cheaper than naming all
        else:
            which = mask.nonzero()[:, 0]
        self._begin(which, seeds, indices)
        return self._observe(), {"target": self._target.clone()}

    def step(
        self, action: Float[Tensor, "B 2"], answer: Float[Tensor, "B n"] | None = None
    ) -> Step:
        """Look where the actions say.

        Args:
            action: Locations; they are clipped to [-1, 1].
            answer: With `predict="flat"` the log-probabilities of the classes, after the glimpse
                that was seen last.

        Returns:
            Observation, reward (B,), terminated (B,), truncated (B,; never) and info.

        Raises:
            ValueError: An action or answer is missing, NaN or of the wrong shape.
        """
        check_step(action, answer, self._assignment.rows, self.scores)
        going_on = ~self._over
        if answer is None:
            reward = torch.zeros(len(action), device=self.device)
        else:
            reward = self._judge(answer.detach()) * going_on
        looking = going_on
        if self.predict == "flat":  # the last step only brings an answer
            looking = going_on & (self._steps < self.eye.actions)
        self._move(action, looking, going_on)
        if isinstance(self.task, Search):
            found = looking & self._covers(self.task)
            self._over |= found
            reward += found
        info = {"target": self._target.clone()}
        return self._observe(), reward, self._over.clone(), torch.zeros_like(self._over), info

    def twin(self) -> "GlimpseBatch":
        """Return another batch of the same kind, with episodes of its own."""
        twin = copy(self)
        twin._assignment = Assignment(self.images, self.copies, self.split)
        twin._allot(0)
        return twin

    @torch.inference_mode(mode=False)
    def begin(self, seeds: Int64[Tensor, "B"], indices: Int64[Tensor, "G"]) -> Observation:
        """Do as `reset` with these seeds and indices, for learners: check nothing.

        Nothing here waits for the device, so CUDA can record it as a graph. Seeds and indices must
        be what `reset` would take.
        """
        if len(seeds) != self._assignment.rows:
            self._allot(len(seeds))
        self._begin(slice(None), seeds, indices)
        return self._observe()

    def look(self, action: Float[Tensor, "B 2"]) -> Observation:
        """Do as `step` with `predict="external"`, for learners: check and wait for nothing."""
        self._move(action, ~self._over, ~self._over)
        return self._observe()

    @property
    def target(self) -> Shaped[Tensor, "B ..."]:
        """The class, or the place, of every row's image."""
        return self._target.clone()

    def sweep(
        self, split: str | None = None, *, seed: int = 0
    ) -> Iterator[tuple[Observation, Info]]:
        """Begin episodes with every image of a split once, batch after batch; the last is short.

        What is random in an image's episode depends on its index and the seed, not on the batch.
        The batch is then in the middle of that split: begin with `reset(seed=...)` before going on.

        Raises:
            ValueError: There is no such split, or no image in it.
        """
        split = split or self.split
        check_name("split", split, SPLITS)
        number = torch.arange(self.copies, device=self.device)
        every = len(self.images.targets) * self.copies
        row_seeds(seed, every, self.device)  # none may run out of range
        pool = self.images.splits.get(split)
        if pool is None or len(pool) == 0:
            raise ValueError(f"split {split!r} must hold images, got none: choose another split")
        for part in torch.split(pool, self.rows // self.copies):
            seeds = seed + part[:, None] + number * len(self.images.targets)
            yield self.reset(seed=seeds.flatten(), options={"indices": part})

    def _begin(
        self, which: Rows, seeds: Int64[Tensor, "B"] | None, indices: Int64[Tensor, "G"] | None
    ) -> None:
        self._assignment.begin(which, seeds, indices)
        self._target = self._assignment.target
        self._show(which)
        self._steps[which] = 0
        self._over[which] = self._last_step == 0
        self._location[which] = 0
        if self.eye.first == "random":
            self._location[which] = self._assignment.first_locations(which)
        self._trail[which] = torch.nan
        if self.eye.first != "agent":
            self._trail[which, 0] = self._location[which]

    def _move(
        self,
        action: Float[Tensor, "B 2"],
        looking: Bool[Tensor, "B"],
        going_on: Bool[Tensor, "B"],
    ) -> None:
        """Move those who look, and count a step for those who go on."""
        target = action.detach().float().clamp(-1, 1)
        self._location.copy_(torch.where(looking[:, None], target, self._location))
        self._steps += going_on
        self._over |= self._steps >= self._last_step
        last = (self._count - 1)[:, None, None].expand(-1, 1, 2)
        self._trail.scatter_(1, last, self._location[:, None])

    def _allot(self, rows: int) -> None:
        self._assignment.allot(rows)
        self._target = self._assignment.target
        whole = torch.zeros(rows, dtype=torch.int64, device=self.device)
        self._steps, self._over, self._index = whole, whole.bool(), torch.arange(rows).to(whole)
        glimpses, channels = self.eye.glimpses, self.images.shape[0]
        self._location = torch.zeros(rows, 2, device=self.device)
        self._trail = self._location.new_zeros(rows, glimpses, 2)
        self._answers = self._location.new_zeros(rows, glimpses, self.task.scores)
        side = self.eye.context or 0
        self._context = self._location.new_zeros(rows, channels, side, side)

    def _show(self, which: Rows) -> None:
        """Put the rows' new images before the eye."""
        if self._prepared is not None:
            self._view, self._index = self._prepared, self._assignment.index
            if self.eye.context is None:
                return
        images = self._draw(which)
        if self.eye.context is not None:
            white = 255 if images.dtype == torch.uint8 else 1
            self._context[which] = F.adaptive_avg_pool2d(images.float() / white, self.eye.context)
        if self._prepared is None:
            fresh = SummedAreaTables.of(images, self.eye.sensor.table_dtype(images.dtype))
            if isinstance(which, slice):
                self._canvases = self._view = fresh
            else:
                self._canvases.table[which] = fresh.table
                self._canvases.mean[which] = fresh.mean

    def _draw(self, which: Rows) -> Shaped[Tensor, "R C H W"]:
        return self.images.draw(self._assignment.index[which], self._assignment.canvas_keys[which])

    def _observe(self) -> Observation:
        """Look with every row; a row that has not moved sees the same again."""
        # Actions were checked, so the sensor's own checks need not be made at every step.
        glimpse = self._view.look(self._index, self._centre(), self._windows)
        count = self._count[:, None]
        if self.eye.first == "agent":
            glimpse = glimpse * (count > 0)[..., None, None, None]
        observation = {
            "glimpse": glimpse,
            "location": self._location.clone(),
            "step": count.float(),
        }
        if self.eye.context is not None:
            observation["context"] = self._context.clone()
        return observation

    def _judge(self, answer: Float[Tensor, "B n"]) -> Float32[Tensor, "B"]:
        """Return the reward of the answer about the glimpse seen last; before any, it is 0."""
        rows = torch.arange(len(answer), device=self.device)
        last = (self._count - 1).clamp(min=0)
        self._answers[rows, last] = answer.float()
        reward = self._reward(self._answers, self._target)[rows, last]
        return reward.masked_fill(self._count == 0, 0)

    @property
    def _count(self) -> Int64[Tensor, "B"]:
        """How many glimpses each row has had."""
        first = 0 if self.eye.first == "agent" else 1
        return (self._steps + first).clamp(max=self.eye.glimpses)

    @property
    def _last_step(self) -> int:
        """How many steps an episode has at most."""
        return self.eye.actions + (self.predict == "flat")

    def _centre(self) -> Float64[Tensor, "B 2"]:
        """Return where each row looks, in pixels."""
        _, height, width = self.images.shape
        return checked_to_pixels(self._location * self._scale, height, width)

    def _covers(self, search: Search) -> Bool[Tensor, "B"]:
        """Return whether each row looks at the place it is to find."""
        _, height, width = self.images.shape
        place = checked_to_pixels(self._target, height, width)
        return search.found(self._windows, self._centre(), place)
