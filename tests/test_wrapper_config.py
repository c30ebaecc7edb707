"""The options of the wrappers: which go together, and which part of an observation is the image."""

from typing import Any

import pytest
from expect import refused
from gymnasium import spaces

from glimpse import GlimpseSensor
from glimpse.envs.wrapper_config import WrapperConfig, as_sensor, join_spaces

SENSOR = GlimpseSensor(size=2)
ANYTHING = spaces.Discrete(2)
KEYS = spaces.Dict({"picture": ANYTHING, "step": ANYTHING})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(grid=0), "`grid` must be a whole number from 1, got 0: choose another"),
        (dict(context=0), "`context` must be a whole number from 1, got 0: choose another"),
        (dict(reach=-1.0), "`reach` must be finite and at least 0, got -1.0: choose another"),
        (dict(stride=-1.0), "`stride` must be finite and at least 0, got -1.0: choose another"),
        (
            dict(stride=0.0),
            "`stride` and `reach` must be above 0 for looks to move, got stride=0.0 and "
            "reach=None: choose others",
        ),
        (
            dict(stride=1.0, reach=0.0),
            "`stride` and `reach` must be above 0 for looks to move, got stride=1.0 and reach=0.0",
        ),
        (
            dict(image="render", key="picture"),
            "`key` must be left out with image=\"render\", got 'picture': look at one of both",
        ),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with refused(message):
        WrapperConfig(sensor=SENSOR, **options)


def test_the_image_is_the_observation_or_one_of_its_keys() -> None:
    assert WrapperConfig(sensor=SENSOR).image_space(ANYTHING) is ANYTHING
    assert WrapperConfig(sensor=SENSOR, key="picture").image_space(KEYS) is KEYS["picture"]
    for key in (None, "photo"):
        with refused(
            f"`key` must be one of picture, step of the observation, got {key!r}: name the image"
        ):
            WrapperConfig(sensor=SENSOR, key=key).image_space(KEYS)
    with refused(
        "`key` must be left out, got 'picture' for an observation without keys, Discrete(2): the "
        "observation is the image"
    ):
        WrapperConfig(sensor=SENSOR, key="picture").image_space(ANYTHING)


def test_a_key_that_is_taken() -> None:
    with refused(
        "keys of the observation must not be among step, look, got step: rename them with "
        "gymnasium.wrappers.TransformObservation"
    ):
        join_spaces(KEYS, {"step": ANYTHING, "look": ANYTHING})


def test_a_sensor_may_come_as_its_options() -> None:
    assert as_sensor(SENSOR) is SENSOR
    assert as_sensor({"size": 2}) == SENSOR


@pytest.mark.plain
def test_a_sensor_is_needed() -> None:
    wrong: Any = 8
    with refused("`sensor` must be a GlimpseSensor, got 8: use GlimpseSensor(size=8, scales=3)"):
        as_sensor(wrong)
