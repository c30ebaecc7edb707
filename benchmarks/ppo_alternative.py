"""Ours beside another way to learn where to look with PPO: sb3-contrib's RecurrentPPO.

Both learn the same task on one core for the same CPU time. Ours is `PpoLearner`: a perceiver taught
by cross-entropy, and PPO on what it believes. The alternative is one policy for all of it, on the
environment's flat face, where every action brings an answer:

* RecurrentPPO, unmodified. Its policy has our glimpse network, one LSTM for actor and critic, and
  actions that are a location, Gaussian around a mean, and a class drawn from the answer's
  probabilities. The reward is 1 for a right last answer.
* After each of PPO's improvements, cross-entropy of all answers of the episodes just played, with
  an optimiser of its own: rewards alone teach answers too slowly.
* Its learning rates fall along a cosine, and it computes in bfloat16 where we do.

Its settings are among the best of some twenty, each tried for 60 CPU seconds on MNIST. Ours must
know its steps beforehand: a learner thrown away tells. Judged are last answers, mean locations.

    pip install -e ".[contrib]"
    GLIMPSE_DATA=folder-with-mnist python benchmarks/ppo_alternative.py
    python benchmarks/ppo_alternative.py --env glimpse/Digits-v0 --seconds 60
"""

import argparse
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from math import cos, pi
from typing import Any

import gymnasium
import torch
from gymnasium import spaces
from sb3_contrib import RecurrentPPO
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor
from torch.distributions import Normal
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

import glimpse.envs
from glimpse.agents import Agent, PpoConfig, PpoLearner, SB3VecEnv
from glimpse.batch import GlimpseBatch
from glimpse.evaluation import ErrorRate, error_rates
from glimpse.networks import GlimpseNetwork
from glimpse.precision import autocast

gymnasium.register_envs(glimpse.envs)
CPU, HIDDEN, STD = torch.device("cpu"), 256, 0.1
# Of the alternative: rows, PPO's options, and those of the improvements by cross-entropy.
ROWS, POLICY_RATE = 512, 3e-3
PPO = {"batch_size": 1536, "n_epochs": 1, "gamma": 1.0, "gae_lambda": 1.0, "device": "cpu"}
LSTM = {"lstm_hidden_size": HIDDEN, "shared_lstm": True, "enable_critic_lstm": False}
ANSWER_RATE, PARTS, CLIP = 4e-3, 4, 5.0
Result = tuple[float, int, ErrorRate, ErrorRate]  # seconds, episodes, validation and test error


class Features(BaseFeaturesExtractor):
    """Our glimpse network."""

    def __init__(self, space: spaces.Dict) -> None:
        super().__init__(space, HIDDEN)
        self.network = GlimpseNetwork(space["glimpse"].shape, features=HIDDEN)

    def forward(self, observations: Mapping[str, Tensor]) -> Tensor:  # noqa: D102
        with autocast(CPU):
            return self.network(observations["glimpse"], observations["location"]).float()


@dataclass(frozen=True)
class LookAndAnswer:
    """The distribution of actions: what the recurrent policy asks of one, and no more.

    A drawn class gets score 1, the others -1: the environment's answer is then that class.
    """

    mean: Tensor  # (B, 2)
    log_probs: Tensor  # (B, n)

    def get_actions(self, deterministic: bool = False) -> Tensor:
        """Draw them; here nobody asks for the most probable."""
        location = Normal(self.mean, STD).sample()
        answer = torch.multinomial(self.log_probs.exp(), 1)[:, 0]
        scores = 2 * F.one_hot(answer, self.log_probs.shape[1]) - 1
        return torch.cat([location, scores], dim=1)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return it for the location as it was drawn, before any clipping, and the class."""
        of_location = Normal(self.mean, STD).log_prob(actions[:, :2]).sum(dim=1)
        answer = actions[:, 2:].argmax(dim=1, keepdim=True)
        return of_location + self.log_probs.gather(1, answer)[:, 0]

    def entropy(self) -> None:
        """Say that it is not used."""


class LookAndAnswerPolicy(RecurrentActorCriticPolicy):
    """A recurrent policy with such actions."""

    def _get_action_dist_from_latent(self, latent_pi: Tensor) -> Any:
        chosen = self.action_net(latent_pi)
        return LookAndAnswer(chosen[:, :2], F.log_softmax(chosen[:, 2:], dim=1))

    @staticmethod
    def _process_sequence(features, lstm_states, episode_starts, lstm):  # type: ignore[no-untyped-def]
        """Do as the original, in one call: here a sequence never holds two episodes."""
        rows = lstm_states[0].shape[1]
        kept = (1 - episode_starts.view(rows, -1)[:, 0])[None, :, None]
        sequence = features.view(rows, -1, lstm.input_size).transpose(0, 1)  # (T, B, D)
        with autocast(CPU):
            output, states = lstm(sequence, tuple(kept * state for state in lstm_states))
        return output.transpose(0, 1).flatten(0, 1).float(), tuple(each.float() for each in states)


class Supervision(BaseCallback):
    """Teach the policy's answers by cross-entropy, and end training when its time is over."""

    def __init__(self, share: Callable[[], float]) -> None:
        super().__init__()
        self.episodes, self._share, self._over = 0, share, False
        self._played: tuple[Mapping[str, Tensor], Tensor] | None = None

    def _on_training_start(self) -> None:
        policy = self.model.policy
        taught = (policy.features_extractor, policy.lstm_actor, policy.action_net)
        self._weights = [weight for module in taught for weight in module.parameters()]
        self._optimiser = torch.optim.Adam(self._weights, fused=True)

    def _on_rollout_start(self) -> None:
        """Learn now, after PPO: before it, its choices would not be the policy's any more."""
        if self._played is not None:
            self._teach(*self._played)
        self._over = self._share() <= 0
        self._target = torch.from_numpy(self.training_env.info["target"])  # of what is played now

    def _on_step(self) -> bool:
        return not self._over

    def _on_rollout_end(self) -> None:
        seen = self.model.rollout_buffer.observations
        self._played = {name: torch.from_numpy(seen[name]) for name in seen}, self._target
        self.episodes += len(self._target)

    def _teach(self, seen: Mapping[str, Tensor], target: Tensor) -> None:
        policy, glimpses = self.model.policy, len(seen["step"])
        for group in self._optimiser.param_groups:
            group["lr"] = ANSWER_RATE * self._share()
        for rows in torch.randperm(len(target)).chunk(PARTS):
            part = {name: of[:, rows].flatten(0, 1) for name, of in seen.items()}  # (T * B, …)
            features = policy.features_extractor(part).view(glimpses, len(rows), HIDDEN)
            with autocast(CPU):
                hidden, _ = policy.lstm_actor(features)
            scores = policy.action_net(hidden.float())[..., 2:].flatten(0, 1)
            each = F.cross_entropy(scores, target[rows].repeat(glimpses), reduction="none")
            loss_t = each.view(glimpses, -1).mean(dim=1)
            loss = loss_t[-1] + loss_t[:-1].mean()
            self._optimiser.zero_grad()
            loss.backward()
            clip_grad_norm_(self._weights, CLIP)
            self._optimiser.step()


