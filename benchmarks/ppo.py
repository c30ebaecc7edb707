"""Does PPO on a belief view learn as well as REINFORCE, and better than looking anywhere?

On MNIST, PPO and REINFORCE train for the same CPU time on the same data; how many steps that is, is
told by each one's first. On the embedded digits PPO and the control `uniform` train with their
defaults. Every run reads the test set once, at its end. Prints every run, then target, reached,
seeds and verdict.

    GLIMPSE_DATA=folder-with-mnist python benchmarks/ppo.py
    python benchmarks/ppo.py --only digits
"""

import argparse
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

import gymnasium
import torch

import glimpse.envs
from glimpse.agents import AGENTS, Agent
from glimpse.callbacks import ProgressBar
from glimpse.cli.ram import TASKS
from glimpse.loop import train

gymnasium.register_envs(glimpse.envs)
Errors = Mapping[str, float]  # mean test error of each agent, in percent


@dataclass(frozen=True)
class Target:
    """What PPO shall reach.

    Attributes:
        env: Id of the environment.
        against: Who learns beside it.
        value: What is measured, from the errors.
        what: That in words.
        most: How much it may be at most.
        seconds: CPU seconds of each run; None: as many as the default steps take.
        view: Options of the environment.
        training: Options of each agent that differ from the defaults.
    """

    env: str
    against: str
    value: Callable[[Errors], float]
    what: str
    most: float
    seconds: float | None = None
    view: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


TARGETS: Mapping[str, Target] = {
    "digits": Target(
        "glimpse/Digits-v0",
        "uniform",
        lambda errors: errors["ppo"] - errors["uniform"],
        "points above uniform",
        -3.0,
    ),
    "28x28": Target(
        "glimpse/MNIST-v0",
        "reinforce",
        lambda errors: errors["ppo"] - errors["reinforce"],
        "points above REINFORCE",
        0.5,
        seconds=240,
        training={
            "reinforce": {"batch": 256, **TASKS["28x28"].recipe},
            "ppo": {"weight_decay": TASKS["28x28"].recipe["weight_decay"]},
        },
    ),
    "translated-60": Target(
        "glimpse/TranslatedMNIST-v0",
        "reinforce",
        lambda errors: errors["ppo"],
        "test error %",
        3.0,
        seconds=480,
        view=TASKS["translated-60"].view,
        training={"reinforce": {"batch": 256, **TASKS["translated-60"].recipe}},
    ),
}
LIMIT = 120.0  # seconds that PPO's defaults may take on the digits


def run(name: str, target: Target, seed: int) -> tuple[float, int, float, float]:
    """Train an agent; return its test error in percent, its steps, CPU seconds and seconds."""
    entry, options = AGENTS[name], {**target.training.get(name, {}), "seed": seed}
    if target.seconds is not None:
        options["steps"] = int(target.seconds / seconds_of_a_step(name, target, options))
    config = entry.config(**options)
    core = make_core(target, config.batch * config.copies)
    agent = Agent.for_batch(config, core)
    learner = entry.learner(config, core, agent.model)
    processor, wall = time.process_time(), time.perf_counter()
    with ProgressBar() as bar:
        train(learner, config.steps, [bar])
    processor, wall = time.process_time() - processor, time.perf_counter() - wall
    error = agent.evaluate(make_core(target, 512), "test").mean[-1].percent
    return error, config.steps, processor, wall


def seconds_of_a_step(name: str, target: Target, options: Mapping[str, Any]) -> float:
    """Return the CPU seconds of one step, the mean of many after a few."""
    entry = AGENTS[name]
    config = entry.config(**{**options, "steps": 1000})
    core = make_core(target, config.batch * config.copies)
    learner = entry.learner(config, core, Agent.for_batch(config, core).model)
    train(learner, 3)
    start, count = time.process_time(), 0
    while (took := time.process_time() - start) < 8 or count == 0:
        learner.step()
        count += 1
    return took / count


def make_core(target: Target, rows: int) -> Any:
    made = gymnasium.make_vec(target.env, num_envs=rows, **target.view)
    return made.unwrapped.core


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=TARGETS, help="one of the targets")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each agent")
    parser.add_argument("--first-seed", type=int, default=0, help="the seed of the first")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, torch {torch.__version__}, 1 thread\n")
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    for place in [options.only] if options.only else TARGETS:
        target, found, longest = TARGETS[place], dict[str, list[float]](), 0.0
        print(f"{target.env}, {dict(target.view)}, beside the defaults {dict(target.training)}")
        print(f"{'agent':10} {'seed':>4} {'steps':>6} {'CPU s':>6} {'test error %':>12}")
        for seed in seeds:
            for name in ("ppo", target.against):
                error, steps, processor, wall = run(name, target, seed)
                found.setdefault(name, []).append(error)
                longest = max(longest, wall if name == "ppo" else 0.0)
                print(f"{name:10} {seed:4} {steps:6} {processor:6.0f} {error:12.2f}", flush=True)
        reached = target.value({name: mean(errors) for name, errors in found.items()})
        print(
            f"{place}: {target.what} {reached:.2f}, target <= {target.most:g}, "
            f"{len(seeds)} seeds: {'reached' if reached <= target.most else 'MISSED'}"
        )
        if target.seconds is None:
            kept = "reached" if longest <= LIMIT else "MISSED"
            print(f"{place}: longest run {longest:.0f} s, target <= {LIMIT:g}: {kept}")
        print()


if __name__ == "__main__":
    main()
