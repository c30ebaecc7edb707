"""Summed-area tables against means of NumPy slices, for few rows and for many."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from glimpse import boxes, tables
from glimpse.boxes import _CHUNK
from glimpse.sensor import Prepared
from glimpse.tables import SummedAreaTables, table_dtype
from glimpse.windows import Windows

OUTSIDE = ["zero", "edge", "mean"]
DTYPES = [torch.int16, torch.int32, torch.int64, torch.float64]
every_outside = pytest.mark.parametrize("outside", OUTSIDE)
every_number = pytest.mark.parametrize("few", [True, False], ids=["few", "many"])


@contextmanager
def reading(few: bool) -> Iterator[None]:
    """Read every number of rows in the way that is faster for few, or for many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boxes, "_FEW", 10**9 if few else -1)
        yield


def by_definition(
    image: NDArray[np.float64], centre: list[float], windows: Windows
) -> NDArray[np.float64]:
    """Return the windows of one image (C, H, W) around a centre in pixels: (K, C, s, s)."""
    channels, height, width = image.shape
    glimpse = []
    for step in windows.steps:
        side = windows.size * step
        left, top = (math.floor(at - side / 2 + 0.5) for at in centre)
        columns, rows = np.arange(left, left + side), np.arange(top, top + side)
        seen = image[:, rows.clip(0, height - 1)][:, :, columns.clip(0, width - 1)]
        there = ((rows >= 0) & (rows < height))[:, None] & (columns >= 0) & (columns < width)
        if windows.outside == "zero":
            seen = np.where(there, seen, 0)
        elif windows.outside == "mean":
            seen = np.where(there, seen, image.mean(axis=(1, 2), keepdims=True))
        boxes = seen.reshape(channels, windows.size, step, windows.size, step)
        glimpse.append(boxes.mean(axis=(2, 4)))
    return np.stack(glimpse)


def random_images(*shape: int, dtype: torch.dtype = torch.uint8, seed: int = 0) -> Tensor:
    images = torch.randint(256, shape, generator=torch.Generator().manual_seed(seed))
    return images.to(dtype) if dtype == torch.uint8 else (images / 255).to(dtype)


def random_centres(count: int, height: int, width: int) -> Tensor:
    """Return centres on and around an image."""
    numbers = torch.rand(count, 2, generator=torch.Generator().manual_seed(1)).double()
    return (numbers * 1.6 - 0.3) * torch.tensor([width, height])


def plain(images: Tensor) -> NDArray[np.float64]:
    return images.double().numpy() / (255 if images.dtype == torch.uint8 else 1)


def look(images: Tensor, dtype: torch.dtype, centre: Tensor, windows: Windows) -> Tensor:
    """Look once at each image."""
    return SummedAreaTables.of(images, dtype).look(torch.arange(len(images)), centre, windows)


def places(length: int) -> st.SearchStrategy[float]:
    """Draw a position in pixels: anywhere, far away, or just beside where windows jump."""
    half_pixels = st.integers(-60, 2 * length + 60)
    beside = st.tuples(half_pixels, st.sampled_from([-0.001, 0.0, 0.001]))
    return st.one_of(
        st.integers(-10_000, 1000 * (length + 10)).map(lambda thousandths: thousandths / 1000),
        st.sampled_from([0.0, float(length), -1e5, 1e9, -1e15]),
        beside.map(lambda pair: pair[0] / 2 + pair[1]),
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tensor, torch.dtype, Tensor, dict[str, Any]]:
    """Draw images, a type that tells their boxes, centres, and what windows are made of."""
    options = {
        "size": draw(st.integers(1, 5)),
        "steps": tuple(draw(st.lists(st.integers(1, 40), min_size=1, max_size=3))),
        "outside": draw(st.sampled_from(OUTSIDE)),
    }
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    kind = draw(st.sampled_from([torch.uint8, torch.float32, torch.float64]))
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 4)), height, width)
    images = random_images(*shape, dtype=kind, seed=draw(st.integers(0, 1_000)))
    if draw(st.booleans()):
        images = torch.full_like(images, 255 if kind == torch.uint8 else 1)
    smallest = DTYPES.index(table_dtype(max(options["steps"]) ** 2))
    dtype = draw(st.sampled_from(DTYPES[smallest:])) if kind == torch.uint8 else torch.float64
    centres = [(draw(places(width)), draw(places(height))) for _ in images]
    return images, dtype, torch.tensor(centres, dtype=torch.float64), options


# What is seen


