"""Image sets that a function draws."""

from typing import Any

import numpy as np
import pytest
import torch
from expect import refused
from PIL import Image

from glimpse import ImageSet, MixedSet, draw_images
from glimpse.image_set import random_splits
from glimpse.tasks import Classification, Search


def _noise(random: np.random.Generator) -> tuple[Any, int]:
    return random.integers(0, 256, (4, 6), dtype=np.uint8), int(random.integers(3))


def _mixed(random: np.random.Generator) -> tuple[Any, int]:
    height, width = random.integers(2, 9, 2)
    return random.random((3, height, width)), 0


def test_the_function_is_called_once_for_each_image() -> None:
    images = draw_images(_noise, 20)
    assert isinstance(images, ImageSet)
    assert images.images.shape == (20, 1, 4, 6)
    assert images.images.dtype == torch.uint8
    assert len(images.images.flatten(1).unique(dim=0)) == 20
    assert images.splits["train"].tolist() == random_splits(20)["train"].tolist()


def test_a_larger_set_begins_with_a_smaller_one() -> None:
    few, many = draw_images(_noise, 3, seed=5), draw_images(_noise, 9, seed=5)
    other = draw_images(_noise, 3, seed=6)
    assert isinstance(few, ImageSet)
    assert isinstance(many, ImageSet)
    assert isinstance(other, ImageSet)
    assert torch.equal(few.images, many.images[:3])
    assert torch.equal(few.targets, many.targets[:3])
    assert not torch.equal(few.images, other.images)


def test_images_of_different_sizes_make_a_mixed_set() -> None:
    images = draw_images(_mixed, 9, classes=["noise"], splits={"test": [8]})
    assert isinstance(images, MixedSet)
    assert images.images.flat.dtype == torch.float64
    assert images.task == Classification(("noise",))
    assert images.splits["test"].tolist() == [8]


def test_a_function_may_draw_with_pillow() -> None:
    images = draw_images(lambda random: (Image.new("RGB", (3, 2), (255, 0, 9)), 0), 1)
    assert isinstance(images, ImageSet)
    assert images.images[0, :, 1, 2].tolist() == [255, 0, 9]


@pytest.mark.parametrize("kind", [tuple, np.array, torch.tensor])
def test_a_function_may_draw_a_place_to_be_found(kind: Any) -> None:
    images = draw_images(lambda _: (np.zeros((2, 2)), kind((0.5, -0.25))), 3, task=Search())
    assert images.task == Search()
    assert images.targets.tolist() == [[0.5, -0.25]] * 3


BLACK = np.zeros((2, 2), dtype=np.uint8)


@pytest.mark.parametrize(
    ("drawn", "message"),
    [
        (BLACK, "item 0 must be (image, target), got ndarray: give both and nothing else"),
        ((BLACK, 0, 0), "item 0 must be (image, target), got tuple of 3: give both"),
        (([[0]], 0), "image 0 must be a tensor, an array or a picture of Pillow, got list: conv"),
        ((BLACK[None, None], 0), "image 0 must be (C, H, W) or (H, W) with at least one pixel, go"),
        ((BLACK + 2.0, 0), "image 0 of floats must lie in [0, 1], got 2 to 2: divide by 255?"),
        ((BLACK.astype(int), 0), "image 0 must be uint8 or float in [0, 1], got torch.int64: con"),
        ((BLACK.astype(object), 0), "image 0 must be of numbers, got object: convert it"),
        ((BLACK, -1), "target 0 must be a whole number from 0, got -1: number the classes from 0"),
        ((BLACK, 0.5), "target 0 must be a whole number from 0, got 0.5: number the classes"),
        ((BLACK, True), "target 0 must be a whole number from 0, got True: number the classes"),
        ((BLACK, "cat"), "target 0 must be a whole number from 0, got 'cat': number the classes"),
        ((BLACK, None), "target 0 must be a whole number from 0, got None: number the classes"),
    ],
)
def test_what_is_no_image_with_a_class_is_refused(drawn: Any, message: str) -> None:
    with refused(message):
        draw_images(lambda _: drawn, 2)


def test_places_that_do_not_fit_are_refused() -> None:
    with refused("target 0 must be a number or an array of numbers, got 'left': convert it"):
        draw_images(lambda _: (BLACK, "left"), 2, task=Search())
    with refused("target 0 must be a number or an array of numbers, got [0, [1]]: convert it"):
        draw_images(lambda _: (BLACK, [0, [1]]), 2, task=Search())
    drawn = iter([(BLACK, (0.0, 0.0)), (BLACK, (0.0,))])
    with refused("target 1 must be (2,) like target 0, got (1,): give every image as many number"):
        draw_images(lambda _: next(drawn), 2, task=Search())
    with refused("`targets` must be in [-1, 1], got [0.0, 2.0] in row 0"):
        draw_images(lambda _: (BLACK, (0.0, 2.0)), 2, task=Search())


@pytest.mark.plain
@pytest.mark.parametrize("count", [0, -1, 2.5])
def test_a_count_must_be_one(count: Any) -> None:
    with refused(f"`count` must be a whole number from 1, got {count}: choose another"):
        draw_images(_noise, count)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_must_be_in_range(seed: int) -> None:
    with refused("seed"):
        draw_images(_noise, 1, seed=seed)
