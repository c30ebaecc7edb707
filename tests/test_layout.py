"""Layouts of images: where the channels are, and what is refused."""

from typing import Any

import numpy as np
import pytest
from expect import random_pixels, refused
from gymnasium import spaces
from numpy.typing import NDArray

from glimpse.envs.layout import FrameLayout

Array = NDArray[Any]
LAYOUTS = ["grey", "first", "last"]


def _box(*shape: int, kind: Any = np.uint8) -> spaces.Box:
    return spaces.Box(0, 255 if kind == np.uint8 else 1, shape, kind)


def _planes(image: Array, layout: str) -> Array:
    """Return an image as (C, H, W)."""
    return {"grey": image[None], "first": image, "last": np.moveaxis(image, -1, 0)}[layout] + 0


@pytest.mark.parametrize(
    ("shape", "size", "channels"),
    [
        ((11, 18), (1, 11, 18), "last"),
        ((11, 18, 3), (3, 11, 18), "last"),
        ((11, 18, 1), (1, 11, 18), "last"),
        ((3, 11, 18), (3, 11, 18), "first"),
        ((4, 84, 84), (4, 84, 84), "first"),  # stacked frames
    ],
)
def test_channels_are_found_at_the_short_end(
    shape: tuple[int, ...], size: tuple[int, int, int], channels: str
) -> None:
    layout = FrameLayout.of(_box(*shape), None)
    assert layout.size == size
    assert layout.channels == channels


def test_channels_are_where_they_are_said_to_be() -> None:
    assert FrameLayout.of(_box(8, 84, 90), "first").size == (8, 84, 90)
    assert FrameLayout.of(_box(3, 4, 2), "last").size == (2, 3, 4)
    assert FrameLayout.of(_box(3, 4, 2), "first").size == (3, 4, 2)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_planes_are_the_same_memory(layout: str) -> None:
    shape = {"grey": (2, 5, 7), "first": (2, 3, 5, 7), "last": (2, 5, 7, 3)}[layout]
    frames = random_pixels(*shape)
    found = FrameLayout.of(_box(*shape[1:]), None).planes(frames)
    assert np.shares_memory(found, frames)
    for got, frame in zip(found, frames, strict=True):
        np.testing.assert_array_equal(got, _planes(frame, layout))


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (spaces.Discrete(3), "images must be a Box of shape (H, W), (H, W, C) or (C, H, W), got "),
        (_box(7), "images must be a Box of shape (H, W), (H, W, C) or (C, H, W), got Box"),
        (_box(4, 9, 9, 3), "images must be a Box of shape (H, W), (H, W, C) or (C, H, W), got Box"),
        (_box(9, 0, 3), "images must have at least one pixel, got (9, 0, 3): show some"),
        (spaces.Box(0, 9, (9, 9), np.int64), "images must be uint8 or float in [0, 1], got int64"),
        (
            spaces.Box(0, 255, (9, 9), np.float32),
            "images of floats must lie in [0, 1], got bounds 0 to 255: scale them with",
        ),
        (_box(3, 9, 4), "got (3, 9, 4) with both ends of at most 4: say channels="),
        (_box(8, 9, 5), "got (8, 9, 5) with neither end of at most 4: say channels="),
    ],
)
def test_what_holds_no_images_is_refused(space: spaces.Space[Any], message: str) -> None:
    with refused(message):
        FrameLayout.of(space, None)


def test_frames_unlike_their_space_are_refused() -> None:
    layout = FrameLayout.of(_box(9, 8, 3), None)
    message = "images must be uint8 of shape (9, 8, 3) like the first, got uint8 of shape (9, 8)"
    with refused(message):
        layout.planes(random_pixels(1, 9, 8))
    with refused("got float64 of shape (9, 8, 3): mend the environment or its space"):
        layout.planes(np.zeros((1, 9, 8, 3)))


@pytest.mark.parametrize(
    ("value", "message"),
    [(2.0, "`images` of floats must lie in [0, 1]"), (np.nan, "`images` must be finite, got NaN")],
)
def test_floats_out_of_range_are_refused(value: float, message: str) -> None:
    layout = FrameLayout.of(_box(9, 8, kind=np.float32), None)
    layout.checked_planes(np.ones((1, 9, 8), np.float32))
    with refused(message):
        layout.checked_planes(np.full((1, 9, 8), value, np.float32))
