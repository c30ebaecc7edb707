"""PPO: stable-baselines3's, unmodified, on what a perceiver believes.

Every step plays one batch of episodes. The perceiver learns from them by cross-entropy
(`agents/perceiver.py`), then PPO learns where to look from the rewards that the perceiver's answers
earned (`agents/belief.py`).

Source: A. Raffin et al., "Stable-Baselines3: Reliable Reinforcement Learning Implementations", JMLR
22, 2021.
"""

import warnings
from collections.abc import Callable
from copy import deepcopy
from math import isfinite, log
from typing import Any

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, ConvertCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.type_aliases import MaybeCallback
from stable_baselines3.common.utils import FloatSchedule
from torch import nn

from glimpse.checkpoint import own_checkpoint
from glimpse.checks import check_count
from glimpse.draws import Draws
from glimpse.episodes import EpisodeBatch, Observation
from glimpse.networks import RecurrentAttention
from glimpse.randomness import derive_seed, own_randomness, seed_globally
from glimpse.tasks import answered

from .averaging import average
from .belief import BeliefView
from .perceiver import Perceiver
from .ppo import PpoConfig
from .sb3_env import SB3VecEnv

# stable-baselines3's names of what PPO logs, and ours.
_METRICS = {
    "train/policy_gradient_loss": "policy loss",
    "train/value_loss": "value loss",
    "train/explained_variance": "explained variance",
    "train/approx_kl": "kl",
    "train/clip_fraction": "clipped share",
}


