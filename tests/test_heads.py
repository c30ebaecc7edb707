import math
import warnings

import pytest
import torch
from attending import assert_equal, normal, varied
from expect import refused
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from glimpse.soft_baselines import make
from glimpse.soft_baselines.heads import (
    attend,
    attend_along_axes,
    check_divides,
    join_heads,
    split_heads,
)


def _by_hand(logits: list[list[float]], values: Tensor) -> Tensor:
    """Return the average of values (K, V), by the logits of every query."""
    made = torch.zeros(len(logits), values.shape[1], dtype=torch.float64)
    for query, row in enumerate(logits):
        total = sum(math.exp(logit) for logit in row)
        for key, logit in enumerate(row):
            made[query] += math.exp(logit) / total * values[key]
    return made


def test_heads_are_blocks_of_channels_and_positions_are_read_row_by_row() -> None:
    maps = torch.arange(2 * 6 * 2 * 3).reshape(2, 6, 2, 3).double()
    heads = split_heads(maps, 3)
    assert heads.shape == (2, 3, 6, 2)
    assert heads[1, 2, 4, 1] == maps[1, 2 * 2 + 1, 1, 1]
    assert torch.equal(join_heads(heads, (2, 3)), maps)


@pytest.mark.parametrize(("features", "wide"), [(3, 3), (3, 5), (5, 2)])
def test_it_averages_by_products(features: int, wide: int) -> None:
    queries, keys = normal(2, 3, 4, features), normal(2, 3, 6, features, seed=2)
    values = normal(2, 3, 6, wide, seed=3)
    made = attend(queries, keys, values, scale=0.7)
    assert made.shape == (2, 3, 4, wide)
    for image in range(2):
        for head in range(3):
            asks, answers = queries[image, head].tolist(), keys[image, head].tolist()
            logits = [
                [0.7 * sum(a * b for a, b in zip(ask, key, strict=True)) for key in answers]
                for ask in asks
            ]
            assert_equal(made[image, head], _by_hand(logits, values[image, head]))


@pytest.mark.parametrize("features", [0, 2])
def test_rows_and_columns_add_to_the_products(features: int) -> None:
    height, width = 2, 3
    queries, keys = normal(1, 2, 4, features), normal(1, 2, 6, features, seed=2)
    values, down, across = normal(1, 2, 6, 5), normal(1, 2, 4, height), normal(1, 2, 4, width)
    made = attend_along_axes(queries, keys, values, down, across, scale=0.5)
    for head in range(2):
        logits = [
            [
                0.5
                * (
                    float((queries[0, head, query] * keys[0, head, y * width + x]).sum())
                    + float(down[0, head, query, y])
                    + float(across[0, head, query, x])
                )
                for y in range(height)
                for x in range(width)
            ]
            for query in range(4)
        ]
        assert_equal(made[0, head], _by_hand(logits, values[0, head]))


@pytest.mark.parametrize(("features", "wide"), [(4, 4), (4, 8), (8, 1)])
def test_no_table_of_weights_is_made(features: int, wide: int) -> None:
    # Torch falls back to the table without a word; with this kernel alone allowed it cannot.
    maps = torch.randn(1, 2 * features, 5, 7)
    asking, values = split_heads(maps, 2), split_heads(torch.randn(1, 2 * wide, 5, 7), 2)
    with warnings.catch_warnings(), sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        warnings.simplefilter("ignore")
        attend(asking, asking, values, scale=1.0)
        attend_along_axes(
            asking, asking, values, torch.randn(1, 2, 35, 5), torch.randn(1, 2, 35, 7), scale=1.0
        )
        with pytest.raises(RuntimeError, match="No available kernel"):  # the test can fail
            torch.nn.functional.scaled_dot_product_attention(
                asking.mT.contiguous().mT, asking, asking
            )


@pytest.mark.parametrize("name", ["aa_conv", "generalised", "mhsa"])
def test_no_module_makes_it_either(name: str) -> None:
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        make(name, 32)(torch.randn(2, 32, 5, 7)).sum().backward()


@pytest.mark.parametrize("name", ["aa_conv", "generalised", "mhsa"])
def test_second_derivatives_come_with_the_table(name: str) -> None:
    module, maps = varied(make(name, 8)), normal(1, 8, 2, 2).requires_grad_()
    with sdpa_kernel(SDPBackend.MATH):
        assert torch.autograd.gradgradcheck(module, maps, fast_mode=True)


def test_parts_that_do_not_divide_are_refused() -> None:
    check_divides("heads", 4, 12)
    with refused("`heads` must be a divisor of 12, got 5: choose one of 1, 2, 3, 4, 6, 12"):
        check_divides("heads", 5, 12)
    with refused("`groups` must be a divisor of 6, got 0: choose one of 1, 2, 3, 6"):
        check_divides("groups", 0, 6)
