"""Find a needle in slides of 65,536 x 65,536 pixels: an eye written by hand, beside a random one.

python examples/search.py --slides 50
"""

import argparse

import gymnasium
import torch
from torch import Tensor
from torch.nn import functional as F

import glimpse.envs
from glimpse import GlimpseBatch

gymnasium.register_envs(glimpse.envs)
NEAR, FAR = 1, 3  # scales of the glimpse


def brightest(window: Tensor, width: float) -> Tensor:
    """Return where the brightest pixel lies, from the centre of a window that is `width` wide."""
    row, column = divmod(int(window.argmax()), len(window))
    return (torch.tensor([[column, row]]) + 0.5 - len(window) / 2) / len(window) * width


def search(batch: GlimpseBatch, slide: int) -> bool:
    """Go from hill to hill, closer where the spot on top is bright; return whether it was found."""
    unseen = batch.reset(seed=0, options={"indices": [slide]})[0]["context"][0, 0]
    closer, over = False, False
    widths = [2 * width / batch.images.shape[2] for width in batch.eye.sensor.windows.widths]
    while not over:
        if not closer:  # the next hill
            at = brightest(unseen, 2)
            x, y = ((at[0] + 1) / 2 * len(unseen)).long().tolist()
            unseen[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3] = 0
        seen, reward, over, _, _ = batch.step(at)
        window = seen["glimpse"][0, NEAR if closer else FAR]
        if not closer:  # a spot differs from its surroundings, a hill does not
            window = window - F.avg_pool2d(window, 3, stride=1, padding=1, count_include_pad=False)
        if closer or window.max() > 0.01:
            at = at + brightest(window[0], widths[NEAR if closer else FAR])
            closer = True
    return bool(reward)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slides", type=int, default=50, help="how many")
    count = parser.parse_args().slides
    batch: GlimpseBatch = gymnasium.make("glimpse/Slide-v0").unwrapped.core
    print(f"by hand, {sum(search(batch, slide) for slide in range(count))} of {count} found")
    blind: GlimpseBatch = gymnasium.make_vec("glimpse/Slide-v0", num_envs=count).core
    blind.reset(seed=0)
    found = sum(blind.step(torch.rand(count, 2) * 2 - 1)[1] for _ in range(blind.eye.glimpses))
    print(f"at random, {int(found.sum())} of {count} found")


if __name__ == "__main__":
    main()
