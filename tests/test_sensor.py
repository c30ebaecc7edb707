"""The sensor against a loop from its definition, for all that images can be prepared as."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from glimpse.pixels import Pixels
from glimpse.sensor import GlimpseSensor, Prepared
from glimpse.windows import Windows

OUTSIDE = ["zero", "edge", "mean"]
PREPARE: dict[str, Callable[[GlimpseSensor, Tensor], Prepared]] = {
    "tables": lambda sensor, images: sensor.prepare(images),
    "pixels": lambda _, images: Pixels.of(images),
}
every_way = pytest.mark.parametrize("way", PREPARE)
every_outside = pytest.mark.parametrize("outside", OUTSIDE)


def look(way: str, sensor: GlimpseSensor, images: Tensor, location: Tensor) -> Tensor:
    """Look once at each image, prepared in one way or the other."""
    return sensor.read(PREPARE[way](sensor, images), torch.arange(len(images)), location)


def pixel(image: NDArray[np.float64], x: int, y: int, outside: str) -> NDArray[np.float64]:
    """Return what is seen at one pixel of a plane that the image covers in part: (C,)."""
    _, height, width = image.shape
    if 0 <= x < width and 0 <= y < height:
        return image[:, y, x]
    if outside == "edge":
        return image[:, min(max(y, 0), height - 1), min(max(x, 0), width - 1)]
    return image.mean(axis=(1, 2)) if outside == "mean" else np.zeros(len(image))


def by_definition(
    sensor: GlimpseSensor, image: NDArray[np.float64], x: float, y: float
) -> NDArray[np.float64]:
    """Return the glimpse of one image (C, H, W) in float64, pixel by pixel: (K, C, s, s)."""
    channels, height, width = image.shape
    size = sensor.size
    glimpse = np.empty((sensor.scales, channels, size, size))
    for k in range(sensor.scales):
        step = sensor.factor**k
        left = math.floor((x + 1) / 2 * width - size * step / 2 + 0.5)
        top = math.floor((y + 1) / 2 * height - size * step / 2 + 0.5)
        for row in range(size):
            for column in range(size):
                box = [
                    pixel(image, left + column * step + i, top + row * step + j, sensor.outside)
                    for j in range(step)
                    for i in range(step)
                ]
                glimpse[k, :, row, column] = np.mean(box, axis=0)
    return glimpse


def random_images(*shape: int, dtype: torch.dtype = torch.uint8, seed: int = 0) -> Tensor:
    images = torch.randint(256, shape, generator=torch.Generator().manual_seed(seed))
    return images.to(dtype) if dtype == torch.uint8 else (images / 255).to(dtype)


def random_locations(count: int, spread: float = 1.3, seed: int = 1) -> Tensor:
    return (torch.rand(count, 2, generator=torch.Generator().manual_seed(seed)) * 2 - 1) * spread


def centres_of(height: int, width: int) -> Tensor:
    """Return the locations of the centres of all pixels, row by row."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixels = torch.stack([x, y], dim=-1).view(-1, 2) + 0.5
    return pixels / torch.tensor([width, height]) * 2 - 1


def coordinates(length: int) -> st.SearchStrategy[float]:
    """Draw one number of a location: anywhere, far away, or just beside where windows jump."""
    half_pixels = st.integers(-2 * length - 20, 4 * length + 20)
    beside = st.tuples(half_pixels, st.sampled_from([-0.001, 0.0, 0.001]))
    return st.one_of(
        st.floats(-1, 1),
        st.sampled_from([-1.0, 0.0, 1.0, -7.5, 40.0, -1e9, 1e30]),
        beside.map(lambda pair: (pair[0] / 2 + pair[1]) / length * 2 - 1),
    )


