"""A trained soft baseline: its answers, and the folder that holds it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from expect import refused
from learners import assert_same

from glimpse.agents import load
from glimpse.run_folder import RunFolder
from glimpse.soft_baselines import SoftBaseline, SoftConfig, load_soft, save_soft

SHAPE = (2, 9, 12)
CLASSES = ("cat", "dog", "owl")


def make(**options: Any) -> SoftBaseline:
    torch.manual_seed(0)
    config = SoftConfig(**{"attention": "se", "seed": 7, **options})
    return SoftBaseline(config, config.network(SHAPE, len(CLASSES)), CLASSES)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder.create(tmp_path / "run")
    save_soft(make(), folder)
    return folder


def test_probabilities_are_those_of_the_network_whatever_the_batch() -> None:
    soft = make()
    images = torch.randint(256, (5, *SHAPE), dtype=torch.uint8)
    soft.network.train()
    probabilities = soft.predict(images)
    with torch.no_grad():
        wanted = soft.network.eval()(images / 255).softmax(dim=1)
    torch.testing.assert_close(probabilities, wanted)
    torch.testing.assert_close(soft.predict(images[2:3] / 255), wanted[2:3])


def test_many_images_are_looked_at_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    soft, images = make(), torch.rand(7, *SHAPE)
    wanted = soft.predict(images)
    monkeypatch.setattr("glimpse.soft_baselines.soft_baseline._ROWS", 3)
    torch.testing.assert_close(soft.predict(images), wanted)


def test_what_was_saved_is_loaded(run: RunFolder) -> None:
    wanted, before = make(), torch.get_rng_state()
    soft = load_soft(run.path)
    assert torch.equal(torch.get_rng_state(), before)
    assert (soft.config, soft.classes, soft.network.shape) == (wanted.config, CLASSES, SHAPE)
    assert_same(soft.network.state_dict(), wanted.network.state_dict())
    assert not soft.network.training


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 9, 12), "`images` must be (B, 2, 9, 12), got (2, 9, 12): give those it"),
        (torch.zeros(1, 2, 9, 11), "`images` must be (B, 2, 9, 12), got (1, 2, 9, 11)"),
        (torch.full((1, 2, 9, 12), 2.0), "`images` of floats must lie in [0, 1], got 2 to 2"),
    ],
)
@pytest.mark.plain
def test_other_images_are_refused(images: torch.Tensor, message: str) -> None:
    with refused(message):
        make().predict(images)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"agent": "base"}, "must be one of soft, got 'base'"),
        ({"config": {"attention": "sse"}}, "`attention` must be one of"),
        ({"config": {"bogus": 1}}, "bogus"),
        ({"shape": [1, 2]}, "unpack"),
        pytest.param({"classes": None}, "NoneType", marks=pytest.mark.plain),
    ],
)
def test_a_damaged_description_is_refused(
    run: RunFolder, change: dict[str, Any], reason: str
) -> None:
    content = json.loads((run.path / "agent.json").read_text())
    run.write_json("agent.json", {**content, **change})
    with pytest.raises(ValueError, match=r"agent\.json must describe a soft baseline, got") as told:
        load_soft(run.path)
    assert reason in str(told.value)


def test_weights_of_another_network_are_refused(run: RunFolder) -> None:
    run.write_weights(make(width=32).network.state_dict())
    with pytest.raises(ValueError, match=r"weights\.safetensors must fit agent\.json, got other"):
        load_soft(run.path)


def test_agents_say_who_reads_it(run: RunFolder) -> None:
    with pytest.raises(ValueError, match=r"got one of soft: read it with glimpse\.soft_baselines"):
        load(run.path)
