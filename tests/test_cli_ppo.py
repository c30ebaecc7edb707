"""`glimpse train ppo`: resumed to the bit, watched like every agent, never mixed with another."""

import shutil
from pathlib import Path

import pytest
from cells import disturb, press
from command import refused_line, type_in
from safetensors.torch import load_file

from glimpse.agents import PpoLearner
from glimpse.cli import main

pytestmark = pytest.mark.usefixtures("elsewhere")
TINY = ["--steps", "6", "--batch", "16", "--hidden", "16", "--features", "16", "--layers", "[8]"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the folders of two runs, to be read only."""
    folders = {name: tmp_path_factory.mktemp(name) / "run" for name in ("ppo", "reinforce")}
    assert main(["train", "ppo", *TINY, "--run", str(folders["ppo"])]) == 0
    assert main(["train", "reinforce", *TINY[:-2], "--run", str(folders["reinforce"])]) == 0
    return folders


def _copy(trained: dict[str, Path], name: str) -> Path:
    return shutil.copytree(trained[name], Path("run"))


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    trained: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        taken = disturb(patch, PpoLearner, "step", 3, press)
        assert main(["train", "ppo", *TINY, "--run", "run"]) == 130
    assert len(taken) == 3
    assert main(["train", "--resume", "run"]) == 0
    one, other = (folder / "weights.safetensors" for folder in (Path("run"), trained["ppo"]))
    assert one.read_bytes() == other.read_bytes()


def test_a_run_holds_the_policys_and_the_perceivers_weights(trained: dict[str, Path]) -> None:
    names = set(load_file(trained["ppo"] / "weights.safetensors"))
    parts = {name.split(".")[0] for name in names}
    assert parts == {"glimpse", "core", "classifier", "locator", "baseline"}
    assert {"locator.0.weight", "locator.2.weight"} <= names  # a layer of 8, and the last


def test_watch_draws_it(trained: dict[str, Path]) -> None:
    assert main(["watch", str(trained["ppo"]), "--count", "2", "--out", "pictures"]) == 0


@pytest.mark.parametrize("name", ["checkpoint.pt", "weights.safetensors", "agent.json"])
@pytest.mark.parametrize("of", ["ppo", "reinforce"])
def test_a_file_of_another_agent_is_refused_in_a_line(
    of: str, name: str, trained: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _copy(trained, of)
    other = "reinforce" if of == "ppo" else "ppo"
    shutil.copy(trained[other] / name, folder / name)
    line = refused_line(capsys, "train", "--resume", "run")
    wanted = {
        "checkpoint.pt": "the checkpoint must be this agent's, got another",
        "weights.safetensors": "weights.safetensors must fit agent.json, got other weights",
        "agent.json": "weights.safetensors must fit agent.json, got other weights",
    }
    assert wanted[name] in line


def test_the_options_of_another_agent_are_refused_in_a_line(
    trained: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(trained["reinforce"] / "config.yaml")
    line = refused_line(capsys, "train", "ppo", "--config", config)
    assert "config.yaml must hold options of ppo, got curriculum, baseline, joint" in line
    assert line.endswith("take them out, or train the agent whose they are")


def test_a_search_is_no_task_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    line = refused_line(capsys, "train", "ppo", "--env", "glimpse/Slide-v0")
    assert "images must be answered about" in line
    assert list(Path().iterdir()) == []


def test_evaluate_repeats_what_train_printed(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--reward", "correct", "--last_std", "0.05", "--core", "relu"]
    trained = type_in(capsys, "train", "ppo", *TINY, *options, "--run", "run")
    again = type_in(capsys, "evaluate", "run")
    assert again.out.strip()
    assert again.out in trained.out
