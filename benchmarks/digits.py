"""Does learning where to look pay? REINFORCE against its control on the embedded digits.

Trains the default agent and `uniform`, with the same budget, on three seeds each, reads the test
set once a run, and prints target, reached and verdict.

    python benchmarks/digits.py
"""

import argparse
import platform
import time
from statistics import mean

import gymnasium
import torch

import glimpse.envs
from glimpse.agents import AGENTS, Agent
from glimpse.callbacks import ProgressBar
from glimpse.loop import train

gymnasium.register_envs(glimpse.envs)
TARGET_ERROR, TARGET_GAP, TARGET_SECONDS = 5.0, 15.0, 120.0


def run(name: str, seed: int, steps: int | None) -> tuple[float, float]:
    """Train one agent; return its test error in percent and the seconds it took."""
    entry = AGENTS[name]
    config = entry.config(seed=seed) if steps is None else entry.config(seed=seed, steps=steps)
    core = gymnasium.make_vec("glimpse/Digits-v0", num_envs=config.batch).unwrapped.core
    agent = Agent.for_batch(config, core)
    learner = entry.learner(config, core, agent.model)
    start = time.perf_counter()
    with ProgressBar() as bar:
        train(learner, config.steps, [bar])
    seconds = time.perf_counter() - start
    return agent.evaluate(core, "test").mean[-1].percent, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="runs of each agent")
    parser.add_argument("--steps", type=int, help="steps of each run (default: the agent's)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, torch {torch.__version__}, 1 thread, glimpse/Digits-v0\n")
    errors: dict[str, list[float]] = {}
    seconds = []
    print(f"{'agent':10} {'seed':>4} {'test error %':>12} {'seconds':>8}")
    for name in ("reinforce", "uniform"):
        for seed in range(options.seeds):
            error, took = run(name, seed, options.steps)
            errors.setdefault(name, []).append(error)
            seconds.append(took)
            print(f"{name:10} {seed:4} {error:12.2f} {took:8.1f}", flush=True)
    reached, control = mean(errors["reinforce"]), mean(errors["uniform"])
    print()
    for what, value, target, kept in (
        ("mean test error %", reached, f"<= {TARGET_ERROR}", reached <= TARGET_ERROR),
        (
            "points better than uniform",
            control - reached,
            f">= {TARGET_GAP}",
            control - reached >= TARGET_GAP,
        ),
        (
            "seconds of the longest run",
            max(seconds),
            f"<= {TARGET_SECONDS}",
            max(seconds) <= TARGET_SECONDS,
        ),
    ):
        print(f"{what:27} {value:7.2f}  target {target:8} {'reached' if kept else 'MISSED'}")


if __name__ == "__main__":
    main()
