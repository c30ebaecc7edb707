"""Slide files against the arrays of which they were made."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from expect import refused
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from glimpse.pyramid import CachedPyramid, Pyramid, downsamples
from glimpse.slide_file import SlideFile

Pixels = NDArray[np.uint8]
DOWNSAMPLES = (1, 2, 8)
every_compression = pytest.mark.parametrize("compression", [None, "adobe_deflate"])


def levels_of(seed: int = 0) -> list[Pixels]:
    """Return levels (H, W, 3) that have nothing in common but the ratio of their sizes."""
    random = np.random.default_rng(seed)
    return [
        random.integers(0, 256, (512 // ratio, 768 // ratio, 3), dtype=np.uint8)
        for ratio in DOWNSAMPLES
    ]


def write(path: Path, levels: list[Pixels], compression: str | None = None) -> Path:
    """Write a tiled, pyramidal TIFF."""
    with tifffile.TiffWriter(path) as file:
        for number, level in enumerate(levels):
            file.write(
                level,
                tile=(256, 256),
                photometric="rgb",
                subfiletype=int(number > 0),
                compression=compression,
            )
    return path


def part(level: Pixels, x: int, y: int, w: int, h: int) -> Pixels:
    return np.moveaxis(level, -1, 0)[:, y : y + h, x : x + w]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("slides") / "slide.tiff", levels_of())


# What is read


@every_compression
@pytest.mark.parametrize("kind", [str, Path])
def test_whole_levels_are_those_that_were_written(
    tmp_path: Path, compression: str | None, kind: Callable[[Path], str | Path]
) -> None:
    levels = levels_of()
    slide = SlideFile(kind(write(tmp_path / "slide.tiff", levels, compression)))
    assert isinstance(slide, Pyramid)
    assert slide.levels == ((3, 512, 768), (3, 256, 384), (3, 64, 96))
    assert downsamples(slide) == list(DOWNSAMPLES)
    for number, level in enumerate(levels):
        height, width, _ = level.shape
        found = slide.read(number, 0, 0, width, height)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, np.moveaxis(level, -1, 0))


@given(data=st.data(), level=st.integers(0, 2))
def test_pieces_are_slices_of_the_arrays(path: Path, data: st.DataObject, level: int) -> None:
    array = levels_of()[level]
    height, width, _ = array.shape
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    w, h = data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y))
    np.testing.assert_array_equal(SlideFile(path).read(level, x, y, w, h), part(array, x, y, w, h))


@pytest.mark.parametrize("size", [(1, 1), (5, 1), (1, 5), (30, 20)])
def test_a_piece_may_be_scribbled_on(path: Path, size: tuple[int, int]) -> None:
    slide, wanted = SlideFile(path), part(levels_of()[0], 250, 250, *size)
    for _ in range(2):
        piece = slide.read(0, 250, 250, *size)
        np.testing.assert_array_equal(piece, wanted)
        piece += 1


def test_through_a_cache_it_is_the_same(path: Path) -> None:
    cached = CachedPyramid(SlideFile(path), tile=100, memory=3 * 100**2 * 4)
    for number, level in enumerate(levels_of()):
        for piece in ((0, 0, 96, 64), (33, 17, 60, 40), (95, 63, 1, 1)):
            np.testing.assert_array_equal(cached.read(number, *piece), part(level, *piece))


def test_grey_files_show_three_equal_channels(tmp_path: Path) -> None:
    grey = levels_of()[0][..., 0]
    tifffile.imwrite(tmp_path / "grey.tiff", grey, tile=(256, 256), photometric="minisblack")
    slide = SlideFile(tmp_path / "grey.tiff")
    assert slide.levels == ((3, 512, 768),)
    np.testing.assert_array_equal(slide.read(0, 5, 6, 70, 80), [grey[6:86, 5:75]] * 3)


@pytest.mark.parametrize(("named", "ground"), [(None, (255, 255, 255)), ("1020f0", (16, 32, 240))])
def test_what_a_slide_does_not_show_has_its_background_colour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str | None, ground: tuple[int, ...]
) -> None:
    pixels = np.zeros((256, 256, 4), dtype=np.uint8)
    pixels[:, :100] = (9, 99, 199, 255)
    pixels[:, 100:200] = (9, 99, 199, 51)  # a fifth
    path = tmp_path / "clear.tiff"
    tifffile.imwrite(path, pixels, tile=(256, 256), photometric="rgb", extrasamples=["unassalpha"])
    if named is not None:

        class Named(openslide.OpenSlide):
            properties = {"openslide.background-color": named}  # noqa: RUF012

        monkeypatch.setattr(openslide, "OpenSlide", Named)
    found = SlideFile(path).read(0, 0, 0, 256, 256)[:, 7, [50, 150, 250]].T
    fifth = [shade / 5 + back * 4 / 5 for shade, back in zip((9, 99, 199), ground, strict=True)]
    np.testing.assert_allclose(found, [(9, 99, 199), fifth, ground], atol=3)
    np.testing.assert_array_equal(found[[0, 2]], [(9, 99, 199), ground])


def test_levels_smaller_by_fractions_are_read_a_fraction_of_a_pixel_off(tmp_path: Path) -> None:
    """A slope of one grey value a pixel is off by less than one."""
    row, column = np.mgrid[:170, :256]
    coarse = np.stack([row, column, row // 2 + column // 2], axis=-1).astype(np.uint8)
    slide = SlideFile(write(tmp_path / "slide.tiff", [levels_of()[0], coarse]))
    assert downsamples(slide) == [1, 3]  # 512 / 3 is 170.7
    for piece in ((0, 0, 50, 60), (13, 47, 50, 60), (200, 100, 50, 60)):
        found = slide.read(1, *piece).astype(int)
        assert np.abs(found - part(coarse, *piece)).max() <= 1, piece


# What is refused


def test_what_is_not_there_is_refused(path: Path) -> None:
    slide = SlideFile(path)
    with refused("`level` must be in [0, 3), got 3: the finest is 0"):
        slide.read(3, 0, 0, 1, 1)
    with refused("level 2 must lie within 96x64 pixels, got 20x20 at (80, 0): cut it at the edge"):
        slide.read(2, 80, 0, 20, 20)


@pytest.mark.parametrize("name", ["missing.tiff", ""])
def test_a_path_that_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with refused(f"a slide must be a file, got {str(tmp_path / name)!r}: check the path"):
        SlideFile(tmp_path / name)


def _cut(path: Path, length: int) -> None:
    write(path, levels_of())
    os.truncate(path, length)


NO_SLIDES: dict[str, Callable[[Path], object]] = {
    "empty.tiff": lambda path: path.write_bytes(b""),
    "text.svs": lambda path: path.write_text("a slide"),
    "image.png": lambda path: Image.fromarray(levels_of()[2]).save(path),
    "image.jpg": lambda path: Image.fromarray(levels_of()[2]).save(path),
    "untiled.tiff": lambda path: tifffile.imwrite(path, levels_of()[0], photometric="rgb"),
    "header.tiff": lambda path: _cut(path, 200),
    "half.tiff": lambda path: _cut(path, 600_000),
}


@pytest.mark.parametrize("name", NO_SLIDES)
def test_a_file_that_is_no_slide_is_refused(tmp_path: Path, name: str) -> None:
    NO_SLIDES[name](tmp_path / name)
    with refused(f"{tmp_path / name} must be a slide that OpenSlide reads, got "):
        SlideFile(tmp_path / name)


@every_compression
def test_a_file_that_became_shorter_or_is_gone_is_refused(
    tmp_path: Path, compression: str | None
) -> None:
    path = write(tmp_path / "slide.tiff", levels_of(), compression)
    slide, length = SlideFile(path), path.stat().st_size
    slide.read(0, 0, 0, 9, 9)
    os.truncate(path, length // 2)
    for level in range(3):
        with refused(f"{path} must keep its {length} bytes while it is read, got {length // 2}: "):
            slide.read(level, 0, 0, 9, 9)
    path.unlink()
    with refused(f"{path} must keep its {length} bytes while it is read, got 0: do not write"):
        slide.read(0, 0, 0, 9, 9)


def test_a_damaged_file_is_refused_where_it_is_damaged_and_from_then_on(tmp_path: Path) -> None:
    """OpenSlide closes a slide after its first error."""
    path = write(tmp_path / "slide.tiff", levels_of(), "adobe_deflate")
    with tifffile.TiffFile(path) as file:
        last = file.pages[0].dataoffsets[-1]  # of 2 x 3 tiles
    slide = SlideFile(path)
    with path.open("r+b") as file:
        file.seek(last)
        file.write(b"\xff" * 1000)
    wanted = part(levels_of()[0], 0, 0, 256, 256)
    np.testing.assert_array_equal(slide.read(0, 0, 0, 256, 256), wanted)
    for x, y in ((600, 400), (600, 400), (0, 0)):
        with refused(f"{path} must be readable at level 0, ({x}, {y}), got "):
            slide.read(0, x, y, 9, 9)
    np.testing.assert_array_equal(SlideFile(path).read(0, 0, 0, 256, 256), wanted)


def test_without_openslide_the_message_names_the_extra(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openslide", None)
    with refused(
        'slide files need OpenSlide, which is not installed: run pip install "glimpse-rl[wsi]"'
    ):
        SlideFile(path)


def test_a_slide_stays_open_in_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.full((256, 256, 3), 7, dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tiff", pixels, tile=(256, 256), photometric="rgb")
    monkeypatch.chdir(tmp_path)
    slide = SlideFile("a.tiff")
    monkeypatch.chdir("/")
    assert slide.read(0, 0, 0, 2, 2).tolist() == np.full((3, 2, 2), 7).tolist()
