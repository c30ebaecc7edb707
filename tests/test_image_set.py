"""Image sets: what they hold, what they refuse and what they keep."""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from glimpse import GlimpseSensor, ImageSet
from glimpse.image_set import SPLITS, ImageSource, random_splits
from glimpse.pixels import Pixels
from glimpse.sensor import Prepared
from glimpse.tables import SummedAreaTables
from glimpse.tasks import Classification

ENOUGH = 2.0**33  # bytes


def _tables(prepared: Prepared) -> SummedAreaTables:
    """Return what must be tables."""
    assert isinstance(prepared, SummedAreaTables)
    return prepared


def _set(count: int = 20) -> ImageSet:
    pixels = torch.arange(count * 2 * 3 * 4) % 256
    images = pixels.view(count, 2, 3, 4).to(torch.uint8)
    return ImageSet.from_arrays(images, [k % 5 for k in range(count)])


def test_a_set_is_an_image_source() -> None:
    assert isinstance(_set(), ImageSource)


def test_shape_is_channels_height_width() -> None:
    assert _set().shape == (2, 3, 4)


def test_the_task_is_to_tell_the_classes() -> None:
    images = ImageSet.from_arrays(torch.zeros(2, 1, 2, 2), [0, 1], classes=("cat", "dog"))
    assert images.task == Classification(("cat", "dog"))


def test_arrays_and_tensors_make_the_same_set() -> None:
    images = np.arange(4 * 6, dtype=np.uint8).reshape(4, 1, 2, 3)
    of_arrays = ImageSet.from_arrays(images, np.array([0, 2, 1, 0], dtype=np.uint8))
    of_tensors = ImageSet.from_arrays(torch.from_numpy(images), torch.tensor([0, 2, 1, 0]))
    of_lists = ImageSet.from_arrays(images, [0, 2, 1, 0])
    for other in (of_tensors, of_lists):
        assert torch.equal(of_arrays.images, other.images)
        assert torch.equal(of_arrays.targets, other.targets)
        assert of_arrays.task.classes == other.task.classes == ("0", "1", "2")
    assert of_arrays.targets.dtype == torch.int64
    assert of_arrays.images.dtype == torch.uint8


def test_images_of_floats_stay_floats() -> None:
    images = torch.rand(3, 1, 2, 2, dtype=torch.float64, generator=torch.manual_seed(0))
    kept = ImageSet.from_arrays(images, [0, 0, 0]).images
    assert kept.dtype == torch.float64
    assert torch.equal(kept, images)


def test_classes_and_splits_are_kept() -> None:
    images = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
    found = ImageSet.from_arrays(
        images,
        [0, 1, 1, 0],
        classes=("cat", "dog", "unseen"),
        splits={"train": range(2), "validation": np.array([3]), "test": torch.tensor([2])},
    )
    assert found.task.classes == ("cat", "dog", "unseen")
    assert {name: index.tolist() for name, index in found.splits.items()} == {
        "train": [0, 1],
        "validation": [3],
        "test": [2],
    }
    assert all(index.dtype == torch.int64 for index in found.splits.values())


def test_a_split_may_be_empty() -> None:
    images = torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
    found = ImageSet.from_arrays(images, [0, 1], splits={"train": [0, 1], "test": []})
    assert found.splits["test"].tolist() == []
    assert found.splits["test"].dtype == torch.int64


@pytest.mark.parametrize("count", [1, 9, 10, 57])
def test_random_splits_divide_everything_once(count: int) -> None:
    splits = random_splits(count)
    assert tuple(splits) == SPLITS
    assert sorted(torch.cat(list(splits.values())).tolist()) == list(range(count))
    assert len(splits["validation"]) == len(splits["test"]) == count // 10


def test_a_seed_is_a_division() -> None:
    first, again, other = random_splits(100), random_splits(100), random_splits(100, seed=1)
    assert all(torch.equal(first[name], again[name]) for name in SPLITS)
    assert not torch.equal(first["test"], other["test"])
    assert first["test"].tolist() != list(range(10, 20))


def test_the_default_division_is_that_of_random_splits() -> None:
    found, wanted = _set().splits, random_splits(20)
    assert all(torch.equal(found[name], wanted[name]) for name in SPLITS)


