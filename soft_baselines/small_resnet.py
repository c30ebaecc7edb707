"""A small residual network for images of some 28 to 100 pixels, with the names of its places.

Convention:
    Images are `(B, channels, H, W)` of floats; the answer is `(B, classes)` logits. The stages of
    60 x 60 pixels have 30, 15 and 8 positions a side, those of 28 x 28 have 28, 14 and 7.

Source: K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition",
CVPR 2016, section 4.2: the networks for CIFAR, of three stages. Theirs pass maps on by padding with
zeros where a stage begins; ours by a 1 x 1 convolution, as `ResNet`.
"""

from jaxtyping import Float
from torch import Tensor, nn

from glimpse.checks import check_count, check_shape

from .resnet import BasicBlock, Input

_LARGE = 32  # pixels a side, from which on the first convolution has a stride of 2


class SmallResNet(nn.Module):
    """A network of three stages of basic blocks; every stage doubles the channels.

    Args:
        shape: Channels, height and width of the images.
        classes: How many answers there are.
        width: Channels of the first stage.
        blocks: Of a stage.

    Attributes:
        input: Gives the images as they are: the name of the place before all layers.
        branches: Names of the last layer of every residual branch, before the addition.
        blocks: Names of the blocks.
        stages: Names of the stages.

    Raises:
        ValueError: A number is below 1.

    Example:
        >>> import torch
        >>> SmallResNet((1, 28, 28), 10)(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self, shape: tuple[int, int, int], classes: int, *, width: int = 16, blocks: int = 1
    ) -> None:
        super().__init__()
        channels, height, across = shape
        check_count(1, channels=channels, height=height, width=across, classes=classes)
        check_count(1, width=width, blocks=blocks)
        stride = 2 if max(height, across) > _LARGE else 1
        self.shape, self.stages = shape, ("layer1", "layer2", "layer3")
        self.input = Input(channels)
        self.conv1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.layer1 = _stage(width, width, blocks, 1)
        self.layer2 = _stage(width, 2 * width, blocks, 2)
        self.layer3 = _stage(2 * width, 4 * width, blocks, 2)
        self.fc = nn.Linear(4 * width, classes)
        self.blocks = tuple(
            f"{stage}.{number}" for stage in self.stages for number in range(blocks)
        )
        self.branches = tuple(f"{block}.bn2" for block in self.blocks)

    def forward(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B A"]:
        """Return the logits.

        Raises:
            ValueError: The images have other channels.
        """
        check_shape("images", images, f"B {self.shape[0]} H W", mend="give those it was made for")
        maps = self.relu(self.bn1(self.conv1(self.input(images))))
        maps = self.layer3(self.layer2(self.layer1(maps)))
        logits: Tensor = self.fc(maps.mean(dim=(2, 3)))
        return logits


def _stage(channels: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(channels, width, stride)
    return nn.Sequential(first, *(BasicBlock(width, width, 1) for _ in range(blocks - 1)))
