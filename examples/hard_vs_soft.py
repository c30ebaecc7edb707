"""Compare hard with soft attention: a glimpse agent and two networks that see images whole.

python examples/hard_vs_soft.py --steps 1000
"""

import argparse
from collections.abc import Callable

import gymnasium
import torch
from torch.utils.flop_counter import FlopCounterMode

import glimpse.envs
from glimpse.agents import Agent, ReinforceConfig, reinforce
from glimpse.callbacks import ProgressBar
from glimpse.classifier import Classifier, error_of
from glimpse.loop import train
from glimpse.soft_baselines import SoftConfig

gymnasium.register_envs(glimpse.envs)


def measure(name: str, error: object, model: torch.nn.Module, look: Callable, sensed: int) -> str:
    """Return a line of the table; `look` has the model look at one image."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        look()
    size = sum(weights.numel() for weights in model.parameters())
    return f"{name:10} {error!s:24} {size:>12,} {counter.get_total_flops():>12,} {sensed:>8,}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", default="glimpse/Digits-v0", help="what all look at")
    parser.add_argument("--steps", type=int, default=1000, help="batches that each learns from")
    options = parser.parse_args()
    config = ReinforceConfig(steps=options.steps)
    core = gymnasium.make_vec(options.env, num_envs=config.batch).core
    agent, eye, (_, height, width) = Agent.for_batch(config, core), core.eye, core.images.shape
    with ProgressBar() as bar:
        train(reinforce(config, core, agent.model), config.steps, [bar])
    error = agent.evaluate(core, "test").mean[-1]
    image = core.pixels(0)[None]
    sensed = eye.glimpses * eye.sensor.scales * eye.sensor.size**2
    lines = [measure("reinforce", error, agent.model, lambda: agent.predict(image), sensed)]

    for attention in ("cbam", "stn"):
        soft = SoftConfig(attention=attention, steps=config.steps, batch=config.batch)
        network = soft.make(core.images)  # the same images, in the same order
        with ProgressBar() as bar:
            train(Classifier(soft, core.images, network), soft.steps, [bar])
        error = error_of(network, core.images, "test")
        look = lambda network=network: network.eval()(image / 255)  # noqa: E731
        lines.append(measure(attention, error, network, look, height * width))

    print(f"{'':10} {'test error':24} {'parameters':>12} {'FLOPs':>12} pixels sensed")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