def test_draw_returns_the_images_of_the_indices_whatever_the_keys() -> None:
    images = _set()
    index = torch.tensor([7, 0, 7])
    drawn = images.draw(index, torch.tensor([1, 2, 3]))
    assert torch.equal(drawn, images.images[[7, 0, 7]])
    assert torch.equal(drawn, images.draw(index, torch.tensor([4, 5, 6])))


def test_drawn_images_share_no_memory_with_the_set() -> None:
    images = _set()
    before = images.images.clone()
    images.draw(torch.tensor([0, 1]), torch.tensor([0, 0])).fill_(9)
    assert torch.equal(images.images, before)


def test_prepared_is_what_the_sensor_prepares_and_made_once_a_sensor() -> None:
    images = _set()
    sensor, wide = GlimpseSensor(2), GlimpseSensor(2, scales=3, factor=5)
    prepared = _tables(images.prepared(sensor, ENOUGH))
    assert torch.equal(prepared.table, sensor.prepare(images.images).table)
    assert images.prepared(GlimpseSensor(2), ENOUGH) is prepared
    assert images.prepared(wide, ENOUGH) is not prepared
    assert _tables(images.prepared(wide, ENOUGH)).table.dtype == torch.int32


def test_to_the_same_device_is_the_set_itself() -> None:
    images = _set()
    assert images.to("cpu") is images


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a second device")
def test_to_another_device_moves_every_tensor() -> None:
    images = _set()
    moved = images.to("cuda")
    tensors = (moved.images, moved.targets, *moved.splits.values())
    assert {tensor.device.type for tensor in tensors} == {"cuda"}
    assert torch.equal(moved.images.cpu(), images.images)
    assert moved.to(moved.images.device) is moved


@pytest.mark.plain
def test_images_must_have_four_axes() -> None:
    with pytest.raises(ValueError, match=r"`images` must be \(N, C, H, W\), got \(3, 28, 28\)"):
        ImageSet(torch.zeros(3, 28, 28), torch.zeros(3, dtype=torch.int64), ("0",), {})


@pytest.mark.parametrize("shape", [(2, 0, 2, 2), (2, 1, 0, 2), (2, 1, 2, 0)])
def test_images_without_pixels_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="`images` must have at least one pixel each, got"):
        ImageSet.from_arrays(torch.zeros(shape), [0, 0])


@pytest.mark.parametrize("targets", [[], torch.zeros(0, dtype=torch.int64)], ids=["list", "tensor"])
def test_a_set_without_images_is_refused(targets: list[int] | torch.Tensor) -> None:
    with pytest.raises(ValueError, match="`images` must be at least one, got none"):
        ImageSet.from_arrays(torch.zeros(0, 1, 2, 2), targets)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int16, torch.bool, torch.complex64])
def test_images_of_other_types_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=r"`images` must be uint8 or float in \[0, 1\], got torch"):
        ImageSet.from_arrays(torch.zeros(2, 1, 2, 2, dtype=dtype), [0, 0])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("other", [float("nan"), float("inf"), -float("inf"), 255.0])
def test_images_must_be_finite_and_the_first_bad_one_is_named(bad: float, other: float) -> None:
    images = torch.zeros(5, 1, 2, 2)
    images[3, 0, 1, 1], images[4, 0, 0, 0] = bad, other
    message = "`images` must be finite, got NaN or infinity in image 3: leave it out or mend it"
    with pytest.raises(ValueError, match=message):
        ImageSet.from_arrays(images, [0] * 5)


@pytest.mark.parametrize(("low", "high"), [(-0.5, 0), (0, 255), (-1, 1.5)])
def test_images_of_floats_must_lie_between_0_and_1(low: float, high: float) -> None:
    images = torch.zeros(2, 1, 2, 2)
    images[1, 0, 0, 0], images[1, 0, 1, 1] = low, high
    with pytest.raises(ValueError, match=rf"must lie in \[0, 1\], got {low:g} to {high:g}: divide"):
        ImageSet.from_arrays(images, [0, 0])


@pytest.mark.plain
def test_there_must_be_one_target_for_each_image() -> None:
    with pytest.raises(ValueError, match=r"`targets` must be \(3, ...\), got \(2,\)"):
        ImageSet.from_arrays(torch.zeros(3, 1, 2, 2), [0, 1])


@pytest.mark.plain
def test_targets_must_have_one_axis() -> None:
    with pytest.raises(ValueError, match=r"`targets` must be \(N\), got \(3, 1\)"):
        ImageSet.from_arrays(torch.zeros(3, 1, 2, 2), torch.zeros(3, 1, dtype=torch.int64))


