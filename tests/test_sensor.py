import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from glimpse.sensor import _CHUNK, GlimpseSensor, Prepared

OUTSIDE = ["zero", "edge", "mean"]


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
    beside = st.tuples(half_pixels, st.sampled_from([-0.001, 0.001]))
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
    look: tuple[dict[str, Any], Tensor, Tensor],
) -> None:
    options, images, location = look
    sensor = GlimpseSensor(**options)
    glimpses = sensor(images, location)
    assert glimpses.dtype == torch.float32
    plain = images.double().numpy() / (255 if images.dtype == torch.uint8 else 1)
    wanted = [
        by_definition(sensor, image, x, y)
        for image, (x, y) in zip(plain, location.tolist(), strict=True)
    ]
    np.testing.assert_allclose(glimpses.numpy(), wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("outside", OUTSIDE)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize(("height", "width"), [(5, 127), (5, 400), (300, 5), (1, 1)])
def test_wide_and_high_images(height: int, width: int, dtype: torch.dtype, outside: str) -> None:
    sensor = GlimpseSensor(3, scales=3, factor=3, outside=outside)
    images = random_images(4, 2, height, width, dtype=dtype)
    location = random_locations(4)
    plain = images.double().numpy() / (255 if dtype == torch.uint8 else 1)
    wanted = [
        by_definition(sensor, image, x, y)
        for image, (x, y) in zip(plain, location.tolist(), strict=True)
    ]
    np.testing.assert_allclose(sensor(images, location).numpy(), wanted, rtol=0, atol=1e-6)


def test_the_documented_window_of_four_pixels() -> None:
    """On an image 10 pixels wide a window of 4 at x = 0 covers the pixels 3, 4, 5, 6."""
    image = torch.arange(10, dtype=torch.uint8).expand(1, 1, 4, 10)
    glimpse = GlimpseSensor(4)(image, torch.zeros(1, 2))
    assert (glimpse[0, 0, 0] * 255).round().tolist() == [[3, 4, 5, 6]] * 4
    corners = GlimpseSensor(4).corners(torch.tensor([[5.0, 2.0]], dtype=torch.float64))
    assert corners.tolist() == [[[3, 0]]]


def test_ties_are_rounded_up_and_each_scale_by_itself() -> None:
    """Around p = 4.5 windows of 4, 12 and 36 have a tie, windows of 1, 3 and 9 have none."""
    centre = torch.tensor([[4.5, 4.499], [4.501, 4.0]], dtype=torch.float64)
    even = GlimpseSensor(4, scales=3, factor=3).corners(centre)
    assert even.tolist() == [[[3, 2], [-1, -2], [-13, -14]], [[3, 2], [-1, -2], [-13, -14]]]
    odd = GlimpseSensor(1, scales=3, factor=3).corners(centre)
    assert odd.tolist() == [[[4, 4], [3, 3], [0, 0]], [[4, 4], [3, 3], [0, 0]]]
    mixed = GlimpseSensor(1, scales=3, factor=2).corners(centre)
    assert mixed.tolist() == [[[4, 4], [4, 3], [3, 2]], [[4, 4], [4, 3], [3, 2]]]


def test_windows_grow_by_the_factor_finest_first() -> None:
    assert GlimpseSensor(8, scales=3).widths == [8, 16, 32]
    assert GlimpseSensor(5, scales=3, factor=3).widths == [5, 15, 45]
    assert GlimpseSensor(2, scales=2, factor=1).widths == [2, 2]


@pytest.mark.parametrize("outside", OUTSIDE)
@pytest.mark.parametrize("width", [1, 7, 129])
def test_a_window_of_one_pixel_is_that_pixel(width: int, outside: str) -> None:
    image = random_images(1, 3, 6, width)
    location = centres_of(6, width)
    sensor = GlimpseSensor(1, outside=outside)
    index = torch.zeros(len(location), dtype=torch.int64)
    glimpses = sensor.read(sensor.prepare(image), index, location)
    assert torch.equal(glimpses.view(6, width, 3).permute(2, 0, 1), image[0] / 255)


def test_a_window_as_large_as_the_image_is_the_image() -> None:
    image = random_images(1, 2, 6, 6)
    glimpse = GlimpseSensor(6, scales=2)(image, torch.zeros(1, 2))
    assert torch.equal(glimpse[0, 0], image[0] / 255)
    assert torch.equal(glimpse[0, 1, :, :1], torch.zeros(2, 1, 6))  # wider: black all round
    mean = GlimpseSensor(1, scales=2, factor=6)(image, torch.zeros(1, 2))
    torch.testing.assert_close(mean[0, 1, :, 0, 0], image[0].float().mean(dim=(1, 2)) / 255)


@pytest.mark.parametrize("far", [3.0, -3.0, 1e4, -1e30])
def test_far_beyond_the_image(far: float) -> None:
    image = random_images(1, 2, 5, 8)
    location = torch.tensor([[far, 0.1]])
    black = GlimpseSensor(2, scales=2)(image, location)
    assert black.abs().max() == 0
    mean = GlimpseSensor(2, scales=2, outside="mean")(image, location)
    wanted = image.float().mean(dim=(2, 3))[:, None, :, None, None] / 255
    torch.testing.assert_close(mean, wanted.expand_as(mean), rtol=0, atol=1e-6)
    edge = GlimpseSensor(2, outside="edge")(image, location)[0, 0]  # rows 2 and 3: 2.75 - 1 + 0.5
    column = image[0, :, 2:4, 0 if far < 0 else 7] / 255
    torch.testing.assert_close(edge, column[:, :, None].expand_as(edge), rtol=0, atol=1e-6)


@pytest.mark.parametrize("outside", OUTSIDE)
@pytest.mark.parametrize(
    ("factor", "dtype"),
    [(16, torch.int16), (17, torch.int32), (2901, torch.int32), (2902, torch.int64)],
)
def test_the_largest_box_of_each_table_is_read_without_overflow(
    factor: int, dtype: torch.dtype, outside: str
) -> None:
    """All white: boxes of 16**2 are the last below 2**16 / 255, of 2901**2 below 2**31 / 255."""
    sensor = GlimpseSensor(2, scales=2, factor=factor, outside=outside)
    white = torch.full((1, 1, 50, 60), 255, dtype=torch.uint8)
    prepared = sensor.prepare(white)
    assert prepared.table.dtype == dtype
    location = torch.tensor([[0.0, 0.0], [-0.4, 0.9], [1.0, -1.0], [5.0, 5.0]])
    glimpses = sensor.read(prepared, torch.zeros(4, dtype=torch.int64), location)
    if outside == "zero":
        plain = np.ones((1, 50, 60))
        top, left = (math.floor(side / 2 - factor + 0.5) for side in (50, 60))
        rows = [max(0, min(50, top + (i + 1) * factor) - max(0, top + i * factor)) for i in (0, 1)]
        columns = [
            max(0, min(60, left + (i + 1) * factor) - max(0, left + i * factor)) for i in (0, 1)
        ]
        wanted = np.outer(rows, columns) / factor**2
        np.testing.assert_allclose(glimpses[0, 1, 0].numpy(), wanted, rtol=1e-6)
        fine = by_definition(GlimpseSensor(2), plain, 0.0, 0.0)
        np.testing.assert_allclose(glimpses[0, :1].numpy(), fine)
    else:
        torch.testing.assert_close(glimpses, torch.ones(4, 2, 1, 2, 2), rtol=0, atol=1e-6)


def test_sums_that_wrap_around_in_the_table_are_still_exact() -> None:
    """The sum over 90 x 200 white pixels is 70 times what 16 bits hold; every box still fits."""
    sensor = GlimpseSensor(4, scales=2, factor=16)
    white = torch.full((1, 1, 90, 200), 255, dtype=torch.uint8)
    prepared = sensor.prepare(white)
    assert prepared.table.dtype == torch.int16
    assert int(white.long().sum()) > 70 * 2**16 - 2**16
    location = random_locations(40, spread=0.25)
    glimpses = sensor.read(prepared, torch.zeros(40, dtype=torch.int64), location)
    assert torch.equal(glimpses, torch.ones(40, 2, 1, 4, 4))


def test_the_largest_box_of_an_int32_table_inside_a_white_image() -> None:
    sensor = GlimpseSensor(1, scales=2, factor=2901)
    prepared = sensor.prepare(torch.full((1, 1, 2901, 2901), 255, dtype=torch.uint8))
    assert prepared.table.dtype == torch.int32
    glimpse = sensor.read(prepared, torch.tensor([0]), torch.zeros(1, 2))
    assert glimpse.flatten().tolist() == [1.0, 1.0]


@pytest.mark.parametrize("outside", OUTSIDE)
@pytest.mark.parametrize("width", [9, 150])
def test_uint8_equals_float(width: int, outside: str) -> None:
    sensor = GlimpseSensor(3, scales=3, factor=2, outside=outside)
    images = random_images(20, 3, 7, width)
    location = random_locations(20)
    of_bytes = sensor(images, location)
    for dtype in (torch.float32, torch.float64):
        of_floats = sensor(images.to(dtype) / 255, location)
        assert of_floats.dtype == torch.float32
        torch.testing.assert_close(of_floats, of_bytes, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_short_floats_are_summed_as_float64(dtype: torch.dtype) -> None:
    images = random_images(2, 1, 60, 60, dtype=dtype)
    sensor = GlimpseSensor(2, scales=2, factor=30, outside="mean")
    location = random_locations(2)
    wanted = sensor(images.double(), location)
    torch.testing.assert_close(sensor(images, location), wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("width", [5, 140])
@pytest.mark.parametrize("outside", OUTSIDE)
def test_the_index_picks_the_image(width: int, outside: str) -> None:
    levels = torch.tensor([[10, 20], [30, 40], [50, 60]], dtype=torch.uint8)
    images = levels[:, :, None, None].expand(3, 2, 4, width)
    sensor = GlimpseSensor(2, outside=outside)
    index = torch.tensor([2, 0, 1, 1, 2])
    glimpses = sensor.read(sensor.prepare(images), index, torch.zeros(5, 2))
    wanted = (levels[index] / 255)[:, None, :, None, None].expand(5, 1, 2, 2, 2)
    assert torch.equal(glimpses, wanted)


def test_calling_is_preparing_and_reading() -> None:
    sensor = GlimpseSensor(3, scales=2, outside="mean")
    images, location = random_images(6, 1, 9, 12), random_locations(6)
    read = sensor.read(sensor.prepare(images), torch.arange(6), location)
    assert torch.equal(sensor(images, location), read)


@pytest.mark.parametrize("outside", OUTSIDE)
@pytest.mark.parametrize("width", [9, 150])
def test_many_at_once_equal_one_by_one(width: int, outside: str) -> None:
    count = _CHUNK + 5
    sensor = GlimpseSensor(2, scales=2, outside=outside)
    prepared = sensor.prepare(random_images(7, 1, 6, width))
    index, location = torch.arange(count) % 7, random_locations(count)
    together = sensor.read(prepared, index, location)
    assert together.shape == (count, 2, 1, 2, 2)
    borders = [*range(_CHUNK // 2 - 3, _CHUNK // 2 + 3), *range(_CHUNK - 3, count)]
    for row in (*range(0, count, 100), *borders):
        alone = sensor.read(prepared, index[row : row + 1], location[row : row + 1])
        assert torch.equal(alone, together[row : row + 1])


@pytest.mark.parametrize("scales", [1, 5])
@pytest.mark.parametrize("count", [_CHUNK - 1, _CHUNK, 2 * _CHUNK, 2 * _CHUNK + 1])
def test_no_row_is_lost_between_chunks(count: int, scales: int) -> None:
    """Chunks are of windows: with 5 scales a fifth as many rows."""
    sensor = GlimpseSensor(1, scales=scales, factor=1)
    image = torch.arange(200, dtype=torch.uint8).view(1, 1, 1, 200)
    seen = torch.arange(count) % 200
    location = torch.stack([(seen + 0.5) / 100 - 1, torch.zeros(count)], dim=1)
    glimpses = sensor.read(sensor.prepare(image), torch.zeros_like(seen), location)
    wanted = seen[:, None].expand(count, scales)
    assert torch.equal((glimpses.view(count, scales) * 255).round().long(), wanted)


def test_more_scales_than_a_chunk_has_windows() -> None:
    sensor = GlimpseSensor(1, scales=_CHUNK + 1, factor=1)
    image = torch.tensor([[[[51, 102]]]], dtype=torch.uint8)
    glimpses = sensor(image.expand(2, -1, -1, -1), torch.tensor([[-0.5, 0.0], [0.5, 0.0]]))
    assert glimpses.shape == (2, _CHUNK + 1, 1, 1, 1)
    assert (glimpses[0] == 0.2).all()
    assert (glimpses[1] == 0.4).all()


def test_nothing_to_look_at() -> None:
    sensor = GlimpseSensor(2, scales=3)
    assert sensor(random_images(0, 1, 4, 5), torch.zeros(0, 2)).shape == (0, 3, 1, 2, 2)
    prepared = sensor.prepare(random_images(2, 3, 4, 5))
    none = torch.zeros(0, dtype=torch.int64)
    assert sensor.read(prepared, none, torch.zeros(0, 2)).shape == (0, 3, 3, 2, 2)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_images_need_not_be_contiguous(dtype: torch.dtype) -> None:
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
        assert torch.equal(sensor(view, location), sensor(view.contiguous(), location))
    spread = location.repeat_interleave(2, dim=0)[::2]
    assert torch.equal(sensor(channels_last, spread), sensor(channels_last, location))


@pytest.mark.parametrize("width", [6, 150])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float64])
def test_results_share_no_memory_with_anything(dtype: torch.dtype, width: int) -> None:
    images = random_images(3, 1, 6, width, dtype=dtype)
    kept = images.clone()
    sensor = GlimpseSensor(1)
    prepared = sensor.prepare(images)
    table, mean = prepared.table.clone(), prepared.mean.clone()
    index, location = torch.arange(3), random_locations(3, spread=0.9)
    first = sensor.read(prepared, index, location)
    again = first.clone()
    second = sensor.read(prepared, index, location)
    second.fill_(-1)
    images_later = images.fill_(7)
    assert torch.equal(first, again)
    assert torch.equal(prepared.table, table)
    assert torch.equal(prepared.mean, mean)
    assert torch.equal(sensor.read(prepared, index, location), first)
    assert not torch.equal(images_later, kept)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_prepared_images_tell_their_sizes(dtype: torch.dtype) -> None:
    images = random_images(4, 3, 5, 9, dtype=dtype)
    prepared = GlimpseSensor(2, scales=2).prepare(images)
    assert isinstance(prepared, Prepared)
    assert (prepared.height, prepared.width) == (5, 9)
    assert prepared.table.shape == (4, 3, 6, 10)
    assert prepared.table.dtype == (torch.int16 if dtype == torch.uint8 else torch.float64)
    assert prepared.white == (255 if dtype == torch.uint8 else 1)
    wanted = images.float().mean(dim=(2, 3)) / prepared.white
    torch.testing.assert_close(prepared.mean, wanted, rtol=0, atol=1e-6)


def test_the_mean_of_a_large_bright_image_is_exact() -> None:
    white = torch.full((1, 1, 5_000, 5_000), 255, dtype=torch.uint8)[:, :, ::2]
    assert GlimpseSensor(1).prepare(white).mean.tolist() == [[1.0]]


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


@pytest.mark.parametrize("outside", OUTSIDE)
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


@pytest.mark.parametrize("width", [4, 150])
@pytest.mark.parametrize("number", [2, -1])
def test_an_image_number_that_does_not_exist_is_refused(number: int, width: int) -> None:
    """Not with a bare error of torch (on CUDA that would end the process's use of the device)."""
    sensor = GlimpseSensor(2)
    prepared = sensor.prepare(random_images(2, 1, 4, width))
    low, high = min(0, number), max(0, number)
    message = f"`index` must be in [0, 2), got {low} to {high}: name images that are there"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        sensor.read(prepared, torch.tensor([0, number]), torch.zeros(2, 2))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("outside", OUTSIDE)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("width", [20, 150])
def test_cuda_sees_what_the_cpu_sees(width: int, dtype: torch.dtype, outside: str) -> None:
    sensor = GlimpseSensor(3, scales=3, factor=3, outside=outside)
    images = random_images(40, 3, 17, width, dtype=dtype)
    location = random_locations(40)
    on_cuda = sensor(images.cuda(), location.cuda())
    assert on_cuda.is_cuda
    torch.testing.assert_close(on_cuda.cpu(), sensor(images, location), rtol=0, atol=1e-6)
