"""`glimpse train dasnet`: a run like every other, alone or in two processes that share it."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from bases import BASE, DASNET, assert_near, photos, shorten_base, weights
from cells import disturb, press
from command import assert_refused, every_mistake, refused_line, type_in
from together import ended, errors, start, start_together

from glimpse.agents import BaseLearner, DasnetLearner, load_dasnet
from glimpse.bases import load_base
from glimpse.catalogue import find_images
from glimpse.cli import main

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of the images."""
    return str(photos(tmp_path_factory.mktemp("photos")))


@pytest.fixture(scope="module")
def base(shown: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a base, to be read only."""
    folder = tmp_path_factory.mktemp("base") / "base"
    words = ["--images", shown, "--train_images", "40", "--run", str(folder)]
    assert main([*BASE, *words]) == 0
    return folder


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run on that base, to be read only."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main([*DASNET, "--base", str(base), "--run", str(folder)]) == 0
    return folder


def _steps(folder: Path) -> list[int]:
    rows = (folder / "metrics.csv").read_text().splitlines()[1:]
    return [int(row.split(",")[0]) for row in rows]


# Alone


def test_training_writes_the_run_and_says_where(
    base: Path, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = type_in(capsys, *DASNET, "--base", base, "--run", "mine")
    assert result.code == 0
    assert result.out.endswith("run: mine\n")
    assert "5/5" in result.err
    names = {path.name for path in Path("mine").iterdir() if "tfevents" not in path.name}
    assert names == {
        "config.yaml",
        "agent.json",
        "weights.safetensors",
        "checkpoint.pt",
        "metrics.csv",
        "versions.json",
        "evaluation.json",
        "base",
    }
    assert _steps(Path("mine")) == [1, 2, 3, 4, 5]
    agent = load_dasnet("mine")
    rates = agent.evaluate(find_images(shown), "test")
    evaluation = json.loads(Path("mine/evaluation.json").read_text())
    assert (evaluation["split"], evaluation["images"]) == ("test", 8)
    assert [row["error"] for row in evaluation["passes"][:3]] == [rate.percent for rate in rates]
    assert len(evaluation["passes"]) == 5
    assert f"test error: {rates[-1].percent:.2f} %\n" in result.out
    assert agent.weights.any()


def test_the_run_stands_without_its_base(
    base: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For looking, and for going on."""
    moved = shutil.copytree(base, Path("moved"))
    with monkeypatch.context() as patch:
        disturb(patch, DasnetLearner, "step", 2, press)
        assert type_in(capsys, *DASNET, "--base", moved, "--run", "mine").code == 130
    assert load_base("mine/base").shown == 40
    assert weights(Path("mine/base")) == weights(base)
    assert type_in(capsys, *DASNET, "--base", moved, "--run", "whole").code == 0
    shutil.rmtree(moved)
    assert type_in(capsys, "train", "--resume", "mine").code == 0
    assert weights(Path("mine")) == weights(Path("whole"))


def test_a_config_repeats_a_run_bit_for_bit(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "dasnet", "--config", trained / "config.yaml", "--run"]
    assert type_in(capsys, *words, "again").code == 0
    assert weights(Path("again")) == weights(trained)
    for name in ("config.yaml", "agent.json", "metrics.csv", "evaluation.json"):
        assert (Path("again") / name).read_text() == (trained / name).read_text(), name
    assert type_in(capsys, *words, "other", "--seed", "1").code == 0
    assert weights(Path("other")) != weights(trained)


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    base: Path, trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        disturb(patch, DasnetLearner, "step", 3, press)
        first = type_in(capsys, *DASNET, "--base", base, "--run", "mine")
    assert first.code == 130
    assert "interrupted after 3 of 5 steps" in first.err
    assert first.out == "  glimpse train --resume mine\n"
    policy = load_dasnet("mine").weights
    state = torch.load(Path("mine/checkpoint.pt"), weights_only=True)["learner"]
    assert torch.equal(policy, state["centre"].float())
    assert type_in(capsys, "train", "--resume", "mine").code == 0
    assert weights(Path("mine")) == weights(trained)
    assert (Path("mine") / "evaluation.json").read_text() == (
        trained / "evaluation.json"
    ).read_text()
    assert _steps(Path("mine")) == [1, 2, 3, 4, 5]


def test_a_finished_run_resumed_is_as_it_was(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(trained, Path("mine"))
    assert type_in(capsys, "train", "--resume", run).code == 0
    for name in ("weights.safetensors", "metrics.csv", "evaluation.json"):
        assert (run / name).read_bytes() == (trained / name).read_bytes(), name


def test_without_a_base_it_trains_one_of_its_own(
    shown: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leaves half of the images to learn from, if those shall be other ones."""
    shorten_base(monkeypatch)
    words = [*DASNET, "--learn_from", "other", "--images", shown, "--run"]
    result = type_in(capsys, *words, "mine")
    assert result.code == 0
    assert result.out.splitlines()[1] == "base: mine/base"
    assert result.out.endswith("run: mine\n")
    assert load_base("mine/base").shown == 32
    again = ["train", "dasnet", "--config", "mine/config.yaml", "--run", "again"]
    assert type_in(capsys, *again).code == 0
    for part in ("", "base"):
        assert weights(Path("again") / part) == weights(Path("mine") / part)


@pytest.mark.parametrize("kind", ["interrupted", "killed"])
def test_a_run_interrupted_while_its_base_is_trained_goes_on(
    kind: str, shown: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_base(monkeypatch)
    words = [*DASNET, "--images", shown, "--run"]
    assert type_in(capsys, *words, "whole").code == 0
    assert load_base("whole/base").shown is None

    def kill() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        disturb(patch, BaseLearner, "step", 2, press if kind == "interrupted" else kill)
        first = type_in(capsys, *words, "mine")
    assert first.code == 130
    if kind == "interrupted":  # not the folder of the base: the policy is still to be found
        assert first.out == "  glimpse train --resume mine\n"
    with monkeypatch.context() as patch:
        steps = disturb(patch, BaseLearner, "step", 0, press)
        resumed = type_in(capsys, "train", "--resume", "mine")
    assert resumed.code == 0
    assert len(steps) == (2 if kind == "interrupted" else 4)
    for part in ("", "base"):
        assert weights(Path("mine") / part) == weights(Path("whole") / part)
    assert resumed.out.endswith("run: mine\n")


def test_images_need_not_be_named_again(
    shown: str, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are those of the base, resized as for it."""
    words = ["--images", shown, "--image_size", "[9, 11]", "--run"]
    assert type_in(capsys, *BASE, *words, "wide").code == 0
    assert type_in(capsys, *DASNET, "--base", "wide", "--run", "mine").code == 0
    assert load_base("mine/base").images == {"images": shown, "image_size": (9, 11)}
    assert load_base(base).images == {"images": shown}
    assert type_in(capsys, "train", "--resume", "mine").code == 0


# Mistakes

MISTAKES: list[tuple[list[str], str]] = [
    (["--population", "1"], r"`population` must be at least 2, got 1: individuals are compared"),
    (["--base", "nowhere"], r"`base` must be the folder of a base's run.*got 'nowhere'"),
    (["--bogus", "1"], r"--bogus"),
    (["--passes", "0"], r"`passes` must be a whole number from 1, got 0"),
    (["--std", "0"], r"`std` must be finite and at least 1e-12, got 0"),
    (["--policy", "cubic"], r"policy.*linear.*static.*cubic"),
    (["--learn_from", "all"], r"learn_from.*shown.*other.*all"),
    (["--images", "photoz"], r"`images` must be the path of .*got 'photoz'"),
    (["--images", "haystack"], r"`images` must be a classification of images of one size"),
    (["--device", "gpu"], r"`device` must be auto.*'gpu'"),
    (["--log_every", "0"], r"`log_every` must be a whole number from 1, got 0"),
]


@every_mistake(MISTAKES)
def test_a_mistake_earns_one_line_and_leaves_nothing_behind(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_refused(capsys, message, *DASNET, *words)


def test_a_base_that_was_shown_all_leaves_no_other_images(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = shutil.copytree(base, Path("whole"))
    content = json.loads((whole / "agent.json").read_text())
    (whole / "agent.json").write_text(json.dumps({**content, "shown": None}))
    line = refused_line(capsys, *DASNET, "--base", whole, "--learn_from", "other")
    assert "the base must leave some of 64 training images, got none left: train it with" in line


def test_images_of_another_size_are_refused(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused_line(capsys, *DASNET, "--base", base, "--canvas", "translated-40")
    assert "images must be (1, 10, 8), (C, H, W) of those the base was trained on" in line


def test_the_run_of_another_agent_is_no_base(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused_line(capsys, *DASNET, "--base", trained)
    assert "agent.json must describe a base, got `agent` must be one of base, got 'dasnet'" in line


def test_a_folder_that_is_there_is_refused(
    base: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused_line(capsys, *DASNET, "--base", base, "--run", trained)
    assert "the run's folder must be new" in line


def test_a_missing_option_is_named(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = shutil.copytree(trained, Path("mine"))
    config = yaml.safe_load((run / "config.yaml").read_text())
    del config["population"]
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    line = refused_line(capsys, "train", "--resume", run)
    assert "mine/config.yaml must hold every option, got none called population: restore" in line


def test_the_checkpoint_of_another_policy_is_refused(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(trained, Path("mine"))
    config = (run / "config.yaml").read_text().replace("policy: linear", "policy: static")
    (run / "config.yaml").write_text(config)
    before = weights(run)
    line = refused_line(capsys, "train", "--resume", run)
    assert "the checkpoint must be this agent's, got another (the state must be of 64 weigh" in line
    assert weights(run) == before


# In two processes

# Without the `--` torchrun takes our `--run` for its own `--run-path`.
TORCHRUN = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]
# In its third step the second process dies, as if somebody had killed it; or Ctrl-C is pressed.
DISTURBED = """
import os, signal, sys
from functools import partial
from glimpse.agents import BaseConfig, DasnetLearner
from glimpse.cli import main, train_dasnet
train_dasnet.BaseConfig = partial(BaseConfig, steps=4, batch=16)
step, steps = DasnetLearner.step, []
def disturbed(self):
    steps.append(1)
    if len(steps) == 3 and sys.argv[1] == "press":
        os.kill(os.getpid(), signal.SIGINT)
    if len(steps) == 3 and sys.argv[1] == "die" and os.environ["RANK"] == "1":
        os._exit(9)
    return step(self)
DasnetLearner.step = disturbed
sys.exit(main(sys.argv[2:]))
"""


def _once(text: str, told: str) -> bool:
    return text.count(told) == 1


def test_two_processes_find_what_one_finds(base: Path, trained: Path) -> None:
    words = ["-m", "--", "glimpse.cli", *DASNET, "--base", base, "--run", "mine"]
    (result,) = ended([start(*TORCHRUN, *words, cwd=Path())])
    assert result.code == 0, result.err
    assert_near(Path("mine"), trained)
    assert sorted(path.name for path in Path().iterdir()) == ["mine"]
    assert sum("tfevents" in path.name for path in Path("mine").iterdir()) == 1
    assert _once(result.out, "run: mine")
    assert _once(result.out, "test error: ")
    assert _once(result.out, "wrong to right")


def test_a_lost_process_ends_the_run_and_one_alone_goes_on(
    shown: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a base of its own, which the first process trains and both have."""
    Path("script.py").write_text(DISTURBED)
    words = ["--", "script.py", "die", *DASNET, "--images", shown, "--run", "mine"]
    (result,) = ended([start(*TORCHRUN, *words, cwd=Path())])
    assert result.code != 0
    (line,) = errors(result)
    assert line.startswith("glimpse: all 2 processes must answer, got an error instead (")
    assert line.endswith("a process is lost; go on with --resume")
    assert _once(result.out, "base: mine/base")
    assert "run: " not in result.out
    assert torch.load(Path("mine/checkpoint.pt"), weights_only=True)["step"] == 2

    shorten_base(monkeypatch)
    assert type_in(capsys, "train", "--resume", "mine").code == 0
    assert type_in(capsys, *DASNET, "--images", shown, "--run", "whole").code == 0
    assert weights(Path("mine/base")) == weights(Path("whole/base"))
    assert_near(Path("mine"), Path("whole"))


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT as a terminal does")
def test_ctrl_c_ends_both_after_the_same_step_and_both_go_on(base: Path, trained: Path) -> None:
    Path("script.py").write_text(DISTURBED)
    words = ["script.py", "press", *DASNET, "--base", base, "--run", "mine"]
    lead, follower = ended(start_together(words, Path()))
    assert (lead.code, follower.code) == (130, 0), (lead, follower)
    assert "interrupted after 3 of 5 steps" in lead.err
    assert lead.out == "  glimpse train --resume mine\n"
    assert (follower.out, errors(lead), errors(follower)) == ("", [], [])
    assert _steps(Path("mine")) == [1, 2, 3]
    assert torch.load(Path("mine/checkpoint.pt"), weights_only=True)["step"] == 3

    words = ["-m", "glimpse.cli", "train", "--resume", "mine"]
    results = ended(start_together(words, Path()))
    assert [result.code for result in results] == [0, 0], results
    assert_near(Path("mine"), trained)


def test_a_mistake_ends_both(base: Path) -> None:
    """One that only the first process can know of, too."""
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("keep me")
    words = ["-m", "glimpse.cli", *DASNET, "--base", base, "--run", "mine"]
    lead, follower = ended(start_together(words, Path()))
    assert (lead.code, follower.code) == (1, 1)
    (line,) = errors(lead)
    assert line.startswith("glimpse: the run's folder must be new, got mine, which is there")
    assert len(errors(follower)) == 1
    assert [path.name for path in Path("mine").iterdir()] == ["notes.txt"]