@st.composite
def looks(draw: st.DrawFn) -> tuple[dict[str, Any], Tensor, Tensor]:
    """Draw a sensor's options (beartype must not check one in here: it draws numbers of its own),
    images and a location in each.
    """
    options = {
        "size": draw(st.integers(1, 5)),
        "scales": draw(st.integers(1, 3)),
        "factor": draw(st.integers(1, 4)),
        "outside": draw(st.sampled_from(OUTSIDE)),
    }
    lengths = st.integers(1, 9) | st.integers(126, 130)
    height, width = draw(st.integers(1, 9)), draw(lengths)
    if draw(st.booleans()):
        height, width = width, height
    images = random_images(
        draw(st.integers(1, 2)),
        draw(st.integers(1, 4)),
        height,
        width,
        dtype=draw(st.sampled_from([torch.uint8, torch.float32, torch.float64])),
        seed=draw(st.integers(0, 1_000)),
    )
    pairs = [(draw(coordinates(width)), draw(coordinates(height))) for _ in images]
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    return options, images, torch.tensor(pairs, dtype=dtype)


@given(looks())
@settings(max_examples=400)
def test_any_glimpse_is_what_the_definition_says(
    drawn: tuple[dict[str, Any], Tensor, Tensor],
) -> None:
    options, images, location = drawn
    sensor = GlimpseSensor(**options)
    plain = images.double().numpy() / (255 if images.dtype == torch.uint8 else 1)
    wanted = [
        by_definition(sensor, image, x, y)
        for image, (x, y) in zip(plain, location.tolist(), strict=True)
    ]
    for way in PREPARE:
        glimpses = look(way, sensor, images, location)
        assert glimpses.dtype == torch.float32
        np.testing.assert_allclose(glimpses.numpy(), wanted, rtol=0, atol=1e-6, err_msg=way)


@every_way
@every_outside
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize(("height", "width"), [(5, 127), (5, 400), (300, 5), (1, 1)])
def test_wide_and_high_images(
    height: int, width: int, dtype: torch.dtype, outside: str, way: str
) -> None:
    sensor = GlimpseSensor(3, scales=3, factor=3, outside=outside)
    images = random_images(4, 2, height, width, dtype=dtype)
    location = random_locations(4)
    plain = images.double().numpy() / (255 if dtype == torch.uint8 else 1)
    wanted = [
        by_definition(sensor, image, x, y)
        for image, (x, y) in zip(plain, location.tolist(), strict=True)
    ]
    glimpses = look(way, sensor, images, location)
    np.testing.assert_allclose(glimpses.numpy(), wanted, rtol=0, atol=1e-6)


@every_way
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize(("height", "width"), [(1, 7), (3, 64), (2, 250)])
def test_a_thousandth_of_a_pixel_decides_at_a_tie(
    height: int, width: int, size: int, dtype: torch.dtype, way: str
) -> None:
    """Ties lie at `first + size/2 - 0.5`: a bit before them the window begins a pixel earlier.

    Rows and columns count their pixels, so a glimpse's last pixel tells where it lies.
    """
    image = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"))
    first = torch.cartesian_prod(torch.arange(width - size + 1), torch.arange(1 - size, height))
    tie = first.double() + size / 2 - 0.5
    sensor, index = GlimpseSensor(size), torch.zeros(len(first), dtype=torch.int64)
    prepared = PREPARE[way](sensor, image[None].to(torch.uint8))
    for offset, early in ((-0.001, 1), (0.001, 0)):
        location = ((tie + offset) / torch.tensor([width, height]) * 2 - 1).to(dtype)
        last = first + size - 1 - early
        inside = ((last >= 0) & (last < torch.tensor([width, height]))).all(dim=1)
        wanted = last.flip(1) * inside[:, None]  # what lies beyond is black
        seen = sensor.read(prepared, index, location)[:, 0, :, -1, -1]
        assert torch.equal((seen * 255).round().long(), wanted)


def test_the_documented_window_of_four_pixels() -> None:
    """On an image 10 pixels wide a window of 4 at x = 0 covers the pixels 3, 4, 5, 6."""
    image = torch.arange(10, dtype=torch.uint8).expand(1, 1, 4, 10)
    glimpse = GlimpseSensor(4)(image, torch.zeros(1, 2))
    assert (glimpse[0, 0, 0] * 255).round().tolist() == [[3, 4, 5, 6]] * 4


