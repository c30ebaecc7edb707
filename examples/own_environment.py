"""Teach stable-baselines3 to look: an environment of one's own, seen through glimpses.

python examples/own_environment.py --steps 20000
"""

import argparse
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy

from glimpse import GlimpseSensor
from glimpse.envs import GlimpseWrapper


class Spot(gymnasium.Env[NDArray[np.uint8], Any]):
    """Say in which half of an image the bright square is: 1 for being right, in each step."""

    observation_space = spaces.Box(0, 255, (48, 64), np.uint8)
    action_space = spaces.Discrete(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Place the square anew."""
        super().reset(seed=seed)
        self.top, self.left = self.np_random.integers([44, 60])
        return self._image(), {}

    def step(self, action: Any) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        """Judge the answer."""
        right = action == (self.left + 2 >= 32)
        return self._image(), float(right), False, False, {}

    def _image(self) -> NDArray[np.uint8]:
        image = np.zeros((48, 64), np.uint8)
        image[self.top : self.top + 4, self.left : self.left + 4] = 255
        return image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20_000, help="how many to learn from")
    steps = parser.parse_args().steps
    env = GlimpseWrapper(
        TimeLimit(Spot(), 5), GlimpseSensor(size=8, scales=2), actions="flat", grid=5
    )
    agent = PPO("MultiInputPolicy", env, n_steps=512, seed=0, device="cpu")
    agent.learn(steps)
    mean, _ = evaluate_policy(agent, agent.get_env(), n_eval_episodes=100)
    print(f"{float(np.mean(mean)):.2f} of 5 answers right")


if __name__ == "__main__":
    main()
