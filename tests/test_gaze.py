"""Where eyes rest, against the sensor at the same locations."""

from typing import Any

import numpy as np
import pytest
import torch
from expect import anywhere, random_pixels
from gymnasium import spaces
from numpy.typing import NDArray

from glimpse import GlimpseSensor
from glimpse.envs.gaze import Gaze
from glimpse.envs.layout import FrameLayout
from glimpse.envs.wrapper_config import WrapperConfig

ROWS, HEIGHT, WIDTH = 4, 6, 10
SENSOR = GlimpseSensor(size=3, scales=2)
ALL = np.arange(ROWS)


def _gaze(**options: Any) -> Gaze:
    layout = FrameLayout.of(spaces.Box(0, 255, (HEIGHT, WIDTH), np.uint8), None)
    gaze = Gaze(WrapperConfig(sensor=SENSOR, **options), layout, ROWS)
    for row in range(ROWS):
        gaze.seed(row, row)
    gaze.begin(ALL)
    return gaze


def _looks() -> NDArray[np.float32]:
    return anywhere(ROWS).numpy()


def test_an_eye_sees_what_the_sensor_shows_there() -> None:
    gaze, frames, looks = _gaze(), random_pixels(ROWS, HEIGHT, WIDTH), _looks()
    gaze.move(looks)
    seen = gaze.see(frames, ALL)
    wanted = SENSOR(torch.from_numpy(frames)[:, None], torch.from_numpy(looks))
    np.testing.assert_array_equal(seen["glimpse"], wanted.numpy())
    np.testing.assert_array_equal(seen["location"], looks)
    some = gaze.see(frames[[2, 0]], np.array([2, 0]))
    np.testing.assert_array_equal(some["glimpse"], seen["glimpse"][[2, 0]])


def test_moves_back_and_forth_end_where_they_began() -> None:
    gaze = _gaze(stride=0.7, reach=4.0)
    frames = random_pixels(ROWS, HEIGHT, WIDTH)
    before = gaze.see(frames, ALL)
    looks = _looks()
    for _ in range(3):
        gaze.move(looks)
        gaze.move(-looks)
    after = gaze.see(frames, ALL)
    np.testing.assert_array_equal(after["glimpse"], before["glimpse"])
    np.testing.assert_allclose(after["location"], 0, atol=1e-6)


@pytest.mark.parametrize("first", ["centre", "random"])
def test_only_the_rows_that_begin_are_moved(first: Any) -> None:
    gaze, looks = _gaze(first=first), _looks()
    frames = random_pixels(ROWS, HEIGHT, WIDTH)
    gaze.move(looks)
    gaze.begin(np.array([1]))
    location = gaze.see(frames, ALL)["location"]
    np.testing.assert_array_equal(location[[0, 2, 3]], looks[[0, 2, 3]])
    assert (location[1] != looks[1]).all()


def test_a_picture_of_a_long_episode_shows_its_end() -> None:
    frame = random_pixels(HEIGHT, WIDTH)
    long, short = _gaze(), _gaze()
    for step in range(40):
        look = np.full((ROWS, 2), step / 40, dtype=np.float32)
        long.move(look)
        if step >= 40 - 16:
            short.move(look)
    np.testing.assert_array_equal(long.draw(frame, 0), short.draw(frame, 0))
