"""`glimpse train soft`: a run like every other, and one line for every mistake."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from bases import photos, weights
from cells import disturb, press
from command import assert_refused, every_mistake, refused_line, type_in

from glimpse.catalogue import find_images
from glimpse.classifier import Classifier, error_of
from glimpse.cli import main
from glimpse.soft_baselines import load_soft

SOFT = ["train", "soft", "--env", "glimpse/Images-v0", "--attention", "se", "--batch", "16"]
SOFT += ["--steps", "8", "--log_every", "4"]
pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run, to be read only."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    shown = photos(tmp_path_factory.mktemp("photos"))
    assert main([*SOFT, "--images", str(shown), "--run", str(folder)]) == 0
    return folder


@pytest.fixture
def shown(trained: Path) -> str:
    """Return the folder of the images."""
    return str(yaml.safe_load((trained / "config.yaml").read_text())["images"])


def test_training_writes_the_run_and_says_where(
    shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = type_in(capsys, *SOFT, "--images", shown, "--run", "mine")
    assert result.code == 0
    assert result.out.endswith("run: mine\n")
    names = {path.name for path in Path("mine").iterdir() if "tfevents" not in path.name}
    assert names == {
        "config.yaml",
        "agent.json",
        "weights.safetensors",
        "checkpoint.pt",
        "metrics.csv",
        "versions.json",
        "evaluation.json",
    }
    evaluation = json.loads(Path("mine/evaluation.json").read_text())
    error = error_of(load_soft("mine").network, find_images(shown), "test")
    assert (evaluation["split"], evaluation["images"]) == ("test", 8)
    assert evaluation["error"] == error.percent
    assert result.out.startswith(f"test error: {error} of 8 images\n")


def test_a_config_repeats_a_run_bit_for_bit(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--config", trained / "config.yaml", "--run"]
    assert type_in(capsys, "train", "soft", *words, "again").code == 0
    assert weights(Path("again")) == weights(trained)
    for name in ("config.yaml", "agent.json", "metrics.csv", "evaluation.json"):
        assert (Path("again") / name).read_text() == (trained / name).read_text(), name


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    trained: Path, shown: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        disturb(patch, Classifier, "step", 5, press)
        first = type_in(capsys, *SOFT, "--images", shown, "--run", "mine")
    assert first.code == 130
    assert first.out == "  glimpse train --resume mine\n"
    assert weights(Path("mine")) != weights(trained)
    assert type_in(capsys, "train", "--resume", "mine").code == 0
    assert weights(Path("mine")) == weights(trained)


def test_a_finished_run_resumed_is_as_it_was(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(trained, Path("mine"))
    assert type_in(capsys, "train", "--resume", run).code == 0
    for name in ("weights.safetensors", "metrics.csv", "evaluation.json"):
        assert (run / name).read_bytes() == (trained / name).read_bytes(), name


def test_the_config_says_what_the_environment_shows(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "soft", "--attention", "none", "--steps", "1", "--batch", "8"]
    assert type_in(capsys, *words, "--width", "4", "--run", "mine").code == 0
    config = yaml.safe_load(Path("mine/config.yaml").read_text())
    assert (config["env"], config["images"]) == ("glimpse/Digits-v0", "digits")
    assert config["canvas"] == "translated-40"
    assert (config["attention"], config["width"], config["steps"]) == ("none", 4, 1)
    assert load_soft("mine").network.shape == (1, 40, 40)


def test_counting_is_a_task_as_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--steps", "1", "--batch", "4", "--attention", "none", "--width", "2", "--run", "mine"]
    assert type_in(capsys, "train", "soft", "--env", "glimpse/Counting-v0", *words).code == 0
    soft = load_soft("mine")
    assert soft.network.shape == (1, 100, 100)
    assert len(soft.classes) > 1


def test_a_run_named_by_itself_says_which_attention(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--steps", "1", "--batch", "4", "--width", "2", "--attention", "none"]
    assert type_in(capsys, "train", "soft", *words).code == 0
    (run,) = Path("runs").iterdir()
    assert run.name.startswith("soft-none-Digits-v0-")


MISTAKES: list[tuple[list[str], str]] = [
    (["--attention", "sse"], r"`attention` must be one of .*cbam.*none.*stn.*got 'sse'"),
    (["--env", "glimpse/Search-v0"], r"`images` must be a classification .*got a Search"),
    (["--env", "glimpse/Slide-v0"], r"`images` must be a classification .*got a Search"),
    (["--env", "glimpse/Sequence-v0"], r"`images` must be a classification .*got a Sequence"),
    (["--env", "glimpse/Bogus-v0"], r"`env` must be one of .*got 'glimpse/Bogus-v0'"),
    (["--images", "photoz"], r"got 'photoz'"),
    (["--width", "8"], r"`width` must suit se, got 8, .*reduction"),
    (["--steps", "0"], r"`steps` must be a whole number from 1, got 0"),
    (["--glimpses", "3"], r"--glimpses"),
    (["--device", "gpu"], r"`device` must be auto.*'gpu'"),
]


@every_mistake(MISTAKES)
def test_a_mistake_earns_one_line_and_leaves_nothing_behind(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    env = [] if "--env" in words else ["--env", "glimpse/Digits-v0"]
    assert_refused(capsys, message, "train", "soft", "--attention", "se", *env, *words)


def test_a_config_that_does_not_fit_the_network_earns_one_line(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(trained, Path("mine"))
    with (run / "config.yaml").open("a") as file:
        file.write("image_size: [12, 12]\n")
    for command in (["train", "--resume"], ["evaluate"], ["watch"]):
        line = refused_line(capsys, *command, run)
        assert "mine/config.yaml must describe what agent.json does" in line
