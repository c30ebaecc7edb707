"""The residual network that carries the modules: plain, with the names of its places.

Convention:
    Images are `(B, channels, H, W)` of floats; the answer is `(B, classes)` logits. The stages of
    224 x 224 pixels have 56, 28, 14 and 7 positions a side.

Source: K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition",
CVPR 2016, section 3.3 and table 1.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from glimpse.checks import check_count, check_name, check_shape

Stride = Literal["first", "middle"]

_BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


class ResNet(nn.Module):
    """A network of four stages of residual blocks: basic ones to depth 34, bottlenecks above.

    Layers are named as in torchvision (`layer1.0.bn2`, ...), so its weights can be loaded.

    Args:
        depth: 18, 34, 50, 101 or 152 layers.
        classes: How many answers there are.
        channels: Of the images.
        stem: "imagenet": 7 x 7 of stride 2, then a maximum of stride 2. "small", for images of
            some 32 pixels: 3 x 3 of stride 1, and no maximum.
        stride: Which convolution of a bottleneck makes the maps smaller: "first" (1 x 1), as in
            the paper, or "middle" (3 x 3), as in most networks published since, thus the default.

    Attributes:
        input: Gives the images as they are: the name of the place before all layers.
        branches: Names of the last layer of every residual branch, before the addition.
        blocks: Names of the blocks.
        stages: Names of the stages.

    Raises:
        ValueError: An option does not fit.

    Example:
        >>> import torch
        >>> ResNet(18, classes=10, stem="small")(torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 10])
    """

    def __init__(
        self,
        depth: int = 50,
        *,
        classes: int = 1000,
        channels: int = 3,
        stem: Literal["imagenet", "small"] = "imagenet",
        stride: Stride = "middle",
    ) -> None:
        super().__init__()
        if depth not in list(_BLOCKS):
            known = ", ".join(str(known) for known in _BLOCKS)
            raise ValueError(f"`depth` must be one of {known}, got {depth!r}: choose one")
        check_count(1, classes=classes, channels=channels)
        check_name("stem", stem, ("imagenet", "small"))
        check_name("stride", stride, ("first", "middle"))
        large = stem == "imagenet"
        self.input = Input(channels)
        self.conv1 = _convolution(channels, 64, 7 if large else 3, stride=2 if large else 1)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if large else nn.Identity()
        self.layer1 = _stage(depth, 0, stride)
        self.layer2 = _stage(depth, 1, stride)
        self.layer3 = _stage(depth, 2, stride)
        self.layer4 = _stage(depth, 3, stride)
        self.fc = nn.Linear(_width(depth, 3), classes)
        self.stages = ("layer1", "layer2", "layer3", "layer4")
        self.blocks = tuple(
            f"{stage}.{number}"
            for stage, count in zip(self.stages, _BLOCKS[depth], strict=True)
            for number in range(count)
        )
        last = "bn2" if depth < 50 else "bn3"
        self.branches = tuple(f"{block}.{last}" for block in self.blocks)

    def forward(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B A"]:
        """Return the logits.

        Raises:
            ValueError: The images have another shape, or are not floats.
        """
        check_shape(
            "images", images, f"B {self.conv1.in_channels} H W", mend="give `channels` to ResNet"
        )
        if not images.is_floating_point():
            raise ValueError(f"`images` must be floats, got {images.dtype}: divide by 255")
        maps = self.maxpool(self.relu(self.bn1(self.conv1(self.input(images)))))
        maps = self.layer4(self.layer3(self.layer2(self.layer1(maps))))
        logits: Tensor = self.fc(maps.mean(dim=(2, 3)))
        return logits


class Input(nn.Identity):
    """Gives images as they are.

    Args:
        channels: Of the images.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.out_channels = channels


class BasicBlock(nn.Module):
    """Return ReLU(x + F(x)), F two 3 x 3 convolutions, each normalised.

    Args:
        channels: Of the maps that come.
        width: Of the maps that go.
        stride: Of the first convolution.
    """

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.out_channels = width
        self.conv1 = _convolution(channels, width, 3, stride=stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _convolution(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.downsample = _shortcut(channels, width, stride)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        """Return the sum, rectified."""
        branch = self.relu(self.bn1(self.conv1(maps)))
        branch = self.bn2(self.conv2(branch))
        out: Tensor = self.relu(branch + self.downsample(maps))
        return out


class Bottleneck(nn.Module):
    """Return ReLU(x + F(x)), F convolutions of 1 x 1, 3 x 3, 1 x 1, each normalised.

    Args:
        channels: Of the maps that come.
        width: Of the maps that go, four times that within.
        stride: Of the convolution that makes the maps smaller.
        where: Which one that is.
    """

    def __init__(self, channels: int, width: int, stride: int, where: Stride) -> None:
        super().__init__()
        self.out_channels, inner = width, width // 4
        first, middle = (stride, 1) if where == "first" else (1, stride)
        self.conv1 = _convolution(channels, inner, 1, stride=first)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = _convolution(inner, inner, 3, stride=middle)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = _convolution(inner, width, 1)
        self.bn3 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.downsample = _shortcut(channels, width, stride)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        """Return the sum, rectified."""
        branch = self.relu(self.bn1(self.conv1(maps)))
        branch = self.relu(self.bn2(self.conv2(branch)))
        branch = self.bn3(self.conv3(branch))
        out: Tensor = self.relu(branch + self.downsample(maps))
        return out


def _width(depth: int, stage: int) -> int:
    """Return how many channels a stage gives."""
    return (64 if depth < 50 else 256) << stage


def _stage(depth: int, stage: int, where: Stride) -> nn.Sequential:
    width = _width(depth, stage)
    blocks: list[nn.Module] = []
    channels = 64 if stage == 0 else _width(depth, stage - 1)
    for number in range(_BLOCKS[depth][stage]):
        stride = 2 if stage > 0 and number == 0 else 1
        blocks.append(
            BasicBlock(channels, width, stride)
            if depth < 50
            else Bottleneck(channels, width, stride, where)
        )
        channels = width
    return nn.Sequential(*blocks)


def _shortcut(channels: int, width: int, stride: int) -> nn.Module:
    """Return what makes maps fit the branch: nothing, or a 1 x 1 convolution, normalised."""
    if stride == 1 and channels == width:
        return nn.Identity()
    return nn.Sequential(_convolution(channels, width, 1, stride=stride), nn.BatchNorm2d(width))


def _convolution(channels: int, width: int, size: int, *, stride: int = 1) -> nn.Conv2d:
    """Return a convolution without bias, drawn as He et al. do for ReLU."""
    layer = nn.Conv2d(channels, width, size, stride=stride, padding=size // 2, bias=False)
    if not layer.weight.is_meta:  # where nothing is drawn, and torch loads its compiler to do so
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer
