"""The engine of the feedback environment: a frozen network looks at its images again and again.

Convention:
    `reset` makes pass 0, with all gains 1; each of T steps makes another with the gains (B, A) it
    is given, of the A maps of the gated layers. What is observed is the mean of every map and the
    classes' probabilities, after that pass. The answer of the last pass counts; earlier steps pay
    nothing.

Source: M. Stollenga, J. Masci, F. Gomez, J. Schmidhuber, "Deep networks with internal selective
attention through feedback connections", NIPS 2014.
"""

from collections.abc import Iterator, Mapping
from copy import copy
from typing import Any

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from .assignment import Assignment, Rows, Seed, check_rows
from .batch_checks import check_gains
from .batches import as_floats
from .checks import check_at_least, check_count, check_name
from .episodes import Info, Observation
from .feedback_pay import PAY
from .gating import Gated
from .image_set import ImageSource
from .tasks import Classification

Step = tuple[Observation, Tensor, Tensor, Tensor, Info]


class FeedbackBatch:
    """Episodes of setting the gains of a frozen network, a batch at a time.

    `reset` and `step` have Gymnasium's signatures, with tensors of B rows on the images' device. An
    observation holds `activation` (B, A), `probability` (B, n) and `step` (B, 1), all float32;
    `info["target"]` (B,) is the class of the image. Rows whose episode is over stay as they are
    until they are reset.

    Args:
        network: With gains.
        images: What it looks at; their classes are those of the network.
        rows: How many images B at once, copies included.
        passes: How many passes T follow the first.
        reward: `log_loss`, the paper's weighted one, or `correct`, 1 for a right last answer.
        boost: How much the log-loss of a rightly classified image counts, of a wrongly classified
            one 1.
        copies: How many consecutive rows share an image.
        split: From which split the images are drawn.

    Raises:
        ValueError: The images are to be answered otherwise, or have other classes; a name is not
            known, a number too small, the split empty.
    """

    # Of every row: the class, passes made, whether its episode is over (B,), gains and mean
    # activations of the last pass (B, A), its log-probabilities (B, n).
    _target: Tensor
    _steps: Tensor
    _over: Tensor
    _gains: Tensor
    _activation: Tensor
    _log_probs: Tensor

    def __init__(
        self,
        network: Gated,
        images: ImageSource,
        rows: int,
        *,
        passes: int = 5,
        reward: str = "log_loss",
        boost: float = 0.005,
        copies: int = 1,
        split: str = "train",
    ) -> None:
        check_count(1, passes=passes)
        check_rows(images, rows, copies, split)
        check_at_least(0, boost=boost)
        check_name("reward", reward, PAY)
        task = _checked_task(network, images)
        self.network, self.images, self.rows, self.copies = network, images, rows, copies
        self.passes, self.boost, self.split, self.task = passes, boost, split, task
        self.maps = sum(network.layers.values())
        self.device = images.device
        self._pay = PAY[reward]
        self._assignment = Assignment(images, copies, split)
        self._allot(0)

    def pay(
        self, log_probs: Float[Tensor, "*S n"], target: Int64[Tensor, "*S"]
    ) -> Float[Tensor, "*S"]:
        """Return what these last answers pay."""
        return self._pay(log_probs, target, self.boost)

    def pixels(self, row: int) -> Float32[Tensor, "C H W"]:
        """Return the image that a row looks at.

        Raises:
            ValueError: `reset` was not called.
        """
        if self._assignment.rows == 0:
            raise ValueError("`reset` must come first, got no image to show: call reset(seed=0)")
        return self._pixels(self._assignment, slice(row, row + 1))[0]

    @property
    def target(self) -> Int64[Tensor, "B"]:
        """The class of every row's image."""
        return self._target.clone()

    @property
    def gains(self) -> Float32[Tensor, "B A"]:
        """The gains of every row's last pass."""
        return self._gains.clone()

    @property
    def log_probs(self) -> Float32[Tensor, "B n"]:
        """What every row's last pass says of the classes."""
        return self._log_probs.clone()

    @torch.inference_mode(mode=False)  # what it keeps may be used outside of that mode later
    @torch.no_grad()
    def reset(
        self, *, seed: Seed = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observation, Info]:
        """Begin new episodes: look with all gains 1.

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
        which = asked.which
        self._assignment.begin(which, asked.seeds, asked.indices)
        self._target = self._assignment.target
        self._steps[which], self._over[which], self._gains[which] = 0, False, 1.0
        self._look(which)
        return self._observe(), {"target": self.target}

    @torch.inference_mode(mode=False)
    @torch.no_grad()
    def step(self, action: Float[Tensor, "B A"]) -> Step:
        """Look again, with these gains.

        Args:
            action: Gains, at least 0.

        Returns:
            Observation, reward (B,), terminated (B,), truncated (B,; never) and info.

        Raises:
            ValueError: The gains are of the wrong shape, NaN, infinite or below 0.
        """
        check_gains(action, self._assignment.rows, self.maps)
        going_on = ~self._over
        which = going_on.nonzero()[:, 0]
        self._gains[which] = action.detach().float()[which]
        self._look(which)
        self._steps += going_on
        self._over = self._steps >= self.passes
        paid = self.pay(self._log_probs, self._target)
        reward = torch.where(going_on & self._over, paid, 0.0)
        info = {"target": self.target}
        return self._observe(), reward, self._over.clone(), torch.zeros_like(self._over), info

    def sweep(
        self, split: str | None = None, *, seed: int = 0
    ) -> Iterator[tuple[Observation, Info]]:
        """Begin episodes with every image of a split once, batch after batch; the last is short.

        The batch is then in the middle of that split: begin with `reset(seed=...)` before going on.

        Raises:
            ValueError: There is no such split, or no image in it.
        """
        for seeds, part in self._assignment.parts(split, self.rows, seed):
            yield self.reset(seed=seeds, options={"indices": part})

    def twin(self) -> "FeedbackBatch":
        """Return another batch of the same kind, with episodes of its own."""
        twin = copy(self)
        twin._assignment = Assignment(self.images, self.copies, self.split)
        twin._allot(0)
        return twin

    def _allot(self, rows: int) -> None:
        self._assignment.allot(rows)
        self._target = self._assignment.target
        self._steps = torch.zeros(rows, dtype=torch.int64, device=self.device)
        self._over = self._steps.bool()
        self._gains = torch.ones(rows, self.maps, device=self.device)
        self._activation = torch.zeros_like(self._gains)
        self._log_probs = self._gains.new_zeros(rows, self.network.classes)

    def _pixels(self, assignment: Assignment, which: Rows) -> Float32[Tensor, "R C H W"]:
        drawn = self.images.draw(assignment.index[which], assignment.canvas_keys[which])
        return as_floats(drawn)

    def _look(self, which: Rows) -> None:
        if len(self._gains[which]) == 0:
            return
        seen = self.network.look_once(self._pixels(self._assignment, which), self._gains[which])
        self._activation[which] = seen.activations[:, 0].to(self._activation.dtype)
        self._log_probs[which] = seen.log_probs[:, 0].to(self._log_probs.dtype)

    def _observe(self) -> Observation:
        return {
            "activation": self._activation.clone(),
            "probability": self._log_probs.exp(),
            "step": self._steps[:, None].float(),
        }


def _checked_task(network: Gated, images: ImageSource) -> Classification:
    """Return what is asked about the images, if the network can answer it."""
    if not isinstance(images.task, Classification) or images.sizes is not None:
        got = type(images.task).__name__
        got = got if images.sizes is None else f"{got} of images of different sizes"
        raise ValueError(
            f"`images` must be a classification of images of one size, got a {got}: choose others, "
            "or give an image_size"
        )
    if images.task.scores != network.classes:
        raise ValueError(
            f"the network must return a logit for each of the images' {images.task.scores} "
            f"classes, got {network.classes}: choose the images it was trained on"
        )
    return images.task