def test_windows_grow_by_the_factor_finest_first() -> None:
    assert GlimpseSensor(8, scales=3).windows == Windows(8, (1, 2, 4), "zero")
    assert GlimpseSensor(5, 3, 3, "edge").windows == Windows(5, (1, 3, 9), "edge")
    assert GlimpseSensor(2, 2, 1, "mean").windows == Windows(2, (1, 1), "mean")


@every_outside
@every_way
@pytest.mark.parametrize("width", [1, 7, 129])
def test_a_window_of_one_pixel_is_that_pixel(width: int, way: str, outside: str) -> None:
    image = random_images(1, 3, 6, width)
    location = centres_of(6, width)
    sensor = GlimpseSensor(1, outside=outside)
    index = torch.zeros(len(location), dtype=torch.int64)
    glimpses = sensor.read(PREPARE[way](sensor, image), index, location)
    assert torch.equal(glimpses.view(6, width, 3).permute(2, 0, 1), image[0] / 255)


@every_way
def test_a_window_as_large_as_the_image_is_the_image(way: str) -> None:
    image = random_images(1, 2, 6, 6)
    glimpse = look(way, GlimpseSensor(6, scales=2), image, torch.zeros(1, 2))
    assert torch.equal(glimpse[0, 0], image[0] / 255)
    assert torch.equal(glimpse[0, 1, :, :1], torch.zeros(2, 1, 6))  # wider: black all round
    mean = look(way, GlimpseSensor(1, scales=2, factor=6), image, torch.zeros(1, 2))
    torch.testing.assert_close(mean[0, 1, :, 0, 0], image[0].float().mean(dim=(1, 2)) / 255)


@every_way
@pytest.mark.parametrize("far", [3.0, -3.0, 1e4, -1e30])
def test_far_beyond_the_image(far: float, way: str) -> None:
    image = random_images(1, 2, 5, 8)
    location = torch.tensor([[far, 0.1]])
    black = look(way, GlimpseSensor(2, scales=2), image, location)
    assert black.abs().max() == 0
    mean = look(way, GlimpseSensor(2, scales=2, outside="mean"), image, location)
    wanted = image.float().mean(dim=(2, 3))[:, None, :, None, None] / 255
    torch.testing.assert_close(mean, wanted.expand_as(mean), rtol=0, atol=1e-6)
    edge = look(way, GlimpseSensor(2, outside="edge"), image, location)[
        0, 0
    ]  # rows 2 and 3: 2.75 - 1 + 0.5
    column = image[0, :, 2:4, 0 if far < 0 else 7] / 255
    torch.testing.assert_close(edge, column[:, :, None].expand_as(edge), rtol=0, atol=1e-6)


@every_way
@every_outside
@pytest.mark.parametrize("width", [9, 150])
def test_uint8_equals_float(width: int, outside: str, way: str) -> None:
    sensor = GlimpseSensor(3, scales=3, factor=2, outside=outside)
    images = random_images(20, 3, 7, width)
    location = random_locations(20)
    of_bytes = look(way, sensor, images, location)
    for dtype in (torch.float32, torch.float64):
        of_floats = look(way, sensor, images.to(dtype) / 255, location)
        assert of_floats.dtype == torch.float32
        torch.testing.assert_close(of_floats, of_bytes, rtol=0, atol=1e-6)


@every_way
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_short_floats_are_summed_as_float64(dtype: torch.dtype, way: str) -> None:
    images = random_images(2, 1, 60, 60, dtype=dtype)
    sensor = GlimpseSensor(2, scales=2, factor=30, outside="mean")
    location = random_locations(2)
    wanted = look(way, sensor, images.double(), location)
    torch.testing.assert_close(look(way, sensor, images, location), wanted, rtol=0, atol=1e-6)


