"""The learner of every agent that learns by gradients from whole episodes."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from glimpse.checkpoint import own_checkpoint
from glimpse.draws import Draws
from glimpse.episodes import EpisodeBatch
from glimpse.networks import RecurrentAttention
from glimpse.precision import autocast
from glimpse.randomness import derive_seed
from glimpse.recorded import Recorded
from glimpse.tasks import Sequence as SequenceTask
from glimpse.tasks import answered

from .averaging import average
from .policies import Policy
from .rollout import Rollout, roll_out
from .training import EpisodeConfig

Losses = Mapping[str, Tensor]
# Steps between looks for a loss that is no number: each look waits for the device.
_CHECK_EVERY = 100


class EpisodeLearner:
    """Improve a model once a batch of episodes.

    Every random number of step i is a function of (seed, i), so a checkpoint holds no random state
    and no state of the environment. A network of your own that draws numbers, as dropout does,
    takes them from PyTorch's global generator: seed it; a run with one is not resumed exactly.

    On CUDA nothing waits for the device: the step is recorded once and played back
    (`glimpse.recorded`), and what it returns lies there.

    Args:
        config: How to learn.
        batch: What to look at: `config.batch * config.copies` rows, from the training split.
        model: What learns; with `config.ema`, what gets the averages of the weights.
        loss: The terms of the loss of a batch of episodes, by name; their sum is made small.
        policy: How locations are drawn; by default `config.policy`.
        anneal: Is told the number of every step before it is taken.
        joint: Weight of the location head's and baseline's gradients in the rest of the model.
        locator_rate: The learning rate of the location head relative to that of the rest.

    Attributes:
        config: As given.
        batch: Of the same kind as the one given.
        model: As given.
        learning: What the gradients change; with `config.ema` a copy of the model, else the model.

    Raises:
        ValueError: The batch has another number of rows or of copies, images are to be searched,
            or a sequence is to be learned with a curriculum.
    """

    def __init__(
        self,
        config: EpisodeConfig,
        batch: EpisodeBatch,
        model: RecurrentAttention,
        loss: Callable[[Rollout], Losses],
        *,
        policy: Policy | None = None,
        anneal: Callable[[int], None] | None = None,
        joint: float = 0.0,
        locator_rate: float = 1.0,
    ) -> None:
        config.check_rows(batch)
        self._draws = Draws(batch.images, config.batch, config.seed)
        self._task = answered(batch.task)
        if config.curriculum and isinstance(self._task, SequenceTask):
            raise ValueError(
                f"`curriculum` must be 0 for a sequence, got {config.curriculum}: every answer "
                "needs its glimpses"
            )
        # Its own episodes: whoever looks through `batch` in between would disturb a record.
        self.config, self.batch, self.model = config, batch.twin(), model
        self.learning = deepcopy(model) if config.ema else model
        self._loss, self._joint = loss, joint
        self._policy = policy or config.policy
        self._anneal = anneal or (lambda step: None)
        where = list(self.learning.locator.parameters())
        what = [weight for weight in self.learning.parameters() if not _among(weight, where)]
        self._rates = (1.0, locator_rate)
        self._optimiser = torch.optim.AdamW(
            [
                {"params": part, "lr": torch.zeros((), device=batch.device)}
                for part in (what, where)
            ],
            weight_decay=config.weight_decay,
            fused=True,
            capturable=batch.device.type == "cuda",
        )
        self._noise = torch.Generator(batch.device)
        self._step = 0
        # What a record of the step reads anew each time.
        self._number = torch.arange(batch.rows, device=batch.device)
        self._seeds = torch.zeros_like(self._number)
        self._indices = torch.zeros(config.batch, dtype=torch.int64, device=batch.device)
        self._names: list[str] = []
        self._improve: Recorded | None = None  # the step, for episodes of `_glimpses`
        self._glimpses = 0

    def step(self) -> dict[str, Tensor]:
        """Play one batch of episodes, improve the weights, return the losses and the error.

        Raises:
            ValueError: The loss is no number any more; that is looked for every 100 steps.
        """
        config, device = self.config, self.batch.device
        self._noise.manual_seed(derive_seed(config.seed, self._step, 1))
        torch.add(self._number, self._draws.first_seed(self._step), out=self._seeds)
        self._indices.copy_(self._draws.images(self._step))
        self._anneal(self._step)
        for group, relative in zip(self._optimiser.param_groups, self._rates, strict=True):
            group["lr"].fill_(relative * config.learning_rate * config.schedule(self._step))
        glimpses = config.glimpses_at(self._step, self.batch.eye.glimpses)
        if self._improve is None or self._glimpses != glimpses:
            improve = partial(self._play_and_improve, glimpses)
            self._improve, self._glimpses = Recorded(improve, device, self._noise), glimpses
        values = self._improve()
        look = self._step % _CHECK_EVERY == 0 or self._step + 1 == config.steps
        if look and not bool(values.isfinite().all()):
            raise ValueError(
                f"the loss must be a number, got NaN or infinity at step {self._step + 1}: "
                "choose a lower learning_rate"
            )
        if config.ema:
            average(self.model, self.learning, config.ema, self._step)
        self._step += 1
        return dict(zip(self._names, values.unbind(), strict=True))

    def _play_and_improve(self, glimpses: int) -> Float[Tensor, "L"]:
        """Do one step with the seeds, images and rates that are written down."""
        config, model = self.config, self.learning
        model.train()
        observation = self.batch.begin(self._seeds, self._indices)
        with autocast(self.batch.device, config.precision):
            rollout = roll_out(
                model,
                self.batch,
                observation,
                lambda mean: self._policy.sample(mean, self._noise),
                glimpses=glimpses,
                joint=self._joint,
            )
        losses = self._loss(rollout)
        self._optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        for group in self._optimiser.param_groups:
            torch.nn.utils.clip_grad_norm_(group["params"], config.clip)
        self._optimiser.step()
        right = self._task.correct(rollout.answers.detach(), rollout.target)[:, -1].float().mean()
        metrics = {**losses, "train error %": 100 * (1 - right)}
        self._names = list(metrics)
        return torch.stack([value.detach() for value in metrics.values()])

    def state_dict(self) -> dict[str, Any]:
        """Return weights, optimiser and the number of steps taken."""
        return {
            "model": self.model.state_dict(),
            "learning": self.learning.state_dict() if self.config.ema else {},
            "optimiser": self._optimiser.state_dict(),
            "step": self._step,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to such a state.

        Raises:
            ValueError: The state is not one of this learner's.
        """
        with own_checkpoint():
            self.model.load_state_dict(state["model"])
            if self.config.ema:
                self.learning.load_state_dict(state["learning"])
            self._optimiser.load_state_dict(state["optimiser"])
            self._step = int(state["step"])
        for group in self._optimiser.param_groups:  # the state may come from another device
            group["lr"] = torch.zeros((), device=self.batch.device)
            group["capturable"] = self.batch.device.type == "cuda"
        self._improve = None  # a record knows the optimiser's former tensors


def _among(weight: Tensor, weights: Sequence[Tensor]) -> bool:
    return any(weight is other for other in weights)
