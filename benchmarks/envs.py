"""How many environment steps a CPU-second? Ours beside `ap_gym` 0.7, in one run.

Both do the same work: 1,568 images of 28x28 pixels in two classes, glimpses of 5x5 pixels at one
scale, 16 actions an episode. Whole episodes are played, resets included; a step is an action, the
call that only begins the next episode is none. Actions are sampled before the clock starts. The
clock counts all threads; `ap_gym` draws images in the calling thread (`prefetch=False`), so that
none is drawn before the clock starts or after it stops.

`ap_gym` judges an answer with every action; in our rows `judged` the environment does so too, in
the others the learner judges. `CircleSquare-v0` is `ap_gym` as it comes, which draws an image for
every episode; `same images` is it with ours. `digits` shows what drawing costs us, with 8x8
glimpses and 5 actions: a table built once, or a canvas and its table for every episode.

The limit is the time that `GlimpseSensor.read` alone needs for an episode's glimpses and, where
NumPy comes out, a copy of what is seen. `to ap_gym` compares with the environment of `ap_gym` that
is nearest in rows, `to its best` with its fastest vector environment.

    pip install -e ".[benchmarks]"
    python benchmarks/envs.py            # a few minutes
    python benchmarks/envs.py --quick    # fewer rows
"""

import argparse
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from math import ceil, log
from pathlib import Path
from statistics import median
from typing import Any

import gymnasium
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

import glimpse.envs
from glimpse import ImageSet, register_images
from glimpse.batch import GlimpseBatch

gymnasium.register_envs(glimpse.envs)
# To `ap_gym`'s single environment, to its fastest vector environment; MiB in a million steps.
TARGET_SINGLE, TARGET_VECTOR, TARGET_GROWTH = 5, 60, 1.0
STEPS, SIZE, OURS, THEIRS = 16, 5, "glimpse/Images-v0", "CircleSquare-v0"
IMAGES = np.random.default_rng(0).integers(0, 256, (1568, 1, 28, 28), dtype=np.uint8)
CLASSES = np.arange(len(IMAGES)) % 2
LOOKS: dict[str, Any] = {"images": "noise", "size": SIZE, "glimpses": STEPS + 1}
JUDGED = {**LOOKS, "glimpses": STEPS, "predict": "flat", "reward": "gain"}


@dataclass
class Player:
    """What plays episodes: both functions act on every row; `core` is our engine, if it is ours."""

    step: Callable[[Any], Any]
    begin: Callable[[], Any]
    sample: Callable[[], Any]
    core: GlimpseBatch | None


@dataclass
class Case:
    """A row of the table; `rate`, in steps a CPU-second, and `limits` are filled in later."""

    label: str
    rows: int
    build: Callable[[], Player]
    target: int | None = None
    rate: float = 0.0
    limits: float | None = None


def single(name: str, **options: Any) -> Player:
    """Return a player of a single environment."""
    env = gymnasium.make(name, **options)
    env.reset(seed=0)
    core = getattr(env.unwrapped, "core", None)
    return Player(env.step, env.reset, env.action_space.sample, core)


def batched(name: str, rows: int, mode: str = "vector_entry_point", **options: Any) -> Player:
    """Return a player of a vector environment: the step after the last begins another episode."""
    env = gymnasium.make_vec(name, rows, vectorization_mode=mode, **options)
    env.reset(seed=0)
    ignored, inner = env.action_space.sample(), getattr(env, "envs", [env])[0].unwrapped
    core = getattr(inner, "core", None)
    return Player(env.step, lambda: env.step(ignored), env.action_space.sample, core)


def engine(rows: int) -> Player:
    """Return a player of the engine under our vector environment."""
    core: Any = batched(OURS, rows, **LOOKS).core
    return Player(core.step, core.reset, lambda: torch.rand(rows, 2) * 2 - 1, core)


def our_cases(many: list[int]) -> list[Case]:
    cases = []
    for suffix, looks in (("", LOOKS), (", judged", JUDGED)):
        cases.append(Case(f"make{suffix}", 1, partial(single, OURS, **looks), TARGET_SINGLE))
        for n in many:
            play = partial(batched, OURS, n, **looks)
            cases.append(Case(f"make_vec{suffix}", n, play, TARGET_VECTOR))
    return [
        *cases,
        *(Case("its engine, in torch", n, partial(engine, n)) for n in many),
        *(Case("SyncVectorEnv", n, partial(batched, OURS, n, "sync", **LOOKS)) for n in (16, 128)),
        Case("digits, built once", 1024, partial(batched, OURS, 1024, images="digits")),
        Case("digits, each episode", 1024, partial(batched, "glimpse/Digits-v0", 1024)),
    ]


