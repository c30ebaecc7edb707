"""Sets of slides: their places, read from GeoJSON or given, and what they refuse."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from expect import random_pixels, refused
from numpy.typing import NDArray

from glimpse import GlimpseSensor, find_images, slides
from glimpse.image_set import SPLITS, ImageSource, random_splits
from glimpse.pyramid import ArrayPyramid, Pyramid
from glimpse.slide_file import SlideFile
from glimpse.slides import SlideSet
from glimpse.tasks import Search

Pixels = NDArray[np.uint8]
HEIGHT, WIDTH = 128, 192


def pyramid(seed: int, channels: int = 1) -> ArrayPyramid:
    return ArrayPyramid(
        [
            random_pixels(channels, *size, seed=seed + number)
            for number, size in enumerate([(20, 30), (10, 15), (5, 8)])
        ]
    )


def some_slides(**changes: Any) -> SlideSet:
    """Return a set of two slides and four places, in all or all but a few of its attributes."""
    given: dict[str, Any] = {
        "slides": [pyramid(0), pyramid(10)],
        "slide": torch.tensor([1, 0, 1, 1]),
        "targets": torch.tensor([[0, 0.5], [-1, 1], [0.25, -0.5], [0, 0]], dtype=torch.float64),
        "splits": {"train": torch.tensor([0, 3]), "test": torch.tensor([1, 2])},
    }
    return SlideSet(**{**given, **changes})


# What a set is


def test_a_set_is_an_image_source_that_asks_where_the_places_are() -> None:
    images = some_slides()
    assert isinstance(images, ImageSource)
    assert images.shape == (1, 20, 30)
    assert images.task == Search()
    assert images.sizes is None
    assert images.count == len(images.targets)


def test_draw_returns_each_slide_s_lowest_resolution() -> None:
    images = some_slides()
    drawn = images.draw(torch.tensor([0, 1, 2]), torch.tensor([5, 6, 7]))
    wanted = [slide.read(2, 0, 0, 8, 5) for slide in images.slides]
    assert torch.equal(drawn, torch.from_numpy(np.stack([wanted[1], wanted[0], wanted[1]])))
    drawn.zero_()
    again = images.draw(torch.tensor([2]), torch.tensor([1]))
    assert torch.equal(again[0], torch.from_numpy(wanted[1]))


class Vast:
    """A slide of one level, read only from top to bottom, each pixel once: 7 everywhere."""

    def __init__(self, side: int) -> None:
        self.levels = ((1, side, side),)
        self.lines = 0

    def read(self, level: int, x: int, y: int, w: int, h: int) -> Pixels:
        assert (level, x, y, w) == (0, 0, self.lines, self.levels[0][2])
        self.lines += h
        return np.broadcast_to(np.uint8(7), (1, h, w))


def _one_place(slide: Pyramid) -> SlideSet:
    return some_slides(slides=[slide], slide=torch.zeros(4, dtype=torch.int64))


@pytest.mark.parametrize("side", [100, 1025, 8193])
def test_an_overview_is_small_and_read_once(side: int) -> None:
    slide = Vast(side)
    images = _one_place(slide)
    for index in ([0, 1], [3]):
        drawn = images.draw(torch.tensor(index), torch.tensor(index))
        assert drawn.unique().tolist() == [7]
        assert max(drawn.shape[2:]) <= 1024
    assert slide.lines == side


def test_a_large_overview_is_the_mean_over_boxes() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 1300, 2049), dtype=np.uint8)
    images = _one_place(ArrayPyramid([pixels]))
    drawn = images.draw(torch.tensor([2]), torch.tensor([0]))[0].numpy()
    rows, columns = -(-1300 // 3), -(-2049 // 3)
    assert drawn.shape == (3, rows, columns)
    for row in (0, 17, rows - 1):
        for column in (0, 300, columns - 1):
            box = pixels[:, 3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
            wanted = box.mean(axis=(1, 2))
            assert np.abs(drawn[:, row, column] - wanted).max() <= 0.5


def test_a_slide_without_a_small_level_is_not_shown_whole() -> None:
    images = _one_place(Vast(16385))
    with refused(
        "the last level must have at most 268435456 pixels to be shown whole, got 16385x16385: add"
    ):
        images.draw(torch.tensor([0]), torch.tensor([0]))


@pytest.mark.parametrize("memory", [0.0, 2.0**33])
def test_prepared_is_the_slides_themselves_whatever_the_memory(memory: float) -> None:
    images, sensor = some_slides(), GlimpseSensor(4)
    prepared = images.prepared(sensor, memory)
    assert prepared.shape == (4, 1, 20, 30)
    seen = sensor.read(prepared, torch.tensor([1, 2]), torch.zeros(2, 2))
    for row, slide in enumerate(images.slides):
        wanted = torch.from_numpy(slide.read(0, 13, 8, 4, 4)).float() / 255
        assert torch.equal(seen[row, 0], wanted)


def _same(found: SlideSet, wanted: SlideSet, device: str) -> None:
    assert list(found.slides) == list(wanted.slides)
    pairs = [(found.slide, wanted.slide), (found.targets, wanted.targets)]
    assert found.splits.keys() == wanted.splits.keys()
    pairs += [(found.splits[name], wanted.splits[name]) for name in wanted.splits]
    for one, other in pairs:
        assert one.device.type == device
        assert torch.equal(one.cpu(), other)


def test_to_the_same_device_is_the_same_set() -> None:
    images = some_slides()
    _same(images.to("cpu"), images, "cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a second device")
def test_to_another_device_moves_every_tensor_and_what_is_seen() -> None:
    images = some_slides()
    moved = images.to("cuda")
    _same(moved, images, "cuda")
    index = torch.tensor([0, 1])
    drawn = moved.draw(index.cuda(), index.cuda())
    assert drawn.device.type == "cuda"
    assert torch.equal(drawn.cpu(), images.draw(index, index))
    sensor = GlimpseSensor(4, 2, outside="mean")
    seen = sensor.read(moved.prepared(sensor, 0.0), index.cuda(), torch.ones(2, 2).cuda())
    assert torch.equal(
        seen.cpu(), sensor.read(images.prepared(sensor, 0.0), index, torch.ones(2, 2))
    )


# What is no set


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"slides": []},
            "`slides` and `targets` must be at least one, got 0 and 4: mark a place",
        ),
        (
            {
                "slide": torch.zeros(0, dtype=torch.int64),
                "targets": torch.zeros(0, 2, dtype=torch.float64),
            },
            "`slides` and `targets` must be at least one, got 2 and 0: mark a place",
        ),
        (
            {"slides": [pyramid(0), pyramid(1, channels=3)]},
            "slides must have the same levels, got [(3, 20, 30), (3, 10, 15), (3, 5, 8)] in slide "
            "1 and [(1, 20, 30), (1, 10, 15), (1, 5, 8)] in slide 0: make a set for each size",
        ),
        (
            {"slides": [pyramid(0), pyramid(0), ArrayPyramid([random_pixels(1, 20, 30)])]},
            "slides must have the same levels, got [(1, 20, 30)] in slide 2 and ",
        ),
        ({"slide": torch.tensor([0, 2, 1, 1])}, "`slide` must be in [0, 2), got 0 to 2: number"),
        ({"slide": torch.tensor([0, -1, 1, 1])}, "`slide` must be in [0, 2), got -1 to 1: number"),
        (
            {"splits": {"dev": torch.tensor([0])}},
            "`split` must be one of test, train, validation, got 'dev'",
        ),
        (
            {"splits": {"test": torch.tensor([0, 4])}},
            "split 'test' must name places in [0, 4), got 0 to 4: leave those out",
        ),
        (
            {"splits": {"test": torch.tensor([0, -1])}},
            "split 'test' must name places in [0, 4), got -1 to 0: leave those out",
        ),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with refused(message):
        some_slides(**changes)


@pytest.mark.parametrize("bad", [(0.5, 1.001), (-1.001, 0), (float("nan"), 0), (0, float("inf"))])
def test_places_beyond_the_slide_are_refused(bad: tuple[float, float]) -> None:
    targets = torch.zeros(4, 2, dtype=torch.float64)
    targets[2:] = torch.tensor(bad)
    with refused(f"`targets` must be in [-1, 1], got {targets[2].tolist()} in row 2: turn pixels"):
        some_slides(targets=targets)


@pytest.mark.plain
@pytest.mark.parametrize("shape", [(3, 2), (4, 3), (4,)])
def test_there_must_be_a_pair_for_each_place(shape: tuple[int, ...]) -> None:
    with refused(f"`targets` must be (4, 2), got {shape}: give one (x, y) pair for each"):
        some_slides(targets=torch.zeros(shape, dtype=torch.float64))


def test_a_split_may_be_empty() -> None:
    images = some_slides(splits={"train": torch.arange(4), "test": torch.arange(0)})
    assert len(images.splits["test"]) == 0


# Places in files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a slide file with nothing beside it."""
    pixels = random_pixels(HEIGHT, WIDTH, 3)
    tifffile.imwrite(tmp_path / "slide.tiff", pixels, tile=(64, 64), photometric="rgb")
    return tmp_path / "slide.tiff"


