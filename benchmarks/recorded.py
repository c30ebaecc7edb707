"""What does recording a training step as a CUDA graph bring?

Takes REINFORCE steps as they are, kernel by kernel from Python, and recorded, and prints the time
of each and of an epoch of 55,000 images. The limit is the time that the step's matrix products
alone would take at the rate measured here. Needs CUDA; on another machine it says so.

    GLIMPSE_DATA=folder-with-mnist python benchmarks/recorded.py
"""

import time
from collections.abc import Callable
from statistics import median
from unittest import mock

import gymnasium
import torch

import glimpse.envs
from glimpse import recorded
from glimpse.agents import Agent, ReinforceConfig, reinforce
from glimpse.agents.learner import EpisodeLearner

gymnasium.register_envs(glimpse.envs)
IMAGES, TARGET = 55_000, 0.5
TASKS = {"glimpse/MNIST-v0": 7, "glimpse/ClutteredMNIST-v0": 8}


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median seconds of a call, the device's work included."""
    times = []
    for _ in range(repeats):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return median(times)


def learner(env: str, glimpses: int, core: str, batch: int) -> EpisodeLearner:
    """Return one that has not begun."""
    config = ReinforceConfig(core=core, batch=batch)
    engine = gymnasium.make_vec(
        env, num_envs=batch, glimpses=glimpses, device="cuda"
    ).unwrapped.core
    return reinforce(config, engine, Agent.for_batch(config, engine).model)


def limit(some: EpisodeLearner, glimpses: int) -> float:
    """Return the seconds that a step's matrix products take at the rate measured here."""
    weights = sum(weight.numel() for weight in some.model.parameters() if weight.ndim == 2)
    floats = 3 * 2 * weights * glimpses * some.config.batch
    left, right = torch.randn(2, 8192, 8192, device="cuda").bfloat16()
    return floats / (2 * 8192**3) * seconds(lambda: left @ right, 10)


def main() -> None:
    if not torch.cuda.is_available():
        print("no CUDA device: not measured")
        return
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}\n")
    print(
        "| environment | core | batch | plain ms | recorded ms | plain / recorded | "
        f"recorded / limit | epoch s (target {TARGET}) |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    )
    for env, glimpses in TASKS.items():
        for core in ("relu", "lstm"):
            for batch in (256, 512, 1024, 4096):
                with mock.patch.object(recorded, "_PLAIN_CALLS", 10**9):
                    slow = learner(env, glimpses, core, batch)
                    slow.step()
                    plain = seconds(slow.step, 15)
                fast = learner(env, glimpses, core, batch)
                for _ in range(6):
                    fast.step()
                ours = seconds(fast.step, 15)
                print(
                    f"| {env} | {core} | {batch} | {plain * 1e3:.1f} | {ours * 1e3:.2f} | "
                    f"{plain / ours:.1f} | {ours / limit(fast, glimpses):.0f} | "
                    f"{ours * IMAGES / batch:.3f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
