"""What tests of attention over positions share: modules and maps, and loops that know no tricks."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from expect import generator
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

M = TypeVar("M", bound=nn.Module)


def randomised(module: M, *, seed: int = 0) -> M:
    """Return a module in float64 and evaluation, none of whose numbers is what it was at first."""
    draw = generator(seed)
    for name, tensor in module.double().state_dict().items():
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=draw, dtype=torch.float64)
            tensor.copy_(noise.square() + 0.5 if name.endswith("running_var") else 0.5 * noise)
    return module.eval()


def maps_of(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def count(make: Callable[[], nn.Module]) -> int:
    """Return how many parameters a module has, without making them."""
    with torch.device("meta"):
        return sum(weights.numel() for weights in make().parameters())


def softmax(scores: Sequence[Tensor | float]) -> list[float]:
    exponentials = [math.exp(float(score)) for score in scores]
    return [value / sum(exponentials) for value in exponentials]


def linear(layer: nn.Module, vector: Tensor) -> Tensor:
    """Return what a 1 x 1 convolution makes of one position."""
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor)
    assert isinstance(bias, Tensor)
    return weight.flatten(1) @ vector + bias


def normed(layer: nn.Module, vector: Tensor) -> Tensor:
    """Return what batch normalisation in evaluation makes of one position."""
    gain, shift, mean, var = (
        getattr(layer, name) for name in ("weight", "bias", "running_mean", "running_var")
    )
    normalised: Tensor = (vector - mean) / (var + 1e-5).sqrt() * gain + shift
    return normalised


class Largest(TorchDispatchMode):
    """Remember how many numbers the largest tensor has that came of any operation."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, Tensor):
                self.numbers = max(self.numbers, tensor.numel())
        return out


def assert_compiles(module: nn.Module, maps: Tensor) -> None:
    """Compile into one graph, which gives what the module gives."""
    torch.compiler.reset()
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(maps), module(maps))