def mark(path: Path, content: object) -> None:
    """Write the places of a slide beside it."""
    path.with_suffix(".geojson").write_text(json.dumps(content), encoding="utf-8")


def feature(kind: str, coordinates: object) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": {"objectType": "annotation", "name": "Müller's spot"},
    }


SQUARE = [[10, 20], [30, 20], [30, 60], [10, 60], [10, 20]]
TRIANGLE = [[100, 100], [150, 100], [100, 120], [100, 100]]
SPOT = feature("Point", [12.5, 40])


@pytest.mark.parametrize(
    ("content", "places"),
    [
        (SPOT, [(12.5, 40)]),
        ([SPOT], [(12.5, 40)]),
        ({"type": "FeatureCollection", "features": [SPOT]}, [(12.5, 40)]),
        (feature("Point", [12.5, 40, 3]), [(12.5, 40)]),  # the third is a height
        (feature("Polygon", [SQUARE]), [(20, 40)]),
        (feature("Polygon", [SQUARE, [[12, 22], [13, 22], [13, 23], [12, 22]]]), [(20, 40)]),
        (feature("Polygon", [TRIANGLE]), [(125, 110)]),  # the middle of its box
        (feature("LineString", [[0, 0], [192, 100]]), [(96, 50)]),
        (feature("MultiPoint", [[1, 2], [3, 4], [2, 9]]), [(2, 5.5)]),
        (feature("MultiPolygon", [[SQUARE], [TRIANGLE]]), [(80, 70)]),
        (
            {"type": "FeatureCollection", "features": [feature("Polygon", [SQUARE]), SPOT, SPOT]},
            [(20, 40), (12.5, 40), (12.5, 40)],
        ),
        ([feature("Point", corner) for corner in ([0, 0], [192, 128])], [(0, 0), (192, 128)]),
    ],
)
def test_every_feature_is_a_place(
    path: Path, content: object, places: list[tuple[float, float]]
) -> None:
    mark(path, content)
    images = SlideSet.from_file(path)
    wanted = [[x / WIDTH * 2 - 1, y / HEIGHT * 2 - 1] for x, y in places]
    assert images.targets.dtype == torch.float64
    assert torch.allclose(images.targets, torch.tensor(wanted, dtype=torch.float64), atol=1e-12)
    assert images.slide.tolist() == [0] * len(places)