@given(cases())
@settings(max_examples=300)
def test_any_box_is_the_mean_of_its_pixels(
    case: tuple[Tensor, torch.dtype, Tensor, dict[str, Any]],
) -> None:
    images, dtype, centre, options = case
    windows = Windows(**options)
    pairs = zip(plain(images), centre.tolist(), strict=True)
    wanted = [by_definition(image, at, windows) for image, at in pairs]
    for few in (True, False):
        with reading(few):
            glimpses = look(images, dtype, centre, windows)
        assert glimpses.dtype == torch.float32
        np.testing.assert_allclose(glimpses.numpy(), wanted, rtol=0, atol=1e-6, err_msg=str(few))


@pytest.mark.parametrize("dtype", DTYPES)
def test_few_and_many_rows_are_read_alike_to_the_last_bit(dtype: torch.dtype) -> None:
    kind = torch.float32 if dtype == torch.float64 else torch.uint8
    images, windows = random_images(200, 2, 13, 17, dtype=kind), Windows(3, (1, 2, 16), "zero")
    centre, found = random_centres(200, 13, 17), []
    for few in (True, False):
        with reading(few):
            found.append(look(images, dtype, centre, windows))
    assert torch.equal(*found)


@every_number
@every_outside
@pytest.mark.parametrize(
    ("step", "dtype"),
    [(16, torch.int16), (17, torch.int32), (2901, torch.int32), (2902, torch.int64)],
)
def test_the_largest_box_of_each_type_is_read_without_overflow(
    step: int, dtype: torch.dtype, outside: str, few: bool
) -> None:
    """All white: boxes of 16**2 are the last below 2**16 / 255, of 2901**2 below 2**31 / 255."""
    assert table_dtype(step**2) == dtype
    windows = Windows(2, (1, step), outside)
    centre = torch.tensor([[30.0, 25.0], [18, 47.5], [60, 0], [180, 150]], dtype=torch.float64)
    white = torch.full((4, 1, 50, 60), 255, dtype=torch.uint8)
    with reading(few):
        glimpses = look(white, dtype, centre, windows)
    if outside != "zero":
        torch.testing.assert_close(glimpses, torch.ones(4, 2, 1, 2, 2), rtol=0, atol=1e-6)
        return
    for glimpse, at in zip(glimpses[:, 1, 0], centre.tolist(), strict=True):
        left, top = (math.floor(number - step + 0.5) for number in at)
        columns, rows = (
            [max(0, min(length, first + (i + 1) * step) - max(0, first + i * step)) for i in (0, 1)]
            for first, length in ((left, 60), (top, 50))
        )
        np.testing.assert_allclose(glimpse.numpy(), np.outer(rows, columns) / step**2, rtol=1e-6)


@every_number
@pytest.mark.parametrize(("step", "dtype"), [(2901, torch.int32), (2902, torch.int64)])
def test_the_largest_box_inside_a_white_image(step: int, dtype: torch.dtype, few: bool) -> None:
    white = torch.full((1, 1, step, step), 255, dtype=torch.uint8)
    centre = torch.full((1, 2), step / 2, dtype=torch.float64)
    with reading(few):
        glimpse = look(white, dtype, centre, Windows(1, (1, step), "zero"))
    assert glimpse.flatten().tolist() == [1.0, 1.0]


@every_number
@every_outside
def test_sums_that_wrap_around_in_16_bits_are_still_exact(outside: str, few: bool) -> None:
    """The sum over 90 x 200 white pixels is 70 times what 16 bits hold; every box still fits."""
    white = torch.full((1, 1, 90, 200), 255, dtype=torch.uint8)
    assert int(white.long().sum()) > 70 * 2**16 - 2**16
    prepared = SummedAreaTables.of(white, torch.int16)
    centre = torch.tensor([100.0, 45.0]) + (random_centres(40, 1, 1) - 0.5) * 15
    index = torch.zeros(40, dtype=torch.int64)
    with reading(few):
        glimpses = prepared.look(index, centre, Windows(4, (1, 16), outside))
    assert torch.equal(glimpses, torch.ones(40, 2, 1, 4, 4))


def test_sums_that_wrap_around_in_32_bits_are_still_exact() -> None:
    """4100 x 4100 pixels sum up to 4.2e9: more than 2**31, and nearly 2**32."""
    side, step = 4100, 200
    image = torch.full((1, 1, side, side), 255, dtype=torch.uint8)
    image[..., ::7, ::3] = 0
    image[..., -300:, -300:] = random_images(300, 300)
    assert table_dtype(step**2) == torch.int32
    assert int(image.sum()) > 2**31 + 2**30
    prepared = SummedAreaTables.of(image, torch.int32)
    assert int(prepared.table.min()) < 0  # wrapped
    at = [50.0, 2050.5, 4000.2, 4099.0]
    pairs = [[x, y] for x in at for y in at]
    centre, index = torch.tensor(pairs, dtype=torch.float64), torch.zeros(16, dtype=torch.int64)
    pixels = plain(image[0])
    for outside in OUTSIDE:
        windows = Windows(3, (1, 17, step), outside)
        wanted = [by_definition(pixels, pair, windows) for pair in pairs]
        for few in (True, False):
            with reading(few):
                glimpses = prepared.look(index, centre, windows)
            np.testing.assert_allclose(glimpses.numpy(), wanted, rtol=0, atol=1e-6, err_msg=outside)