@torch.no_grad()
def error(policy: RecurrentActorCriticPolicy, core: GlimpseBatch, split: str) -> ErrorRate:
    """Return the error after the last glimpse on every image of a split."""
    right = []
    for observation, info in core.sweep(split):
        state = tuple(torch.zeros(2, 1, len(info["target"]), HIDDEN))
        starts = torch.zeros(len(info["target"]))
        for look in range(core.eye.glimpses):
            chosen, state = policy.get_distribution(observation, state, starts)
            if look < core.eye.actions:
                observation = core.look(chosen.mean)
        right.append(chosen.log_probs.argmax(dim=1) == info["target"])
    return error_rates(torch.cat(right)[:, None])[0]


def alternative(env_id: str, seconds: float, seed: int, judge: GlimpseBatch) -> Result:
    """Train the alternative; the clock runs from when it is built."""
    flat = {"predict": "flat", "reward": "correct", "autoreset_mode": "SameStep"}
    env = gymnasium.make_vec(env_id, ROWS, **flat).unwrapped
    start = time.process_time()

    def share() -> float:
        return (1 + cos(pi * min((time.process_time() - start) / seconds, 1))) / 2

    ppo = RecurrentPPO(
        LookAndAnswerPolicy,
        SB3VecEnv(env),
        learning_rate=lambda _: POLICY_RATE * share(),
        n_steps=env.core.eye.glimpses,
        policy_kwargs={"net_arch": [], "features_extractor_class": Features, **LSTM},
        seed=seed,
        **PPO,
    )
    ppo.set_logger(Logger(folder=None, output_formats=[]))
    supervision = Supervision(share)
    ppo.learn(2**62, supervision)
    used = time.process_time() - start
    errors = [error(ppo.policy, judge, split) for split in ("validation", "test")]
    return used, supervision.episodes, *errors


def ours(env_id: str, seconds: float, seed: int, judge: GlimpseBatch) -> Result:
    """Train ours, for as many steps as should take so long."""

    def play(steps: int, count: int) -> tuple[Agent, float]:
        """Take the first `count` of so many steps; return the agent and the CPU seconds."""
        config = PpoConfig(steps=steps, seed=seed)
        core = gymnasium.make_vec(env_id, config.batch).unwrapped.core
        agent = Agent.for_batch(config, core)
        start = time.process_time()
        learner = PpoLearner(config, core, agent.model)
        for _ in range(count):
            learner.step()
        return agent, time.process_time() - start

    play(1000, 2)  # warm
    steps = max(round(10 * seconds / play(1000, 10)[1]), 1)
    agent, used = play(steps, steps)
    errors = [agent.survey(judge, split).errors[-1] for split in ("validation", "test")]
    return used, steps * agent.config.batch, *errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", default="glimpse/MNIST-v0", help="whose images have classes")
    parser.add_argument("--seconds", type=float, default=240, help="of CPU time for each")
    parser.add_argument("--seed", type=int, default=0, help="of both")
    options = parser.parse_args()
    torch.set_num_threads(1)
    known = [f"{name} {version(name)}" for name in ("torch", "stable-baselines3", "sb3-contrib")]
    print(f"{options.env}, {', '.join([platform.machine(), *known])}, 1 thread\n")
    print("| method | CPU seconds | episodes | episodes/s | validation error % | test error |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, method in (("`PpoLearner`", ours), ("RecurrentPPO with supervision", alternative)):
        judge = gymnasium.make_vec(options.env, 500).unwrapped.core
        used, episodes, validation, test = method(options.env, options.seconds, options.seed, judge)
        print(
            f"| {name} | {used:.0f} | {episodes:,} | {episodes / used:,.0f} "
            f"| {validation.percent:.2f} | {test} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