def their_cases(many: list[int]) -> list[Case]:
    """Return the rows of `ap_gym`: none where it is not installed."""
    try:
        import ap_gym  # noqa: F401  registers its environments
        from ap_gym.envs.image import ImageClassificationDataset
    except ImportError:
        return []

    class Noise(ImageClassificationDataset):
        _get_length = staticmethod(lambda: len(IMAGES))
        _get_num_classes = staticmethod(lambda: 2)
        _get_num_channels = staticmethod(lambda: 1)
        _get_data_point_batch = staticmethod(lambda index: (IMAGES[index, 0], CLASSES[index]))

    config = replace(gymnasium.spec(THEIRS).kwargs["image_perception_config"], prefetch=False)
    if (config.sensor_size, config.step_limit) != ((SIZE, SIZE), STEPS):
        raise ValueError(f"`ap_gym` must be 0.7, got {version('ap_gym')}: install ap_gym==0.7.*")
    cases = []
    for label, given in ((THEIRS, config), ("same images", replace(config, dataset=Noise()))):
        options = {"image_perception_config": given}
        cases.append(Case(f"ap_gym, {label}", 1, partial(single, THEIRS, **options)))
        for n in many:
            cases.append(Case(f"ap_gym, {label}", n, partial(batched, THEIRS, n, **options)))
    return cases


def seconds(work: Callable[[], object], least: float = 0.2) -> float:
    """Return the CPU seconds of a call, the median of five."""

    def once(repeats: int) -> float:
        start = time.process_time()
        for _ in range(repeats):
            work()
        return (time.process_time() - start) / repeats

    once(1)
    repeats = ceil(least / max(once(1), 1e-6))
    return median(once(repeats) for _ in range(5))


def limit(core: GlimpseBatch, rows: int, seen: list[np.ndarray]) -> float:
    """Return the CPU seconds that an episode's glimpses, and copies of what is seen, need."""
    count, sensor = min(rows, core.images.count), core.eye.sensor
    prepared = sensor.prepare(torch.randint(256, (count, *core.images.shape)).to(torch.uint8))
    index, location = torch.randint(count, (rows,)), torch.rand(rows, 2) * 2 - 1
    read = seconds(lambda: sensor.read(prepared, index, location))
    return core.eye.glimpses * (read + seconds(lambda: [array.copy() for array in seen]))


def measure(case: Case) -> None:
    """Play whole episodes and write down how fast."""
    player = case.build()
    actions = [player.sample()]
    while not np.asarray(player.step(actions[-1])[2]).all():
        actions.append(player.sample())
    seen = player.begin()[0].values()

    def episode() -> None:
        for action in actions:
            player.step(action)
        player.begin()

    took = seconds(episode)
    case.rate = case.rows * len(actions) / took
    if player.core is not None:
        arrays = [array for array in seen if isinstance(array, np.ndarray)]
        case.limits = took / limit(player.core, case.rows, arrays)


def growth(rows: int = 1024, steps: int = 1_000_000) -> float | None:
    """Return by how many MiB the process grows over so many steps, after a tenth as many."""
    status, resident = Path("/proc/self/status"), []
    if not status.exists():  # it is there on Linux
        return None
    player = batched(OURS, rows, **LOOKS)
    actions = [player.sample() for _ in range(STEPS)]
    for calls in (steps // rows // 10, ceil(steps / rows)):
        for call in range(calls):
            player.step(actions[call % STEPS])
        resident.append(int(status.read_text().partition("VmRSS:")[2].split()[0]))
    return (resident[1] - resident[0]) / 1024


def cells(case: Case, rivals: list[Case]) -> list[str]:
    """Return what the table says of a case."""
    shown = [case.label, f"{case.rows:,}", f"{case.rate:,.0f}"]
    if case.limits is None:
        return shown
    shown.append(f"{case.limits:.1f}")
    if not rivals:
        return shown
    near = min(rivals, key=lambda rival: (abs(log(rival.rows / case.rows)), -rival.rate))
    to_near = case.rate / near.rate
    to_best = case.rate / max(rival.rate for rival in rivals if rival.rows > 1)
    shown += [f"{to_near:,.1f}x of {near.rows:,}", f"{to_best:,.1f}x"]
    if case.target is not None:
        reached = (to_near if case.rows == 1 else to_best) >= case.target
        shown.append(f">= {case.target}x {'reached' if reached else 'MISSED'}")
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rows")
    options = parser.parse_args()
    torch.set_num_threads(1)
    register_images("noise", ImageSet.from_arrays(IMAGES, CLASSES))
    grown = growth()  # first: later the process holds free memory that would hide it
    many = [128, 1024] if options.quick else [16, 128, 1024, 8192]
    mine, rivals = our_cases(many), their_cases(many)
    for case in track([*mine, *rivals], "measuring", console=Console(stderr=True)):
        measure(case)
    names = ["torch", "gymnasium", "ap_gym"][: 3 if rivals else 2]
    known = [f"{name} {version(name)}" for name in names]
    table = Table(title=", ".join([f"environment steps, {platform.machine()}", *known]))
    table.add_column("what", no_wrap=True)
    for name in ("rows", "steps/s", "times the limit", "to ap_gym", "to its best", "target"):
        table.add_column(name, justify="right")
    for case in [*mine, *rivals]:
        table.add_row(*cells(case, rivals))
    Console(width=120).print(table)
    print("steps per CPU-second of one core, median of 5")
    if grown is not None:
        verdict = "reached" if grown <= TARGET_GROWTH else "MISSED"
        print(f"memory over a million steps {grown:+.2f} MiB, target <= {TARGET_GROWTH} {verdict}")
    if not rivals:
        print('to compare with ap_gym: pip install -e ".[benchmarks]"')


if __name__ == "__main__":
    main()
