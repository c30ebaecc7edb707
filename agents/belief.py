"""The belief view: an environment that shows what a perceiver believes, not what it sees.

Any library's plain agent can so learn where to look: it sees a vector and says a location. Memory,
glimpses of any size, classes and their loss are the perceiver's.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from glimpse.checks import check_name
from glimpse.episodes import EpisodeBatch, Observation
from glimpse.evaluation import ErrorRate, error_rates
from glimpse.grid import Grid
from glimpse.networks import RecurrentAttention, State
from glimpse.precision import autocast
from glimpse.rewards import REWARDS
from glimpse.tasks import answered

from .perceiver import Episodes

Array = NDArray[Any]


class BeliefView(VectorEnv[Array, Array, Array]):
    """A batch of images, seen by a perceiver, as a Gymnasium vector environment.

    ## Action Space
    `Box(-1, 1, (a,))`: where to look next, in units of the eye's actions, and what else these say.
    With a `grid`, `Discrete`: the number of a place (`glimpse.grid`).

    ## Observation Space
    `Box(-inf, inf, (D,))`: the perceiver's hidden state.

    ## Rewards
    What the perceiver's own answer after the glimpse earns: `gain`, by how much the log-probability
    of the right class rose, in nats; `correct`, 1 if the last answer is right; `loss`, minus the
    cross-entropy of each answer over ln n. What the look costs is taken off.

    ## Starting State
    The hidden state after the glimpse that `reset` returns.

    ## Episode End
    With the last glimpse, in all rows at once; in a row that stopped before, what is done until
    then has no effect. The same step begins the next episodes
    (`AutoresetMode.SAME_STEP`), with what the perceiver has learned from those that ended.

    Args:
        batch: What is looked at, with `predict="external"`.
        model: The perceiver's networks; location head and baseline are not used.
        reward: One of `glimpse.rewards.REWARDS`.
        learn: Is told the episodes that ended, before the next ones begin: `Perceiver.learn`. None:
            the perceiver stays as it is.
        grid: How many places lie beside one another, and below, for agents that choose one of a few
            actions; None: actions are numbers along axes.
        begin: Begins episodes where `reset` is given neither seed nor options, and after each end;
            returns what is seen. By default the batch's `reset`.
        precision: As `glimpse.precision.autocast` has it.

    Attributes:
        batch: As given.
        model: As given.

    Raises:
        ValueError: The batch judges answers itself, its images are to be searched, or nobody
            chooses a location.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012
    render_mode = None

    def __init__(
        self,
        batch: EpisodeBatch,
        model: RecurrentAttention,
        *,
        reward: str = "gain",
        learn: Callable[[Episodes], None] | None = None,
        grid: int | None = None,
        begin: Callable[[], Observation] | None = None,
        precision: str = "auto",
    ) -> None:
        if not isinstance(batch, EpisodeBatch):
            raise ValueError(
                f"`batch` must be the engine of an environment, got a {type(batch).__name__}: "
                "give env.core"
            )
        if not isinstance(model, RecurrentAttention):
            raise ValueError(
                f"`model` must be a perceiver's networks, got a {type(model).__name__}: "
                "give agent.model"
            )
        if learn is not None and not callable(learn):
            raise ValueError(
                f"`learn` must be a function, got a {type(learn).__name__}: give perceiver.learn"
            )
        check_name("reward", reward, REWARDS)
        if batch.predict != "external":
            raise ValueError(
                f"`predict` must be 'external' for a belief view, got {batch.predict!r}: the "
                "perceiver judges itself"
            )
        if batch.eye.actions == 0:
            raise ValueError("`glimpses` must be at least 2, got 1: nobody chooses a location")
        self.batch, self.model = batch, model
        self._task, self._reward = answered(batch.task), REWARDS[reward]
        self._learn, self._precision = learn, precision
        self._begin_next = begin or (lambda: batch.reset()[0])
        self.num_envs = batch.rows
        self.single_observation_space = spaces.Box(-np.inf, np.inf, (model.hidden,))
        eye = batch.eye
        self._grid = None if grid is None else Grid(grid, eye.zoom, eye.stop)
        self.single_action_space: spaces.Space[Any] = spaces.Box(-1, 1, (eye.action_size,))
        if self._grid is not None:
            self.single_action_space = spaces.Discrete(self._grid.count)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        # Of the running episodes: what was seen, log-probabilities (B, T, n), the core's state.
        self._seen: list[Observation] = []
        self._answers = torch.empty(0)
        self._state: State = ()

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Begin episodes in all rows; what runs is broken off and not learned from.

        Args:
            seed: As for the batch's `reset`.
            options: `indices`, as for the batch's `reset`.

        Raises:
            ValueError: An option is unknown or of the wrong shape, or rows shall be reset alone.
        """
        if (options or {}).get("reset_mask") is not None:
            raise ValueError("`reset_mask` must not be given, got one: all rows begin together")
        if seed is None and not options:
            return self._begin(self._begin_next()), self._info()
        indices, groups = (options or {}).get("indices"), self.num_envs // self.batch.copies
        if indices is not None and np.shape(indices) != (groups,):
            raise ValueError(
                f"`indices` must be ({groups},), got {np.shape(indices)}: "
                "name one image for each group of copies"
            )
        observation, _ = self.batch.reset(seed=seed, options=options)
        return self._begin(observation), self._info()

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Look where the actions say.

        Raises:
            ValueError: The actions are of the wrong shape or NaN, or `reset` was not called.
        """
        if not self._seen:
            raise ValueError("`reset` must come before `step`, got a step: call reset(seed=0)")
        before = self.batch.count
        hidden = _to_numpy(self._look(self._actions(actions)))
        reward = self._reward(self._task, self._answers, self.batch.target)[:, self._latest]
        reward = reward - self.batch.cost * (self.batch.count - before)
        rewards = reward.numpy(force=True).astype(np.float64)
        ended = np.full(self.num_envs, len(self._seen) > self.batch.eye.actions)
        never, info = np.zeros(self.num_envs, dtype=np.bool_), self._info()
        if ended[0]:
            hidden, info = self._begin_again(hidden, info)
        return hidden, rewards, ended, never, info

    def errors(
        self, split: str, choose: Callable[[Array], Array], *, seed: int = 0
    ) -> tuple[ErrorRate, ...]:
        """Return the error after each glimpse on every image of a split.

        Nothing is learned, and the running episodes are left alone.

        Args:
            split: `train`, `validation` or `test`.
            choose: Turns hidden states (B, D) into actions (B, ...), as `step` takes them.
            seed: Of what is random in the images and of the first locations.
        """
        side = None if self._grid is None else self._grid.side
        other = BeliefView(self.batch.twin(), self.model, grid=side, precision=self._precision)
        right = []
        for observation, info in other.batch.sweep(split, seed=seed):
            hidden = other._begin(observation)
            for _ in range(other.batch.eye.actions):
                hidden = _to_numpy(other._look(other._actions(choose(hidden))))
            right.append(self._task.correct(other._answers, info["target"])[:: self.batch.copies])
        return error_rates(torch.cat(right))

    def render(self) -> None:
        """Draw nothing: what is believed has no picture; `glimpse watch` draws what is seen."""

    def _actions(self, actions: Array) -> Float[Tensor, "B a"]:
        rows, size = len(self._seen[0]["step"]), self.batch.eye.action_size
        actions = np.asarray(actions)
        if self._grid is not None:
            if actions.shape != (rows,):
                raise ValueError(
                    f"actions must be ({rows},), got {actions.shape}: name one for each row"
                )
            actions = self._grid(actions)
        wanted = (rows, size)
        number = actions.dtype.kind in "fiu"
        nan = " with NaN" if number and np.isnan(actions).any() else ""
        if actions.shape != wanted or not number or nan:
            raise ValueError(
                f"actions must be numbers of shape {wanted}, got {actions.dtype} of shape "
                f"{actions.shape}{nan}: give {size} numbers, (x, y) first, for each row"
            )
        return torch.from_numpy(actions.astype(np.float32)).to(self.batch.device)

    def _begin_again(self, hidden: Array, info: dict[str, Any]) -> tuple[Array, dict[str, Any]]:
        """Learn from what has ended and begin anew; return what is seen and said of both."""
        if self._learn is not None:
            eye = self.batch.eye
            count = self.batch.count if eye.stop else None
            self._learn(Episodes(tuple(self._seen), eye.glimpses, self.batch.target, count))
        last = np.empty(self.num_envs, dtype=object)
        last[:] = list(hidden)
        of_obs, of_info = np.ones((2, self.num_envs), dtype=np.bool_)
        final = {
            "final_obs": last,
            "_final_obs": of_obs,
            "final_info": info,
            "_final_info": of_info,
        }
        return self._begin(self._begin_next()), {**self._info(), **final}

    @torch.no_grad()
    def _begin(self, observation: Observation) -> Array:
        """Take the first look of episodes; return the hidden state."""
        shape = (len(observation["step"]), self.batch.eye.glimpses, self._task.scores)
        self._seen, self._answers = [], torch.zeros(shape, device=self.batch.device)
        with autocast(self.batch.device, self._precision):
            self._state = self.model.initial(observation)
        return _to_numpy(self._perceive(observation))

    def _look(self, action: Float[Tensor, "B a"]) -> Float[Tensor, "B D"]:
        return self._perceive(self.batch.look(action))

    @torch.no_grad()
    def _perceive(self, observation: Observation) -> Float[Tensor, "B D"]:
        """Remember what is seen, and answer."""
        self.model.eval()
        with autocast(self.batch.device, self._precision):
            state = self.model(observation, self._state)
            if self.batch.eye.stop:  # who has stopped sees nothing more
                live = (self.batch.count > self._latest + 1)[:, None]
                state = tuple(
                    torch.where(live, new, old) for new, old in zip(state, self._state, strict=True)
                )
            self._state = state
            hidden: Tensor = state[0]
            scores = self.model.classifier(hidden)
        self._seen.append(observation)
        if self._latest >= 0:
            self._answers[:, self._latest] = self._task.answers(scores.float())
        return hidden

    @property
    def _latest(self) -> int:
        """The number of the latest glimpse, from 0; -1 before the agent's first."""
        return self.batch.eye.glimpses - self.batch.eye.actions + len(self._seen) - 2

    def _info(self) -> dict[str, Any]:
        target = np.array(self.batch.target.numpy(force=True))
        return {"target": target, "_target": np.ones(len(target), dtype=np.bool_)}


def _to_numpy(hidden: Float[Tensor, "B D"]) -> Array:
    """Return an array that shares no memory with the tensor.

    Raises:
        ValueError: There is NaN or infinity in it.
    """
    array = np.array(hidden.float().numpy(force=True))
    if not np.isfinite(array).all():
        raise ValueError(
            "the perceiver's hidden state must be numbers, got NaN or infinity: choose a lower "
            "learning_rate, or look for NaN in the images"
        )
    return array
