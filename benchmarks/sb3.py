"""How many steps a CPU-second does stable-baselines3 get from us?

The same images and glimpses behind stable-baselines3's interface in two ways: `SB3VecEnv` around
the vector environment, and stable-baselines3's own `DummyVecEnv` around as many copies of the
single one (they share images and tables). Beside them the vector environment without adapter, and
the limit: its engine alone, torch in and torch out. Whole episodes are played, the next one's
beginning included; a step is one row's action. Actions are drawn before the clock starts. The clock
counts all threads.

Then the same with learning: stable-baselines3's PPO on what a perceiver believes, the perceiver's
learning included, and sb3-contrib's RecurrentPPO, as it comes, on the flat face of the environment;
both with as many rows, epochs and parts of a batch, and a hidden state as wide.

    pip install -e ".[contrib]"
    python benchmarks/sb3.py            # a minute; MNIST too, where GLIMPSE_DATA names its folder
    python benchmarks/sb3.py --quick    # fewer rows
"""

import argparse
import os
import platform
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from math import ceil
from statistics import median
from typing import Any

import gymnasium
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv

import glimpse.envs
from glimpse.agents import Agent, PpoConfig, PpoLearner, SB3VecEnv

gymnasium.register_envs(glimpse.envs)
TARGET, REPEATS = 20, 5  # times `DummyVecEnv`
# What plays an episode in all rows, and how many steps of a row that is.
Player = tuple[Callable[[], object], int]


def vector(env_id: str, rows: int, **options: Any) -> Any:
    return gymnasium.make_vec(env_id, rows, autoreset_mode="SameStep", **options).unwrapped


def engine(env_id: str, rows: int) -> Player:
    """Return what plays in torch alone."""
    core = vector(env_id, rows).core
    core.reset(seed=0)
    actions = torch.rand(core.eye.actions, rows, 2) * 2 - 1

    def episode() -> None:
        for action in actions:
            core.step(action)
        core.reset()

    return episode, len(actions)


def unadapted(env_id: str, rows: int) -> Player:
    """Return what plays in the Gymnasium vector environment."""
    env = vector(env_id, rows)
    env.reset(seed=0)
    return through(env.step, rows, env.core.eye.actions)


def adapted(env_id: str, rows: int) -> Player:
    """Return what plays in it through our adapter."""
    env = SB3VecEnv(vector(env_id, rows))
    env.reset()
    return through(env.step, rows, env.env.core.eye.actions)


def copied(env_id: str, rows: int) -> Player:
    """Return what plays in stable-baselines3's own, of copies of the single environment."""
    env = DummyVecEnv([partial(gymnasium.make, env_id)] * rows)
    env.reset()
    return through(env.step, rows, env.envs[0].unwrapped.core.eye.actions)


def through(step: Callable[[Any], object], rows: int, steps: int) -> Player:
    """Return what plays with actions that were drawn beforehand."""
    actions = np.random.default_rng(0).uniform(-1, 1, (steps, rows, 2)).astype(np.float32)

    def episode() -> None:
        for action in actions:
            step(action)

    return episode, steps


def on_belief(env_id: str, rows: int) -> Player:
    """Return what plays and learns, on the belief view."""
    config = PpoConfig(batch=rows)
    core = gymnasium.make_vec(env_id, rows).unwrapped.core
    learner = PpoLearner(config, core, Agent.for_batch(config, core).model)
    return learner.step, core.eye.actions


def on_flat(env_id: str, rows: int) -> Player:
    """Return what plays and learns, on the flat face."""
    env, config = vector(env_id, rows, predict="flat", reward="gain"), PpoConfig(batch=rows)
    steps = env.core.eye.glimpses
    ppo = RecurrentPPO(
        "MultiInputLstmPolicy",
        SB3VecEnv(env),
        n_steps=steps,
        batch_size=rows * steps // config.minibatches,
        n_epochs=config.epochs,
        policy_kwargs={"lstm_hidden_size": config.hidden},
        device="cpu",
        seed=0,
    )
    ppo.set_logger(Logger(folder=None, output_formats=[]))
    return partial(ppo.learn, rows * steps, reset_num_timesteps=False), steps


CASES: Mapping[str, Callable[[str, int], Player]] = {
    "engine, in torch (the limit)": engine,
    "vector environment": unadapted,
    "SB3VecEnv": adapted,
    "DummyVecEnv": copied,
    "PPO on the belief view": on_belief,
    "RecurrentPPO on the flat face": on_flat,
}


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the CPU seconds of a call."""
    start = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - start) / repeats


def rates(env_id: str, rows: int) -> list[float]:
    """Return the steps a CPU-second of every case; they take turns, so that all meet the same."""
    players = [build(env_id, rows) for build in CASES.values()]
    calls = []
    for work, _ in players:
        work()
        calls.append(ceil(0.2 / seconds(work, 1)))
    turns = [
        [seconds(work, count) for (work, _), count in zip(players, calls, strict=True)]
        for _ in track(range(REPEATS), env_id, console=Console(stderr=True))
    ]
    took = map(median, zip(*turns, strict=True))
    return [rows * steps / each for (_, steps), each in zip(players, took, strict=True)]


def verdict(env_id: str, measured: list[float]) -> str:
    """Return what the figures mean."""
    limit, plain, ours, theirs, belief, flat = measured
    reached = "reached" if ours / theirs >= TARGET else "MISSED"
    return (
        f"{env_id}: SB3VecEnv / DummyVecEnv {ours / theirs:.0f}x, target >= {TARGET}x {reached}\n"
        f"    limit / SB3VecEnv {limit / ours:.2f}, vector environment / SB3VecEnv "
        f"{plain / ours:.2f}, PPO on the belief view / RecurrentPPO {belief / flat:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="128 rows instead of 1,024")
    rows = 128 if parser.parse_args().quick else 1024
    torch.set_num_threads(1)
    ids = ["glimpse/Digits-v0", *["glimpse/MNIST-v0"] * bool(os.environ.get("GLIMPSE_DATA"))]
    known = [f"{name} {version(name)}" for name in ("torch", "stable-baselines3", "sb3-contrib")]
    measured = [rates(env_id, rows) for env_id in ids]
    table = Table("what", title=f"{rows:,} rows, {', '.join([platform.machine(), *known])}")
    for env_id in ids:
        table.add_column(env_id, justify="right")
    for name, *figures in zip(CASES, *measured, strict=True):
        table.add_row(name, *(f"{figure:,.0f}" for figure in figures))
    Console(width=100).print(table)
    print(f"steps per CPU-second, 1 thread, median of {REPEATS}")
    for env_id, figures in zip(ids, measured, strict=True):
        print(verdict(env_id, figures))


if __name__ == "__main__":
    main()
