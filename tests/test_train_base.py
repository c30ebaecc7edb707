"""`glimpse train base`: a run like every other, and one line for every mistake."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from bases import BASE, photos, weights
from cells import disturb, press
from command import assert_refused, every_mistake, refused_line, type_in

from glimpse.agents import BaseLearner
from glimpse.bases import load_base
from glimpse.catalogue import find_images
from glimpse.classifier import error_of
from glimpse.cli import main
from glimpse.maxout import MaxoutNetwork

PART = ["--train_images", "40"]
pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run, to be read only."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    shown = photos(tmp_path_factory.mktemp("photos"))
    assert main([*BASE, "--images", str(shown), *PART, "--run", str(folder)]) == 0
    return folder


@pytest.fixture
def shown(trained: Path) -> str:
    """Return the folder of the images."""
    return str(load_base(trained).images["images"])


def test_training_writes_the_run_and_says_where(
    shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = type_in(capsys, *BASE, "--images", shown, "--run", "mine")
    assert result.code == 0
    assert result.out.endswith("base: mine\n")
    assert result.out.count("base: mine") == 1
    assert "12/12" in result.err
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
    assert (evaluation["split"], evaluation["images"]) == ("test", 8)
    base = load_base("mine")
    assert isinstance(base.network, MaxoutNetwork)
    error = error_of(base.network, find_images(shown), "test")
    assert evaluation["error"] == error.percent
    assert f"test error of the base: {error} of 8 images\n" in result.out
    assert (base.images, base.shown) == ({"images": shown}, None)


def test_the_network_knows_what_it_was_shown(trained: Path) -> None:
    assert load_base(trained).shown == 40


def test_a_config_repeats_a_run_bit_for_bit(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--config", trained / "config.yaml", "--run"]
    assert type_in(capsys, "train", "base", *words, "again").code == 0
    assert weights(Path("again")) == weights(trained)
    for name in ("config.yaml", "agent.json", "metrics.csv", "evaluation.json"):
        assert (Path("again") / name).read_text() == (trained / name).read_text(), name
    assert type_in(capsys, "train", "base", *words, "other", "--seed", "1").code == 0
    assert weights(Path("other")) != weights(trained)


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    trained: Path,
    shown: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        taken = disturb(patch, BaseLearner, "step", 5, press)
        first = type_in(capsys, *BASE, "--images", shown, *PART, "--run", "mine")
    assert (first.code, len(taken)) == (130, 5)
    assert "interrupted after 5 of 12 steps" in first.err
    assert first.out == "  glimpse train --resume mine\n"
    before = weights(Path("mine"))
    assert before != weights(trained)
    resumed = type_in(capsys, "train", "--resume", "mine")
    assert resumed.code == 0
    assert weights(Path("mine")) == weights(trained)


def test_a_resumed_run_is_never_worse_on_disk_than_it_was(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends it at once: the weights are those of the checkpoint, not untrained ones."""
    run = shutil.copytree(trained, Path("mine"))
    before = weights(run)

    def fail(self: BaseLearner) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(BaseLearner, "choose_best", fail)
    assert main(["train", "--resume", str(run)]) == 130
    assert weights(run) == before


def test_a_finished_run_resumed_is_as_it_was(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(trained, Path("mine"))
    assert type_in(capsys, "train", "--resume", run).code == 0
    for name in ("weights.safetensors", "metrics.csv", "evaluation.json"):
        assert (run / name).read_bytes() == (trained / name).read_bytes(), name


def test_the_weights_that_were_best_are_written(
    shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two validations of a run that grows worse, the first."""
    kept = []
    validate, step = BaseLearner.validate, BaseLearner.step

    def keep(self: BaseLearner) -> object:
        error = validate(self)
        kept.append({name: of.clone() for name, of in self.network.state_dict().items()})
        return error

    def spoil(self: BaseLearner) -> object:
        told = step(self)
        if self._step > 20:
            with torch.no_grad():
                self.network.classifier.bias[2] = 100.0  # it says that all are of the last class
        return told

    monkeypatch.setattr(BaseLearner, "validate", keep)
    monkeypatch.setattr(BaseLearner, "step", spoil)
    assert main([*BASE, "--images", shown, "--steps", "22", "--run", "mine"]) == 0
    written = load_base("mine").network.state_dict()
    assert len(kept) == 2
    for name, wanted in kept[0].items():
        assert torch.equal(written[name], wanted), name
    assert not torch.equal(kept[1]["classifier.bias"], kept[0]["classifier.bias"])


def test_a_missing_option_is_named(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = shutil.copytree(trained, Path("mine"))
    config = yaml.safe_load((run / "config.yaml").read_text())
    del config["dropout"], config["steps"]
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    line = refused_line(capsys, "train", "--resume", run)
    assert "mine/config.yaml must hold every option, got none called steps, dropout" in line


MISTAKES: list[tuple[list[str], str]] = [
    (["--bogus", "1"], r"--bogus"),
    (["--steps", "0"], r"`steps` must be a whole number from 1, got 0"),
    (["--dropout", "1"], r"`dropout` must be below 1, got 1"),
    (["--sizes", "large"], r"sizes.*small.*paper.*large"),
    (["--train_images", "99999"], r"`train_images` must be at most 1257, got 99999"),
    (["--images", "photoz"], r"`images` must be the path of .*got 'photoz'"),
    (["--images", "haystack"], r"`images` must be a classification of images of one size"),
    (["--canvas", "huge"], r"`canvas` must be one of .*got 'huge'"),
    (["--device", "gpu"], r"`device` must be auto.*'gpu'"),
    (["--log_every", "0"], r"`log_every` must be a whole number from 1, got 0"),
]


@every_mistake(MISTAKES)
def test_a_mistake_earns_one_line_and_leaves_nothing_behind(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_refused(capsys, message, *BASE, *words)


def test_a_folder_that_is_there_is_refused(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "the run's folder must be new" in refused_line(capsys, *BASE, "--run", trained)
