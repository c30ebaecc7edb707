"""A task of one's own in one file, for every agent: how bright is the spot in the image?"""

import argparse

import numpy as np

from glimpse import draw_images, register_images
from glimpse.agents import Agent, ReinforceConfig, reinforce
from glimpse.callbacks import ProgressBar
from glimpse.checks import check_shape
from glimpse.envs import GlimpseVectorEnv
from glimpse.loop import train


class Brightness:
    """One number in [0, 1] for each image, right to 0.05: a `glimpse.tasks.Task`."""

    scores, blind = 1, 1 / 12  # numbers an answer has; what a constant guess costs

    def check(self, targets):
        """Refuse targets that do not fit, with a ValueError."""
        check_shape("targets", targets, "N", mend="give one brightness for each image")

    def answers(self, scores):
        """Say what the network's numbers mean."""
        return scores.sigmoid()

    def loss(self, answers, target):
        """Return what each of T answers costs: the squared error."""
        return (answers[..., 0] - target[:, None]) ** 2

    def correct(self, answers, target):
        """Return which of the answers are right."""
        return (answers[..., 0] - target[:, None]).abs() < 0.05

    def confidence(self, answers):
        """Return how sure each answer is: these never say."""
        return 0 * answers[..., 0]

    def say(self, answer):
        """Return an answer in words, for pictures."""
        return f"{float(answer):.2f}"


def draw(random):
    """Return a dark image with a spot, and how bright that is."""
    image, brightness, (y, x) = np.zeros((40, 40)), random.random(), random.integers(0, 33, 2)
    image[y : y + 8, x : x + 8] = brightness
    return image, brightness


(parser := argparse.ArgumentParser()).add_argument("--steps", type=int, default=1000)
config = ReinforceConfig(steps=parser.parse_args().steps)
register_images("spots", draw_images(draw, 2000, task=Brightness()))
core = GlimpseVectorEnv(config.batch, images="spots", scales=3).core
agent = Agent.for_batch(config, core)
with ProgressBar() as bar:
    train(reinforce(config, core, agent.model), config.steps, [bar])
print("test error:", agent.evaluate(core, "test").mean[-1])
