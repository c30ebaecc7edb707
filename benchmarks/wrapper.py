"""What does it cost to see an environment through glimpses? It bare, and with our wrappers.

Each environment plays the same steps three times: as it comes, with `GlimpseWrapper` on each of its
copies, and with one `GlimpseVectorWrapper` on the vector of them; copies are in a `SyncVectorEnv`.
The own actions are random and the same for all, the looks anywhere in the image; glimpses of 8x8 at
three scales. A step is one action of one copy, resets included. `noise` shows ready-made pictures
and does nothing else, so what is left is the wrapper. Those who are compared take turns.

Two limits stand beside what a look adds: the time to copy as many bytes as its windows cover, in
one piece, and the time to read its frame once.

    pip install -e ".[test]"               # for MiniGrid and Pong, which are left out otherwise
    python benchmarks/wrapper.py           # a minute or two
    python benchmarks/wrapper.py --quick   # fewer copies
"""

import argparse
import platform
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from math import ceil
from statistics import median
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import SyncVectorEnv
from rich.console import Console
from rich.progress import track
from rich.table import Table

from glimpse import GlimpseSensor
from glimpse.envs import GlimpseVectorWrapper, GlimpseWrapper

SENSOR = GlimpseSensor(size=8, scales=3)
STEPS, SIDE = 16, 64  # steps that are played again and again; height and width of `noise`
Make = Callable[[], gymnasium.Env[Any, Any]]
Play = Callable[[], None]


class Noise(gymnasium.Env[Any, Any]):
    """Pictures of noise, one after the other."""

    observation_space = gymnasium.spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)
    action_space = gymnasium.spaces.Discrete(2)
    pictures = np.random.default_rng(0).integers(0, 256, (STEPS, SIDE, SIDE, 3), dtype=np.uint8)
    shown = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin."""
        return self.pictures[0], {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Show the next picture."""
        self.shown = (self.shown + 1) % STEPS
        return self.pictures[self.shown], 0.0, False, False, {}


def environments() -> dict[str, tuple[Make, str | None]]:
    """Return how to make each environment, and under which key its image is."""
    found: dict[str, tuple[Make, str | None]] = {"noise": (Noise, None)}
    try:
        from minigrid.wrappers import RGBImgObsWrapper

        def minigrid() -> gymnasium.Env[Any, Any]:
            return RGBImgObsWrapper(gymnasium.make("MiniGrid-Empty-8x8-v0"))

        found["MiniGrid-Empty-8x8, RGB"] = minigrid, "image"
    except ImportError:
        print("without MiniGrid: pip install minigrid")
    try:
        import ale_py

        gymnasium.register_envs(ale_py)
        found["Pong"] = lambda: gymnasium.make("ALE/Pong-v5"), None
    except ImportError:
        print("without Pong: pip install ale-py")
    return found


def alone(env: gymnasium.Env[Any, Any], actions: list[Any]) -> Play:
    """Return what plays the actions in a single environment."""
    env.reset(seed=0)

    def play() -> None:
        for action in actions:
            _, _, over, truncated, _ = env.step(action)
            if over or truncated:
                env.reset()

    return play


def together(envs: Any, actions: list[Any]) -> Play:
    """Return what plays the actions in a vector environment, which resets its rows by itself."""
    envs.reset(seed=0)

    def play() -> None:
        for action in actions:
            envs.step(action)

    return play


def players(make: Make, key: str | None, rows: int | None) -> dict[str, Play]:
    """Return what plays each way; `rows` copies in a vector, or with None the environment alone."""
    random, space = np.random.default_rng(0), make().action_space
    space.seed(0)
    lead = () if rows is None else (rows,)
    own = [np.array([space.sample() for _ in range(rows or 1)]).reshape(lead) for _ in range(STEPS)]
    looks = random.uniform(-1, 1, (STEPS, *lead, 2)).astype(np.float32)
    both = [{"action": action, "look": look} for action, look in zip(own, looks, strict=True)]

    def wrapped() -> gymnasium.Env[Any, Any]:
        return GlimpseWrapper(make(), SENSOR, key=key)

    if rows is None:
        return {"bare": alone(make(), own), "singly": alone(wrapped(), both)}
    at_once = GlimpseVectorWrapper(SyncVectorEnv([make] * rows), SENSOR, key=key)
    return {
        "bare": together(SyncVectorEnv([make] * rows), own),
        "singly": together(SyncVectorEnv([wrapped] * rows), both),
        "at once": together(at_once, both),
    }


def seconds(plays: Mapping[str, Play], least: float = 0.1) -> dict[str, float]:
    """Return the CPU seconds of a call of each, the median of five that take turns."""

    def once(play: Play, repeats: int) -> float:
        start = time.process_time()
        for _ in range(repeats):
            play()
        return (time.process_time() - start) / repeats

    repeats = {}
    for name, play in plays.items():
        once(play, 1)
        repeats[name] = ceil(least / max(once(play, 1), 1e-6))
    took = [{name: once(play, repeats[name]) for name, play in plays.items()} for _ in range(5)]
    return {name: median(turn[name] for turn in took) for name in plays}


def limits(make: Make, key: str | None, many: int = 64) -> dict[str, float]:
    """Return the CPU seconds to copy the windows of a frame, and to read it; of many at once."""
    shown, _ = make().reset(seed=0)
    frame = np.asarray(shown if key is None else shown[key])
    covered = sum(width**2 for width in SENSOR.windows.widths) * frame.shape[2]
    windows, copies = np.ones((2, many * covered), np.uint8)
    words = np.tile(frame.ravel(), many).view(np.uint64)
    took = seconds({"windows": lambda: np.copyto(copies, windows), "frame": lambda: words.max()})
    return {name: each / many for name, each in took.items()}


def cells(
    name: str, make: Make, key: str | None, rows: int | None, least: Mapping[str, float]
) -> list[str]:
    """Measure, and return what the table says."""
    steps = STEPS * (rows or 1)
    took = {way: each / steps for way, each in seconds(players(make, key, rows)).items()}
    ours = took.get("at once", took["singly"])
    added = ours - took["bare"]
    return [
        name,
        "alone" if rows is None else f"{rows}",
        *(f"{1 / took[way]:,.0f}" if way in took else "" for way in ("bare", "singly", "at once")),
        f"{took['bare'] / ours:.2g}x",
        f"{took['singly'] / ours:.1f}x" if "at once" in took else "",
        f"{1e6 * added:.1f}",
        *(f"{1e6 * limit:.2f}" for limit in least.values()),
        f"{added / sum(least.values()):.0f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer copies")
    options = parser.parse_args()
    torch.set_num_threads(1)
    many = [None, 8] if options.quick else [None, 1, 8, 64]
    least = {name: (*found, limits(*found)) for name, found in environments().items()}
    cases = [
        (name, make, key, n, limit) for name, (make, key, limit) in least.items() for n in many
    ]
    known = [f"{name} {version(name)}" for name in ("torch", "gymnasium")]
    table = Table(title=", ".join([f"environments of others, {platform.machine()}", *known]))
    table.add_column("environment", no_wrap=True)
    for name in (
        *("copies", "bare, steps/s", "each wrapped", "vector wrapped", "to bare", "to each"),
        *("added, us", "windows, us", "frame, us", "times both"),
    ):
        table.add_column(name, justify="right")
    for case in track(cases, "measuring", console=Console(stderr=True)):
        table.add_row(*cells(*case))
    Console(width=150).print(table)
    print("steps per CPU-second of one core, median of 5")


if __name__ == "__main__":
    main()
