"""Sums over boxes of images of different sizes, against means of NumPy slices of each image.

How tables of images of one size are read is in test_tables.py.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from expect import random_pixels
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from glimpse import boxes, pixels
from glimpse.boxes import Tables
from glimpse.pixels import Pixels
from glimpse.ragged import Places, RaggedPixels, RaggedTables
from glimpse.tables import SummedAreaTables, table_dtype
from glimpse.windows import Windows

OUTSIDE = ["zero", "edge", "mean"]
SIZES = [(5, 9), (1, 1), (40, 3), (17, 17), (2, 60), (5, 9)]  # height and width
every_outside = pytest.mark.parametrize("outside", OUTSIDE)


@contextmanager
def _reading(few: bool) -> Iterator[None]:
    """Read every number of rows in the way that is faster for few, or for many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boxes, "_FEW", 10**9 if few else -1)
        yield


def _images(
    sizes: list[tuple[int, int]] = SIZES, channels: int = 2, floats: bool = False
) -> list[Tensor]:
    images = [
        torch.from_numpy(random_pixels(channels, *size, seed=seed))
        for seed, size in enumerate(sizes)
    ]
    return [image.double() / 255 for image in images] if floats else images


def _by_definition(image: Tensor, centre: list[float], windows: Windows) -> NDArray[np.float64]:
    """Return the windows (K, C, s, s) around a centre in pixels, each pixel looked up by itself."""
    values = image.double().numpy() / (255 if image.dtype == torch.uint8 else 1)
    channels, height, width = values.shape
    glimpse = []
    for step in windows.steps:
        side = windows.size * step
        left, top = (math.floor(at - side / 2 + 0.5) for at in centre)
        columns, rows = np.arange(left, left + side), np.arange(top, top + side)
        seen = values[:, rows.clip(0, height - 1)][:, :, columns.clip(0, width - 1)]
        there = ((rows >= 0) & (rows < height))[:, None] & (columns >= 0) & (columns < width)
        beyond = {"zero": 0.0, "edge": seen, "mean": values.mean(axis=(1, 2), keepdims=True)}
        seen = np.where(there, seen, beyond[windows.outside])
        grouped = seen.reshape(channels, windows.size, step, windows.size, step)
        glimpse.append(grouped.mean(axis=(2, 4)))
    return np.stack(glimpse)


def _centres(index: Tensor, sizes: Tensor, seed: int = 1) -> Tensor:
    """Return centres on and around the image of each index."""
    numbers = torch.rand(len(index), 2, generator=torch.Generator().manual_seed(seed)).double()
    return (numbers * 1.6 - 0.3) * sizes[index]


@st.composite
def _cases(draw: st.DrawFn) -> tuple[list[Tensor], Tensor, dict[str, Any]]:
    """Draw images, an index for each row, and what windows are made of."""
    side = st.integers(1, 40)
    sizes = draw(st.lists(st.tuples(side, side), min_size=1, max_size=5))
    images = _images(sizes, draw(st.integers(1, 4)), draw(st.booleans()))
    index = draw(st.lists(st.integers(0, len(images) - 1), min_size=1, max_size=6))
    options = {
        "size": draw(st.integers(1, 5)),
        "steps": tuple(draw(st.lists(st.integers(1, 40), min_size=1, max_size=3))),
        "outside": draw(st.sampled_from(OUTSIDE)),
    }
    return images, torch.tensor(index), options


def test_tables_of_one_size_and_of_many_are_read_by_the_same_code() -> None:
    images = _images([(3, 4)])
    assert isinstance(SummedAreaTables.of(images[0][None], torch.int16), Tables)
    assert isinstance(RaggedTables.of(RaggedPixels.of(images), torch.int16), Tables)


@given(_cases(), st.integers(0, 1_000))
@settings(max_examples=200)
def test_any_window_is_that_of_the_image_alone(
    case: tuple[list[Tensor], Tensor, dict[str, Any]], seed: int
) -> None:
    images, index, options = case
    windows, ragged = Windows(**options), RaggedPixels.of(images)
    whole = images[0].dtype == torch.uint8
    dtype = table_dtype(max(windows.steps) ** 2) if whole else torch.float64
    centre = _centres(index, ragged.sizes, seed)
    pairs = zip(index.tolist(), centre.tolist(), strict=True)
    wanted = [_by_definition(images[number], at, windows) for number, at in pairs]
    tables = RaggedTables.of(ragged, dtype)
    for few in (True, False):
        with _reading(few):
            found = tables.look(index, centre, windows)
        assert found.dtype == torch.float32
        np.testing.assert_allclose(found.numpy(), wanted, rtol=0, atol=1e-6, err_msg=str(few))
    direct = ragged.look(index, centre, windows)
    np.testing.assert_allclose(direct.numpy(), wanted, rtol=0, atol=1e-6)


