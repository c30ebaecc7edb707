"""Images read pixel by pixel: what tables show, to the last bit, without a table."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from glimpse import pixels
from glimpse.pixels import Pixels, average, mean_brightness
from glimpse.sensor import Prepared
from glimpse.tables import SummedAreaTables
from glimpse.windows import Windows

OUTSIDE = ["zero", "edge", "mean"]
every_outside = pytest.mark.parametrize("outside", OUTSIDE)


def random_images(*shape: int, dtype: torch.dtype = torch.uint8, seed: int = 0) -> Tensor:
    images = torch.randint(256, shape, generator=torch.Generator().manual_seed(seed))
    return images.to(dtype) if dtype == torch.uint8 else (images / 255).to(dtype)


def random_centres(count: int, height: int, width: int) -> Tensor:
    """Return centres on and around an image."""
    numbers = torch.rand(count, 2, generator=torch.Generator().manual_seed(1)).double()
    return (numbers * 1.6 - 0.3) * torch.tensor([width, height])


def places(length: int) -> st.SearchStrategy[float]:
    """Draw a position in pixels: anywhere, far away, or just beside where windows jump."""
    half_pixels = st.integers(-60, 2 * length + 60)
    beside = st.tuples(half_pixels, st.sampled_from([-0.001, 0.0, 0.001]))
    return st.one_of(
        st.floats(-10, length + 10),
        st.sampled_from([0.0, float(length), -1e5, 1e9, -1e30]),
        beside.map(lambda pair: pair[0] / 2 + pair[1]),
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, dict[str, Any]]:
    """Draw images, indices, centres, and what windows are made of."""
    options = {
        "size": draw(st.integers(1, 5)),
        "steps": tuple(draw(st.lists(st.integers(1, 40), min_size=1, max_size=3))),
        "outside": draw(st.sampled_from(OUTSIDE)),
    }
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    dtype = draw(st.sampled_from([torch.uint8, torch.float32, torch.float64]))
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 4)), height, width)
    images = random_images(*shape, dtype=dtype, seed=draw(st.integers(0, 1_000)))
    if draw(st.booleans()):
        images = torch.full_like(images, 255 if dtype == torch.uint8 else 1)
    index = torch.tensor(draw(st.lists(st.integers(0, len(images) - 1), max_size=4)), dtype=int)
    centres = [(draw(places(width)), draw(places(height))) for _ in index]
    return images, index, torch.tensor(centres, dtype=torch.float64).view(-1, 2), options


@given(cases())
@settings(max_examples=300)
def test_pixels_show_what_tables_show(case: tuple[Tensor, Tensor, Tensor, dict[str, Any]]) -> None:
    images, index, centre, options = case
    windows = Windows(**options)
    of_bytes = images.dtype == torch.uint8
    tables = SummedAreaTables.of(images, torch.int64 if of_bytes else torch.float64)
    wanted = tables.look(index, centre, windows)
    found = Pixels.of(images).look(index, centre, windows)
    assert found.dtype == torch.float32
    if of_bytes:
        assert torch.equal(found, wanted)
    else:
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_one_pixel_after_the_other_by_hand() -> None:
    """A window of 2 x 2 pixels, each the mean of four, whose left half lies beyond the image."""
    image = torch.tensor([[[[10, 20, 30], [40, 50, 60], [70, 80, 90], [11, 21, 31]]]])
    images, centre = image.to(torch.uint8), torch.tensor([[0.0, 2.0]], dtype=torch.float64)
    mean = image.double().mean().item()
    for outside, wanted in (
        ("zero", [[0, 30], [0, 45.5]]),
        ("edge", [[25, 30], [40.5, 45.5]]),
        ("mean", [[mean, 30], [mean, 45.5]]),
    ):
        found = Pixels.of(images).look(torch.tensor([0]), centre, Windows(2, (2,), outside))
        np.testing.assert_allclose(found[0, 0, 0] * 255, wanted, rtol=1e-6)


def test_nothing_is_prepared_but_the_means() -> None:
    images = random_images(4, 3, 5, 9)
    prepared = Pixels.of(images)
    assert isinstance(prepared, Prepared)
    assert prepared.shape == (4, 3, 5, 9)
    assert prepared.images.data_ptr() == images.data_ptr()
    wanted = images.numpy().astype(np.float64).mean(axis=(2, 3)) / 255
    np.testing.assert_allclose(prepared.mean.numpy(), wanted, rtol=0, atol=1e-6)


@every_outside
@pytest.mark.parametrize("step", [1, 256, 257, 2902])
def test_the_largest_boxes_are_read_without_overflow(step: int, outside: str) -> None:
    """All white: 257**2 * 255 is more than a float32 counts to, 2902**2 * 255 more than 2**31."""
    white = torch.full((1, 2, step, step), 255, dtype=torch.uint8)
    centre = torch.full((1, 2), step / 2, dtype=torch.float64)
    for images in (white, white.float() / 255):
        glimpse = Pixels.of(images).look(torch.tensor([0]), centre, Windows(1, (step,), outside))
        assert glimpse.flatten().tolist() == [1.0, 1.0]


@pytest.mark.parametrize("step", [256, 257, 700])
def test_large_boxes_are_summed_up_exactly(step: int) -> None:
    """Most whole numbers above 2**24 are none of float32: a running sum would go astray."""
    noise = random_images(8, 1, step, step)
    centre = torch.full((8, 2), step / 2, dtype=torch.float64)
    glimpses = Pixels.of(noise).look(torch.arange(8), centre, Windows(1, (step,), "zero"))
    sums = noise.long().sum(dim=(1, 2, 3))
    assert torch.equal(glimpses.flatten(), sums.float() / (255 * step**2))


@pytest.mark.parametrize("outside", ["zero", "edge"])
def test_more_pixels_than_32_bits_can_name(outside: str) -> None:
    """Memory that is nowhere touched takes none: 2 GiB of zeros, all but the last images."""
    images = random_images(3, 2, 1024, 1024)
    many = 2**30 // 1024**2 + 2
    stored = torch.from_numpy(np.zeros((many, 2, 1024, 1024), dtype=np.uint8))
    assert stored.numel() > 2**31
    stored[-3:] = images
    prepared, windows = Pixels(stored, torch.zeros(many, 2)), Windows(4, (1, 8), outside)
    index, centre = torch.arange(60) % 3, random_centres(60, 1024, 1024)
    glimpses = prepared.look(index + many - 3, centre, windows)
    assert torch.equal(glimpses, Pixels.of(images).look(index, centre, windows))
    assert glimpses.any()
    assert not prepared.look(index, centre, windows).any()


@pytest.mark.parametrize("stored", ["in order", "channels last"])
def test_a_look_makes_no_copy_of_the_images(stored: str) -> None:
    images = torch.zeros(16, 256, 256, 3, dtype=torch.uint8).permute(0, 3, 1, 2)
    prepared = Pixels.of(images.contiguous() if stored == "in order" else images)
    centre = torch.full((1, 2), 128.0, dtype=torch.float64)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        prepared.look(torch.tensor([0]), centre, Windows(8, (1, 2), "zero"))
    taken = sum(max(event.self_cpu_memory_usage, 0) for event in record.key_averages())
    assert 0 < taken < images.nbytes / 10


# Rows and chunks


@every_outside
@pytest.mark.parametrize("chunk", [1, 3 * 8 * 8, 3 * 8 * 8 * 4, 3 * 8 * 8 * 5 + 7])
def test_chunks_change_nothing(chunk: int, outside: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of no whole window, of one, of four, which is no divisor of 23, and of five."""
    images, centre = random_images(7, 3, 9, 14), random_centres(23, 9, 14)
    prepared, index, windows = Pixels.of(images), torch.arange(23) % 7, Windows(4, (1, 2), outside)
    wanted = prepared.look(index, centre, windows)
    monkeypatch.setattr(pixels, "_CHUNK", chunk)
    assert torch.equal(prepared.look(index, centre, windows), wanted)