@every_way
@pytest.mark.parametrize("width", [5, 140])
@every_outside
def test_the_index_picks_the_image(width: int, outside: str, way: str) -> None:
    levels = torch.tensor([[10, 20], [30, 40], [50, 60]], dtype=torch.uint8)
    images = levels[:, :, None, None].expand(3, 2, 4, width)
    sensor = GlimpseSensor(2, outside=outside)
    index = torch.tensor([2, 0, 1, 1, 2])
    glimpses = sensor.read(PREPARE[way](sensor, images), index, torch.zeros(5, 2))
    wanted = (levels[index] / 255)[:, None, :, None, None].expand(5, 1, 2, 2, 2)
    assert torch.equal(glimpses, wanted)


def test_calling_is_preparing_and_reading() -> None:
    sensor = GlimpseSensor(3, scales=2, outside="mean")
    images, location = random_images(6, 1, 9, 12), random_locations(6)
    read = sensor.read(sensor.prepare(images), torch.arange(6), location)
    assert torch.equal(sensor(images, location), read)


@every_way
@every_outside
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_nothing_to_look_at(dtype: torch.dtype, outside: str, way: str) -> None:
    sensor = GlimpseSensor(2, scales=3, outside=outside)
    none, nowhere = torch.zeros(0, dtype=torch.int64), torch.zeros(0, 2)
    assert sensor(random_images(0, 1, 4, 5, dtype=dtype), nowhere).shape == (0, 3, 1, 2, 2)
    prepared = PREPARE[way](sensor, random_images(2, 3, 4, 5, dtype=dtype))
    glimpses = sensor.read(prepared, none, nowhere)
    assert glimpses.shape == (0, 3, 3, 2, 2)
    assert glimpses.dtype == torch.float32


@every_way
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_images_need_not_be_contiguous(dtype: torch.dtype, way: str) -> None:
    sensor, location = GlimpseSensor(3, scales=2, outside="mean"), random_locations(4)
    stored = random_images(4, 10, 12, 3, dtype=dtype)
    channels_last = stored.permute(0, 3, 1, 2)
    views = [
        channels_last,
        channels_last[:, 1:, ::2, 1::3],
        channels_last.transpose(2, 3),
        channels_last[:1].expand(4, 3, 10, 12),
    ]
    for view in views:
        assert not view.is_contiguous()
        wanted = look(way, sensor, view.contiguous(), location)
        assert torch.equal(look(way, sensor, view, location), wanted)
    spread = location.repeat_interleave(2, dim=0)[::2]
    wanted = look(way, sensor, channels_last, location)
    assert torch.equal(look(way, sensor, channels_last, spread), wanted)


@every_way
@every_outside
@pytest.mark.parametrize("white", [255, 1.0])
def test_numbers_lie_between_0_and_1(white: float, outside: str, way: str) -> None:
    """A space of [0, 1] holds nothing above it, not even by a rounding error."""
    images = torch.full((1, 1, 37, 53), white, dtype=torch.uint8 if white == 255 else None)
    index, location = torch.zeros(500, dtype=torch.int64), random_locations(500, spread=2.0)
    for factor in (2, 3, 37):
        sensor = GlimpseSensor(2, 2, factor, outside)
        glimpses = sensor.read(PREPARE[way](sensor, images), index, location)
        assert glimpses.min() >= 0
        assert glimpses.max() <= 1


@every_outside
def test_locations_that_want_a_gradient_can_be_looked_at(outside: str) -> None:
    sensor, images = GlimpseSensor(2, 2, outside=outside), random_images(3, 1, 6, 7)
    location = random_locations(3)
    wanted = sensor(images, location)
    assert torch.equal(sensor(images, location.requires_grad_()), wanted)


def test_what_is_read_in_inference_mode_does_not_matter_later() -> None:
    sensor, images = GlimpseSensor(2, 2), random_images(1, 1, 61, 67)  # of a size of their own
    with torch.inference_mode():
        wanted = sensor(images, torch.zeros(1, 2))
    assert torch.equal(sensor(images, torch.zeros(1, 2, requires_grad=True)), wanted)


@every_way
def test_images_that_want_a_gradient_can_be_looked_at(way: str) -> None:
    sensor, images = GlimpseSensor(2, 2), random_images(3, 1, 6, 7, dtype=torch.float32)
    wanted = look(way, sensor, images, torch.zeros(3, 2))
    assert torch.equal(look(way, sensor, images.requires_grad_(), torch.zeros(3, 2)), wanted)


