"""The options of the feedback environment: which network, which images, which layers."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from expect import refused
from nets import convolutional, maxout, pictures

from glimpse import ImageSet, bases, catalogue, load_folder, register_images, register_network
from glimpse.bases import save_base
from glimpse.envs import FeedbackConfig, build_feedback
from glimpse.envs.feedback_config import feedback_spaces, gains_of
from glimpse.maxout import MaxoutNetwork
from glimpse.run_folder import RunFolder


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_registered", {})
    monkeypatch.setattr(bases, "_registered", {})
    register_images("noise", pictures())
    register_network("maxout", maxout())
    register_network("hooks", convolutional(), ["first", "units"])


def _options(**options: Any) -> FeedbackConfig:
    return FeedbackConfig(**{"base": "maxout", "images": "noise", **options})


def test_the_options_reach_the_engine() -> None:
    core = build_feedback(
        _options(passes=3, reward="correct", boost=0.5, copies=2, split="test"), rows=4
    )
    assert (core.rows, core.passes, core.boost, core.copies, core.split) == (4, 3, 0.5, 2, "test")
    assert core.pay(torch.tensor([[0.0, -9.0, -9.0]]), torch.tensor([0])).tolist() == [1]
    assert build_feedback(_options(), rows=1).passes == 5


@pytest.mark.parametrize(
    ("options", "layers"),
    [
        ({}, {"stages.0": 4, "stages.1": 5, "stages.2": 3, "dense": 6}),
        ({"layers": ["dense", "stages.1"]}, {"dense": 6, "stages.1": 5}),
        ({"base": "hooks"}, {"first": 4, "units": 7}),
        ({"base": "hooks", "layers": ("block",)}, {"block": 6}),
    ],
    ids=str,
)
def test_the_layers_are_those_named_or_those_of_the_network(
    options: dict[str, Any], layers: dict[str, int]
) -> None:
    core = build_feedback(_options(**options), rows=1)
    assert (core.network.layers, core.maps) == (layers, sum(layers.values()))
    seen, actions = feedback_spaces(core)
    maps = core.maps
    assert seen["activation"] == gymnasium.spaces.Box(-np.inf, np.inf, (maps,))
    assert seen["probability"] == gymnasium.spaces.Box(0, 1, (3,))
    assert seen["step"] == gymnasium.spaces.Box(0, 5, (1,))
    assert actions == gymnasium.spaces.Box(0, maps, (maps,))


def _base(place: Path, shape: tuple[int, int, int], classes: int, **images: Any) -> str:
    run = RunFolder.create(place / "run")
    save_base(run, MaxoutNetwork(shape, classes), images)
    return str(run.path)


def test_a_base_looks_at_what_it_was_trained_on(tmp_path: Path) -> None:
    base = _base(tmp_path, (1, 40, 40), 10, images="digits", canvas="translated-40")
    core = build_feedback(FeedbackConfig(base=base), rows=2)
    assert core.images.shape == (1, 40, 40)
    core.reset(seed=0)
    assert core.pixels(0).shape == (1, 40, 40)


def test_what_is_given_takes_the_place_of_what_it_was_trained_on(tmp_path: Path) -> None:
    base = _base(tmp_path, (1, 40, 40), 10, images="digits", canvas="translated-40")
    white = ImageSet.from_arrays(torch.ones(10, 1, 28, 28), range(10))
    register_images("white", white)
    core = build_feedback(FeedbackConfig(base=base, images="white"), rows=2)
    core.reset(seed=0)
    assert float(core.pixels(0).sum()) == 28 * 28  # on the same canvas
    with refused(
        "images must be (1, 40, 40), (C, H, W) of those the base was trained on, got (1, "
    ):
        build_feedback(FeedbackConfig(base=base, canvas="translated-60"), rows=2)


def test_a_folder_is_resized_as_in_training(tmp_path: Path) -> None:
    from PIL import Image

    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(6):
            Image.new("L", (50, 41), number).save(tmp_path / "photos" / name / f"{number}.png")
    photos = str(tmp_path / "photos")
    base = _base(tmp_path, (1, 24, 30), 2, images=photos, image_size=(24, 30))
    assert build_feedback(FeedbackConfig(base=base), rows=1).images.shape == (1, 24, 30)
    assert load_folder(photos).shape == (1, 41, 50)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base": "nobody"}, "`base` must be the folder of a base's run or a registered name (max"),
        ({"images": None}, "`images` must be given with base='maxout', got none: nobody said what"),
        ({"images": "nothing"}, "`images` must be the path of a folder or slide or one of digits"),
        ({"layers": ["stages.9"]}, "got 'stages.9': did you mean stages.2, stages.1, stages.0?"),
        ({"images": "digits"}, "images must be (2, 9, 12), (C, H, W) of those the base was tra"),
        ({"images": "digits", "base": "hooks"}, "the network must take images, got (1, 1, 28, 28)"),
        ({"device": "tpu"}, "`device` must be auto"),
        ({"passes": 0}, "`passes` must be a whole number from 1, got 0"),
    ],
    ids=str,
)
@pytest.mark.plain
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with refused(message):
        build_feedback(_options(**options), rows=1)


def test_unknown_options_are_refused() -> None:
    with refused("options of the feedback environment must be among base, layers, images, canvas"):
        FeedbackConfig.of({"glimpses": 3})


def test_actions_are_clipped_to_what_a_softmax_can_give() -> None:
    core = build_feedback(_options(), rows=2)
    given = np.full((2, 18), 0.5)
    given[0, :3] = -2, 99, np.inf
    found = gains_of(given, core, 2)
    assert found[0, :4].tolist() == [0, 18, 18, 0.5]
    assert found.dtype == torch.float32
    assert gains_of(np.full((2, 18), np.nan), core, 2).isnan().all()
    largest = torch.softmax(torch.eye(18)[0] * 1e4, dim=0) * 18
    assert float(largest.max()) == 18 == float(feedback_spaces(core)[1].high[0])
