"""Do REINFORCE and PPO learn CircleSquare of `ap_gym`, and what does it take?

They train through `glimpse.envs.ActiveBatch` on the environment itself: a circle or a square in a
gradient that grows brighter towards it, 16 glimpses of 5x5, moves of at most a tenth of the image.
Measured is the share of right last answers on 5,120 fresh episodes, with the policy's mean moves. A
step is one step of one row. Prints every run, then target, reached, seeds and verdict.

    python benchmarks/circle_square.py
    python benchmarks/circle_square.py --only reinforce "plain network" --seeds 1
"""

import argparse
import platform
import time
from collections.abc import Mapping
from dataclasses import replace
from statistics import mean
from typing import Any

import ap_gym  # noqa: F401  registers its environments
import gymnasium
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from glimpse.agents import AGENTS, Agent
from glimpse.callbacks import ProgressBar
from glimpse.envs import ActiveBatch
from glimpse.loop import train
from glimpse.networks import GlimpseNetwork

NAME, STEPS, GLIMPSES, TARGET = "CircleSquare-v0", 2_500_000, 16, 95.0
ROWS = 512  # of the evaluation
RECIPE = {"batch": 128, "learning_rate": 1e-3, "std": 0.5, "last_std": 0.1, "precision": "float32"}
# What is trained: agent, what differs from the recipe, and whether contrasts are seen.
CASES: Mapping[str, tuple[str, Mapping[str, Any], bool]] = {
    "reinforce": ("reinforce", {}, True),
    "ppo": ("ppo", {}, True),
    "plain network": ("reinforce", {}, False),
    "joint=0": ("reinforce", {"joint": 0.0}, True),
    "reward=correct": ("reinforce", {"reward": "correct"}, True),
    "early=0": ("reinforce", {"early": 0.0}, True),
    "relu core": ("reinforce", {"core": "relu"}, True),
    "uniform": ("uniform", {}, True),
}


class Contrasts(GlimpseNetwork):
    """See a glimpse less its mean, ten times as strong: a pixel is at most 0.025 brighter."""

    def forward(self, glimpse: Tensor, where: Tensor) -> Tensor:
        """Return the features of a glimpse; its mean brightness, centred, goes where x goes."""
        brightness = glimpse.mean(dim=(1, 2, 3, 4), keepdim=True)
        seen = torch.cat(
            [10 * (glimpse - brightness).flatten(1), 8 * (brightness.flatten(1) - 0.75)], 1
        )
        return super().forward(seen, where)


def make(rows: int) -> VectorEnv[Any, Any, Any]:
    """Return `ap_gym`'s environment; prefetched images would be thrown away at every reset."""
    config = replace(gymnasium.spec(NAME).kwargs["image_perception_config"], prefetch=False)
    return gymnasium.make_vec(
        NAME, rows, vectorization_mode="vector_entry_point", image_perception_config=config
    )


def accuracy(case: str, seed: int, steps: int) -> float:
    """Train once; return the share of right last answers, in percent."""
    name, options, contrasts = CASES[case]
    own = {key: value for key, value in RECIPE.items() if name != "uniform" or "std" not in key}
    rows = RECIPE["batch"]
    config = AGENTS[name].config(
        **{**own, **options, "seed": seed, "steps": round(steps / GLIMPSES / rows)}
    )
    batch = ActiveBatch(lambda: make(rows), glimpses=GLIMPSES)
    judge = ActiveBatch(lambda: make(ROWS), glimpses=GLIMPSES, episodes=5120)
    network = Contrasts((1, 1, 1, 26), features=config.features) if contrasts else None
    agent = Agent.for_batch(config, batch, network)
    with ProgressBar() as bar:
        train(AGENTS[name].learner(config, batch, agent.model), config.steps, [bar])
    return 100 - agent.survey(judge, "test", seed=1).errors[-1].percent


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
parser.add_argument("--only", nargs="+", choices=CASES, default=["reinforce", "ppo"])
parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
parser.add_argument(
    "--steps", type=int, default=STEPS, help="of the environment, all rows together"
)
options = parser.parse_args()
torch.set_num_threads(1)
print(
    f"{NAME}, torch {torch.__version__}, {platform.machine()}, one thread, {options.steps:,} steps"
)
for case in options.only:
    reached = []
    for seed in options.seeds:
        start = time.perf_counter()
        reached.append(accuracy(case, seed, options.steps))
        print(f"{case}, seed {seed}: {reached[-1]:.2f} % in {time.perf_counter() - start:.0f} s")
    verdict = "reached" if mean(reached) >= TARGET else "missed"
    seeds = ", ".join(map(str, options.seeds))
    print(f"{case}: target {TARGET} %, reached {mean(reached):.2f} %, seeds {seeds}: {verdict}")
