import math
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glimpse.coordinates import action_scale, lengths_of, to_locations, to_pixels

CPU = torch.device("cpu")


def test_edges_and_centres_of_four_pixels() -> None:
    """The numbers of the module's docstring."""
    edges = torch.tensor([-1, -0.5, 0, 0.5, 1])
    centres = torch.tensor([-0.75, -0.25, 0.25, 0.75])
    along_x = torch.stack([torch.cat([edges, centres]), torch.zeros(9)], dim=1)
    wanted = [0, 1, 2, 3, 4, 0.5, 1.5, 2.5, 3.5]
    assert to_pixels(along_x, height=6, width=4)[:, 0].tolist() == wanted
    assert to_pixels(along_x.flip(1), height=4, width=6)[:, 1].tolist() == wanted


def test_x_runs_along_the_width_and_y_down_the_height() -> None:
    location = torch.tensor([[-1.0, 1.0], [1.0, -1.0], [0.0, 0.0], [3.0, -2.0]])
    pixels = to_pixels(location, height=10, width=40)
    assert pixels.tolist() == [[0, 10], [40, 0], [20, 5], [80, -5]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_pixels_are_computed_in_float64(dtype: torch.dtype) -> None:
    location = torch.tensor([[0.1, -0.7]], dtype=dtype)
    x, y = location[0].tolist()
    pixels = to_pixels(location, height=3, width=100_003)
    assert pixels.dtype == torch.float64
    assert pixels.tolist() == [[(x + 1) / 2 * 100_003, (y + 1) / 2 * 3]]


def test_no_locations_have_no_pixels() -> None:
    assert to_pixels(torch.zeros(0, 2), 4, 4).shape == (0, 2)
    assert to_locations(torch.zeros(0, 2), 4, 4).shape == (0, 2)


@given(
    pairs=st.lists(st.tuples(*[st.floats(-100, 100)] * 2), min_size=1, max_size=5),
    height=st.integers(1, 10_000),
    width=st.integers(1, 10_000),
)
def test_to_locations_is_the_inverse(
    pairs: list[tuple[float, float]], height: int, width: int
) -> None:
    location = torch.tensor(pairs, dtype=torch.float64)
    back = to_locations(to_pixels(location, height, width), height, width)
    torch.testing.assert_close(back, location, rtol=0, atol=1e-12)


def test_to_locations_by_hand() -> None:
    pixels = torch.tensor([[0.5, 10.0], [4.0, 2.5]])
    assert to_locations(pixels, height=10, width=4).tolist() == [[-0.75, 1.0], [1.0, -0.5]]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("axis", [0, 1])
def test_locations_that_are_not_finite_are_refused(number: float, axis: int) -> None:
    location = torch.zeros(5, 2)
    location[3:, axis] = number
    message = f"`location` must be finite, got {location[3].tolist()} in row 3: look for"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        to_pixels(location, 4, 4)


@pytest.mark.plain
@pytest.mark.parametrize("shape", [(2,), (3, 3), (1, 2, 2)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    given = re.escape(str(shape))
    with pytest.raises(ValueError, match=rf"^`location` must be \(B, 2\), got {given}: give one"):
        to_pixels(torch.zeros(shape), 4, 4)
    with pytest.raises(ValueError, match=rf"^`pixels` must be \(B, 2\), got {given}: give one"):
        to_locations(torch.zeros(shape), 4, 4)


def test_without_a_reach_actions_are_locations() -> None:
    scale = action_scale(None, lengths_of(10, 40, CPU))
    assert scale.dtype == torch.float64
    assert scale.tolist() == [1, 1]


@pytest.mark.parametrize("reach", [0.0, 2.5, 15.0, 100.0])
def test_an_action_of_one_goes_reach_pixels_from_the_centre(reach: float) -> None:
    actions = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.5]], dtype=torch.float64)
    pixels = to_pixels(actions * action_scale(reach, lengths_of(10, 41, CPU)), height=10, width=41)
    moved = pixels - torch.tensor([20.5, 5.0], dtype=torch.float64)
    torch.testing.assert_close(moved, actions * reach, rtol=0, atol=1e-12)


@pytest.mark.parametrize("reach", [-0.5, math.nan, math.inf])
def test_a_reach_below_zero_or_not_finite_is_refused(reach: float) -> None:
    with pytest.raises(ValueError, match=rf"^`reach` must be .*, got {reach}: "):
        action_scale(reach, lengths_of(10, 10, CPU))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_gives_the_same_numbers_on_its_device() -> None:
    location = torch.rand(100, 2, generator=torch.Generator().manual_seed(0)) * 4 - 2
    pixels = to_pixels(location.cuda(), 10, 41)
    assert pixels.is_cuda
    assert torch.equal(pixels.cpu(), to_pixels(location, 10, 41))
    assert torch.equal(to_locations(pixels, 10, 41).cpu(), to_locations(pixels.cpu(), 10, 41))
    assert torch.equal(
        action_scale(3.0, lengths_of(10, 41, torch.device("cuda"))).cpu(),
        action_scale(3.0, lengths_of(10, 41, CPU)),
    )
