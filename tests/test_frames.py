"""Frames in every layout: what is read of them is what is there, as the sensor itself reads it."""

from typing import Any

import numpy as np
import pytest
import torch
from expect import random_pixels, refused
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from glimpse import GlimpseSensor
from glimpse.envs.frames import FrameLayout, Frames, prepare
from glimpse.tables import SummedAreaTables

Array = NDArray[Any]
LAYOUTS = ["grey", "first", "last"]


def _box(*shape: int, kind: Any = np.uint8) -> spaces.Box:
    return spaces.Box(0, 255 if kind == np.uint8 else 1, shape, kind)


def _planes(image: Array, layout: str) -> Array:
    """Return an image as (C, H, W)."""
    return {"grey": image[None], "first": image, "last": np.moveaxis(image, -1, 0)}[layout] + 0


def _corner(sensor: GlimpseSensor, scale: int, centre: Any) -> tuple[int, int]:
    """Return the first pixel of a window around a centre in pixels."""
    wide = sensor.size * sensor.factor**scale
    left, top = (int(np.floor(at - wide / 2 + 0.5)) for at in centre)
    return left, top


def _seen(image: Array, centre: Any, sensor: GlimpseSensor) -> Array:
    """Return what a sensor sees of an image (C, H, W) around a centre in pixels, block by block."""
    modes: dict[str, Any] = {"zero": "constant", "edge": "edge"}
    bright = image.astype(np.float64) / (255 if image.dtype == np.uint8 else 1)
    size, far = sensor.size, 100
    glimpse = np.empty((sensor.scales, len(image), size, size))
    for channel, plane in enumerate(bright):
        padding: dict[str, Any] = {"mode": modes.get(sensor.outside, "constant")}
        if sensor.outside == "mean":
            padding["constant_values"] = plane.mean()
        padded = np.pad(plane, far, **padding)
        for scale in range(sensor.scales):
            step = sensor.factor**scale
            left, top = _corner(sensor, scale, centre)
            for row in range(size):
                for column in range(size):
                    y, x = far + top + row * step, far + left + column * step
                    glimpse[scale, channel, row, column] = padded[y : y + step, x : x + step].mean()
    return glimpse


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


@given(
    size=st.integers(1, 5),
    scales=st.integers(1, 3),
    factor=st.integers(1, 3),
    outside=st.sampled_from(["zero", "edge", "mean"]),
    channels=st.integers(1, 4),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    kind=st.sampled_from(["uint8", "float16", "float32", "float64"]),
    seed=st.integers(0, 99),
)
def test_windows_are_those_of_the_sensor_and_of_the_pixels_cut_out_by_hand(
    size: int,
    scales: int,
    factor: int,
    outside: Any,
    channels: int,
    height: int,
    width: int,
    kind: str,
    seed: int,
) -> None:
    """To the last bit where pixels are bytes, also far outside of the image."""
    sensor = GlimpseSensor(size, scales, factor, outside)
    pixels: Any = random_pixels(2, height, width, channels, seed=seed)
    floats = kind != "uint8"
    pixels = ((pixels / 255).astype(kind) if floats else pixels).transpose(0, 3, 1, 2)
    index = torch.tensor([1, 0, 1, 1])
    centre = torch.from_numpy(np.random.default_rng(seed).uniform(-20, 30, (4, 2)))
    got = Frames(pixels).look(index, centre, sensor.windows)
    tables = sensor.prepare(torch.from_numpy(pixels.copy()))
    wanted = tables.look(index, centre, sensor.windows)
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-6 if floats or outside == "mean" else 0)
    for row in range(4):
        by_hand = _seen(pixels[index[row]], centre[row].tolist(), sensor)
        np.testing.assert_allclose(got[row], by_hand, atol=1e-6)


def test_a_pixel_averaged_over_very_many_is_exact() -> None:
    """Sums of more than 2**24 do not fit a float32."""
    pixels = np.full((1, 1, 600, 600), 255, np.uint8)
    sensor = GlimpseSensor(1, 2, 600)
    got = Frames(pixels).look(
        torch.tensor([0]), torch.tensor([[300.0, 300.0]]).double(), sensor.windows
    )
    assert got.flatten().tolist() == [1, 1]


def test_windows_much_wider_than_the_frame_are_read_from_tables() -> None:
    pixels = random_pixels(1, 1, 20, 20)
    assert isinstance(prepare(pixels, GlimpseSensor(5, 3)), Frames)
    assert isinstance(prepare(pixels, GlimpseSensor(5, 20)), SummedAreaTables)


def test_frames_say_how_many_they_are() -> None:
    frames = Frames(random_pixels(2, 3, 4, 5))
    assert frames.shape == (2, 3, 4, 5)
    assert frames.device == torch.device("cpu")


@pytest.mark.parametrize("flipped", [True, False])
def test_frames_may_have_any_strides(flipped: bool) -> None:
    """An environment may return a mirrored view of what it has drawn."""
    pixels = random_pixels(1, 1, 9, 9)
    frames = pixels[..., ::-1, :] if flipped else np.asfortranarray(pixels)
    sensor = GlimpseSensor(9, outside="mean")
    got = Frames(frames).look(
        torch.tensor([0]), torch.tensor([[4.5, 4.5]]).double(), sensor.windows
    )
    np.testing.assert_array_equal(got[0, 0] * 255, frames[0])
