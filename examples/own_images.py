"""Train on images of your own: arrays under a name, the same environment and the same agent.

python examples/own_images.py --steps 1000
"""

import argparse

import gymnasium
import numpy as np

import glimpse.envs
from glimpse import ImageSet, register_images
from glimpse.agents import Agent, ReinforceConfig, reinforce
from glimpse.callbacks import ProgressBar
from glimpse.loop import train

gymnasium.register_envs(glimpse.envs)


def stripes(count: int, side: int = 48) -> ImageSet:
    """Return noise with one small patch of horizontal or vertical stripes in each image."""
    random = np.random.default_rng(0)
    images = random.integers(0, 80, (count, 1, side, side), dtype=np.uint8)
    targets = random.integers(0, 2, count)
    stripe = np.tile(np.array([255, 255, 0, 0], dtype=np.uint8), (12, 3))
    for image, target in zip(images, targets, strict=True):
        top, left = random.integers(0, side - 12, 2)
        image[0, top : top + 12, left : left + 12] = stripe if target else stripe.T
    return ImageSet.from_arrays(images, targets, classes=["horizontal", "vertical"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1000, help="batches to learn from")
    options = parser.parse_args()

    register_images("stripes", stripes(4000))
    config = ReinforceConfig(steps=options.steps)
    env = gymnasium.make_vec(
        "glimpse/Images-v0", num_envs=config.batch, images="stripes", scales=3, first="centre"
    )
    agent = Agent.for_batch(config, env.core)
    with ProgressBar() as bar:
        train(reinforce(config, env.core, agent.model), config.steps, [bar])
    print(f"test error: {agent.evaluate(env.core, 'test').mean[-1]}")


if __name__ == "__main__":
    main()
