"""Frames: what is read of them is what is there, as the sensor itself reads it."""

from typing import Any

import numpy as np
import pytest
import torch
from expect import random_pixels
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from glimpse import GlimpseSensor
from glimpse.envs.frames import Frames, prepare
from glimpse.tables import SummedAreaTables

Array = NDArray[Any]


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