class PpoLearner:
    """Improve a perceiver, and where it looks, once a batch of episodes.

    Every random number of step i is a function of (seed, i), so a checkpoint holds no random state
    and no state of the environment.

    Args:
        config: How to learn.
        batch: What to look at: `config.batch * config.copies` rows, from the training split.
        model: What learns; with `config.ema`, what gets the averages of the weights.
        policy: stable-baselines3's policy, by name or class; of `config.layers`, for Gaussian
            locations.

    Attributes:
        ppo: stable-baselines3's own: `ppo.set_logger` and `ppo.save` work as they always do.
        view: What it learns on.

    Raises:
        ValueError: The batch has another number of rows or of copies, images are to be searched, or
            stable-baselines3 refuses the policy.
    """

    def __init__(
        self,
        config: PpoConfig,
        batch: EpisodeBatch,
        model: RecurrentAttention,
        policy: str | type[ActorCriticPolicy] = "MlpPolicy",
    ) -> None:
        config.check_rows(batch)
        self._draws = Draws(batch.images, config.batch, config.seed)
        self.config, self.model, self._batch = config, model, batch.twin()
        self._learning = deepcopy(model) if config.ema else model
        self._perceiver = Perceiver(
            self._learning,
            answered(batch.task),
            weight_decay=config.weight_decay,
            minibatches=config.minibatches,
            early=config.early,
            clip=config.clip,
            precision=config.precision,
        )
        self.view = BeliefView(
            self._batch,
            self._learning,
            reward=config.reward,
            learn=self._perceiver.learn,
            begin=self._begin,
            precision=config.precision,
        )
        self._env = SB3VecEnv(self.view)
        self._step, self._begun = 0, 0
        self.ppo = self._make_ppo(policy)

    def step(self) -> dict[str, float]:
        """Play one batch of episodes, improve perceiver and policy, return what there is to log.

        Raises:
            ValueError: The perceiver's loss is no number any more.
        """
        self.learn(1)
        # SB3 empties its log before it trains, so what it logged in training is still there.
        logged = self.ppo.logger.name_to_value
        earned = float(self.ppo.rollout_buffer.rewards.sum(axis=0).mean())
        of_ppo = {ours: float(logged[theirs]) for theirs, ours in _METRICS.items()}
        known = {name: value for name, value in of_ppo.items() if isfinite(value)}
        return {**self._perceiver.metrics, "reward": earned, **known}

    def learn(
        self, steps: int, callback: MaybeCallback = None, *, progress_bar: bool = False
    ) -> None:
        """Take many steps in one call of stable-baselines3's `learn`.

        Args:
            steps: How many.
            callback: What stable-baselines3 takes as one. If it ends training, that is with the
                batch of episodes it is in. Its `locals` are empty afterwards.
            progress_bar: Show stable-baselines3's own.

        Raises:
            ValueError: `steps` is no whole number, or the perceiver's loss no number any more.
        """
        check_count(0, steps=steps)
        batches, whole = _Batches(callback, self._prepare, self._tell, self._finish), False
        try:
            with own_randomness(self._batch.device):
                self.ppo.learn(
                    steps * self.ppo.n_steps * self.ppo.n_envs,
                    batches,
                    log_interval=1,
                    reset_num_timesteps=False,
                    progress_bar=progress_bar,
                )
            whole = True
        except _EndedByCallback:
            batches.on_training_end()
            whole = True
        finally:
            batches.locals.clear()  # all that SB3's loop knew, callbacks included: megabytes a step
            if not whole:  # an error or Ctrl-C within a batch, which is then played again
                self._begin_from(self._step)

    def state_dict(self) -> dict[str, Any]:
        """Return weights, optimisers and the number of steps taken."""
        return {
            "model": self.model.state_dict(),
            "learning": self._learning.state_dict() if self.config.ema else {},
            "perceiver": self._perceiver.state_dict(),
            "policy": self.ppo.policy.optimizer.state_dict(),
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
                self._learning.load_state_dict(state["learning"])
            self._perceiver.load_state_dict(state["perceiver"])
            self.ppo.policy.optimizer.load_state_dict(state["policy"])
            self._begin_from(int(state["step"]))

    def _begin_from(self, step: int) -> None:
        """Let the next thing that PPO does be to begin the episodes of this step."""
        self._step = self._begun = step
        self.ppo.num_timesteps = step * self.ppo.n_steps * self.ppo.n_envs
        self.ppo._n_updates = step * self.config.epochs  # a counter, for its log only
        self.ppo.set_env(self._env)

    def _begin(self) -> Observation:
        """Begin the next batch of episodes."""
        rows = torch.arange(self._batch.rows, device=self._batch.device)
        seeds = self._draws.first_seed(self._begun) + rows
        indices = self._draws.images(self._begun)
        self._begun += 1
        return self._batch.begin(seeds, indices)

    def _prepare(self) -> None:
        """Make ready for the step that begins: its randomness, its rates, its deviation."""
        config, step = self.config, self._step
        seed_globally(derive_seed(config.seed, step, 5), self._batch.device)
        share = config.schedule(step)
        self._perceiver.learning_rate = share * config.learning_rate
        self.ppo.lr_schedule = FloatSchedule(share * config.policy_rate)
        self.ppo.policy.log_std.data.fill_(log(config.std_at(step)))

    def _tell(self) -> None:
        """Put what the perceiver learned into stable-baselines3's log."""
        for name, value in self._perceiver.metrics.items():
            self.ppo.logger.record(f"perceiver/{name}", value)

    def _finish(self) -> None:
        """Count the step that was taken."""
        if self.config.ema:
            average(self.model, self._learning, self.config.ema, self._step)
        self._step += 1

    def _make_ppo(self, policy: str | type[ActorCriticPolicy]) -> PPO:
        """Make it, and give the model its heads.

        They are the same modules, not copies: what PPO learns is the model's.
        """
        config, model, choices = self.config, self._learning, self._batch.eye.actions
        count = self._batch.rows * choices
        if count < 2:
            raise ValueError("a batch must have at least 2 choices, got 1: choose a larger batch")
        try:
            with own_randomness(self._batch.device), warnings.catch_warnings():
                # A GPU is slower for so small a policy, but the perceiver is there; and parts of
                # a batch need not be equal.
                warnings.filterwarnings("ignore", "You are trying to run PPO on the GPU")
                warnings.filterwarnings("ignore", "You have specified a mini-batch size")
                ppo = PPO(
                    policy,
                    self._env,
                    learning_rate=config.policy_rate,
                    n_steps=choices,
                    batch_size=max(-(-count // config.minibatches), 2),
                    n_epochs=config.epochs,
                    gamma=config.discount,
                    gae_lambda=config.trace,
                    clip_range=config.clip_range,
                    max_grad_norm=config.policy_clip,
                    policy_kwargs={
                        "net_arch": list(config.layers),
                        "optimizer_class": torch.optim.AdamW,
                        # stable-baselines3's own epsilon for PPO
                        "optimizer_kwargs": {"weight_decay": config.weight_decay, "eps": 1e-5},
                    },
                    device=self._batch.device,
                )
            networks = ppo.policy.mlp_extractor
            locator = nn.Sequential(*networks.policy_net, ppo.policy.action_net)
            baseline = nn.Sequential(*networks.value_net, ppo.policy.value_net)
            if type(ppo.policy.features_extractor) is not FlattenExtractor:
                raise TypeError("it has a feature extractor of its own")
            if (str(locator), str(baseline)) != (str(model.locator), str(model.baseline)):
                raise TypeError("it has other networks")
            locator.load_state_dict(model.locator.state_dict())
            baseline.load_state_dict(model.baseline.state_dict())
            ppo.policy.log_std.requires_grad_(False)
        except (AssertionError, AttributeError, TypeError, ValueError) as error:
            name = policy if isinstance(policy, str) else getattr(policy, "__name__", policy)
            raise ValueError(
                f"`policy` must be one that stable-baselines3's PPO takes for a vector, with "
                f"layers={config.layers} and Gaussian locations, got {name} "
                f"({(str(error) or type(error).__name__).splitlines()[0]}): choose MlpPolicy"
            ) from error
        model.locator, model.baseline = locator, baseline
        ppo.set_logger(Logger(folder=None, output_formats=[]))
        return ppo


class _EndedByCallback(Exception):
    """Training shall end, between two batches."""


class _Batches(CallbackList):
    """The user's callbacks, and what happens before, after and between batches of episodes.

    Args:
        callback: The user's.
        before: Is called before a batch.
        after: Is called after it.
        learned: Is called when PPO, too, has learned from it.
    """

    def __init__(
        self,
        callback: MaybeCallback,
        before: Callable[[], None],
        after: Callable[[], None],
        learned: Callable[[], None],
    ) -> None:
        if isinstance(callback, BaseCallback):
            callback = [callback]
        elif callback is not None and not isinstance(callback, list):
            callback = [ConvertCallback(callback)]
        super().__init__(callback or [])
        self._before, self._after, self._learned = before, after, learned
        self._played = self._ending = False

    def _on_rollout_start(self) -> None:
        self._finish()
        if self._ending:
            raise _EndedByCallback
        self._before()
        super()._on_rollout_start()

    def _on_step(self) -> bool:
        """Go on in any case: half a batch would teach the perceiver and not PPO."""
        self._ending |= not super()._on_step()
        return True

    def _on_rollout_end(self) -> None:
        self._after()
        self._played = True
        super()._on_rollout_end()

    def _on_training_end(self) -> None:
        self._finish()
        super()._on_training_end()

    def _finish(self) -> None:
        if self._played:
            self._learned()
        self._played = False
