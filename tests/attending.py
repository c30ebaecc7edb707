"""What the tests of attention modules share."""

from typing import TypeVar

import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def varied(module: Module, seed: int = 0) -> Module:
    """Return the module in float64, evaluating, none of its parameters as it was at first."""
    generator = torch.Generator().manual_seed(seed)
    module = module.double().eval()
    with torch.no_grad():
        for weights in module.parameters():
            weights.add_(0.3 * torch.randn(weights.shape, generator=generator, dtype=weights.dtype))
        for name, statistic in module.named_buffers():
            if statistic.is_floating_point():
                noise = torch.rand(statistic.shape, generator=generator, dtype=statistic.dtype)
                statistic.copy_(noise + 0.5 if name.endswith("var") else noise - 0.5)
    return module


def normal(*shape: int, seed: int = 1) -> Tensor:
    """Return standard normal numbers in float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def count(module: nn.Module) -> int:
    """Return the number of trainable numbers."""
    return sum(weights.numel() for weights in module.parameters())


def assert_equal(got: Tensor, wanted: Tensor) -> None:
    """Compare as two orders of summation in float64 do."""
    torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-11)