@every_outside
@pytest.mark.parametrize("centre", [(-1e5, 3.0), (1e9, -1e15), (0.0, 0.0), (60.0, 40.0)])
def test_however_far_away_a_window_is_that_of_the_image_alone(
    centre: tuple[float, float], outside: str
) -> None:
    images, windows = _images(), Windows(3, (1, 7), outside)
    ragged = RaggedPixels.of(images)
    index, at = torch.arange(len(images)), torch.tensor([centre] * len(images)).double()
    for prepared in (RaggedTables.of(ragged, torch.int16), ragged):
        for few in (True, False):
            with _reading(few):
                found = prepared.look(index, at, windows)
            for row, image in enumerate(images):
                alone = SummedAreaTables.of(image[None], torch.int16)
                wanted = alone.look(torch.tensor([0]), at[:1], windows)[0]
                torch.testing.assert_close(found[row], wanted, rtol=0, atol=1e-6)


@every_outside
@pytest.mark.parametrize("kind", ["tables", "pixels"])
def test_images_of_one_size_are_read_as_an_image_set_reads_them(kind: str, outside: str) -> None:
    """To the last bit."""
    images, windows = _images([(9, 14)] * 5), Windows(4, (1, 2, 4), outside)
    ragged, index = RaggedPixels.of(images), torch.arange(300) % 5
    centre, stack = _centres(index, ragged.sizes), torch.stack(images)
    if kind == "tables":
        tables = SummedAreaTables.of(stack, torch.int16)
        found = RaggedTables.of(ragged, torch.int16).look(index, centre, windows)
        assert torch.equal(found, tables.look(index, centre, windows))
    else:
        found = ragged.look(index, centre, windows)
        assert torch.equal(found, Pixels.of(stack).look(index, centre, windows))


@every_outside
def test_chunks_change_nothing(outside: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ragged, index = RaggedPixels.of(_images()), torch.arange(101) % len(SIZES)
    centre, windows = _centres(index, ragged.sizes), Windows(3, (1, 5), outside)
    tables = RaggedTables.of(ragged, torch.int16)
    monkeypatch.setattr(boxes, "_FEW", -1)
    wanted = tables.look(index, centre, windows), ragged.look(index, centre, windows)
    for chunk in (1, 4 * 7, 4 * 50 + 3):
        monkeypatch.setattr(boxes, "_CHUNK", chunk)
        monkeypatch.setattr(pixels, "_CHUNK", chunk * 50)
        assert torch.equal(tables.look(index, centre, windows), wanted[0])
        assert torch.equal(ragged.look(index, centre, windows), wanted[1])


@pytest.mark.parametrize("outside", ["zero", "edge"])
@pytest.mark.parametrize("few", [True, False], ids=["few", "many"])
def test_tables_of_more_entries_than_32_bits_can_name(outside: str, few: bool) -> None:
    """Memory that is nowhere touched takes none: 4.8 GB of zeros, all but the last image's."""
    small = RaggedTables.of(RaggedPixels.of(_images([(30, 50)])), torch.int16)
    sizes = torch.tensor([[40_000, 30_000], [50, 30]])
    total = RaggedTables.memory(2, sizes, torch.int16) // 2
    assert total > 2**31
    flat = torch.from_numpy(np.zeros(total, dtype=np.int16))
    flat[-len(small.flat) :] = small.flat
    large = RaggedTables(flat, Places.of(2, sizes, extra=1), torch.zeros(2, 2), 255)
    index, windows = torch.zeros(60, dtype=torch.int64), Windows(4, (1, 8), outside)
    centre = _centres(index, small.sizes)
    with _reading(few):
        found = large.look(index + 1, centre, windows)
        assert torch.equal(found, small.look(index, centre, windows))
        black = large.look(index, _centres(index, sizes), windows)
    assert found.any()
    assert not black.any()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@every_outside
def test_cuda_sees_what_the_cpu_sees(outside: str) -> None:
    ragged, index = RaggedPixels.of(_images()), torch.arange(300) % len(SIZES)
    centre, windows = _centres(index, ragged.sizes), Windows(3, (1, 4), outside)
    wanted = RaggedTables.of(ragged, torch.int16).look(index, centre, windows)
    moved = ragged.to(torch.device("cuda"))
    for prepared in (moved, RaggedTables.of(moved, torch.int16)):
        found = prepared.look(index.cuda(), centre.cuda(), windows)
        torch.testing.assert_close(found.cpu(), wanted, rtol=0, atol=1e-6)
