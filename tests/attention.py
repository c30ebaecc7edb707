"""What the tests of soft attention share: modules without zeros, maps, numbers as lists."""

import math
from itertools import product
from typing import TypeVar

import torch
from torch import Tensor, nn

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def drawn(module: AnyModule, seed: int = 0) -> AnyModule:
    """Return the module in float64, evaluating, with every parameter and statistic drawn."""
    rng = torch.Generator().manual_seed(seed)
    module = module.double().eval()
    with torch.no_grad():
        for weights in module.parameters():
            weights.copy_(torch.randn(weights.shape, generator=rng, dtype=torch.float64) * 0.7)
        for name, numbers in module.named_buffers():
            if name.endswith("running_mean"):
                numbers.copy_(torch.randn(numbers.shape, generator=rng, dtype=torch.float64))
            elif name.endswith("running_var"):
                numbers.copy_(torch.rand(numbers.shape, generator=rng, dtype=torch.float64) + 0.5)
    return module


def some_maps(*shape: int, seed: int = 1) -> Tensor:
    """Return maps of float64, normal."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=rng, dtype=torch.float64)


def parameters(module: nn.Module) -> int:
    return sum(weights.numel() for weights in module.parameters())


def logistic(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def dense(layer: nn.Module, values: list[float]) -> list[float]:
    """Return W v + b, as loops; of a linear layer or a convolution of one pixel."""
    weights = layer.get_parameter("weight").flatten(1).tolist()
    bias = [0.0] * len(weights) if layer.bias is None else layer.get_parameter("bias").tolist()
    return [
        offset + sum(weight * value for weight, value in zip(row, values, strict=True))
        for row, offset in zip(weights, bias, strict=True)
    ]


def normalised(layer: nn.Module, channel: int, value: float) -> float:
    """Return what batch normalisation in evaluation makes of a value."""
    mean, variance, weight, bias = (
        float(layer.state_dict()[name][channel])
        for name in ("running_mean", "running_var", "weight", "bias")
    )
    return (value - mean) / math.sqrt(variance + 1e-5) * weight + bias


def convolved(layer: nn.Module, image: Tensor, dilation: int = 1, groups: int = 1) -> Tensor:
    """Return a convolution of one image `(C, H, W)` with zeros around it, as loops."""
    wanted, reads, size, _ = layer.get_parameter("weight").shape
    kernels = layer.get_parameter("weight").tolist()
    bias = [0.0] * wanted if layer.bias is None else layer.get_parameter("bias").tolist()
    height, width = image.shape[1:]
    pixels = image.tolist()
    out = torch.empty(wanted, height, width, dtype=torch.float64)
    for to, y, x in product(range(wanted), range(height), range(width)):
        first = to // (wanted // groups) * reads
        total = bias[to]
        for of, i, j in product(range(reads), range(size), range(size)):
            row, column = y + (i - size // 2) * dilation, x + (j - size // 2) * dilation
            if 0 <= row < height and 0 <= column < width:
                total += kernels[to][of][i][j] * pixels[first + of][row][column]
        out[to, y, x] = total
    return out
