import math
from itertools import product

import pytest
import torch
from attending import assert_equal, count, normal, varied
from expect import refused
from torch import Tensor
from torch.nn import functional as F

from glimpse.soft_baselines import GeneralisedAttention
from glimpse.soft_baselines.generalised_attention import encode

MASKS = ["".join(digits) for digits in product("01", repeat=4) if "1" in digits]


def _code(offset: int, width: int) -> list[float]:
    """Return the sines, then the cosines, of an offset: `width` numbers."""
    angles = [offset / 1000 ** (2 * f / width) for f in range(width // 2)]
    return [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]


def _logit(
    module: GeneralisedAttention, head: int, query: Tensor, key: Tensor, right: int, below: int
) -> float:
    """Return what a query asks of a key that lies so many pixels to the right and below."""
    width = module.channels // module.heads
    mine = slice(head * width, (head + 1) * width)
    logit = 0.0
    if module.terms[0] == "1":
        logit += float(query[mine] @ key[mine])
    if module.of_content is not None:
        logit += float(module.of_content[0, head, 0] @ key[mine])
    if module.across is not None and module.down is not None:
        codes = torch.tensor(
            [_code(offset, module.channels // 2) for offset in (right, below)], dtype=torch.float64
        )
        known = (module.across.weight @ codes[0] + module.down.weight @ codes[1]) / math.sqrt(2)
        if module.terms[1] == "1":
            logit += float(query[mine] @ known[mine])
        if module.of_offset is not None:
            logit += float(module.of_offset[0, head, 0] @ known[mine])
    return logit


@torch.no_grad()
def _by_hand(module: GeneralisedAttention, image: Tensor) -> Tensor:
    """Return what is made of an image (C, H, W), pair by pair, from the equations."""
    channels, height, width = image.shape
    share = channels // module.heads
    asked = list(product(range(0, height, module.stride), range(0, width, module.stride)))
    queries, keys, values = (
        torch.zeros_like(image)
        if layer is None
        else torch.einsum("oc,cyx->oyx", layer.weight[:, :, 0, 0], image)
        for layer in (module.query, module.key, module.value)
    )
    gathered = torch.zeros_like(image)
    for head, y, x in product(range(module.heads), range(height), range(width)):
        mine = slice(head * share, (head + 1) * share)
        logits = [
            _logit(module, head, queries[:, y, x], keys[:, to_y, to_x], to_x - x, to_y - y)
            for to_y, to_x in asked
        ]
        total = sum(math.exp(logit) for logit in logits)
        for (to_y, to_x), logit in zip(asked, logits, strict=True):
            gathered[mine, y, x] += math.exp(logit) / total * values[mine, to_y, to_x]
    projected = F.conv2d(gathered[None], module.project.weight, module.project.bias)[0]
    return image + module.gamma * projected


def test_there_are_fifteen() -> None:
    assert len(set(MASKS)) == 15


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("terms", MASKS)
def test_every_choice_of_terms_is_the_equation(terms: str, stride: int) -> None:
    module = varied(GeneralisedAttention(8, terms=terms, heads=2, stride=stride))
    size = (2, 3) if stride == 1 else (4, 3)
    maps = normal(1, 8, *size)
    assert_equal(module(maps)[0], _by_hand(module, maps[0]))


@pytest.mark.parametrize("terms", MASKS)
def test_every_parameter_counts_and_gradients_are_those_of_differences(terms: str) -> None:
    module = varied(GeneralisedAttention(8, terms=terms, heads=2))
    maps, names = normal(1, 8, 2, 3).requires_grad_(), [n for n, _ in module.named_parameters()]

    def made(maps: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(module, dict(zip(names, weights, strict=True)), (maps,))

    weights = list(module.parameters())
    assert torch.autograd.gradcheck(made, (maps, *weights), fast_mode=True)
    gradients = torch.autograd.grad(module(maps).square().sum(), weights)
    idle = [name for name, gradient in zip(names, gradients, strict=True) if not gradient.any()]
    assert idle == []


@pytest.mark.parametrize("terms", MASKS)
def test_at_first_it_is_the_identity(terms: str) -> None:
    maps = torch.randn(2, 16, 3, 5)
    assert torch.equal(GeneralisedAttention(16, terms=terms)(maps), maps)


@pytest.mark.parametrize("terms", ["1000", "0010", "1010"])
def test_terms_of_content_do_not_know_where_positions_lie(terms: str) -> None:
    module, maps = varied(GeneralisedAttention(8, terms=terms, heads=2)), normal(1, 8, 3, 4)
    moved = maps.flatten(2).flip(2).reshape(1, 8, 4, 3)
    assert_equal(module(moved).flatten(2), module(maps).flatten(2).flip(2))


def test_the_third_term_alone_gives_every_position_the_same() -> None:
    module, maps = varied(GeneralisedAttention(8, terms="0010", heads=2)), normal(2, 8, 3, 4)
    added = module(maps) - maps
    assert_equal(added, added[:, :, :1, :1].expand_as(added))


def test_the_fourth_term_alone_does_not_look_at_what_it_averages() -> None:
    module = varied(GeneralisedAttention(8, terms="0001", heads=2))
    one, other = normal(1, 8, 3, 4), normal(1, 8, 3, 4, seed=2)
    constant = module(torch.zeros_like(one))
    assert_equal(module(one + other) - constant, module(one) + module(other) - 2 * constant)


def test_offsets_are_encoded_as_sines_and_cosines() -> None:
    code = encode(torch.tensor([[3, -2]]), 4)
    wanted = [
        [math.sin(at), math.sin(at / 1000**0.5), math.cos(at), math.cos(at / 1000**0.5)]
        for at in (3, -2)
    ]
    assert_equal(code[0], torch.tensor(wanted, dtype=torch.float64))


def test_it_has_the_published_size() -> None:
    assert count(GeneralisedAttention(32)) == 5 * 32**2 + 32 + 2 * 32 + 1 == 5217
    assert count(GeneralisedAttention(256)) == 328_449
    assert count(GeneralisedAttention(256, terms="0010")) == 197_121
    for terms in MASKS:
        one, two, three, four = (int(digit) for digit in terms)
        matrices = 2 + (one | two) + (one | three) + (two | four)
        wanted = 16**2 * matrices + 16 * (1 + three + four) + 1
        assert count(GeneralisedAttention(16, terms=terms)) == wanted


def test_terms_of_content_take_any_number_of_channels() -> None:
    maps = normal(1, 6, 2, 2)
    assert varied(GeneralisedAttention(6, terms="1010", heads=3))(maps).shape == maps.shape


def test_what_does_not_fit_is_refused() -> None:
    for terms in ("0000", "111", "1112", "11111"):
        with refused(f"`terms` must be four digits 0 or 1, one of them 1, got {terms!r}: '0010'"):
            GeneralisedAttention(8, terms=terms)
    with refused("`heads` must be a divisor of 12, got 8: choose one of 1, 2, 3, 4, 6, 12"):
        GeneralisedAttention(12)
    with refused("`stride` must be a whole number from 1, got 0: choose another"):
        GeneralisedAttention(8, stride=0)
    for terms in ("0100", "0001"):
        with refused("`channels` must be a multiple of 4, got 6: offsets take a quarter"):
            GeneralisedAttention(6, terms=terms, heads=2)