@pytest.mark.parametrize("count", [0, 1, 2**18 // 16, 2**18 // 16 + 1, 2**19 // 16 + 1])
def test_no_row_is_lost_between_chunks(count: int) -> None:
    """Of windows 4 pixels wide; the numbers of rows are those around whole chunks."""
    assert pixels._CHUNK == 2**18
    image = torch.arange(200, dtype=torch.uint8).expand(1, 1, 4, 200)
    seen = torch.arange(count) % 197
    centre = torch.stack([seen + 2, torch.full((count,), 2)], dim=1).double()
    index, windows = torch.zeros(count, dtype=torch.int64), Windows(2, (2,), "zero")
    glimpses = Pixels.of(image).look(index, centre, windows)
    assert glimpses.shape == (count, 1, 1, 2, 2)
    wanted = (seen[:, None] + torch.tensor([0.5, 2.5]))[:, None].expand(count, 2, 2)
    torch.testing.assert_close(glimpses[:, 0, 0] * 255, wanted, rtol=1e-6, atol=0)


def test_more_scales_than_usual() -> None:
    image = torch.tensor([[[[51, 102]]]], dtype=torch.uint8)
    centre = torch.tensor([[0.5, 0.5], [1.5, 0.5]], dtype=torch.float64)
    index, windows = torch.zeros(2, dtype=torch.int64), Windows(1, (1,) * 500, "zero")
    glimpses = Pixels.of(image).look(index, centre, windows)
    assert glimpses.shape == (2, 500, 1, 1, 1)
    assert (glimpses[0] == 0.2).all()
    assert (glimpses[1] == 0.4).all()


@every_outside
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_results_share_no_memory_with_anything(dtype: torch.dtype, outside: str) -> None:
    """Not even of windows of one pixel, which are not averaged."""
    images, centre = random_images(3, 1, 6, 8, dtype=dtype), random_centres(3, 6, 8)
    kept, at = images.clone(), centre.clone()
    prepared, windows = Pixels.of(images), Windows(2, (1,), outside)
    mean, index = prepared.mean.clone(), torch.arange(3)
    first = prepared.look(index, centre, windows)
    again = first.clone()
    prepared.look(index, centre, windows).fill_(-1)
    assert torch.equal(first, again)
    assert torch.equal(prepared.look(index, centre, windows), first)
    assert torch.equal(images, kept)
    assert torch.equal(prepared.mean, mean)
    assert torch.equal(centre, at)
    images.fill_(0)
    assert torch.equal(first, again)


@every_outside
def test_averaging_leaves_the_pixels_as_they_were(outside: str) -> None:
    """Whoever read them may keep them."""
    window, centre = Windows(2, (3,), outside), torch.tensor([[1.0, 1.0]], dtype=torch.float64)
    piece = random_images(1, 2, 6, 6)
    kept = piece.clone()
    x, y = window.lattice(centre, 4, 5)
    average(piece, window, x, y, torch.zeros(1, 2), 4, 5)
    assert torch.equal(piece, kept)


# Means


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64]
)
@pytest.mark.parametrize("block", [1, 2 * 5 * 9 * 3, 2**24])
def test_means_are_taken_block_by_block(
    block: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "_BLOCK", block)
    images = random_images(7, 2, 5, 9, dtype=dtype)
    white = 255 if dtype == torch.uint8 else 1
    wanted = images.double().numpy().mean(axis=(2, 3)) / white
    found = mean_brightness(images)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), wanted, rtol=0, atol=1e-7)