@pytest.mark.parametrize("dtype", ["float32", "complex64", "bool"])
@pytest.mark.parametrize(
    "make", [torch.from_numpy, np.asarray, pytest.param(list, marks=pytest.mark.plain)]
)
def test_targets_must_be_whole_numbers(make: Callable[[np.ndarray], Any], dtype: str) -> None:
    kind = "False_" if dtype == "bool" else dtype
    message = rf"`targets` must be whole numbers( below 2\*\*63)?, got (torch\.{dtype}|np\.{kind})"
    with pytest.raises(ValueError, match=message):
        ImageSet.from_arrays(torch.zeros(2, 1, 2, 2), make(np.array([0, 1], dtype=dtype)))


@pytest.mark.parametrize("targets", [[0, -1], [0, 2]])
def test_targets_must_be_positions_in_the_classes(targets: list[int]) -> None:
    got = f"{min(targets)} to {max(targets)}"
    with pytest.raises(ValueError, match=rf"`targets` must be in \[0, 2\), got {got}"):
        ImageSet.from_arrays(torch.zeros(2, 1, 2, 2), targets, classes=("a", "b"))


@pytest.mark.parametrize("index", [[0, 2], [-1, 0]])
def test_splits_must_name_images_that_are_there(index: list[int]) -> None:
    got = f"{min(index)} to {max(index)}"
    with pytest.raises(ValueError, match=rf"split 'test' must name images in \[0, 2\), got {got}"):
        ImageSet.from_arrays(torch.zeros(2, 1, 2, 2), [0, 0], splits={"test": index})


def test_an_unknown_split_is_refused_and_the_known_ones_are_listed() -> None:
    message = "`split` must be one of test, train, validation, got 'dev'"
    with pytest.raises(ValueError, match=message):
        ImageSet.from_arrays(torch.zeros(2, 1, 2, 2), [0, 0], splits={"dev": [0]})


@pytest.mark.parametrize(
    ("index", "got"),
    [
        (np.array([True, False, False, True]), "bool"),
        ([True, False, False, True], "True"),
        (torch.tensor([0.5, 1.5]), "float32"),
        pytest.param([0.5, 1.5], "0.5", marks=pytest.mark.plain),
    ],
)
def test_split_indices_that_are_not_whole_numbers_are_not_taken_for_such(
    index: list[int] | np.ndarray | torch.Tensor, got: str
) -> None:
    message = rf"`splits\['train'\]` must be whole numbers( below 2\*\*63)?, got (torch\.)?{got}: "
    with pytest.raises(ValueError, match=message):
        ImageSet.from_arrays(torch.zeros(4, 1, 2, 2), [0] * 4, splits={"train": index})


@pytest.mark.plain
@pytest.mark.parametrize("index", [np.argwhere([True, True]), torch.tensor([[0, 1]])], ids=repr)
def test_split_indices_have_one_axis(index: Any) -> None:
    with pytest.raises(ValueError, match="split"):
        ImageSet.from_arrays(torch.zeros(4, 1, 2, 2), [0] * 4, splits={"train": index})


def test_arrays_may_have_any_strides_and_byte_order() -> None:
    pixels = np.arange(4 * 6, dtype=np.float64).reshape(4, 1, 2, 3) / 24
    wanted = ImageSet.from_arrays(pixels.copy(), [0, 2, 1, 0], splits={"train": [3, 1]})
    for images in (
        np.flip(np.flip(pixels, 3).copy(), 3),
        np.asfortranarray(pixels),
        pixels.astype(">f8"),
    ):
        for order in (">i2", "<u4"):
            targets = np.array([0, 1, 2, 0], dtype=order)[::-1]
            found = ImageSet.from_arrays(images, targets, splits={"train": np.array([1, 3])[::-1]})
            assert torch.equal(found.images, wanted.images)
            assert torch.equal(found.targets, wanted.targets)
            assert torch.equal(found.splits["train"], wanted.splits["train"])
    assert torch.equal(ImageSet.from_arrays(pixels[::-1], [0] * 4).images, wanted.images.flip(0))


def test_a_set_is_itself_on_the_device_where_it_is() -> None:
    images = ImageSet.from_arrays(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), [0, 0, 0])
    assert images.to("cpu") is images


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_set_asked_again_for_a_device_is_the_very_same_with_its_tables() -> None:
    images = ImageSet.from_arrays(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), [0, 0, 0])
    moved = images.to("cuda")
    assert moved is not images
    assert images.to("cuda:0") is moved
    assert moved.to("cuda") is moved