def test_the_file_is_what_is_seen(path: Path) -> None:
    mark(path, SPOT)
    images, sensor = SlideSet.from_file(str(path)), GlimpseSensor(4)
    pixels = torch.from_numpy(np.moveaxis(tifffile.imread(path), -1, 0).copy())
    assert images.shape == (3, HEIGHT, WIDTH)
    zero = torch.tensor([0])
    assert torch.equal(images.draw(zero, zero)[0], pixels)
    seen = sensor.read(images.prepared(sensor, 0.0), zero, torch.zeros(1, 2))
    assert torch.equal(seen[0, 0], pixels[:, 62:66, 94:98].float() / 255)


def test_tiles_of_a_file_are_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[tuple[int, ...]] = []

    class Counted(SlideFile):
        def read(self, level: int, x: int, y: int, w: int, h: int) -> Pixels:
            reads.append((level, x, y, w, h))
            return super().read(level, x, y, w, h)

    monkeypatch.setattr(slides, "SlideFile", Counted)
    mark(path, SPOT)
    sensor = GlimpseSensor(4)
    prepared = SlideSet.from_file(path).prepared(sensor, 0.0)
    for x in (-0.5, 0.0, 0.5):
        sensor.read(prepared, torch.tensor([0]), torch.tensor([[x, 0.0]]))
    assert reads == [(0, 0, 0, WIDTH, HEIGHT)]  # smaller than a tile