@every_number
@pytest.mark.parametrize("outside", ["zero", "edge"])
def test_tables_of_more_entries_than_32_bits_can_name(outside: str, few: bool) -> None:
    """Memory that is nowhere touched takes none: 4 GiB of zeros, all but the last image's."""
    images = random_images(3, 2, 1023, 1023)
    small = SummedAreaTables.of(images, torch.int16)
    many = 2**30 // 1024**2 + 2
    table = torch.from_numpy(np.zeros((many, 2, 1024, 1024), dtype=np.int16))
    assert table.numel() > 2**31
    table[-3:] = small.table
    prepared = SummedAreaTables(table, torch.zeros(many, 2), 255)
    windows = Windows(4, (1, 8), outside)
    index, centre = torch.arange(60) % 3, random_centres(60, 1023, 1023)
    with reading(few):
        glimpses = prepared.look(index + many - 3, centre, windows)
        assert torch.equal(glimpses, small.look(index, centre, windows))
        black = prepared.look(index, centre, windows)
    assert glimpses.any()
    assert not black.any()


@every_outside
@pytest.mark.parametrize("width", [9, 150])
def test_bytes_are_seen_as_the_floats_they_stand_for(width: int, outside: str) -> None:
    images, centre = random_images(20, 3, 7, width), random_centres(20, 7, width)
    windows = Windows(3, (1, 2, 4), outside)
    of_bytes = look(images, torch.int16, centre, windows)
    for dtype in (torch.float32, torch.float64):
        of_floats = look(images.to(dtype) / 255, torch.float64, centre, windows)
        torch.testing.assert_close(of_floats, of_bytes, rtol=0, atol=1e-6)


@pytest.mark.parametrize("outside", ["zero", "edge"])
def test_floats_stay_between_0_and_1(outside: str) -> None:
    """Differences of sums of floats are a hair off; a space of [0, 1] does not hold them."""
    dots = torch.rand(50, 1, 30, 30, generator=torch.Generator().manual_seed(0)).round() * 0.999999
    glimpses = look(dots, torch.float64, random_centres(50, 30, 30), Windows(9, (1, 2), outside))
    assert glimpses.min() == 0
    assert glimpses.max() <= 1


# How they are made


@pytest.mark.parametrize(
    ("pixels", "dtype"),
    [
        (1, torch.int16),
        (257, torch.int16),
        (258, torch.int32),
        (8_421_504, torch.int32),
        (8_421_505, torch.int64),
        (2**50, torch.int64),
    ],
)
def test_the_type_is_the_smallest_that_tells_a_white_box(pixels: int, dtype: torch.dtype) -> None:
    assert table_dtype(pixels) == dtype
    largest = 2**16 - 1 if dtype == torch.int16 else torch.iinfo(dtype).max  # read without a sign
    assert 255 * pixels <= largest


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_tables_hold_the_sums_above_and_to_the_left(dtype: torch.dtype) -> None:
    images = random_images(4, 3, 5, 9, dtype=dtype)
    kind = torch.float64 if dtype.is_floating_point else torch.int32
    prepared = SummedAreaTables.of(images, kind)
    assert isinstance(prepared, Prepared)
    assert prepared.shape == (4, 3, 5, 9)
    assert prepared.table.shape == (4, 3, 6, 10)
    assert prepared.table.dtype == kind
    assert prepared.white == (255 if dtype == torch.uint8 else 1)
    pixels = images.numpy().astype(np.float64)
    for row in range(6):
        for column in range(10):
            wanted = pixels[:, :, :row, :column].sum(axis=(2, 3))
            found = prepared.table[:, :, row, column].numpy()
            np.testing.assert_allclose(found, wanted, rtol=1e-12)
    wanted_mean = pixels.mean(axis=(2, 3)) / prepared.white
    np.testing.assert_allclose(prepared.mean.numpy(), wanted_mean, rtol=0, atol=1e-6)


