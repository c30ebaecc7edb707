"""A perceiver: what sees, remembers and answers, taught by cross-entropy on what was looked at.

Where to look is somebody else's business: `BeliefView` shows a perceiver's hidden state to whoever
chooses.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from glimpse.checks import check_at_least, check_count
from glimpse.networks import RecurrentAttention
from glimpse.precision import autocast
from glimpse.tasks import Task

from .losses import answer_loss


class Episodes(NamedTuple):
    """What was looked at in a batch of episodes.

    Attributes:
        observations: Those of `reset` and of every step, each with B rows by name.
        glimpses: How many of them, the last T, show a glimpse that is answered.
        target: What is right.
        had: How many of the glimpses each row had, the last one's answer standing for the rest;
            None: all.
    """

    observations: Sequence[Mapping[str, Tensor]]
    glimpses: int
    target: Shaped[Tensor, "B ..."]
    had: Int64[Tensor, "B"] | None = None

    def parts(self, count: int) -> Iterator["Episodes"]:
        """Return the episodes in this many parts that differ by at most one row; none is empty."""
        total = len(self.target)
        count = min(count, total)
        for number in range(count):
            rows = slice(total * number // count, total * (number + 1) // count)
            seen = [{name: of[rows] for name, of in one.items()} for one in self.observations]
            had = None if self.had is None else self.had[rows]
            yield Episodes(seen, self.glimpses, self.target[rows], had)


class Perceiver:
    """Teach a model to answer; its location head and its baseline are left alone.

    Args:
        model: What is taught.
        task: What an answer is.
        learning_rate: Of AdamW; it may be set anew at any time.
        weight_decay: As AdamW has it.
        minibatches: Into how many parts a batch of episodes is split, each for one improvement.
        early: Weight of the answers before the last, relative to the last.
        clip: The Euclidean norm of the gradient is cut to this.
        precision: As `glimpse.precision.autocast` has it.

    Attributes:
        model: What is taught.
        learning_rate: As given, or as it was set.
        metrics: `answer loss` and `train error %` of the last batch, the mean over its parts; empty
            before one.
    """

    def __init__(
        self,
        model: RecurrentAttention,
        task: Task,
        *,
        learning_rate: float = 2e-3,
        weight_decay: float = 0.0,
        minibatches: int = 4,
        early: float = 0.3,
        clip: float = 5.0,
        precision: str = "auto",
    ) -> None:
        check_count(1, minibatches=minibatches)
        check_at_least(
            0, learning_rate=learning_rate, weight_decay=weight_decay, early=early, clip=clip
        )
        if clip == 0:
            raise ValueError("`clip` must be above 0, got 0: it cuts every gradient to nothing")
        self.model, self.learning_rate = model, learning_rate
        self.metrics: dict[str, float] = {}
        self._task, self._minibatches, self._early, self._clip = task, minibatches, early, clip
        self._precision = precision
        heads = {id(w) for head in (model.locator, model.baseline) for w in head.parameters()}
        self._weights = [weight for weight in model.parameters() if id(weight) not in heads]
        self._optimiser = torch.optim.AdamW(
            self._weights, lr=learning_rate, weight_decay=weight_decay, fused=True
        )

    def learn(self, episodes: Episodes) -> None:
        """Improve the model, once for each part of the episodes.

        Raises:
            ValueError: The loss is no number any more.
        """
        self.model.train()
        for group in self._optimiser.param_groups:
            group["lr"] = self.learning_rate
        told = []
        for part in episodes.parts(self._minibatches):
            with autocast(part.target.device, self._precision):
                answers = self._answers(part)
            loss = answer_loss(self._task.loss(answers, part.target), self._early)
            self._optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            clip_grad_norm_(self._weights, self._clip)
            self._optimiser.step()
            right = self._task.correct(answers.detach(), part.target)[:, -1].float().mean()
            told.append(torch.stack([loss.detach(), 100 * (1 - right)]))
        answer, error = torch.stack(told).mean(dim=0).tolist()
        if not isfinite(answer):
            raise ValueError(
                f"the answers' loss must be a number, got {answer}: choose a lower learning_rate"
            )
        self.metrics = {"answer loss": answer, "train error %": error}

    def _answers(self, episodes: Episodes) -> Float[Tensor, "B T n"]:
        """Return the answers after each glimpse."""
        state, hidden = self.model.initial(episodes.observations[0]), []
        for observation in episodes.observations:
            state = self.model(observation, state)
            hidden.append(state[0])
        seen = torch.stack(hidden[-episodes.glimpses :], dim=1)  # (B, T, D)
        if episodes.had is not None:
            number = torch.arange(episodes.glimpses, device=seen.device)
            held = number.minimum(episodes.had[:, None] - 1)[..., None].expand_as(seen)
            seen = seen.gather(1, held)
        return self._task.answers(self.model.classifier(seen).float())

    def state_dict(self) -> dict[str, Any]:
        """Return the optimiser's state; the model's is the model's."""
        return {"optimiser": self._optimiser.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to such a state."""
        self._optimiser.load_state_dict(state["optimiser"])
