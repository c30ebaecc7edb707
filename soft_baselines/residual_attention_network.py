"""Residual attention networks: RAN-56 and RAN-92 and others of their kind, whole classifiers.

Convention:
    Images are `(B, C, H, W)`, answers `(B, n)`, before the softmax. Sides of 224 become 56, 28, 14
    and 7 in the four stages.

Source: F. Wang et al., "Residual attention network for image classification", CVPR 2017, table 2,
and the authors' Caffe definitions. RAN-56 of these has 31 810 728 weights, the 31.9 M of the paper
with the averages that normalisations keep. RAN-92 has 52 466 344; the paper says 51.3 M, but not
what is smaller: we follow the definition.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from glimpse.checks import check_count, check_counts, check_shape

from .residual_attention import ResidualAttention, ResidualUnit


class ResidualAttentionNetwork(nn.Module):
    """Classify with three stages of residual attention and one of residual units.

    Args:
        classes: Number of answers, n.
        channels: Of the images.
        modules: Attention modules of the three stages, whose mask branches pool 3, 2 and 1 times.
        width: Channels after the first layer; the stages have 4, 8, 16 and 32 times as many.
        activation: Of the masks, see `ResidualAttention`.

    Raises:
        ValueError: A number is below 1, or there are not three stages.
    """

    def __init__(
        self,
        classes: int = 1000,
        *,
        channels: int = 3,
        modules: Sequence[int] = (1, 1, 1),
        width: int = 64,
        activation: str = "mixed",
    ) -> None:
        super().__init__()
        check_count(1, classes=classes, channels=channels, width=width)
        check_counts(1, modules=modules)
        if len(modules) != 3:
            raise ValueError(f"`modules` must be three numbers, got {modules!r}: one for a stage")
        self.channels = channels
        self.first = nn.Conv2d(channels, width, 7, 2, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.stages = nn.Sequential()
        come = width
        for stage, number in enumerate(modules):
            go = 4 * width << stage
            self.stages.append(ResidualUnit(come, go, width=go // 4, stride=1 if stage == 0 else 2))
            for _ in range(number):
                module = ResidualAttention(go, depth=3 - stage, activation=activation)
                self.stages.append(module)
            come = go
        self.stages.append(ResidualUnit(come, 2 * come, width=come // 2, stride=2))
        for _ in range(2):
            self.stages.append(ResidualUnit(2 * come, 2 * come, width=come // 2))
        self.last = nn.BatchNorm2d(2 * come)
        self.classify = nn.Linear(2 * come, classes)

    def forward(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B n"]:
        """Return the answers.

        Raises:
            ValueError: The images are of another shape, or a side is below 3.
        """
        check_shape(
            *("images", images, f"B {self.channels} H W"),
            mend="give the channels that it was made for",
        )
        if min(images.shape[2:]) < 3:
            raise ValueError(
                f"`images` must be at least 3 x 3, got {tuple(images.shape[2:])}: enlarge them"
            )
        maps = torch.relu(self.norm(self.first(images)))
        maps = self.stages(F.max_pool2d(maps, 3, 2, ceil_mode=True))
        answers: Tensor = self.classify(torch.relu(self.last(maps)).mean(dim=(2, 3)))
        return answers


def ran_56(classes: int = 1000) -> ResidualAttentionNetwork:
    """Return RAN-56, one module in each stage: 31 810 728 weights for 1000 classes."""
    return ResidualAttentionNetwork(classes, modules=(1, 1, 1))


def ran_92(classes: int = 1000) -> ResidualAttentionNetwork:
    """Return RAN-92, one, two and three modules: 52 466 344 weights for 1000 classes."""
    return ResidualAttentionNetwork(classes, modules=(1, 2, 3))
