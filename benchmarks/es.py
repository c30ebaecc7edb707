"""Does evolution learn where to look? SNES on location heads against looking anywhere.

Trains `es` and the control `uniform` on the embedded digits with their defaults, on three seeds
each, reads the test set once a run, and prints target, reached and verdict. With `--options` it
trains `es` with one option changed at a time instead, and prints validation errors.

    python benchmarks/es.py
    python benchmarks/es.py --options
"""

import argparse
import platform
import time
from collections.abc import Mapping
from statistics import mean
from typing import Any

import gymnasium
import torch

import glimpse.envs
from glimpse.agents import AGENTS, Agent
from glimpse.callbacks import ProgressBar
from glimpse.loop import train

gymnasium.register_envs(glimpse.envs)
TARGET_GAP = 5.0  # points better than the control
TARGET_SECONDS = 1200.0  # CPU seconds of a run: ten minutes on two cores
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "the defaults": {},
    "the defaults, another seed": {"seed": 1},
    "uniform=0.3": {"uniform": 0.3},
    "reward=correct": {"reward": "correct"},
    "search_std=0.01": {"search_std": 0.01},
    "search_std=0.1": {"search_std": 0.1},
    "population=64": {"population": 64},
    "batch=512, population=64": {"batch": 512, "population": 64},
    "centre_rate=0.5": {"centre_rate": 0.5},
    "weight_decay=0.3": {"weight_decay": 0.3},
}


def run(name: str, split: str, **options: Any) -> tuple[float, float]:
    """Train one agent; return its error on a split in percent and the CPU seconds it took."""
    entry = AGENTS[name]
    config = entry.config(**options)
    core = make_core(config.batch)
    agent = Agent.for_batch(config, core)
    learner = entry.learner(config, core, agent.model)
    start = time.process_time()
    with ProgressBar() as bar:
        train(learner, config.steps, [bar])
    seconds = time.process_time() - start
    return agent.survey(make_core(512), split).errors[-1].percent, seconds


def make_core(rows: int) -> Any:
    return gymnasium.make_vec("glimpse/Digits-v0", num_envs=rows).unwrapped.core


def compare(seeds: range) -> None:
    """Print what `es` and the control reach, and whether that keeps the targets."""
    errors, longest = dict[str, list[float]](), 0.0
    print(f"{'agent':10} {'seed':>4} {'CPU s':>6} {'test error %':>12}")
    for seed in seeds:
        for name in ("es", "uniform"):
            error, seconds = run(name, "test", seed=seed)
            errors.setdefault(name, []).append(error)
            longest = max(longest, seconds if name == "es" else 0.0)
            print(f"{name:10} {seed:4} {seconds:6.0f} {error:12.2f}", flush=True)
    gap = mean(errors["uniform"]) - mean(errors["es"])
    print()
    for what, value, target, kept in (
        ("points better than uniform", gap, f">= {TARGET_GAP:g}", gap >= TARGET_GAP),
        ("CPU s, longest run", longest, f"<= {TARGET_SECONDS:g}", longest <= TARGET_SECONDS),
    ):
        verdict = "reached" if kept else "MISSED"
        print(f"{what:27} {value:7.2f}  target {target:7} {len(seeds)} seeds: {verdict}")


def vary(changed: Mapping[str, Any]) -> None:
    """Print what each variant reaches, all with the same options changed."""
    print(f"{'variant':50} {'CPU s':>6} {'validation error %':>18}")
    for name, options in VARIANTS.items():
        error, seconds = run("es", "validation", **{**changed, **options})
        print(f"{name:50} {seconds:6.0f} {error:18.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="runs of each agent")
    parser.add_argument("--first-seed", type=int, default=0, help="the seed of the first")
    parser.add_argument("--options", action="store_true", help="vary the options instead")
    parser.add_argument("--steps", type=int, help="steps of the variants (default: the agent's)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, torch {torch.__version__}, 1 thread, glimpse/Digits-v0\n")
    if options.options:
        vary({} if options.steps is None else {"steps": options.steps})
    else:
        compare(range(options.first_seed, options.first_seed + options.seeds))


if __name__ == "__main__":
    main()
