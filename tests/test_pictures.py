"""Single images and targets from outside."""

from typing import Any

import numpy as np
import pytest
import torch
from expect import random_pixels, refused
from PIL import Image

from glimpse.pictures import collect, from_picture, to_class, to_image, to_target


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy, Image.fromarray])
def test_a_grey_image_comes_as_anything(kind: Any) -> None:
    pixels = random_pixels(4, 6)
    found = to_image(kind(pixels), "image 0")
    assert found.dtype == torch.uint8
    assert found.tolist() == [pixels.tolist()]


@pytest.mark.parametrize(("mode", "channels"), [("1", 1), ("LA", 1), ("P", 3), ("CMYK", 3)])
def test_pictures_become_grey_or_rgb(mode: str, channels: int) -> None:
    assert to_image(Image.new(mode, (6, 4)), "image 0").shape == (channels, 4, 6)


def test_sixteen_bits_are_divided_by_256() -> None:
    picture = Image.fromarray(np.array([[0, 255, 256, 65_535]], dtype=np.uint16))
    assert from_picture(picture, channels=1).tolist() == [[[0, 0, 1, 255]]]


def test_floats_are_resized_within_their_range() -> None:
    image = torch.zeros(1, 6, 6)
    image[:, :3] = 1
    found = to_image(image, "image 0", (3, 2))
    assert found.shape == (1, 3, 2)
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    torch.testing.assert_close(found[0, :, 0], torch.tensor([1, 0.5, 0]), rtol=0, atol=0.1)


@pytest.mark.parametrize("given", [3, np.uint8(3), np.array(3), torch.tensor(3)])
def test_a_class_is_any_whole_number(given: Any) -> None:
    assert to_class(given, "target 0") == 3


@pytest.mark.parametrize("given", [3.0, True, -1, None, np.array([3]), torch.tensor(0.5)])
def test_a_class_is_nothing_else(given: Any) -> None:
    with pytest.raises(ValueError, match="target 0 must be a whole number from 0, got "):
        to_class(given, "target 0")


@pytest.mark.parametrize("given", [(0, 0.5), [0, 0.5], np.array([0, 0.5]), torch.tensor([0, 0.5])])
def test_a_target_is_any_array_of_numbers(given: Any) -> None:
    assert to_target(given, "target 0").tolist() == [0, 0.5]


def test_errors_name_the_item_and_its_part() -> None:
    pairs = [(random_pixels(2, 2), 0), (random_pixels(2, 2), -1)]
    with refused("target 1 of train must be a whole number from 0, got -1"):
        collect(pairs, 2, "reading images", of=" of train")
