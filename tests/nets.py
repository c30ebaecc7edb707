"""Small networks of random weights, and images for them, for the tests of gains."""

import torch
from expect import generator
from torch import Tensor, nn

from glimpse import ImageSet
from glimpse.maxout import Dense, MaxoutNetwork, Sizes, Stage

SHAPE, CLASSES = (2, 9, 12), 3
# Pools that overlap, three pieces, no padding, a dense layer: all that may go wrong.
ODD = Sizes((Stage(4, 3, 1, 3, 2, 3), Stage(5, 3, 2, 3, 1, 2), Stage(3, 2, 0, 2, 1)), Dense(6, 3))
TWO = Sizes((Stage(3, 2, 0, 2, 2), Stage(4, 3, 1, 2, 1, 1)))
ONE = Sizes((Stage(3, 3, 1, 2, 2),))


def maxout(sizes: Sizes | str = ODD, shape: tuple[int, int, int] = SHAPE) -> MaxoutNetwork:
    """Return a maxout network in evaluation."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MaxoutNetwork(shape, CLASSES, sizes=sizes).eval()


class Convolutional(nn.Module):
    """What a user may bring: two convolutions, a layer of 7 units, and one that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(SHAPE[0], 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.block = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2), nn.ReLU(inplace=True))
        self.units = nn.Linear(6, 7)
        self.head = nn.Linear(7, CLASSES)
        self.spare = nn.Conv2d(4, 4, 1)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.block(self.norm(self.first(images)).relu())
        logits: Tensor = self.head(self.units(maps.mean(dim=(2, 3))))
        return logits


def convolutional() -> Convolutional:
    """Return such a network in evaluation, whose normalisation is not the identity."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = Convolutional()
        network.norm.running_mean = torch.randn(4)
        return network.eval()


def floats(count: int, shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> Tensor:
    return torch.rand(count, *shape, generator=generator(seed))


def gains(*shape: int, seed: int = 7) -> Tensor:
    """Return gains in [0, 3), some of them 0."""
    drawn = torch.rand(shape, generator=generator(seed)) * 3
    return torch.where(drawn < 0.3, 0.0, drawn)


def pictures(count: int = 10) -> ImageSet:
    """Return images of random pixels: of 10, six to train on and four for the test."""
    pixels = torch.randint(0, 256, (count, *SHAPE), dtype=torch.uint8, generator=generator())
    classes = [number % CLASSES for number in range(count)]
    train = count * 3 // 5
    return ImageSet.from_arrays(
        pixels, classes, splits={"train": range(train), "test": range(train, count)}
    )


def gated_by_hand(network: MaxoutNetwork, images: Tensor, gain: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean activations and log-probabilities, every layer's output times its gains."""
    rest, means, features = gain, [], images
    for stage in network.convolutions:
        features = stage(features)
        mine, rest = rest[:, : features.shape[1]], rest[:, features.shape[1] :]
        features = features * mine[:, :, None, None]
        means.append(features.mean(dim=(2, 3)))
    if network.dense is not None:
        features = network.dense(features) * rest
        means.append(features)
    return torch.cat(means, dim=1), network.classifier(features.flatten(1)).log_softmax(dim=1)
