"""Attention in pieces against a loop straight from the equation."""

import warnings

import pytest
import torch
from attended import Largest, maps_of, randomised, softmax
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from glimpse.soft_baselines import make
from glimpse.soft_baselines import softmax_attention as attention_file
from glimpse.soft_baselines.softmax_attention import softmax_attention

SIZES = {"equal": (4, 4), "heads": (2, 6), "wider": (4, 6), "narrower": (4, 2), "none": (0, 3)}
every_sizes = pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
every_weights = pytest.mark.parametrize(
    "weights", [2**20, 90, 20, 1], ids=["whole", "two images", "pieces of three", "one by one"]
)
placed_or_not = pytest.mark.parametrize("placed", [False, True], ids=["products", "and places"])
MODULES = ("aa_conv", "generalised", "mhsa", "danet_position")


def _given(
    sizes: tuple[int, int], placed: bool = False, positions: int = 7, seen: tuple[int, int] = (2, 3)
) -> dict[str, Tensor]:
    """Return what is given for three images."""
    (keys, values), (height, width) = sizes, seen
    given = {
        "queries": maps_of(3, keys, positions),
        "keys": maps_of(3, keys, height * width, seed=2),
        "values": maps_of(3, values, height * width, seed=3),
    }
    if placed:
        given["down"] = maps_of(3, positions, height, seed=4)
        given["across"] = maps_of(3, positions, width, seed=5)
    return given


@torch.no_grad()
def _by_loop(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    scale: float,
    down: Tensor | None = None,
    across: Tensor | None = None,
) -> Tensor:
    out = torch.zeros(len(queries), values.shape[1], queries.shape[2], dtype=torch.float64)
    for image in range(len(queries)):
        for i in range(queries.shape[2]):
            logits = [float(queries[image, :, i] @ key) for key in keys[image].T]
            if down is not None and across is not None:
                columns = across.shape[2]
                for j in range(len(logits)):
                    logits[j] += float(down[image, i, j // columns])
                    logits[j] += float(across[image, i, j % columns])
            weights = softmax([scale * logit for logit in logits])
            for weight, value in zip(weights, values[image].T, strict=True):
                out[image, :, i] += weight * value
    return out


@every_sizes
@every_weights
@placed_or_not
@pytest.mark.parametrize("training", [True, False])
def test_it_is_the_equation(
    sizes: tuple[int, int],
    weights: int,
    placed: bool,
    training: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attention_file, "WEIGHTS", weights)
    given = {name: x.requires_grad_(training) for name, x in _given(sizes, placed).items()}
    made = softmax_attention(**given, scale=0.7)
    torch.testing.assert_close(made, _by_loop(**given, scale=0.7))


@every_sizes
@placed_or_not
def test_the_function_of_torch_is_the_equation_too(sizes: tuple[int, int], placed: bool) -> None:
    """Which serves other devices and what is compiled."""
    given = _given(sizes, placed)
    made = attention_file._fused(0.7, *given.values())
    torch.testing.assert_close(made, _by_loop(**given, scale=0.7))


def test_images_and_heads_come_first() -> None:
    given = _given((2, 3), placed=True)
    two = {name: torch.stack([x, 2 * x], dim=1) for name, x in given.items()}  # (3, 2, ...)
    made = softmax_attention(**two)
    assert made.shape == (3, 2, 3, 7)
    for at, factor in ((0, 1), (1, 2)):
        alone = softmax_attention(**{name: factor * x for name, x in given.items()})
        torch.testing.assert_close(made[:, at], alone)


@pytest.mark.plain
@placed_or_not
def test_compiled_it_does_not_depend_on_the_number_of_positions(placed: bool) -> None:
    torch.compiler.reset()
    compiled = torch.compile(softmax_attention, backend="eager", fullgraph=True, dynamic=True)
    for positions, seen in ((7, (2, 3)), (9, (4, 2))):
        given = _given((2, 6), placed, positions, seen)
        torch.testing.assert_close(compiled(**given), softmax_attention(**given))


@every_weights
@placed_or_not
def test_gradients_are_those_of_differences(
    weights: int, placed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention_file, "WEIGHTS", weights)
    given = _given((3, 4), placed, 5, (2, 2))
    tokens = [x.requires_grad_() for x in given.values()]

    def attended(*tokens: Tensor) -> Tensor:
        return softmax_attention(**dict(zip(given, tokens, strict=True)), scale=0.7)

    assert torch.autograd.gradcheck(attended, tokens, fast_mode=True)
    assert torch.autograd.gradgradcheck(attended, tokens, fast_mode=True)


@pytest.mark.parametrize("sizes", [(4, 4), (4, 6)], ids=["equal", "wider"])
@placed_or_not
@pytest.mark.parametrize("training", [True, False])
def test_no_tensor_has_a_number_for_every_pair(
    sizes: tuple[int, int], placed: bool, training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention_file, "WEIGHTS", 400 * 60)
    given = _given(sizes, placed, 400, (20, 20))
    given = {name: x.requires_grad_(training) for name, x in given.items()}
    with Largest() as largest:
        out = softmax_attention(**given)
        if training:
            out.sum().backward()
    assert largest.numbers <= 400 * 60


@pytest.mark.parametrize("sizes", [(4, 4), (4, 8), (8, 1)], ids=["equal", "wider", "narrower"])
@placed_or_not
def test_the_function_of_torch_holds_none_either(sizes: tuple[int, int], placed: bool) -> None:
    # Torch falls back to the table without a word; with this kernel alone allowed it cannot.
    tokens = list(_given(sizes, placed, 35, (5, 7)).values())
    with warnings.catch_warnings(), sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        warnings.simplefilter("ignore")
        attention_file._fused(1.0, *tokens)
        asking = tokens[0][:, None].mT
        with pytest.raises(RuntimeError, match="No available kernel"):  # the test can fail
            torch.nn.functional.scaled_dot_product_attention(asking, asking, asking)


@pytest.mark.parametrize("name", MODULES)
def test_modules_can_be_differentiated_twice(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, maps = randomised(make(name, 8)), maps_of(1, 8, 2, 2).requires_grad_()
    for weights in (2**20, 8):
        monkeypatch.setattr(attention_file, "WEIGHTS", weights)
        assert torch.autograd.gradgradcheck(module, maps, fast_mode=True)