@pytest.mark.parametrize("block", [1, 3 * 2 * 6 * 7, 3 * 2 * 6 * 7 + 5])
def test_images_are_summed_up_block_by_block(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images = random_images(7, 2, 6, 7)
    wanted = SummedAreaTables.of(images, torch.int32)
    monkeypatch.setattr(tables, "_BLOCK", block)
    found = SummedAreaTables.of(images, torch.int32)
    assert torch.equal(found.table, wanted.table)
    assert torch.equal(found.mean, wanted.mean)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_memory_of_tables_is_known_beforehand(dtype: torch.dtype) -> None:
    images = random_images(5, 3, 11, 8, dtype=torch.float32 if dtype == DTYPES[-1] else torch.uint8)
    table = SummedAreaTables.of(images, dtype).table
    assert SummedAreaTables.memory(images.shape, dtype) == table.untyped_storage().nbytes()


# Rows and chunks


@every_outside
@pytest.mark.parametrize("width", [9, 150])
def test_many_at_once_equal_one_by_one(width: int, outside: str) -> None:
    count = _CHUNK + 5
    prepared = SummedAreaTables.of(random_images(7, 1, 6, width), torch.int16)
    index, centre = torch.arange(count) % 7, random_centres(count, 6, width)
    windows = Windows(2, (1, 2), outside)
    together = prepared.look(index, centre, windows)
    assert together.shape == (count, 2, 1, 2, 2)
    borders = [*range(_CHUNK // 2 - 3, _CHUNK // 2 + 3), *range(_CHUNK - 3, count)]
    for row in (*range(0, count, 100), *borders):
        alone = prepared.look(index[row : row + 1], centre[row : row + 1], windows)
        assert torch.equal(alone, together[row : row + 1])


@every_number
@pytest.mark.parametrize("scales", [1, 5])
@pytest.mark.parametrize("count", [0, 1, _CHUNK - 1, _CHUNK, 2 * _CHUNK, 2 * _CHUNK + 1])
def test_no_row_is_lost_between_chunks(count: int, scales: int, few: bool) -> None:
    """Chunks are of windows: with 5 scales a fifth as many rows."""
    image = torch.arange(200, dtype=torch.uint8).view(1, 1, 1, 200)
    seen = torch.arange(count) % 200
    centre = torch.stack([seen + 0.5, torch.full((count,), 0.5)], dim=1).double()
    prepared = SummedAreaTables.of(image, torch.int16)
    with reading(few):
        glimpses = prepared.look(torch.zeros_like(seen), centre, Windows(1, (1,) * scales, "zero"))
    wanted = seen[:, None].expand(count, scales)
    assert torch.equal((glimpses.view(count, scales) * 255).round().long(), wanted)


@every_number
@pytest.mark.parametrize("scales", [_CHUNK, _CHUNK + 1])
def test_more_windows_in_a_row_than_in_a_chunk(scales: int, few: bool) -> None:
    image = torch.tensor([[[[51, 102]]]], dtype=torch.uint8).expand(2, 3, -1, -1)
    centre = torch.tensor([[0.5, 0.5], [1.5, 0.5]], dtype=torch.float64)
    with reading(few):
        glimpses = look(image, torch.int16, centre, Windows(1, (1,) * scales, "zero"))
    assert glimpses.shape == (2, scales, 3, 1, 1)
    assert (glimpses[0] == 0.2).all()
    assert (glimpses[1] == 0.4).all()


@every_outside
@every_number
@pytest.mark.parametrize("width", [6, 150])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float64])
def test_results_share_no_memory_with_anything(
    dtype: torch.dtype, width: int, few: bool, outside: str
) -> None:
    images = random_images(3, 1, 6, width, dtype=dtype)
    kept = images.clone()
    kind = torch.int16 if dtype == torch.uint8 else torch.float64
    prepared = SummedAreaTables.of(images, kind)
    table, mean = prepared.table.clone(), prepared.mean.clone()
    index, centre = torch.arange(3), random_centres(3, 6, width)
    at, windows = centre.clone(), Windows(1, (1,), outside)
    with reading(few):
        first = prepared.look(index, centre, windows)
        again = first.clone()
        prepared.look(index, centre, windows).fill_(-1)
        images.fill_(7)
        assert torch.equal(first, again)
        assert torch.equal(prepared.look(index, centre, windows), first)
    assert torch.equal(prepared.table, table)
    assert torch.equal(prepared.mean, mean)
    assert torch.equal(centre, at)
    assert torch.equal(index, torch.arange(3))
    assert not torch.equal(images, kept)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@every_outside
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [20, 150])
def test_cuda_sees_what_the_cpu_sees(width: int, dtype: torch.dtype, outside: str) -> None:
    kind = torch.float32 if dtype == torch.float64 else torch.uint8
    images, centre = random_images(40, 3, 17, width, dtype=kind), random_centres(40, 17, width)
    windows = Windows(3, (1, 3, 9), outside)
    on_cuda = SummedAreaTables.of(images.cuda(), dtype)
    seen = on_cuda.look(torch.arange(40).cuda(), centre.cuda(), windows)
    assert seen.is_cuda
    torch.testing.assert_close(seen.cpu(), look(images, dtype, centre, windows), rtol=0, atol=1e-6)