def test_there_may_be_no_image() -> None:
    assert mean_brightness(torch.zeros(0, 3, 4, 5, dtype=torch.uint8)).shape == (0, 3)


@pytest.mark.parametrize("shape", [(5_000, 2_500), (1, 2**24 + 1), (2**20, 17)])
def test_the_mean_of_a_large_bright_image_is_exact(shape: tuple[int, int]) -> None:
    """Also where the sum over a row is more than a float32 counts to."""
    white = torch.full((1, 1, *shape), 255, dtype=torch.uint8)
    assert mean_brightness(white).tolist() == [[1.0]]
    assert mean_brightness(white.transpose(2, 3)).tolist() == [[1.0]]


def test_the_mean_of_a_long_row_of_noise() -> None:
    noise = random_images(1, 1, 1, 3_000_001)
    wanted = int(noise.sum()) / (255 * 3_000_001)
    assert math.isclose(mean_brightness(noise).item(), wanted, rel_tol=1e-7)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@every_outside
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_cuda_sees_what_the_cpu_sees(dtype: torch.dtype, outside: str) -> None:
    images, centre = random_images(40, 3, 17, 31, dtype=dtype), random_centres(40, 17, 31)
    index, windows = torch.arange(40), Windows(3, (1, 3, 9), outside)
    seen = Pixels.of(images.cuda()).look(index.cuda(), centre.cuda(), windows)
    assert seen.is_cuda
    wanted = Pixels.of(images).look(index, centre, windows)
    torch.testing.assert_close(seen.cpu(), wanted, rtol=0, atol=1e-6)
