"""The engine of the environments: a batch of images looked at at once, on one device, in torch.

Convention:
    Actions are clipped to [-1, 1]. They begin with a location `(x, y)`, which is multiplied by the
    eye's reach; with a `stride` that is how far to move from where the eye is. Then, if the eye has
    it, comes the zoom, [-1, 1] divided evenly among its levels from the finest on; then, if it has
    it, whether to stop, above 0. `observation["location"]` is in units of actions,
    `observation["step"]` counts the glimpses.
    With `first="random"` or `"centre"` the glimpse that `reset` returns is number 1; with `"agent"`
    `reset` returns an empty glimpse, number 0.
    With `predict="external"` an episode ends with its last glimpse. With `"flat"` or `"dict"` an
    answer comes with every action, about the glimpse seen before it; so one more step follows the
    last glimpse, and its location is ignored. Who stops takes no further look: the answer to what
    was seen last counts for all the glimpses that are left.
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

from .assignment import Assignment, Rows, Seed, check_rows
from .batch_checks import check_kind, check_step
from .checks import check_at_least, check_name
from .coordinates import action_scale, checked_to_pixels, lengths_of
from .episodes import Info, Observation
from .eye import Eye
from .fixations import Fixations
from .image_set import ImageSource
from .judge import Judge
from .mixed_set import MixedSet
from .rewards import REWARDS
from .sensor import Prepared
from .tables import SummedAreaTables
from .tasks import Search, Task, answered

Step = tuple[Observation, Tensor, Tensor, Tensor, Info]
# Who judges: the learner, or the environment, with an answer in every action in one of two forms.
PREDICT = ("external", "flat", "dict")


class GlimpseBatch:
    """Episodes of looking at a batch of images.

    `reset` and `step` have Gymnasium's signatures, with tensors of B rows on the images' device.
    An observation holds `glimpse` (B, K, C, s, s) and, if the eye has it, `context` (B, C, c, c),
    both in [0, 1], `location` (B, 2), `step` (B, 1) and, if there is a choice, the level of `zoom`
    (B, 1) from 0, all float32. `info["target"]` belongs to the observation beside it: the class
    (B,), what else the task asks for, or the place (B, 2) in [-1, 1] of the image, float64.
    Rows whose episode is over stay as they are until they are reset.

    Args:
        images: What is looked at.
        eye: How it is looked at.
        rows: How many rows B `reset` begins, copies included.
        copies: How many consecutive rows M share an image.
        split: From which split the images are drawn.
        predict: Who judges the answers: `external`, the learner, or `flat` or `dict`, the
            environment, which gets an answer with every action (two forms of that, for shells).
        reward: One of `REWARDS`, for who judges here.
        cost: What every chosen look costs, taken off its reward.
        memory: How many bytes the tables of a set may take; a larger set is read directly.

    Raises:
        ValueError: A name is not known, a number too small, the split empty, the rows cannot be
            divided into copies, or a search is to be answered.
    """

    # What every row is about: the target (B, ...), steps taken (B,), whether its episode is over
    # (B,), whole image (B, C, c, c), and what it looks at: prepared images, and which of them (B,),
    # where images are drawn anew its own tables; width and height, (2,) or of every row (B, 2), and
    # how far an action of 1 goes in locations, the same shape.
    _target: Tensor
    _steps: Tensor
    _over: Tensor
    _lengths: Tensor
    _scale: Tensor
    _context: Tensor
    _eyes: Fixations
    _judge: Judge | None
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
        cost: float = 0.0,
        memory: float = 2.0**33,
    ) -> None:
        check_rows(images, rows, copies, split)
        check_at_least(0, memory=memory, cost=cost)
        check_name("predict", predict, PREDICT)
        check_name("reward", reward, REWARDS)
        check_kind(images.task, eye, predict)
        self.images, self.eye, self.rows, self.copies = images, eye, rows, copies
        self.split, self.predict, self.reward, self.cost = split, predict, reward, cost
        self.task: Task | Search = images.task
        self.device = images.device
        self._lengths = lengths_of(*images.shape[1:], self.device)
        self._scale = action_scale(eye.reach, self._lengths)
        self._prepared = images.prepared(eye.all_levels, memory)
        self._windows = eye.all_levels.windows
        self._assignment = Assignment(images, copies, split)
        self._allot(0)

    @property
    def channels(self) -> int:
        """How many channels C the images have."""
        return self.images.shape[0]

    @property
    def scores(self) -> int:
        """How many numbers an answer has that comes with every action; 0 where none is wanted."""
        return 0 if self.predict == "external" else answered(self.task).scores

    @property
    def count(self) -> Int64[Tensor, "B"]:
        """How many glimpses each row has had."""
        return self._eyes.count.clone()

    @property
    def trail(self) -> Float32[Tensor, "B T 2"]:
        """Where each row has looked so far, in units of actions; NaN where it has not yet."""
        return self._eyes.trail.clone()

    @property
    def sensed(self) -> Float32[Tensor, "B T 2"]:
        """The same in locations of the image, whatever the eye's reach."""
        return self._eyes.trail * self._scale.float().view(-1, 1, 2)

    @property
    def level(self) -> Int64[Tensor, "B"]:
        """The level of zoom of each row, from 0, the finest."""
        return self._eyes.level.clone()

    @property
    def levels(self) -> Int64[Tensor, "B T"]:
        """The level of zoom of each of these looks, from 0, the finest."""
        return self._eyes.levels.clone()

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """Channels, height and width of what the finest windows move in.

        None where images differ in size, or an action chooses the windows.
        """
        one = self.images.sizes is None and self.eye.zoom == 1
        return self.images.shape if one else None

    def width(self, row: int) -> int:
        """Return the width of the image that a row looks at, in pixels."""
        return int(self._lengths.expand(len(self._over), 2)[row, 0])

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
        asked = self._assignment.asked(seed, options or {}, self.rows)
        if asked.rows != self._assignment.rows:
            self._allot(asked.rows)
        self._begin(asked.which, asked.seeds, asked.indices)
        return self._observe(), {"target": self._target.clone()}

    def step(
        self, action: Float[Tensor, "B a"], answer: Float[Tensor, "B n"] | None = None
    ) -> Step:
        """Look where the actions say.

        Args:
            action: Locations and what else the eye's actions say; they are clipped to [-1, 1].
            answer: Where the environment judges, the answer after the glimpse that was seen last,
                as the task has it: for classes their log-probabilities.

        Returns:
            Observation, reward (B,), terminated (B,), truncated (B,; never) and info: with
            `predict="dict"` also the `loss` of the answers, 1 that of who has seen nothing, and
            the `cost` of the looks.

        Raises:
            ValueError: An action or answer is missing, NaN or of the wrong shape.
        """
        size = self.eye.action_size
        check_step(action, answer, self._assignment.rows, size, self.scores, self.predict)
        going_on, before = ~self._over, self._eyes.count.clone()
        looking = going_on
        if self._judge is not None and answer is not None:
            self._judge.keep(answer.detach(), before, going_on)
            looking = going_on & (before < self.eye.glimpses)  # the last step only brings an answer
        self._move(action, looking, going_on)
        looks = (self._eyes.count - before).float()
        reward = 0 - self.cost * looks
        info = {"target": self._target.clone()}
        if self._judge is not None:
            reward += self._judge.reward(self._target, before, self._over) * going_on
            if self.predict == "dict":
                info |= {"loss": self._judge.loss(self._target, before), "cost": self.cost * looks}
        if isinstance(self.task, Search):
            found = (looks > 0) & self._covers(self.task)
            self._over |= found
            reward += found
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

    def look(self, action: Float[Tensor, "B a"]) -> Observation:
        """Do as `step` with `predict="external"`, for learners: check and wait for nothing."""
        self._move(action, ~self._over, ~self._over)
        return self._observe()

    @property
    def target(self) -> Shaped[Tensor, "B ..."]:
        """What is right for every row's image."""
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
        for seeds, part in self._assignment.parts(split, self.rows, seed):
            yield self.reset(seed=seeds, options={"indices": part})

    def _begin(
        self, which: Rows, seeds: Int64[Tensor, "B"] | None, indices: Int64[Tensor, "G"] | None
    ) -> None:
        self._assignment.begin(which, seeds, indices)
        self._target = self._assignment.target
        if self.images.sizes is not None:
            self._lengths = self.images.sizes[self._assignment.index].double()
            self._scale = action_scale(self.eye.reach, self._lengths)
        self._show(which)
        self._steps[which] = 0
        self._over[which] = self._last_step == 0
        random = self.eye.first == "random"
        self._eyes.begin(which, self._assignment.first_locations(which) if random else None)

    def _move(
        self,
        action: Float[Tensor, "B a"],
        looking: Bool[Tensor, "B"],
        going_on: Bool[Tensor, "B"],
    ) -> None:
        """Move those who look and do not stop, and count a step for those who go on."""
        action, stride = action.detach().float().clamp(-1, 1), None
        if self.eye.stride is not None:
            stride = (action_scale(self.eye.stride, self._lengths) / self._scale).float()
        if self.eye.stop:
            stopping = going_on & (action[:, -1] > 0)
            looking = looking & ~stopping
            self._over |= stopping
        self._eyes.move(action, looking, stride)
        self._steps += going_on
        self._over |= self._steps >= self._last_step

    def _allot(self, rows: int) -> None:
        self._assignment.allot(rows)
        self._target = self._assignment.target
        self._steps = torch.zeros(rows, dtype=torch.int64, device=self.device)
        self._over, self._index = self._steps.bool(), torch.arange(rows).to(self._steps)
        self._eyes = Fixations(self.eye, rows, self.device)
        side = self.eye.context or 0
        self._context = torch.zeros(rows, self.channels, side, side, device=self.device)
        self._judge = None
        if self.predict != "external":
            task, glimpses = answered(self.task), self.eye.glimpses
            self._judge = Judge(task, self.reward, rows, glimpses, self.device)

    def _show(self, which: Rows) -> None:
        """Put the rows' new images before the eye."""
        if self._prepared is not None:
            self._view, self._index = self._prepared, self._assignment.index
            if self.eye.context is None:
                return
            if isinstance(self.images, MixedSet):
                side = self.eye.context, self.eye.context
                self._context[which] = self.images.averaged(self._index[which], *side)
                return
        images = self._draw(which)
        if self.eye.context is not None:
            white = 255 if images.dtype == torch.uint8 else 1
            self._context[which] = F.adaptive_avg_pool2d(images.float() / white, self.eye.context)
        if self._prepared is None:
            dtype = self.eye.all_levels.table_dtype(images.dtype)
            fresh = SummedAreaTables.of(images, dtype)
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
        eye = self.eye
        if eye.zoom > 1:  # of the windows of all levels those of the row's own
            number = self._eyes.level[:, None] + torch.arange(eye.sensor.scales, device=self.device)
            number = number[..., None, None, None].expand(-1, -1, *glimpse.shape[2:])
            glimpse = glimpse.gather(1, number)
        if eye.first == "agent":
            glimpse = glimpse * (self._eyes.count > 0)[:, None, None, None, None]
        observation = {
            "glimpse": glimpse,
            "location": self._eyes.location.clone(),
            "step": self._eyes.count[:, None].float(),
        }
        if eye.zoom > 1:
            observation["zoom"] = self._eyes.level[:, None].float()
        if eye.context is not None:
            observation["context"] = self._context.clone()
        return observation

    @property
    def _last_step(self) -> int:
        """How many steps an episode has at most."""
        return self.eye.actions + (self.predict != "external")

    def _centre(self) -> Float64[Tensor, "B 2"]:
        """Return where each row looks, in pixels."""
        return checked_to_pixels(self._eyes.location * self._scale, self._lengths)

    def _covers(self, search: Search) -> Bool[Tensor, "B"]:
        """Return whether each row looks at the place it is to find."""
        place = checked_to_pixels(self._target, self._lengths)
        return search.found(self._windows, self._centre(), place)
