"""DRAW's window: held to loops over the printed equations, counted from 1 as they are."""

import math

import pytest
import torch
from expect import generator, refused
from torch import Tensor

from glimpse.soft_baselines import DrawAttention
from glimpse.soft_baselines.draw import Window, filters, read, window, write

TOLD = torch.tensor(
    [[0.0, 0, 0, 0, 0], [-0.6, 0.3, -1, -0.7, 0.5], [1.4, -1.2, 1, 0.4, -1]], dtype=torch.float64
)


def _maps(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(), dtype=torch.float64)


def _row(told: Tensor, i: int, n: int, own: int, other: int, *, x: bool) -> list[float]:
    """Return row i of F_X or F_Y, over a side of `own` pixels; i and pixels from 1."""
    centre = (own + 1) / 2 * (told[0 if x else 1].item() + 1)
    stride = (max(own, other) - 1) / (n - 1) * math.exp(told[3])
    mean = centre + (i - n / 2 - 0.5) * stride
    weights = [math.exp(-((a - mean) ** 2) / (2 * math.exp(told[2]))) for a in range(1, own + 1)]
    return [weight / sum(weights) for weight in weights]


def _banks(told: Tensor, n: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    rows = range(1, n + 1)
    down = [_row(told, i, n, height, width, x=False) for i in rows]
    across = [_row(told, i, n, width, height, x=True) for i in rows]
    return torch.tensor(down, dtype=torch.float64), torch.tensor(across, dtype=torch.float64)


@pytest.mark.parametrize("size", [(6, 9), (9, 4), (1, 5), (1, 1)], ids=str)
@pytest.mark.parametrize("n", [2, 3])
def test_numbers_are_those_of_the_equations(size: tuple[int, int], n: int) -> None:
    height, width = size
    maps, patch = _maps(3, 2, height, width), _maps(3, 2, n, n)
    at = window(TOLD, size=n, height=height, width=width)
    got_read, got_write = read(maps, at), write(patch, at)
    for b, told in enumerate(TOLD):
        down, across = _banks(told, n, height, width)
        gain = math.exp(told[4])
        torch.testing.assert_close(at.down[b], down)
        torch.testing.assert_close(at.across[b], across)
        for c in range(2):
            for i in range(n):
                for j in range(n):
                    total = sum(
                        down[i, y] * maps[b, c, y, x] * across[j, x]
                        for y in range(height)
                        for x in range(width)
                    )
                    assert got_read[b, c, i, j].item() == pytest.approx(float(gain * total), 1e-9)
            for y in range(height):
                for x in range(width):
                    total = sum(
                        down[i, y] * patch[b, c, i, j] * across[j, x]
                        for i in range(n)
                        for j in range(n)
                    )
                    wanted = float(total / gain)
                    assert got_write[b, c, y, x].item() == pytest.approx(wanted, 1e-9)


@pytest.mark.parametrize("n", [2, 5, 12])
def test_a_centre_of_zero_is_the_middle(n: int) -> None:
    """14.5 on 28 pixels from 1; with filters from 0 and pixels from 0 it would be 15.5 - stride."""
    told = torch.tensor([[0.0, 0, -1, -0.7, 0]], dtype=torch.float64)
    at = window(told, size=n, height=28, width=17)
    for bank, middle in ((at.down[0], 14.5), (at.across[0], 9.0)):
        pixels = torch.arange(1, bank.shape[1] + 1, dtype=torch.float64)
        assert (bank @ pixels).mean().item() == pytest.approx(middle, abs=1e-9)


@pytest.mark.parametrize(("centre", "pixel"), [(-1.0, 0.0), (1.0, 29.0), (0.5, 21.75)])
def test_one_is_the_first_pixel_outside(centre: float, pixel: float) -> None:
    """Of a window so wide that the exponents' quadratic tells its mean."""
    told = torch.tensor([[centre, 0, 3, -9, 0]], dtype=torch.float64)
    row = window(told, size=2, height=28, width=28).across[0].mean(dim=0).log()
    slope = (row[13] - row[12]).item()  # of -(a - mu)^2 / 2 variance between pixels 13 and 14
    assert slope * math.exp(3) + 13.5 == pytest.approx(pixel, abs=1e-2)


def test_as_many_filters_as_pixels_are_the_image_itself() -> None:
    maps = _maps(2, 3, 7, 7)
    narrow = torch.tensor([[0.0, 0, -8, 0, 0]], dtype=torch.float64).expand(2, 5)
    at = window(narrow, size=7, height=7, width=7)
    torch.testing.assert_close(read(maps, at), maps)
    torch.testing.assert_close(write(maps, at), maps)


def test_width_and_height_are_not_confused() -> None:
    """Of a dot in column 8 and row 2, a window to the right and above sees more."""
    maps = torch.zeros(2, 1, 6, 9, dtype=torch.float64)
    maps[:, 0, 1, 7] = 1
    told = torch.tensor([[0.7, -0.6, 0, -3, 0], [-0.6, 0.7, 0, -3, 0]], dtype=torch.float64)
    seen = read(maps, window(told, size=2, height=6, width=9)).sum(dim=(1, 2, 3))
    assert seen[0] > 100 * seen[1]


def test_rows_sum_to_one_even_far_outside() -> None:
    told = torch.tensor([[50.0, -80, -6, 0, 0], [0, 0, 9, 2, 0]])
    at = window(told, size=4, height=5, width=8)
    for bank in (at.down, at.across):
        torch.testing.assert_close(bank.sum(dim=2), torch.ones(2, 4))


def test_write_is_read_turned_round() -> None:
    maps, patch = _maps(3, 2, 6, 9), _maps(3, 2, 4, 4)
    at = window(TOLD, size=4, height=6, width=9)
    one = (read(maps, at) * patch).sum(dim=(1, 2, 3))
    other = (maps * write(patch, at)).sum(dim=(1, 2, 3))
    torch.testing.assert_close(one, at.gain**2 * other)


def test_every_number_has_a_gradient_and_the_right_one() -> None:
    maps = _maps(3, 2, 4, 6).requires_grad_()
    patch = _maps(3, 2, 3, 3).requires_grad_()
    told = TOLD.clone().requires_grad_()

    def both(maps: Tensor, patch: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        at = window(told, size=3, height=4, width=6)
        return read(maps, at), write(patch, at)

    assert torch.autograd.gradcheck(both, (maps, patch, told))
    for result in both(maps, patch, told):
        (gradient,) = torch.autograd.grad(result.square().sum(), told, retain_graph=True)
        assert bool((gradient.abs() > 1e-6).all())


def test_a_window_outside_is_pulled_back() -> None:
    """Its gradient does not vanish, as that of a quotient of exponentials does."""
    told = torch.tensor([[6.0, 0, -2, -1, 0]], requires_grad=True)
    ramp = torch.arange(9.0).expand(1, 1, 9, 9)
    read(ramp, window(told, size=3, height=9, width=9)).sum().backward()
    assert told.grad is not None
    assert bool(told.grad.isfinite().all())
    naive = torch.exp(-((torch.arange(1.0, 10) - 35) ** 2) / (2 * math.exp(-2)))
    assert not naive.any()


def test_the_module_reads_mixes_and_writes() -> None:
    torch.manual_seed(0)
    module, maps = DrawAttention(3, size=4).double(), _maps(2, 3, 6, 9)
    read_at, write_at = module.windows(maps)
    seen = torch.nn.functional.adaptive_avg_pool2d(maps, 4).flatten(1)
    for at, told in ((read_at, module.read_at(seen)), (write_at, module.write_at(seen))):
        for part, wanted in zip(at, window(told, size=4, height=6, width=9), strict=True):
            assert torch.equal(part, wanted)
    weight = module.mix.weight[:, :, 0, 0]
    patch = torch.einsum("dc,bcij->bdij", weight, read(maps, read_at))
    patch = patch + module.mix.bias[:, None, None]  # type: ignore[index]
    torch.testing.assert_close(module(maps), maps + write(patch, write_at))


def test_number_of_weights() -> None:
    module = DrawAttention(6, size=7, cells=3)
    number = sum(weights.numel() for weights in module.parameters())
    assert number == 2 * 5 * (6 * 9 + 1) + 6 * 6 + 6
    parts = [name for name, _ in module.named_parameters() if name.endswith("weight")]
    assert parts == ["read_at.weight", "mix.weight", "write_at.weight"]


def test_what_does_not_fit_is_refused() -> None:
    with refused("`size` must be a whole number from 2, got 1: choose another"):
        DrawAttention(3, size=1)
    with refused("`cells` must be a whole number from 1, got 0: choose another"):
        DrawAttention(3, cells=0)
    with refused("`size` must be a whole number from 2, got 1: choose another"):
        window(TOLD, size=1, height=3, width=3)
    with refused("`length` must be a whole number from 1, got 0: choose another"):
        filters(torch.ones(1), torch.ones(1), torch.ones(1), size=2, length=0)
    at = window(TOLD, size=2, height=3, width=4)
    with refused("`maps` must be (3, C, 3, 4), got (3, 1, 4, 4): make the window for these maps"):
        read(torch.zeros(3, 1, 4, 4), at)
    with refused("`patch` must be (3, C, 2, 2), got (3, 1, 5, 5): make the window for its size"):
        write(torch.zeros(3, 1, 5, 5), at)


@pytest.mark.plain
def test_another_number_of_numbers_is_refused() -> None:
    with refused("`told` must be (B, 5), got (3, 4): centre x and y, logs of variance, stride and"):
        window(TOLD[:, :4], size=3, height=5, width=5)
    assert isinstance(window(TOLD, size=3, height=5, width=5), Window)
