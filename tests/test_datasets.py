"""Image sets from data sets of PyTorch, by duck type."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from expect import random_pixels, refused
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from glimpse import ImageSet, MixedSet, load_dataset
from glimpse.image_set import SPLITS, random_splits
from glimpse.tasks import Classification, Search

GREY, COLOUR = Image.new("L", (3, 2), 100), Image.new("RGB", (3, 2), (10, 20, 30))


class Pets(Dataset[Any]):
    """As torchvision's data sets are: pictures of Pillow, and the classes' names."""

    def __init__(self, count: int = 20, classes: tuple[str, ...] = ("cat", "dog")) -> None:
        self.classes, self.count, self.read = list(classes), count, 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> Any:
        self.read += 1
        return Image.fromarray(random_pixels(4, 5, seed=number)), number % 2


def _same(count: int = 20) -> ImageSet:
    images = load_dataset(Pets(count))
    assert isinstance(images, ImageSet)
    return images


def test_every_item_is_read_once() -> None:
    pets = Pets()
    images = load_dataset(pets)
    assert isinstance(images, ImageSet)
    assert pets.read == 20
    assert images.images[:, 0].tolist() == [random_pixels(4, 5, seed=k).tolist() for k in range(20)]
    assert images.targets.tolist() == [0, 1] * 10
    assert images.task == Classification(("cat", "dog"))
    assert images.splits["test"].tolist() == random_splits(20)["test"].tolist()


def test_tensors_and_lists_of_pairs_are_data_sets_too() -> None:
    pixels, classes = torch.rand(4, 3, 2, 2), torch.tensor([0, 2, 1, 0])
    tensors = load_dataset(TensorDataset(pixels, classes))
    pairs = load_dataset(list(zip(pixels.numpy(), classes.tolist(), strict=True)))
    for images in (tensors, pairs):
        assert isinstance(images, ImageSet)
        assert torch.equal(images.images, pixels)
        assert torch.equal(images.targets, classes)
        assert images.task == Classification(("0", "1", "2"))


def test_images_of_different_sizes_make_a_mixed_set() -> None:
    images = load_dataset([(np.zeros((2, 3)), 0), (np.zeros((1, 3, 2)), 1)], classes="ab")
    assert isinstance(images, MixedSet)
    assert images.sizes.tolist() == [[3, 2], [2, 3]]
    assert images.task == Classification(("a", "b"))


def test_size_is_height_and_width_and_resizes_every_image() -> None:
    bright = torch.full((1, 7, 7), 0.25)
    images = load_dataset([(bright, 0), (bright[:, :3], 1)], size=(4, 5))
    assert isinstance(images, ImageSet)
    assert images.shape == (1, 4, 5)
    torch.testing.assert_close(images.images, torch.full((2, 1, 4, 5), 0.25))
    of_pictures = load_dataset([(GREY, 0), (np.full((9, 9), 100, dtype=np.uint8), 1)], size=(2, 3))
    assert isinstance(of_pictures, ImageSet)
    assert of_pictures.images.unique().tolist() == [100]


def test_one_coloured_picture_makes_all_coloured() -> None:
    images = load_dataset([(GREY, 0), (COLOUR, 0)])
    assert isinstance(images, ImageSet)
    assert images.images[:, :, 0, 0].tolist() == [[100] * 3, [10, 20, 30]]


def test_splits_may_be_given_for_one_data_set() -> None:
    images = load_dataset(Pets(), splits={"train": range(15), "test": range(15, 20)})
    assert images.splits["test"].tolist() == list(range(15, 20))


def test_a_mapping_gives_the_splits() -> None:
    images = load_dataset({"train": Pets(3), "validation": Pets(2), "test": Pets(4)})
    assert {split: images.splits[split].tolist() for split in SPLITS} == {
        "train": [0, 1, 2],
        "validation": [3, 4],
        "test": [5, 6, 7, 8],
    }


def test_without_validation_a_tenth_of_train_is_drawn_for_it() -> None:
    first, second = (load_dataset({"train": Pets(30), "test": Pets(2)}) for _ in range(2))
    train, validation = (first.splits[split].tolist() for split in ("train", "validation"))
    assert len(validation) == 3
    assert sorted(train + validation) == list(range(30))
    assert second.splits["validation"].tolist() == validation
    assert first.splits["test"].tolist() == [30, 31]


def test_the_classes_of_a_subset_are_those_of_the_whole() -> None:
    part = Subset(Subset(Pets(), range(10)), [1, 3])
    assert load_dataset(part).task == Classification(("cat", "dog"))


def test_another_task_has_other_targets() -> None:
    pairs = [(np.zeros((2, 2 + k)), (0.5, -1.0 + k)) for k in range(2)]
    images = load_dataset(pairs, task=Search())
    assert isinstance(images, MixedSet)
    assert images.targets.tolist() == [[0.5, -1.0], [0.5, 0.0]]


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter([(GREY, 0)])


@pytest.mark.plain
@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (
            Stream(),
            "a data set must have a length and numbered items, got Stream: give one, or list(",
        ),
        (iter([(GREY, 0)]), "a data set must have a length and numbered items, got list_iterator"),
        (
            {"train": 5},
            "a data set must have a length and numbered items, got int of train: give one",
        ),
    ],
)
def test_what_is_not_read_by_number_is_refused(dataset: Any, message: str) -> None:
    with refused(message):
        load_dataset(dataset)


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        ([], {}, "a data set must hold images, got none: give some"),
        ({}, {}, "a data set must hold images, got none: give one at least"),
        ({"train": []}, {}, "a data set must hold images, got none of train: give some"),
        ({"eval": Pets(1)}, {}, "`split` must be one of test, train, validation, got 'eval'"),
        (
            {"train": Pets(1)},
            {"splits": {"test": [0]}},
            "`splits` must be left out where data sets come as train, got test: divide them before",
        ),
        (
            {"train": Pets(1), "test": Pets(1, classes=("dog", "cat"))},
            {},
            "`classes` must be the same in every split, got dog, cat in test and cat, dog before",
        ),
        (
            {"train": Pets(1), "test": [(GREY, 1.5)]},
            {},
            "target 0 of test must be a whole number from 0, got 1.5: number the classes",
        ),
        (
            [(np.zeros((1, 2, 2)), 0), (np.zeros((3, 2, 2)), 0)],
            {},
            "image 1 must have as many channels as image 0, 1, got 3: make all grey or all RGB",
        ),
        (
            [(np.zeros((2, 2)), 0), (GREY, 0)],
            {},
            "image 1 must be torch.float64 like image 0, got torch.uint8: convert all to one type",
        ),
        (
            [(Image.new("F", (2, 2)), 0)],
            {},
            "image 0 must be readable, got none (mode F has no fixed white, give 8 or 16 bits)",
        ),
        (
            [(GREY, 0)],
            {"classes": ["a"], "task": Classification(("a",))},
            "`classes` must be left out beside a task, got both: it has its own",
        ),
    ],
)
def test_what_does_not_fit_is_refused(dataset: Any, options: Any, message: str) -> None:
    with refused(message):
        load_dataset(dataset, **options)


def test_grey_pictures_become_rgb_whatever_split_the_coloured_are_in() -> None:
    grey, coloured = Image.new("L", (5, 4), 7), Image.new("RGB", (5, 4), (1, 2, 3))
    found = load_dataset({"train": [(grey, 0), (coloured, 1)] * 5, "test": [(grey, 0)]})
    assert found.shape == (3, 4, 5)
    last = torch.tensor([10])
    assert torch.equal(found.draw(last, last), torch.full((1, 3, 4, 5), 7, dtype=torch.uint8))


@pytest.mark.plain
@pytest.mark.parametrize("size", [28, (5,), "large"])
def test_a_size_that_is_none_is_refused(size: Any) -> None:
    with refused("`size` must be (height, width)"):
        load_dataset([(Image.new("L", (5, 4)), 0)], size=size)


@pytest.mark.parametrize("size", [(0, 5), (5, -1)])
def test_a_size_without_pixels_is_refused(size: tuple[int, int]) -> None:
    with refused("must be a whole number from 1"):
        load_dataset([(Image.new("L", (5, 4)), 0)], size=size)


def test_small_floats_are_resized_too() -> None:
    image = np.full((6, 6), 0.5, dtype=np.float16)
    found = load_dataset([(image, 0)] * 10, size=(3, 3))
    assert found.shape == (1, 3, 3)
