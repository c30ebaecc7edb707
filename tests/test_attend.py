"""Attention in pieces against a loop straight from the equation."""

import pytest
import torch
from attended import Largest, maps_of, softmax
from torch import Tensor

from glimpse.soft_baselines import attend as attend_file
from glimpse.soft_baselines.attend import attend

SIZES = {"equal": (4, 4), "heads": (2, 6), "wider": (4, 6), "narrower": (4, 2)}
every_sizes = pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)


def _tokens(sizes: tuple[int, int], positions: int = 7, seen: int = 5) -> list[Tensor]:
    keys, values = sizes
    return [
        maps_of(2, keys, positions),
        maps_of(2, keys, seen, seed=2),
        maps_of(2, values, seen, seed=3),
    ]


def _by_loop(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    out = torch.zeros(len(query), value.shape[1], query.shape[2], dtype=torch.float64)
    for image in range(len(query)):
        for i in range(query.shape[2]):
            weights = softmax([scale * query[image, :, i] @ k for k in key[image].T])
            for weight, v in zip(weights, value[image].T, strict=True):
                out[image, :, i] += weight * v
    return out


@every_sizes
@pytest.mark.parametrize("weights", [2**21, 20, 1], ids=["whole", "pieces of two", "one by one"])
@pytest.mark.parametrize("training", [True, False])
def test_it_is_the_equation(
    sizes: tuple[int, int], weights: int, training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attend_file, "WEIGHTS", weights)
    tokens = [x.requires_grad_(training) for x in _tokens(sizes)]
    torch.testing.assert_close(
        attend(*tokens, scale=0.7), _by_loop(*(x.detach() for x in tokens), scale=0.7)
    )


@every_sizes
def test_the_function_of_torch_is_the_equation_too(sizes: tuple[int, int]) -> None:
    """Which serves other devices and what is compiled."""
    tokens = _tokens(sizes)
    torch.testing.assert_close(attend_file._fused(*tokens, scale=0.7), _by_loop(*tokens, scale=0.7))


@pytest.mark.plain
def test_compiled_it_does_not_depend_on_the_number_of_positions() -> None:
    compiled = torch.compile(attend, backend="eager", fullgraph=True, dynamic=True)
    for positions, seen in ((7, 5), (9, 4)):
        tokens = _tokens((2, 6), positions, seen)
        torch.testing.assert_close(compiled(*tokens, 0.7), attend(*tokens, 0.7))


@pytest.mark.parametrize("weights", [2**21, 20], ids=["whole", "pieces"])
def test_gradients_are_those_of_differences(weights: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attend_file, "WEIGHTS", weights)
    for sizes in ((3, 3), (3, 4)):
        tokens = [x.requires_grad_() for x in _tokens(sizes, 5, 4)]
        assert torch.autograd.gradcheck(attend, tokens, fast_mode=True)
        assert torch.autograd.gradgradcheck(attend, tokens, fast_mode=True)


@pytest.mark.parametrize("sizes", [(4, 4), (4, 6)], ids=["equal", "wider"])
@pytest.mark.parametrize("training", [True, False])
def test_no_tensor_has_a_number_for_every_pair(
    sizes: tuple[int, int], training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    positions, weights = 400, 400 * 10
    monkeypatch.setattr(attend_file, "WEIGHTS", weights)
    tokens = [x.requires_grad_(training) for x in _tokens(sizes, positions, positions)]
    with Largest() as largest:
        out = attend(*tokens)
        if training:
            out.sum().backward()
    assert largest.numbers <= max(weights, tokens[2].numel())
