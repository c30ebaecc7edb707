"""What the commands do with the run of a soft baseline."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from bases import photos
from command import refused_line, type_in
from PIL import Image

from glimpse.catalogue import find_images
from glimpse.cli import main
from glimpse.soft_baselines import load_soft

pytestmark = pytest.mark.usefixtures("elsewhere")
TINY = ["train", "soft", "--steps", "2", "--batch", "8"]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of images of 10 x 8 pixels."""
    return photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def trained(shown: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run, to be read only."""
    folder = tmp_path_factory.mktemp("soft") / "run"
    words = ["--env", "glimpse/Images-v0", "--images", str(shown), "--run", str(folder)]
    assert main([*TINY, *words]) == 0
    return folder


def test_evaluate_repeats_what_train_printed(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = type_in(capsys, "evaluate", trained)
    error = json.loads((trained / "evaluation.json").read_text())["error"]
    assert result.out.startswith(f"test error: {error:.2f} % [")
    assert result.out.endswith("of 8 images\n")
    other = type_in(capsys, "evaluate", trained, "--split", "validation").out
    assert other.startswith("validation error: ")


def test_watch_draws_a_row_for_each_image(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heights = []
    for count in ("1", "3"):
        result = type_in(capsys, "watch", trained, "--count", count, "--out", f"of-{count}")
        assert result.code == 0
        assert result.out == f"attention: of-{count}/attention.png\n"
        with Image.open(f"of-{count}/attention.png") as picture:
            assert picture.mode == "RGB"
            heights.append(picture.height)
    assert heights[1] > heights[0] + 200
    again = type_in(capsys, "watch", trained, "--count", "3", "--out", "again")
    assert again.code == 0
    assert Path("again/attention.png").read_bytes() == Path("of-3/attention.png").read_bytes()


@pytest.mark.parametrize("attention", ["none", "stn", "draw"])
def test_watch_draws_whatever_the_network_has(
    attention: str, shown: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--env", "glimpse/Images-v0", "--images", shown, "--attention", attention]
    assert type_in(capsys, *TINY, *words, "--run", "mine").code == 0
    assert type_in(capsys, "watch", "mine", "--count", "2").code == 0
    assert Path("mine/attention.png").is_file()


def test_predict_says_what_the_network_says_and_draws_it(
    trained: Path, shown: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [shown / "a" / "00.png", shown / "b" / "01.png"]
    result = type_in(capsys, "predict", trained, *paths, "--out", "drawn.png")
    assert result.code == 0
    pixels = torch.stack([find_images(str(shown)).draw(*[torch.tensor([0])] * 2)[0]])
    soft = load_soft(trained)
    sure, best = soft.predict(pixels)[0].max(dim=0)
    assert result.out.splitlines()[0] == f"{paths[0]}: {'abc'[best]} ({100 * float(sure):.1f} %)"
    assert result.out.splitlines()[-1] == "drawn: drawn.png"
    with Image.open("drawn.png") as picture:
        assert picture.height > 400


def test_a_split_that_is_none_is_refused(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused_line(capsys, "evaluate", trained, "--split", "tset")
    assert "`split` must be one of" in line


def test_a_seed_out_of_range_is_refused(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("evaluate", "watch"):
        assert "`seed` must be in [0, 2**63)" in refused_line(capsys, command, trained, "--seed=-1")


@pytest.mark.parametrize("name", ["weights.safetensors", "agent.json", "config.yaml"])
def test_a_missing_file_is_named(
    name: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(trained, Path("mine"))
    (run / name).unlink()
    assert name in refused_line(capsys, "evaluate", run)
