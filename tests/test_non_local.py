"""Non-local blocks against loops over pairs of positions."""

import itertools
import math
from typing import Any

import pytest
import torch
from attended import Largest, assert_compiles, count, linear, maps_of, normed, randomised
from expect import refused
from torch import Tensor, nn

from glimpse.soft_baselines import NonLocal
from glimpse.soft_baselines import softmax_attention as attention_file
from glimpse.soft_baselines.non_local import KINDS, rectified_sums

Position = tuple[int, ...]
SHAPES = {1: (2, 4, 5), 2: (2, 4, 5, 4), 3: (1, 4, 3, 2, 3)}
every_kind = pytest.mark.parametrize("kind", KINDS)
every_variant = pytest.mark.parametrize("variant", ["paper", "official"])


def _pooled(vectors: dict[Position, Tensor], dimensions: int) -> dict[Position, Tensor]:
    """Return the largest of pairs along every axis but time's in videos; length 1 stays."""
    for axis in range(1 if dimensions == 3 else 0, dimensions):
        length = 1 + max(at[axis] for at in vectors)
        if length == 1:
            continue
        fewer = {}
        for at, vector in vectors.items():
            half, odd = divmod(at[axis], 2)
            other = vectors.get((*at[:axis], at[axis] + 1, *at[axis + 1 :]))
            if not odd and other is not None:
                fewer[(*at[:axis], half, *at[axis + 1 :])] = torch.maximum(vector, other)
        vectors = fewer
    return vectors


def _by_loop(block: NonLocal, maps: Tensor, variant: str) -> Tensor:
    out = torch.zeros_like(maps)
    ranges = [range(length) for length in maps.shape[2:]]
    for image, result in zip(maps, out, strict=True):
        x = {at: image[(slice(None), *at)] for at in itertools.product(*ranges)}
        raw = block.kind == "gaussian"
        project = {
            "theta": (lambda v: v) if raw else lambda v: linear(block.theta, v),
            "phi": (lambda v: v) if raw else lambda v: linear(block.phi, v),
            "g": lambda v: linear(block.g, v),
        }
        theta = {at: project["theta"](v) for at, v in x.items()}
        if block.subsample and variant == "official":
            seen = _pooled(x, block.dimensions)
            phi, g = ({at: project[n](v) for at, v in seen.items()} for n in ("phi", "g"))
        else:
            phi, g = ({at: project[n](v) for at, v in x.items()} for n in ("phi", "g"))
            if block.subsample:
                phi, g = _pooled(phi, block.dimensions), _pooled(g, block.dimensions)
        for at, of_theta in theta.items():
            f = {j: _pairwise(block, of_theta, of_phi, variant) for j, of_phi in phi.items()}
            total = sum(f.values()) if block.kind in ("gaussian", "embedded") else len(f)
            y = sum((f[j] / total * g[j] for j in f), torch.zeros_like(g[next(iter(g))]))
            result[(slice(None), *at)] = normed(block.norm, linear(block.out, y)) + x[at]
    return out


def _pairwise(block: NonLocal, theta: Tensor, phi: Tensor, variant: str) -> float:
    product = float(theta @ phi)
    if block.kind == "concatenation":
        assert block.pair is not None
        return max(0.0, float(block.pair.weight[0] @ torch.cat([theta, phi])))
    if block.kind == "dot":
        return product
    scaled = variant == "official" and block.kind == "embedded"
    return math.exp(product / math.sqrt(len(theta)) if scaled else product)


@every_kind
@every_variant
@pytest.mark.parametrize("subsample", [False, True])
@pytest.mark.parametrize("dimensions", [1, 2, 3])
@torch.no_grad()
def test_it_is_the_equation(kind: str, variant: str, subsample: bool, dimensions: int) -> None:
    block = randomised(
        NonLocal(4, kind=kind, dimensions=dimensions, subsample=subsample, variant=variant)
    )
    maps = maps_of(*SHAPES[dimensions])
    torch.testing.assert_close(block(maps), _by_loop(block, maps, variant))


@every_variant
@torch.no_grad()
def test_an_axis_of_one_pixel_is_not_halved(variant: str) -> None:
    block = randomised(NonLocal(4, subsample=True, variant=variant))
    maps = maps_of(1, 4, 1, 3)
    torch.testing.assert_close(block(maps), _by_loop(block, maps, variant))


@every_kind
@torch.no_grad()
def test_the_variants_differ_where_they_should(kind: str) -> None:
    """In the order of pooling always, in the scale where theta is embedded and softmax follows."""
    maps = maps_of(2, 4, 4, 4)
    for subsample in (False, True):
        paper, official = (
            randomised(NonLocal(4, kind=kind, subsample=subsample, variant=variant))(maps)
            for variant in ("paper", "official")
        )
        same = not subsample and kind != "embedded"
        assert torch.allclose(paper, official) is same


@every_kind
@pytest.mark.parametrize("normalised", [True, False])
def test_it_is_the_identity_at_first(kind: str, normalised: bool) -> None:
    block = NonLocal(6, kind=kind, subsample=True, normalised=normalised)
    maps = maps_of(3, 6, 5, 4).float()
    assert torch.equal(block.train()(maps), maps)
    assert torch.equal(block.eval()(maps), maps)
    assert not torch.allclose(randomised(block)(maps.double()), maps.double())