@pytest.mark.parametrize("name", ["size", "scales", "factor"])
@pytest.mark.parametrize("number", [0, -2])
def test_a_sensor_that_cannot_see_is_refused(name: str, number: int) -> None:
    message = f"`{name}` must be a whole number from 1, got {number}: choose another"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        GlimpseSensor(**{"size": 4, name: number})


@pytest.mark.plain
@pytest.mark.parametrize("name", ["size", "scales", "factor"])
def test_a_sensor_of_broken_numbers_is_refused(name: str) -> None:
    """A later look would otherwise end in a bare error of torch."""
    message = f"`{name}` must be a whole number from 1, got 2.5: choose another"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        GlimpseSensor(**{"size": 4, name: 2.5})


@pytest.mark.parametrize(
    ("size", "scales", "factor"),
    [
        (2**27 + 1, 1, 2),
        (1, 29, 2),
        (3, 2, 2**26),
        (2**40, 1, 1),
        (8, 300, 2),
        (8, 20_000, 2),
    ],
)
def test_windows_too_wide_to_be_placed_are_refused(size: int, scales: int, factor: int) -> None:
    """In a short line, however wide they are."""
    message = (
        f"windows must be at most {2**27} pixels wide, got size={size}, factor={factor}, "
        f"scales={scales}: choose fewer scales"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        GlimpseSensor(size, scales, factor)


@pytest.mark.parametrize(("scales", "factor"), [(2, 2**27), (28, 2), (14, 4)])
def test_windows_as_wide_as_can_be_see_all_there_is(scales: int, factor: int) -> None:
    """In the middle of a bright image of 2 x 3 pixels."""
    image = torch.full((1, 1, 2, 3), 255, dtype=torch.uint8)
    for outside in OUTSIDE:
        sensor = GlimpseSensor(1, scales, factor, outside)
        wanted = [by_area(step, outside) for step in sensor.windows.steps]
        for images in (image, image / 255):
            glimpse = sensor(images, torch.zeros(1, 2))[0, :, 0, 0, 0].double()
            np.testing.assert_allclose(glimpse.numpy(), wanted, rtol=1e-6, err_msg=outside)


def by_area(step: int, outside: str) -> float:
    """Return the brightness of one pixel, `step` wide, in the middle of 2 x 3 white pixels."""
    return 1.0 if outside != "zero" else min(step, 2) * min(step, 3) / step**2


@pytest.mark.plain
def test_an_unknown_outside_is_refused() -> None:
    message = "`outside` must be one of edge, mean, zero, got 'reflect': choose one"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        GlimpseSensor(4, outside="reflect")


@pytest.mark.plain
@pytest.mark.parametrize("shape", [(28, 28), (3, 28, 28), (1, 1, 1, 28, 28)])
def test_images_of_another_rank_are_refused(shape: tuple[int, ...]) -> None:
    given = re.escape(str(shape))
    message = (
        rf"^`images` must be \(N, C, H, W\), got {given}: use images\[:, None\] if they are grey$"
    )
    with pytest.raises(ValueError, match=message):
        GlimpseSensor(4).prepare(torch.zeros(shape))
    with pytest.raises(ValueError, match=message):
        GlimpseSensor(4)(torch.zeros(shape), torch.zeros(shape[0], 2))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.bool, torch.complex64])
def test_images_of_another_dtype_are_refused(dtype: torch.dtype) -> None:
    message = rf"^`images` must be uint8 or float in \[0, 1\], got {dtype}: convert them$"
    with pytest.raises(ValueError, match=message):
        GlimpseSensor(4)(torch.zeros(1, 1, 8, 8, dtype=dtype), torch.zeros(1, 2))


@every_outside
@pytest.mark.parametrize("shape", [(2, 1, 0, 4), (2, 1, 4, 0)])
def test_images_without_pixels_are_refused(shape: tuple[int, ...], outside: str) -> None:
    with pytest.raises(ValueError, match=rf"^`images` must .*{re.escape(str(shape))}"):
        GlimpseSensor(2, outside=outside)(torch.zeros(shape), torch.zeros(2, 2))