@pytest.mark.parametrize("count", [1, 10, 25])
def test_places_are_divided_like_images(path: Path, count: int) -> None:
    mark(path, [feature("Point", [number, 1]) for number in range(count)])
    splits, wanted = SlideSet.from_file(path).splits, random_splits(count)
    assert tuple(splits) == SPLITS
    assert all(torch.equal(splits[name], wanted[name]) for name in SPLITS)
    assert sorted(torch.cat(list(splits.values())).tolist()) == list(range(count))


def test_only_the_last_ending_is_exchanged(path: Path) -> None:
    path = path.rename(path.with_name("slide.ome.tiff"))
    (path.parent / "slide.ome.geojson").write_text(json.dumps(SPOT))
    assert len(SlideSet.from_file(path).targets) == 1


def test_a_slide_is_found_by_its_path(path: Path) -> None:
    mark(path, SPOT)
    found = find_images(path)
    assert isinstance(found, SlideSet)
    assert found.targets.tolist() == SlideSet.from_file(path).targets.tolist()


def test_without_places_a_slide_is_refused(path: Path) -> None:
    with refused(
        f"the places of a slide must lie beside it, got no {path.with_suffix('.geojson')}: mark"
    ):
        SlideSet.from_file(path)


@pytest.mark.parametrize("content", [[], {"type": "FeatureCollection", "features": []}])
def test_a_file_without_features_is_refused(path: Path, content: object) -> None:
    mark(path, content)
    with refused(f"{path.with_suffix('.geojson')} must have at least one feature, got none: mark"):
        SlideSet.from_file(path)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"null",
        b"7",
        b'"text"',
        b"[7]",
        b'{"features": 7}',
        b'{"features": null}',
        b'{"type": "Point", "coordinates": [1, 2]}',
        b'[{"geometry": null}]',
        b'[{"geometry": {"type": "GeometryCollection", "geometries": []}}]',
        b'{"geometry": {"coordinates": [1, "x"]}}',
        b'{"geometry": {"coordinates": [[1, 2], [3, null]]}}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_what_is_no_geojson_is_refused(path: Path, text: bytes) -> None:
    path.with_suffix(".geojson").write_bytes(text)
    with refused(f"{path.with_suffix('.geojson')} must be GeoJSON with a geometry in every"):
        SlideSet.from_file(path)


@pytest.mark.parametrize("coordinates", [[], [[]], [[[]]], [5], [[1, 2], [3]], [10**400, 3]])
def test_a_geometry_without_points_is_refused(path: Path, coordinates: object) -> None:
    mark(path, [SPOT, feature("Polygon", coordinates)])
    with refused(f"{path.with_suffix('.geojson')} must be GeoJSON with a geometry in every"):
        SlideSet.from_file(path)


@pytest.mark.parametrize(
    ("x", "y"),
    [(-0.5, 4), (192.5, 4), (4, -1), (4, 128.25), (float("nan"), 4), (4, float("inf"))],
)
def test_a_place_beyond_the_slide_is_refused(path: Path, x: float, y: float) -> None:
    mark(path, [SPOT, feature("Point", [x, y])])
    with refused(
        f"places in {path.with_suffix('.geojson')} must lie within 192x128 pixels, got "
        f"{[float(x), float(y)]}: give pixels of level 0"
    ):
        SlideSet.from_file(path)


def test_a_shape_may_reach_beyond_the_slide_as_long_as_its_middle_does_not(path: Path) -> None:
    mark(path, feature("Polygon", [[[-20, -10], [40, -10], [40, 30], [-20, -10]]]))
    x, y = SlideSet.from_file(path).targets[0].tolist()
    assert (x, y) == (10 / WIDTH * 2 - 1, 10 / HEIGHT * 2 - 1)


def test_a_file_that_is_no_slide_is_refused(tmp_path: Path) -> None:
    (tmp_path / "slide.tiff").write_text("a slide")
    with refused(f"{tmp_path / 'slide.tiff'} must be a slide that OpenSlide reads, got "):
        SlideSet.from_file(tmp_path / "slide.tiff")
