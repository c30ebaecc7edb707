"""What does each option of PPO change?

Trains PPO on 28x28 MNIST, 6 glimpses of 8x8, with the defaults and, one at a time, with one of them
changed, all for the same number of episodes, and prints the validation error of each. The first
line comes with two seeds: what differs by less than they do is noise.

    GLIMPSE_DATA=folder-with-mnist python benchmarks/ppo_options.py
"""

import argparse
import platform
import time
from collections.abc import Mapping
from typing import Any

import gymnasium
import torch

import glimpse.envs
from glimpse.agents import Agent, PpoConfig, PpoLearner
from glimpse.callbacks import ProgressBar
from glimpse.loop import train

gymnasium.register_envs(glimpse.envs)
EPISODES = 1024  # of a step of the defaults; a smaller batch takes more steps
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "the defaults": {},
    "the defaults, another seed": {"seed": 1},
    "std learned, as stable-baselines3 does": {},  # by `LEARNERS` below
    "std=0.05": {"std": 0.05},
    "std=0.2": {"std": 0.2},
    "std=0.15 falling to 0.05": {"std": 0.15, "last_std": 0.05},
    "reward=correct": {"reward": "correct"},
    "discount=0.9": {"discount": 0.9},
    "discount=0 (each glimpse for itself)": {"discount": 0.0},
    "trace=0.9": {"trace": 0.9},
    "epochs=1": {"epochs": 1},
    "epochs=4": {"epochs": 4},
    "minibatches=1": {"minibatches": 1},
    "minibatches=8": {"minibatches": 8},
    "batch=512, minibatches=2": {"batch": 512, "minibatches": 2},
    "batch=256, minibatches=1": {"batch": 256, "minibatches": 1},
    "policy_rate=3e-4": {"policy_rate": 3e-4},
    "policy_rate=3e-3": {"policy_rate": 3e-3},
    "layers=(64,)": {"layers": (64,)},
    "learning_rate=1e-3": {"learning_rate": 1e-3},
    "learning_rate=4e-3": {"learning_rate": 4e-3},
    "weight_decay=0.3": {"weight_decay": 0.3},
    "weight_decay=0.3, policy_rate=3e-4": {"weight_decay": 0.3, "policy_rate": 3e-4},
    "early=0": {"early": 0.0},
    "early=1": {"early": 1.0},
    "ema=0": {"ema": 0.0},
    "core=relu": {"core": "relu"},
}


class Free(PpoLearner):
    """PPO with a standard deviation of its own, which begins at `std`."""

    def _prepare(self) -> None:
        log_std = self.ppo.policy.log_std
        learned = log_std.detach().clone()
        super()._prepare()
        if self._step:
            log_std.data.copy_(learned)
        log_std.requires_grad_(True)


LEARNERS = {"std learned, as stable-baselines3 does": Free}


def run(name: str, steps: int) -> tuple[float, float, float]:
    """Train; return the validation error in percent, the last std and the CPU seconds."""
    options = dict(VARIANTS[name])
    config = PpoConfig(steps=steps * EPISODES // options.get("batch", EPISODES), **options)
    core, judge = (
        gymnasium.make_vec("glimpse/MNIST-v0", num_envs=rows).unwrapped.core
        for rows in (config.batch, 500)
    )
    agent = Agent.for_batch(config, core)
    learner = LEARNERS.get(name, PpoLearner)(config, core, agent.model)
    start = time.process_time()
    with ProgressBar() as bar:
        train(learner, config.steps, [bar])
    seconds = time.process_time() - start
    std = float(learner.ppo.policy.log_std.exp().mean())
    return agent.survey(judge, "validation").errors[-1].percent, std, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400, help=f"of each run, of {EPISODES:,}")
    parser.add_argument("--only", choices=VARIANTS, nargs="*", help="some of the lines")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{platform.machine()}, torch {torch.__version__}, 1 thread, glimpse/MNIST-v0, the "
        f"defaults: {PpoConfig(steps=options.steps)}\n"
    )
    print("| changed | validation error % | last std | CPU seconds |\n| --- | ---: | ---: | ---: |")
    for name in options.only or VARIANTS:
        error, std, seconds = run(name, options.steps)
        print(f"| {name} | {error:.2f} | {std:.3f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
