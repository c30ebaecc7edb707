"""What does each option of REINFORCE change?

Trains the recipe of the cluttered 60x60 task and, one at a time, the same with one option changed,
all for the same number of episodes, and prints the validation error of each. The first line comes
with two seeds: what differs by less than they do is noise.

    GLIMPSE_DATA=folder-with-mnist python benchmarks/options.py
"""

import argparse
import platform
import time
from collections.abc import Mapping
from typing import Any

import gymnasium
import torch

import glimpse.envs
from glimpse.agents import Agent, ReinforceConfig, reinforce
from glimpse.callbacks import ProgressBar
from glimpse.cli.ram import TASKS
from glimpse.loop import train

gymnasium.register_envs(glimpse.envs)
TASK = TASKS["cluttered-60"]
# What is changed: options of training, then of the eye.
VARIANTS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "the recipe": ({}, {}),
    "the recipe, another seed": ({"seed": 1}, {}),
    "core=relu": ({"core": "relu"}, {}),
    "early=0 (the paper's)": ({"early": 0.0}, {}),
    "early=1": ({"early": 1.0}, {}),
    "reward=correct (the paper's)": ({"reward": "correct"}, {}),
    "joint=0": ({"joint": 0.0}, {}),
    "joint=1 (the paper's)": ({"joint": 1.0}, {}),
    "std=0.1, fixed": ({"std": 0.1, "last_std": None}, {}),
    "std=0.25, fixed": ({"std": 0.25, "last_std": None}, {}),
    "std=0.03, fixed": ({"std": 0.03, "last_std": None}, {}),
    "locator_rate=0.3": ({"locator_rate": 0.3}, {}),
    "locator_rate=3": ({"locator_rate": 3.0}, {}),
    "copies=4, batch/4": ({"copies": 4, "batch": 32}, {}),
    "copies=4, batch/4, baseline=others": ({"copies": 4, "batch": 32, "baseline": "others"}, {}),
    "learning_rate=1e-3": ({"learning_rate": 1e-3}, {}),
    "learning_rate=4e-3": ({"learning_rate": 4e-3}, {}),
    "warm_up=400": ({"warm_up": 400}, {}),
    "clip=0.5": ({"clip": 0.5}, {}),
    "ema=0": ({"ema": 0.0}, {}),
    "weight_decay=0.1": ({"weight_decay": 0.1}, {}),
    "curriculum=1000": ({"curriculum": 1000}, {}),
    "first=random (the paper's)": ({}, {"first": "random"}),
    "first=agent": ({}, {"first": "agent"}),
    "first=agent, context=12": ({}, {"first": "agent", "context": 12}),
    "reach=20": ({}, {"reach": 20.0}),
}


def run(steps: int, training: Mapping[str, Any], eye: Mapping[str, Any]) -> tuple[float, float]:
    """Train; return the validation error in percent and the CPU seconds."""
    config = ReinforceConfig(**{**TASK.recipe, "batch": 128, **training}, steps=steps)
    view = {**TASK.view, "glimpses": 8, **eye}
    core, judge = (
        gymnasium.make_vec(TASK.env, num_envs=rows, **view, **more).unwrapped.core
        for rows, more in ((config.batch * config.copies, {"copies": config.copies}), (500, {}))
    )
    agent = Agent.for_batch(config, core)
    learner = reinforce(config, core, agent.model)
    start = time.process_time()
    with ProgressBar() as bar:
        train(learner, steps, [bar])
    seconds = time.process_time() - start
    return agent.survey(judge, "validation").errors[-1].percent, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4000, help="of each run, of 128 episodes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    recipe = ReinforceConfig(**{**TASK.recipe, "batch": 128, "steps": options.steps})
    print(
        f"{platform.machine()}, torch {torch.__version__}, 1 thread, {TASK.env}, 8 glimpses, the "
        f"recipe: {recipe}\n"
    )
    print("| changed | validation error % | CPU seconds |\n| --- | ---: | ---: |")
    for name, (training, eye) in VARIANTS.items():
        error, seconds = run(options.steps, training, eye)
        print(f"| {name} | {error:.2f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
