"""How fast and how well does REINFORCE learn MNIST on one core?

Trains on 28x28 MNIST, 6 glimpses of 8x8, one scale, and prints the CPU seconds of an epoch of
55,000 images and the test error. Beside them, in the same run: the time of the same network's steps
done the way the well-known code does them (float images, a crop for each sample in Python, float32;
timed, not trained), and the time that the network's matrix products alone take at the rate measured
here.

    GLIMPSE_DATA=folder-with-mnist python benchmarks/mnist.py
"""

import argparse
import platform
import time
from collections.abc import Callable
from statistics import median

import gymnasium
import torch
from torch import Tensor
from torch.nn import functional as F

import glimpse.envs
from glimpse.agents import Agent, ReinforceConfig, reinforce
from glimpse.batch import GlimpseBatch
from glimpse.callbacks import ProgressBar
from glimpse.loop import train

gymnasium.register_envs(glimpse.envs)
TARGET_EPOCH, TARGET_ERROR, TARGET_TRAINING = 3.0, 3.0, 120.0
IMAGES, BATCH, GLIMPSES, SIZE = 55_000, 512, 6, 8


def cpu_seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median CPU seconds of a call."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return median(times)


def plain_step(agent: Agent, images: Tensor, targets: Tensor, optimiser: torch.optim.Adam) -> None:
    """Improve once as the well-known code does: crops in Python, everything in float32."""
    chosen = torch.randint(len(images), (BATCH,))
    batch, target = images[chosen].float() / 255, targets[chosen]
    location = torch.rand(BATCH, 2) * 2 - 1
    state, loss = agent.model.initial({"location": location}), torch.zeros(())
    for look in range(GLIMPSES):
        padded = F.pad(batch, (SIZE // 2,) * 4)
        corner = (0.5 * (location + 1) * 28).long()
        patches = [
            padded[row, :, y : y + SIZE, x : x + SIZE] for row, (x, y) in enumerate(corner.tolist())
        ]
        seen = {"glimpse": torch.stack(patches)[:, None], "location": location}
        state = agent.model(seen, state)
        loss = loss + F.cross_entropy(agent.model.classifier(state[0]), target)
        if look < GLIMPSES - 1:
            mean = agent.model.locator(state[0].detach())
            location = (mean.detach() + 0.1 * torch.randn(BATCH, 2)).clamp(-1, 1)
            advantage = torch.randn(BATCH) - agent.model.baseline(state[0].detach())[:, 0]
            log_prob = -((location - mean) ** 2).sum(1) / (2 * 0.1**2)
            loss = loss - (log_prob * advantage.detach()).mean() + advantage.square().mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def limit(agent: Agent) -> float:
    """Return the seconds an epoch's matrix products take at the rate measured here, in bfloat16."""
    weights = sum(weight.numel() for weight in agent.model.parameters() if weight.ndim == 2)
    floats = 3 * 2 * weights * GLIMPSES * IMAGES  # forward, and backward to weights and inputs
    left, right = torch.randn(2, 512, 512).bfloat16()
    return floats / (2 * 512**3) * cpu_seconds(lambda: left @ right, 200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30, help="epochs to train")
    parser.add_argument("--seed", type=int, default=0, help="of the run")
    options = parser.parse_args()
    torch.set_num_threads(1)
    steps = IMAGES // BATCH
    config = ReinforceConfig(
        steps=options.epochs * steps, batch=BATCH, core="relu", seed=options.seed
    )
    core: GlimpseBatch = gymnasium.make_vec("glimpse/MNIST-v0", num_envs=BATCH).unwrapped.core
    agent = Agent.for_batch(config, core)
    learner = reinforce(config, core, agent.model)
    print(
        f"{platform.machine()}, torch {torch.__version__}, 1 thread, glimpse/MNIST-v0, {config}\n"
    )

    epochs, start = [], time.perf_counter()
    with ProgressBar() as bar:
        for epoch in range(options.epochs):
            before = time.process_time()
            train(learner, (epoch + 1) * steps, [bar], start=epoch * steps)
            epochs.append(time.process_time() - before)
    wall = time.perf_counter() - start
    error = agent.evaluate(core, "test").mean[-1]

    other = Agent.for_batch(config, core)
    optimiser = torch.optim.Adam(other.model.parameters(), 1e-3)
    images, targets = core.images.draw(torch.arange(IMAGES), torch.zeros(0)), core.images.targets
    plain = steps * cpu_seconds(lambda: plain_step(other, images, targets, optimiser), 5)
    ours, floor = median(epochs), limit(agent)
    print(f"an epoch, CPU seconds: ours {ours:.2f} (median of {len(epochs)}), plain {plain:.1f}")
    print(f"ratios: plain / ours {plain / ours:.1f}, ours / limit {ours / floor:.1f}\n")
    for what, value, target in (
        ("CPU seconds of an epoch", ours, TARGET_EPOCH),
        ("test error %", error.percent, TARGET_ERROR),
        ("seconds of training", wall, TARGET_TRAINING),
    ):
        verdict = "reached" if value <= target else "MISSED"
        print(f"{what:25} {value:7.2f}  target <= {target:g} {verdict}")
    print(f"test error with interval  {error}")


if __name__ == "__main__":
    main()
