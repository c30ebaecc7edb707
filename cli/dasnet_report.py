"""How `glimpse train dasnet` and `glimpse evaluate` print what gains were good for."""

from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from glimpse.agents import Dasnet, look_again, mean_one
from glimpse.batches import swept
from glimpse.evaluation import ErrorRate, error_rates
from glimpse.gating import Pass
from glimpse.image_set import ImageSource
from glimpse.randomness import derive_seed

from .report import rate

_ROWS = 500
_MORE = 2  # passes beyond those of training
_LEAST = 1e-6  # gains below count as this much, for those that are 0 have no logarithm


@dataclass(frozen=True)
class Passes:
    """What every image of a split came to, pass after pass.

    Attributes:
        learned: The error after each pass, the first, with gains one, included; two passes more
            than in training.
        random: The same with random gains, whose logarithms spread as those of the policy do.
        mended: How many images were wrong after the first pass and right after the last of
            training.
        spoilt: How many were right, and then wrong.
        trained: How many passes T followed the first in training.
    """

    learned: tuple[ErrorRate, ...]
    random: tuple[ErrorRate, ...]
    mended: int
    spoilt: int
    trained: int

    def to_json(self, split: str) -> dict[str, Any]:
        """Return the same for a JSON file."""
        return {
            "split": split,
            "images": self.learned[0].count,
            "passes": [
                {
                    "pass": number,
                    "error": learned.percent,
                    "interval": list(learned.interval()),
                    "random gains": random.percent,
                }
                for number, (learned, random) in enumerate(
                    zip(self.learned, self.random, strict=True)
                )
            ],
            "mended": self.mended,
            "spoilt": self.spoilt,
        }


@torch.no_grad()
def evaluate_passes(net: Dasnet, images: ImageSource, split: str, *, seed: int = 0) -> Passes:
    """Look at every image of a split, with the policy's gains and with random ones.

    Args:
        net: The network and its policy.
        images: What to look at.
        split: `train`, `validation` or `test`.
        seed: Of what is random in images, and of random gains.
    """
    passes = net.config.passes + _MORE
    noise = torch.Generator(images.device).manual_seed(derive_seed(seed, 0, 9))
    learned, random = [], []
    for batch in swept(images, split, _ROWS, seed=seed):
        spread = net.predict(batch.images[:100]).gains.clamp(min=_LEAST).log().std()

        def wander(seen: Pass, spread: torch.Tensor = spread) -> torch.Tensor:
            shape = seen.activations.shape
            drawn = torch.randn(shape, generator=noise, device=images.device)
            return mean_one(spread * drawn)

        target = batch.target[:, None]
        learned.append(net.answers(batch.images, passes).argmax(dim=2) == target)
        answers = look_again(net.network, batch.images, wander, 1, passes)[:, 0]
        random.append(answers.argmax(dim=2) == target)
    right = torch.cat(learned)
    before, after = right[:, 0], right[:, net.config.passes]
    return Passes(
        error_rates(right),
        error_rates(torch.cat(random)),
        int((~before & after).sum()),
        int((before & ~after).sum()),
        net.config.passes,
    )


def print_passes(passes: Passes, split: str) -> None:
    """Print the errors pass by pass."""
    count = passes.learned[0].count
    table = Table(title=f"error on {count:,} {split} images, in % [95 % interval]")
    for name in ("pass", "learned gains", "random gains"):
        table.add_column(name, justify="right")
    for number, (learned, random) in enumerate(zip(passes.learned, passes.random, strict=True)):
        meant = {0: " (gains one)", passes.trained: " (trained)"}.get(number, "")
        table.add_row(f"{number}{meant}", rate(learned), rate(random))
    Console(width=78).print(table)
    print(f"wrong to right {passes.mended}, right to wrong {passes.spoilt} of {count:,} images")
    print(f"{split} error: {passes.learned[passes.trained].percent:.2f} %")
