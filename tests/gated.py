"""Small networks with gains, and images for them, for several test files."""

from typing import Any

import torch
from expect import generator
from torch import Tensor, nn

from glimpse import ImageSet
from glimpse.gated_module import GatedModule
from glimpse.maxout import MaxoutNetwork, Sizes, Stage

CLASSES = 3
TINY = Sizes((Stage(4, 3, 1, 2, 2), Stage(3, 3, 1, 2, 2)))


def images(count: int = 6, *, seed: int = 0) -> Tensor:
    return torch.rand(count, 1, 8, 10, generator=generator(seed))


def image_set(count: int = 40, task_seed: int = 0, **splits: Any) -> ImageSet:
    pixels = torch.randint(256, (count, 1, 8, 10), dtype=torch.uint8, generator=generator())
    targets = torch.randint(CLASSES, (count,), generator=generator(task_seed)).tolist()
    targets[:CLASSES] = range(CLASSES)
    parts = {"train": range(24), "validation": range(24, 32), "test": range(32, count)}
    return ImageSet.from_arrays(pixels, targets, splits={**parts, **splits})


def network(seed: int = 0) -> MaxoutNetwork:
    """Return a network whose answers depend on its gains, unlike those of fresh weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = MaxoutNetwork((1, 8, 10), CLASSES, sizes=TINY, dropout=0.0, input_dropout=0.0)
    with torch.no_grad():
        made.classifier.weight *= 8
    return made.eval()


def hooked(made: nn.Module | None = None) -> GatedModule:
    """Return such a network with gains by hooks: two layers of 4 and 3 maps."""
    return GatedModule(made or network(), ["stages.0", "stages.1"], images(1))


class Misled(nn.Module):
    """Two maps say which class an image is of; the third, larger, tells lies.

    Of the images below, the first quarter of the pixels shows the truth and the last the lie.
    """

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(3, 3, 1, bias=False)
        self.maps.weight.data = torch.eye(3)[..., None, None]
        self.believe = nn.Linear(3, 2, bias=False)
        self.believe.weight.data = torch.tensor([[4.0, 0.0, 6.0], [0.0, 4.0, 0.0]])

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.believe(self.maps(pixels).mean(dim=(2, 3)))
        return logits


def misleading_images(count: int = 60) -> ImageSet:
    """Return images of two classes whose channels are the maps of `Misled`; a third one lies."""
    target = torch.arange(count) % 2
    pixels = torch.rand(count, 3, 2, 2, generator=generator()) * 0.2
    pixels[torch.arange(count), target] += 0.7
    pixels[:, 2] += 0.7
    parts = {"train": range(40), "validation": range(40, 50), "test": range(50, count)}
    return ImageSet.from_arrays(pixels, target.tolist(), splits=parts)
