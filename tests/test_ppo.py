"""PPO's options: what cannot be meant is refused, and what is written down comes back."""

import math
from typing import Any

import pytest
from expect import refused

from glimpse.agents import PpoConfig


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minibatches": 0}, "`minibatches` must be a whole number from 1, got 0: choose another"),
        ({"epochs": 0}, "`epochs` must be a whole number from 1, got 0: choose another"),
        ({"layers": (8, 0)}, "`layers[1]` must be a whole number from 1, got 0: choose another"),
        pytest.param(
            {"layers": 64},
            "`layers` must be a tuple of widths, got 64: write (64,) for one",
            marks=pytest.mark.plain,
        ),
        ({"policy_rate": -1.0}, "`policy_rate` must be finite and at least 0, got -1"),
        ({"discount": 1.5}, "`discount` must be at most 1, got 1.5: choose it in [0, 1]"),
        ({"trace": math.nan}, "`trace` must be finite"),
        ({"clip_range": -0.1}, "`clip_range` must be finite and at least 0"),
        ({"policy_clip": 0.0}, "`policy_clip` must be above 0, got 0"),
        ({"std": 0.0}, "`std` must be"),
        pytest.param({"reward": "dense"}, "`reward` must be one of", marks=pytest.mark.plain),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, Any], message: str) -> None:
    with refused(message):
        PpoConfig(**options)