def test_weights_are_drawn_as_by_the_authors() -> None:
    torch.manual_seed(0)
    block = NonLocal(64)
    for layer in (block.theta, block.phi, block.g, block.out):
        assert isinstance(layer, nn.Conv2d)
        assert layer.bias is not None
        assert not layer.bias.any()
        assert float(layer.weight.detach().std()) == pytest.approx(0.01, rel=0.1)


def test_parameters_are_counted_as_in_the_tables() -> None:
    """Three projections and one back, with biases, and a gain and a shift for each channel."""
    assert count(lambda: NonLocal(8)) == 3 * 4 * (8 + 1) + 8 * (4 + 1) + 2 * 8 == 164
    assert count(lambda: NonLocal(8, kind="dot")) == 164
    assert count(lambda: NonLocal(8, kind="concatenation")) == 164 + 2 * 4
    assert count(lambda: NonLocal(8, kind="gaussian")) == 164 - 2 * 4 * (8 + 1)
    assert count(lambda: NonLocal(8, dimensions=3)) == 164
    assert count(lambda: NonLocal(8, normalised=False, reduction=4)) == 3 * 2 * 9 + 8 * 3
    resnet_50 = 25_557_032
    assert resnet_50 + count(lambda: NonLocal(1024, bias=False)) == 27_656_232


def test_parameters_are_in_the_order_of_computation() -> None:
    names = [name for name, _ in NonLocal(8, kind="concatenation").named_parameters()]
    layers = list(dict.fromkeys(name.split(".")[0] for name in names))
    assert layers == ["theta", "phi", "g", "pair", "out", "norm"]


@every_kind
@torch.no_grad()
def test_the_order_of_positions_does_not_matter(kind: str) -> None:
    block, maps = randomised(NonLocal(4, kind=kind)), maps_of(2, 4, 3, 5)
    order = torch.randperm(15, generator=torch.Generator().manual_seed(0))
    shuffled = maps.flatten(2)[..., order].reshape(maps.shape)
    wanted = block(maps).flatten(2)[..., order].reshape(maps.shape)
    torch.testing.assert_close(block(shuffled), wanted)


@every_kind
@every_variant
def test_gradients_are_those_of_differences(kind: str, variant: str) -> None:
    block = randomised(NonLocal(4, kind=kind, subsample=True, variant=variant))
    maps = maps_of(2, 4, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(block, maps, fast_mode=True)
    loss = block(maps).square().sum()
    gradients = torch.autograd.grad(loss, list(block.parameters()))
    assert all(bool(gradient.any()) for gradient in gradients)


@every_kind
@pytest.mark.parametrize("training", [True, False])
def test_no_tensor_has_a_number_for_every_pair(
    kind: str, training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention_file, "WEIGHTS", 4000)
    block, maps = NonLocal(4, kind=kind), maps_of(1, 4, 20, 20).float()
    with Largest() as largest, torch.set_grad_enabled(training):
        out = block(maps)
        if training:
            out.sum().backward()
    assert largest.numbers <= 4000 < 400**2


@pytest.mark.plain
@every_kind
def test_it_compiles(kind: str) -> None:
    assert_compiles(randomised(NonLocal(4, kind=kind, subsample=True)), maps_of(2, 4, 3, 5))


def test_rectified_sums_are_those_of_the_loop() -> None:
    a, b, g = maps_of(2, 6), maps_of(2, 5, seed=2), maps_of(2, 3, 5, seed=3)
    a[0], b[1, 2] = -9, b[1, 3]  # nothing above zero; two alike
    wanted = torch.zeros(2, 3, 6, dtype=torch.float64)
    for image, i, j in itertools.product(range(2), range(6), range(5)):
        wanted[image, :, i] += max(0.0, float(a[image, i] + b[image, j])) * g[image, :, j]
    torch.testing.assert_close(rectified_sums(a, b, g), wanted)
    short = rectified_sums(a.bfloat16(), b.bfloat16(), g.bfloat16())
    assert short.dtype == torch.bfloat16
    torch.testing.assert_close(short.double(), wanted, rtol=0.05, atol=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "cosine"}, "`kind` must be one of concatenation, dot, embedded, gaussian, got"),
        ({"variant": "mine"}, "`variant` must be one of official, paper, got 'mine': choose one"),
        ({"dimensions": 4}, "`dimensions` must be 1 or 2 or 3, got 4: sequences have 1, images 2"),
        ({"reduction": 9}, "`reduction` must be in [1, 8], got 9: of 8 channels"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with refused(message):
        NonLocal(8, **options)


@pytest.mark.parametrize(
    ("dimensions", "shape", "wanted"),
    [
        (1, (2, 8, 5, 5), "(B, 8, T), got (2, 8, 5, 5)"),
        (2, (2, 8, 5), "(B, 8, H, W), got (2, 8, 5)"),
        (3, (2, 7, 2, 5, 5), "(B, 8, T, H, W), got (2, 7, 2, 5, 5)"),
    ],
)
def test_maps_of_another_form_are_refused(
    dimensions: int, shape: tuple[int, ...], wanted: str
) -> None:
    with refused(f"`maps` must be {wanted}: give the channels that it was made for"):
        NonLocal(8, dimensions=dimensions)(torch.zeros(shape))
