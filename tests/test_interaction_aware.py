"""Interaction-aware attention against loops, its loss against an eigen-decomposition."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from attended import assert_compiles, count, maps_of, randomised, softmax
from expect import refused
from torch import Tensor
from torch.nn import functional as F

from glimpse.soft_baselines import InteractionAware
from glimpse.soft_baselines.interaction_aware import overlap, skew, variance_kept


def _scores(module: InteractionAware, layer: int, image: Tensor) -> list[float]:
    """Return what the positions of an image (C, N) count, before the softmax."""
    basis = module.bases[layer]
    scores = []
    for vector in image.T:
        unit = vector / math.sqrt(sum(float(x) ** 2 for x in vector))
        components = [
            float(row @ unit + bias) for row, bias in zip(basis.weight, basis.bias, strict=True)
        ]
        scores.append(module.sharpness * sum(y**2 for y in components))
    return scores


@torch.no_grad()
def test_it_is_the_equation() -> None:
    module = randomised(InteractionAware(6, others=(4,), reduction=2, sharpness=3.0))
    maps, other = maps_of(2, 6, 3, 4), maps_of(2, 4, 3, 4, seed=2)
    attention = module.attention(maps, other)
    out = module(maps, other)
    for image in range(2):
        each = [
            softmax(_scores(module, layer, given[image].flatten(1)))
            for layer, given in enumerate((maps, other))
        ]
        torch.testing.assert_close(attention[:, image], torch.tensor(each, dtype=torch.float64))
        gain = 12 * torch.tensor(each, dtype=torch.float64).mean(dim=0).reshape(3, 4)
        torch.testing.assert_close(out[image], maps[image] * gain)


@torch.no_grad()
def test_the_mean_gain_is_one_and_the_order_of_positions_does_not_matter() -> None:
    module, maps = randomised(InteractionAware(8)), maps_of(2, 8, 3, 5)
    gain = (module(maps) / maps).mean(dim=(2, 3))
    torch.testing.assert_close(gain, torch.ones_like(gain))
    order = torch.randperm(15, generator=torch.Generator().manual_seed(0))
    shuffled = maps.flatten(2)[..., order].reshape(maps.shape)
    wanted = module(maps).flatten(2)[..., order].reshape(maps.shape)
    torch.testing.assert_close(module(shuffled), wanted)


@torch.no_grad()
def test_other_layers_are_resized() -> None:
    module = randomised(InteractionAware(6, others=(4,), reduction=2))
    maps, other = maps_of(2, 6, 3, 4), maps_of(2, 4, 7, 6, seed=2)
    resized = F.interpolate(other, (3, 4), mode="bilinear")
    assert torch.equal(module(maps, other), module(maps, resized))
    assert not torch.allclose(module(maps, other), module(maps, other.flip(2)))


@torch.no_grad()
def test_frames_of_a_video_are_positions() -> None:
    still = randomised(InteractionAware(8))
    moving = randomised(InteractionAware(8, dimensions=3))
    for frames in (1, 4):
        maps = maps_of(2, 8, frames, 3, 5)
        wanted = still(maps.flatten(2, 3)).unflatten(2, (frames, 3))
        torch.testing.assert_close(moving(maps), wanted)


def _features() -> Tensor:
    """Return features (B, N, C) of which some directions vary more than others."""
    spread = torch.tensor([3.0, 0.1, 2.0, 0.5, 1.0], dtype=torch.float64)
    turn = torch.linalg.qr(maps_of(5, 5, seed=5)).Q
    return (maps_of(3, 40, 5) * spread) @ turn + 2


def _eigen(features: Tensor) -> tuple[Any, Any]:
    rows = features.flatten(0, 1).numpy()
    values, vectors = np.linalg.eigh(np.cov(rows, rowvar=False, bias=True))
    return values[::-1].copy(), vectors[:, ::-1].T.copy()


@pytest.mark.parametrize("components", [1, 2, 3, 5])
def test_eigenvectors_keep_the_share_of_their_eigenvalues(components: int) -> None:
    features = _features()
    values, vectors = _eigen(features)
    best = torch.from_numpy(vectors[:components])
    share = values[:components].sum() / values.sum()
    assert float(variance_kept(features, best)) == pytest.approx(share, rel=1e-10)
    assert float(skew(best)) == pytest.approx(0, abs=1e-20)
    for seed in range(5):
        other = torch.linalg.qr(maps_of(5, components, seed=10 + seed)).Q.T
        assert float(variance_kept(features, other)) <= share + 1e-12
        assert float(skew(other)) == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize("penalty", [1.0, 100.0])
def test_the_loss_finds_the_principal_components_without_decomposing(penalty: float) -> None:
    """The rows span those of the decomposition; the stiffer the penalty, the more orthonormal.

    For W = diag(s) Q, Q the eigenvectors, the loss is least at s_i^2 = 1 + D e_i / (2 penalty).
    """
    features = _features()
    values, vectors = _eigen(features)
    best, shares = torch.from_numpy(vectors[:2]), values[:2] / values.sum()
    weight = (0.5 * maps_of(2, 5, seed=7)).requires_grad_()
    optimiser = torch.optim.LBFGS([weight], max_iter=300, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = 1 - variance_kept(features, weight) + penalty * skew(weight)
        value.backward()
        return value.detach()

    optimiser.step(loss)
    orthonormal = torch.linalg.qr(weight.detach().T).Q
    torch.testing.assert_close(orthonormal @ orthonormal.T, best.T @ best, rtol=0, atol=1e-4)
    lengths = torch.linalg.svdvals(weight.detach()).square().numpy()
    np.testing.assert_allclose(lengths, 1 + 2 * shares / (2 * penalty), rtol=1e-3)


def test_skew_is_the_distance_from_orthonormal() -> None:
    weight = torch.tensor([[2.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    # W W^T = [[4, 2], [2, 2]]
    assert float(skew(weight)) == (3**2 + 2 * 2**2 + 1**2) / 2
    assert float(skew(weight[:1])) == 9


def test_overlap_is_the_mean_over_pairs_and_images() -> None:
    attention = maps_of(3, 2, 5).softmax(dim=2)
    pairs = [(0, 1), (0, 2), (1, 2)]
    wanted = np.mean([float(attention[k, b] @ attention[m, b]) for k, m in pairs for b in range(2)])
    assert float(overlap(attention)) == pytest.approx(wanted)
    assert float(overlap(attention[:1])) == 0
    apart = torch.eye(2)[:, None]
    assert (float(overlap(apart)), float(overlap(apart[:1].repeat(2, 1, 1)))) == (0, 1)


def test_terms_and_loss() -> None:
    module = randomised(InteractionAware(6, others=(4,), reduction=2))
    maps, other = maps_of(2, 6, 3, 4), maps_of(2, 4, 3, 4, seed=2)
    terms = module.terms(maps, other)
    units = [F.normalize(x.flatten(2).mT, dim=2) for x in (maps, other)]
    kept = [variance_kept(u, b.weight) for u, b in zip(units, module.bases, strict=True)]
    torch.testing.assert_close(terms.variance, 1 - torch.stack(kept).mean())
    skews = torch.stack([skew(basis.weight) for basis in module.bases])
    torch.testing.assert_close(terms.orthogonality, skews.mean())
    torch.testing.assert_close(terms.diversity, overlap(module.attention(maps, other)))
    loss = module.loss(maps, other, orthogonality=3.0, diversity=5.0)
    torch.testing.assert_close(loss, terms.variance + 3 * terms.orthogonality + 5 * terms.diversity)
    loss.backward()
    assert all(bool(weights.grad.any()) for weights in module.parameters())


@torch.no_grad()
def test_bases_are_orthonormal_at_first() -> None:
    module = InteractionAware(32, others=(17,)).double()
    maps, other = maps_of(2, 32, 3, 4), maps_of(2, 17, 3, 4)
    assert float(module.terms(maps, other).orthogonality) == pytest.approx(0, abs=1e-10)
    assert [tuple(basis.weight.shape) for basis in module.bases] == [(2, 32), (2, 17)]
    assert not any(bool(basis.bias.any()) for basis in module.bases)


def test_nothing_at_a_position_is_no_trouble() -> None:
    module, maps = InteractionAware(8), torch.zeros(2, 8, 3, 4, requires_grad=True)
    (module(maps).sum() + module.loss(maps)).backward()
    assert maps.grad is not None
    assert bool(maps.grad.isfinite().all())


def test_gradients_are_those_of_differences() -> None:
    module = randomised(InteractionAware(8, reduction=4, others=(4,)))
    maps, other = maps_of(1, 8, 2, 3), maps_of(1, 4, 3, 2)
    given = (maps.requires_grad_(), other.requires_grad_())
    assert torch.autograd.gradcheck(module, given, fast_mode=True)
    assert torch.autograd.gradcheck(module.loss, given, fast_mode=True)


@pytest.mark.plain
def test_it_compiles() -> None:
    assert_compiles(randomised(InteractionAware(8)), maps_of(2, 8, 3, 5))


def test_parameters_are_counted() -> None:
    assert count(lambda: InteractionAware(64)) == 8 * (64 + 1)
    assert count(lambda: InteractionAware(64, others=(32, 16), reduction=4)) == 4 * (65 + 33 + 17)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reduction": 9}, "`reduction` must be in [1, 8], got 9: of 8 channels at least one"),
        ({"others": (4,)}, "`reduction` must be in [1, 4], got 8: of 4 channels at least one"),
        ({"sharpness": -1.0}, "`sharpness` must be finite and at least 0, got -1.0: choose"),
        ({"dimensions": 1}, "`dimensions` must be 2 or 3, got 1: sequences have 1, images 2"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with refused(message):
        InteractionAware(8, **options)


def test_maps_of_other_layers_are_refused() -> None:
    module, maps = InteractionAware(8, others=(9,)), torch.zeros(2, 8, 3, 4)
    with refused("maps must be of 2 layers, got 1: give those of `channels` and `others`, in this"):
        module(maps)
    with refused("`maps` must be (B, 9, H, W), got (2, 8, 3, 4): give the channels that it was"):
        module(maps, maps)
    with refused("`maps` must be (B, 8, T, H, W), got (2, 8, 3, 4): give the channels"):
        InteractionAware(8, dimensions=3)(maps)