def test_images_out_of_range_are_refused() -> None:
    """One test for all: `check_images` is tested in test_checks."""
    message = "`images` of floats must lie in [0, 1], got 0 to 255: divide by 255?"
    images = torch.zeros(1, 1, 8, 8)
    images[0, 0, 1, 1] = 255
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        GlimpseSensor(4).prepare(images)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        GlimpseSensor(4)(images, torch.zeros(1, 2))


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_locations_that_are_not_finite_are_refused(number: float) -> None:
    location = torch.zeros(3, 2)
    location[1, 1] = number
    with pytest.raises(ValueError, match=rf"^`location` must be finite, got .*{number}\] in row 1"):
        GlimpseSensor(2)(random_images(3, 1, 4, 4), location)


@pytest.mark.plain
@pytest.mark.parametrize("shape", [(2, 2), (4, 2), (0, 2), (1, 3, 2)])
def test_another_number_of_locations_is_refused(shape: tuple[int, ...]) -> None:
    given = re.escape(str(shape))
    message = rf"^`location` must be \(3, 2\), got {given}: give one \(x, y\) pair for each index$"
    sensor, images = GlimpseSensor(2), random_images(3, 1, 4, 4)
    with pytest.raises(ValueError, match=message):
        sensor(images, torch.zeros(shape))
    with pytest.raises(ValueError, match=message):
        sensor.read(sensor.prepare(images), torch.arange(3), torch.zeros(shape))


@pytest.mark.plain
@pytest.mark.parametrize("shape", [(3,), (3, 3), (3, 1, 2)])
def test_locations_that_are_no_pairs_are_refused(shape: tuple[int, ...]) -> None:
    given = re.escape(str(shape))
    with pytest.raises(ValueError, match=rf"^`location` must be \(3, 2\), got {given}: give one"):
        GlimpseSensor(2)(random_images(3, 1, 4, 4), torch.zeros(shape))


@every_way
@pytest.mark.parametrize("width", [4, 150])
@pytest.mark.parametrize("number", [2, -1])
def test_an_image_number_that_does_not_exist_is_refused(number: int, width: int, way: str) -> None:
    """Not with a bare error of torch (on CUDA that would end the process's use of the device)."""
    sensor = GlimpseSensor(2)
    prepared = PREPARE[way](sensor, random_images(2, 1, 4, width))
    low, high = min(0, number), max(0, number)
    message = f"`index` must be in [0, 2), got {low} to {high}: name images that are there"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        sensor.read(prepared, torch.tensor([0, number]), torch.zeros(2, 2))


@every_way
@every_outside
def test_images_indices_and_locations_on_several_devices_are_refused(
    outside: str, way: str
) -> None:
    sensor, images = GlimpseSensor(2, outside=outside), random_images(2, 1, 4, 5)
    index, location = torch.arange(2), torch.zeros(2, 2)
    here, there = (PREPARE[way](sensor, pixels) for pixels in (images, images.to("meta")))
    message = "`location` must be on cpu like the images, got meta: use location.to('cpu')"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        sensor.read(here, index, location.to("meta"))
    message = "`index` must be on cpu like the images, got meta: use index.to('cpu')"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        sensor.read(here, index.to("meta"), location)
    message = "`index` must be on meta like the images, got cpu: use index.to('meta')"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        sensor.read(there, index, location)


@pytest.mark.plain
@pytest.mark.parametrize(
    "index", [torch.tensor([0.0, 1.0]), torch.tensor([True, False]), torch.zeros(2, 1).long()]
)
def test_an_index_of_another_kind_is_refused(index: Tensor) -> None:
    sensor = GlimpseSensor(2)
    prepared = sensor.prepare(random_images(2, 1, 4, 4))
    message = f"`index` must be (B,) of int64, got {tuple(index.shape)} of {index.dtype}: give one"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        sensor.read(prepared, index, torch.zeros(2, 2))
