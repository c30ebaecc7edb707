"""Maps read between pixels, whole and in pieces."""

import numpy as np
import pytest
import torch
from expect import generator
from torch import Tensor
from torch.nn import functional as F

from glimpse.soft_baselines import sampling
from glimpse.soft_baselines.sampling import sample

every_number = pytest.mark.parametrize(
    "numbers", [2**18, 260, 1], ids=["whole", "two channels", "one by one"]
)


def _maps_and_positions() -> tuple[Tensor, Tensor]:
    """Return maps of 2 x 5 x 6 x 7, and positions in and outside of 8 x 8 pixels."""
    maps = torch.randn(2, 5, 6, 7, generator=generator(), dtype=torch.float64)
    at = 2.4 * torch.rand(2, 3, 4, 2, generator=generator(1), dtype=torch.float64) - 1.2
    return maps, at


@every_number
def test_it_is_the_sum_over_pixels(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "NUMBERS", numbers)
    maps, at = _maps_and_positions()
    found = sample(maps, at, 8, 8)
    for image, row, column in np.ndindex(2, 3, 4):
        x, y = (4 * (at[image, row, column] + 1) - 0.5).tolist()
        total = torch.zeros(5, dtype=torch.float64)
        for i, j in np.ndindex(6, 7):
            total += max(0, 1 - abs(y - i)) * max(0, 1 - abs(x - j)) * maps[image, :, i, j]
        torch.testing.assert_close(found[image, :, row, column], total)


@every_number
def test_gradients_are_those_of_differences(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "NUMBERS", numbers)
    maps, at = (x.requires_grad_() for x in _maps_and_positions())
    assert torch.autograd.gradcheck(lambda *given: sample(*given, 8, 8), (maps, at))


def test_in_pieces_it_can_be_differentiated_twice_as_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    maps, at = (x.requires_grad_() for x in _maps_and_positions())
    found = []
    for numbers in (2**18, 260):
        monkeypatch.setattr(sampling, "NUMBERS", numbers)
        slope = torch.autograd.grad(sample(maps, at, 8, 8).square().sum(), at, create_graph=True)[0]
        found.append(torch.autograd.grad(slope.square().sum(), (maps, at)))
    for whole, pieces in zip(*found, strict=True):
        assert bool(whole.any())
        torch.testing.assert_close(pieces, whole)


def test_in_pieces_less_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "NUMBERS", 260)
    sizes = []

    def read(enlarged: Tensor, at: Tensor) -> Tensor:
        sizes.append(enlarged.shape[1])
        return F.grid_sample(enlarged, at, align_corners=False)

    monkeypatch.setattr(sampling, "_read", read)
    sample(*_maps_and_positions(), 8, 8)
    assert sizes == [2, 2, 1]  # 2 x 2 x 8 x 8 numbers, where 260 are allowed


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize(("side", "lost"), [(14, (4, 2)), (56, (11, 9)), (64, (15, 0))])
def test_most_sides_have_pixels_that_no_float_reaches(
    aligned: bool, side: int, lost: tuple[int, int]
) -> None:
    """Why maps are enlarged: `F.grid_sample` counts in these floats."""
    one, pixels = np.float32(1), np.arange(side)
    near = 2 * pixels / (side - 1) - 1 if aligned else (2 * pixels + 1) / side - 1
    tried = [near.astype(np.float32)]
    for _ in range(4):
        tried.append(np.nextafter(tried[-1], np.float32(2)))
        tried.insert(0, np.nextafter(tried[0], np.float32(-2)))
    if aligned:
        found = [(at + one) * np.float32((side - 1) / 2) for at in tried]
    else:
        found = [((at + one) * np.float32(side) - one) / 2 for at in tried]
    reached = np.any([at == pixels for at in found], axis=0)
    assert side - reached.sum() == lost[0 if aligned else 1]
    assert (np.abs(found[4] - pixels) < 1e-4).all()  # that is how they are counted