def test_sensors_whose_tables_are_alike_share_them() -> None:
    images = ImageSet.from_arrays(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), [0, 0, 0])
    table = images.prepared(GlimpseSensor(2), ENOUGH)
    assert images.prepared(GlimpseSensor(3, 2, outside="mean"), ENOUGH) is table
    assert images.prepared(GlimpseSensor(2, 6), ENOUGH) is not table


# Memory


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("scales", "factor", "each"),
    [
        (1, 2, 2),
        (5, 2, 2),
        (6, 2, 4),
        (12, 2, 4),
        (13, 2, 8),
        (3, 4, 2),
        (4, 4, 4),
        (6, 4, 4),
        (7, 4, 8),
        (9, 1, 2),
    ],
)
def test_tables_take_the_documented_bytes_whatever_the_number_of_scales(
    scales: int, factor: int, each: int, channels: int
) -> None:
    sensor, shape = GlimpseSensor(3, scales, factor), (6, channels, 11, 17)
    for images, wanted in ((torch.zeros(shape, dtype=torch.uint8), each), (torch.zeros(shape), 8)):
        found = ImageSet.from_arrays(images, [0] * 6).prepared(sensor, ENOUGH)
        taken = _tables(found).table.untyped_storage().nbytes()
        assert taken == 6 * channels * (11 + 1) * (17 + 1) * wanted


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("outside", ["zero", "edge", "mean"])
def test_images_whose_tables_take_too_much_memory_are_read_directly(
    outside: str, dtype: torch.dtype
) -> None:
    """With the same result, to the last bit if they are bytes."""
    pixels = torch.randint(256, (9, 2, 13, 21), generator=torch.Generator().manual_seed(0))
    pixels = pixels.to(dtype) if dtype == torch.uint8 else (pixels / 255).to(dtype)
    images = ImageSet.from_arrays(pixels, [0] * 9)
    sensor = GlimpseSensor(3, 3, outside=outside)
    taken = 9 * 2 * 14 * 22 * (2 if dtype == torch.uint8 else 8)
    tables, direct = images.prepared(sensor, float(taken)), images.prepared(sensor, taken - 1.0)
    assert isinstance(tables, SummedAreaTables)
    assert isinstance(direct, Pixels)
    assert direct.images.data_ptr() == images.images.data_ptr()  # of which there is no copy
    assert images.prepared(sensor, 0.0) is direct
    assert images.prepared(GlimpseSensor(5, 6), 0.0) is direct
    assert images.prepared(sensor, ENOUGH) is tables
    index = torch.arange(300) % 9
    location = torch.rand(300, 2, generator=torch.Generator().manual_seed(1)) * 3 - 1.5
    found, wanted = sensor.read(direct, index, location), sensor.read(tables, index, location)
    if dtype == torch.uint8:
        assert torch.equal(found, wanted)
    else:
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


_PEAK = """
import re, sys, torch
from pathlib import Path
from glimpse import GlimpseSensor, ImageSet

def highest():  # not ru_maxrss: that begins with what the parent process has taken
    return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])

count, side, memory, dtype = *map(int, sys.argv[1:4]), getattr(torch, sys.argv[4])
images = ImageSet.from_arrays(torch.ones(count, 1, side, side, dtype=dtype), [0] * count)
before = highest()
images.prepared(GlimpseSensor(8, 3), float(memory))
print(highest() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("count", "side", "dtype", "memory"),
    [
        (200, 1000, "uint8", 2**33),
        (200, 1000, "uint8", 0),
        (1, 11_000, "uint8", 2**33),
        (1, 11_000, "uint8", 0),
        (60, 1000, "float32", 2**33),
        (60, 1000, "float32", 0),
    ],
)
def test_no_more_memory_than_documented_is_taken_to_prepare(
    count: int, side: int, dtype: str, memory: int
) -> None:
    """Whatever the system's `malloc` keeps for later is left out: it is told to keep nothing."""
    table = count * (side + 1) ** 2 * (2 if dtype == "uint8" else 8) if memory else 0
    words = [sys.executable, "-c", _PEAK, str(count), str(side), str(memory), dtype]
    thrifty = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(words, env=thrifty, capture_output=True, text=True, check=True)
    assert 1024 * int(done.stdout) < table + 0.1 * 2**30
