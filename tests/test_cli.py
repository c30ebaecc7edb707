"""The `glimpse` command: what its subcommands do, and one line for every mistake."""

import gzip
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
import yaml
from command import Result, refused_line, type_in
from PIL import Image
from safetensors.torch import load_file

from glimpse.agents import AGENTS, load
from glimpse.catalogue import image_names
from glimpse.cli import main
from glimpse.cli.options import RunOptions, ViewOptions
from glimpse.cli.train import TRAINERS
from glimpse.envs import ENVIRONMENTS
from glimpse.folder import load_image

pytestmark = pytest.mark.usefixtures("elsewhere")

TINY = ["--steps", "4", "--batch", "8", "--hidden", "16", "--features", "16"]
# Enough to answer some images otherwise than others.
SMALL = ["--steps", "40", "--batch", "32", "--hidden", "32", "--features", "32"]
TRAIN = ["train", "reinforce", *TINY]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run, to be read only."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main([*TRAIN, "--run", str(folder)]) == 0
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """Return a copy of that run, to be damaged."""
    return shutil.copytree(trained, tmp_path / "run")


def _weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


def _config(folder: Path) -> dict[str, object]:
    config: dict[str, object] = yaml.safe_load((folder / "config.yaml").read_text())
    return config


def _picture(path: Path, size: tuple[int, ...] = (12, 16), seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def _photos(root: Path, count: int = 40) -> Path:
    for number in range(count):
        _picture(root / ("cat" if number % 2 else "dog") / f"{number:02}.png", seed=number)
    return root


# Training.


def test_training_writes_the_run_and_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    result = type_in(capsys, *TRAIN, "--run", "mine")
    assert result.code == 0
    assert "test error: " in result.out
    assert result.out.endswith("run: mine\n")
    assert "4/4" in result.err  # the bar
    names = {path.name for path in Path("mine").iterdir()}
    events = {name for name in names if name.startswith("events.out.tfevents.")}
    assert len(events) == 1
    assert names - events == {
        "config.yaml",
        "agent.json",
        "weights.safetensors",
        "checkpoint.pt",
        "metrics.csv",
        "versions.json",
        "evaluation.json",
    }
    wanted = {"env": "glimpse/Digits-v0", "steps": 4, "batch": 8, "hidden": 16, "features": 16}
    assert wanted.items() <= _config(Path("mine")).items()


def test_without_a_name_each_run_gets_a_folder_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for _ in range(2):
        assert type_in(capsys, "train", "uniform", *TINY).code == 0
    runs = sorted(Path("runs").iterdir())
    assert len(runs) == 2
    assert all(re.fullmatch(r"uniform-Digits-v0-\d{8}-\d{6}-\d{3}", run.name) for run in runs)
    assert _weights(runs[0]) == _weights(runs[1])


@pytest.mark.parametrize("agent", AGENTS)
def test_evaluate_repeats_what_train_printed(
    agent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = type_in(capsys, "train", agent, *SMALL, "--run", "mine")
    assert trained.code == 0
    repeated = type_in(capsys, "evaluate", "mine")
    assert repeated.code == 0
    assert trained.out == repeated.out + "run: mine\n"
    written = json.loads(Path("mine/evaluation.json").read_text())
    last = written["errors"][-1]
    assert f"test error: {last['mean']['error']:.2f} %" in repeated.out
    assert (written["split"], written["images"]) == ("test", 360)
    assert [row["glimpse"] for row in written["errors"]] == [1, 2, 3, 4, 5, 6]
    errors = {row[kind]["error"] for row in written["errors"] for kind in ("mean", "sampled")}
    assert len(errors) > 1  # it does not say the same of every image


def test_evaluate_takes_a_split_and_a_seed(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = type_in(capsys, "evaluate", trained, "--split", "validation")
    assert "validation error: " in first.out
    assert "180 validation images" in first.out
    assert type_in(capsys, "evaluate", trained, "--split", "validation") == first
    assert "1,257 train images" in type_in(capsys, "evaluate", trained, "--split=train").out


def test_options_reach_the_environment_and_the_agent(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--glimpses", "3", "--size", "5", "--scales", "2", "--context", "4", "--reach", "9.5"]
    words += ["--first", "agent", "--outside", "mean", "--canvas", "translated-60"]
    result = type_in(capsys, *TRAIN, *words, "--core", "relu", "--std", "0.2", "--run", "mine")
    assert result.code == 0
    agent = load("mine")
    assert (agent.eye.glimpses, agent.eye.first, agent.eye.reach) == (3, "agent", 9.5)
    assert agent.eye.context == 4
    sensor = agent.eye.sensor
    assert (sensor.size, sensor.scales, sensor.outside) == (5, 2, "mean")
    assert (agent.config.core, agent.config.std) == ("relu", 0.2)  # type: ignore[attr-defined]
    repeated = type_in(capsys, "evaluate", "mine")
    assert result.out == repeated.out + "run: mine\n"


def test_a_config_repeats_a_run_bit_for_bit(capsys: pytest.CaptureFixture[str]) -> None:
    photos = _photos(Path("photos"))
    words = ["--env", "glimpse/Images-v0", "--images", str(photos), "--image_size", "[10, 14]"]
    words += ["--size", "3", "--glimpses", "4", "--context", "2", "--reach", "3", "--copies", "2"]
    words += ["--seed", "3", "--std", "0.3", "--learning_rate", "0.01", "--log_every", "3"]
    assert type_in(capsys, *TRAIN, *words, "--run", "first").code == 0
    again = type_in(capsys, "train", "reinforce", "--config", "first/config.yaml", "--run", "again")
    assert again.code == 0
    assert _weights(Path("again")) == _weights(Path("first"))
    for name in ("config.yaml", "agent.json", "metrics.csv", "evaluation.json"):
        assert (Path("again") / name).read_text() == (Path("first") / name).read_text(), name
    config = _config(Path("again"))
    assert config["image_size"] == [10, 14]
    assert (config["reach"], config["copies"], config["seed"]) == (3, 2, 3)
    other = ["--config", "first/config.yaml", "--seed", "4", "--run", "other"]
    assert type_in(capsys, "train", "reinforce", *other).code == 0
    assert _weights(Path("other")) != _weights(Path("first"))


@pytest.mark.parametrize("agent", AGENTS)
def test_a_config_repeats_every_agent(agent: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert type_in(capsys, "train", agent, *TINY, "--run", "first").code == 0
    assert type_in(capsys, "train", agent, "--config", "first/config.yaml", "--run", "b").code == 0
    assert _weights(Path("b")) == _weights(Path("first"))
    assert _config(Path("b")) == _config(Path("first"))


def test_none_is_an_option_too(capsys: pytest.CaptureFixture[str]) -> None:
    """`null` is not the default: the deviation of the last step stays that of the first."""
    words = ["--std", "0.3", "--last_std", "null", "--run", "first"]
    assert type_in(capsys, *TRAIN, *words).code == 0
    assert _config(Path("first"))["last_std"] is None
    config = ["--config", "first/config.yaml"]
    assert type_in(capsys, "train", "reinforce", *config, "--run", "again").code == 0
    assert _weights(Path("again")) == _weights(Path("first"))
    for run in ("first", "again"):
        agent: Any = load(run)
        assert agent.config.last_std is None
        assert agent.config.policy.std == 0.3
    assert type_in(capsys, *TRAIN, "--std", "0.3", "--run", "default").code == 0
    default = _config(Path("default"))["last_std"]
    assert default == AGENTS["reinforce"].config().last_std is not None
    assert type_in(capsys, "train", "--resume", "first").code == 0
    assert _config(Path("first"))["last_std"] is None


def test_hyphens_and_underscores_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    hyphens = ["--learning-rate", "0.01", "--log-every=2", "--data-root", "my_data-root"]
    underscores = ["--learning_rate", "0.01", "--log_every=2", "--data_root", "my_data-root"]
    assert type_in(capsys, *TRAIN, *hyphens, "--run", "one-run").code == 0
    assert type_in(capsys, *TRAIN, *underscores, "--run", "other_run").code == 0
    config = _config(Path("one-run"))
    assert config == _config(Path("other_run"))
    assert (config["learning_rate"], config["log_every"]) == (0.01, 2)
    assert config["data_root"] == "my_data-root"
    assert Path("one-run/metrics.csv").read_text().count("\n") == 3


def test_a_finished_run_resumed_is_as_it_was(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {name: (run / name).read_bytes() for name in ("weights.safetensors", "metrics.csv")}
    result = type_in(capsys, "train", "--resume", run)
    assert result.code == 0
    assert result.out.endswith(f"run: {run}\n")
    assert {name: (run / name).read_bytes() for name in before} == before


def test_an_own_folder_without_test_images_is_judged_by_its_training_images(
    capsys: pytest.CaptureFixture[str],
) -> None:
    photos = _photos(Path("photos"), count=8)
    result = type_in(capsys, *TRAIN, "--images", photos, "--canvas=translated-40", "--run", "mine")
    assert result.code == 0
    assert "train error: " in result.out
    repeated = type_in(capsys, "evaluate", "mine", "--split", "train")
    assert result.out == repeated.out + "run: mine\n"
    assert load("mine").task.classes == ("cat", "dog")
    assert "split 'test' must hold images" in refused_line(capsys, "evaluate", "mine")


def test_an_environment_of_a_module_of_one_s_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("my_glimpse_env.py").write_text(
        "import gymnasium, torch\n"
        "from glimpse import ImageSet, register_images\n"
        "images = torch.arange(20 * 64, dtype=torch.uint8).view(20, 1, 8, 8)\n"
        "register_images('mine', ImageSet.from_arrays(images, [0, 1] * 10))\n"
        "gymnasium.register('mine/Env-v0', vector_entry_point='glimpse.envs:GlimpseVectorEnv',\n"
        "                   kwargs={'images': 'mine', 'size': 4})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_glimpse_env", raising=False)
    name = "my_glimpse_env:mine/Env-v0"
    try:
        result = type_in(capsys, *TRAIN, "--env", name, "--run", "mine")
        assert result.code == 0
        assert _config(Path("mine"))["env"] == name
        repeated = type_in(capsys, "evaluate", "mine")
        assert result.out == repeated.out + "run: mine\n"
    finally:
        gymnasium.registry.pop("mine/Env-v0", None)
        sys.modules.pop("my_glimpse_env", None)


@pytest.mark.mnist
def test_mnist_is_found_where_the_environment_variable_or_data_root_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--env", "glimpse/MNIST-v0", "--glimpses", "2", "--run", "mine"]
    trained = type_in(capsys, *TRAIN, *words)
    assert trained.code == 0
    assert "10,000 test images" in trained.out
    root = os.environ["GLIMPSE_DATA"]
    monkeypatch.delenv("GLIMPSE_DATA")
    assert "MNIST must be on disk" in refused_line(capsys, "evaluate", "mine")
    repeated = type_in(capsys, "evaluate", "mine", "--data-root", root)
    assert trained.out == repeated.out + "run: mine\n"


# Ctrl-C.


def _start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "glimpse.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"},
    )


LONG = ["train", "reinforce", "--steps", "400", "--batch", "8", "--hidden", "16"]
LONG += ["--features", "16", "--glimpses", "3", "--log_every", "10"]


def _interrupted(folder: Path) -> Result:
    """Begin a long run and press Ctrl-C when its first checkpoint is there."""
    process = _start(*LONG, "--run", str(folder))
    until = time.monotonic() + 60
    while not (folder / "checkpoint.pt").is_file() and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return Result(process.returncode, out, err)


posix = pytest.mark.skipif(os.name != "posix", reason="sends SIGINT as a terminal does")


@posix
def test_an_interrupted_run_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("interrupted")
    result = _interrupted(folder)
    assert result.code == 130, result.err
    assert "Traceback" not in result.err
    checkpoint = torch.load(folder / "checkpoint.pt", weights_only=True)
    done = checkpoint["step"]
    assert 20 <= done < 400
    assert f"interrupted after {done} of 400 steps" in result.err
    assert result.out.split() == ["glimpse", "train", "--resume", "interrupted"]
    rows = (folder / "metrics.csv").read_text().splitlines()
    assert rows[-1].startswith(f"{done},")  # what was measured since the last row too
    for name, tensor in load_file(folder / "weights.safetensors").items():
        assert torch.equal(tensor, checkpoint["learner"]["model"][name]), name

    assert type_in(capsys, "evaluate", folder).code == 0
    resumed = type_in(capsys, *result.out.split()[1:])
    assert resumed.code == 0
    whole = type_in(capsys, *LONG, "--run", "whole")
    assert whole.code == 0
    assert _weights(folder) == _weights(Path("whole"))
    assert resumed.out.replace("interrupted", "whole") == whole.out
    states = [torch.load(run / "checkpoint.pt") for run in (folder, Path("whole"))]
    assert states[0]["step"] == states[1]["step"] == 400
    steps = [row.split(",")[0] for row in (folder / "metrics.csv").read_text().splitlines()[1:]]
    assert steps == [str(step) for step in sorted({*range(10, 401, 10), done})]


@posix
def test_the_command_that_goes_on_can_be_typed() -> None:
    folder = Path("my run")
    result = _interrupted(folder)
    assert shlex.split(result.out) == ["glimpse", "train", "--resume", "my run"]


# Watching and predicting.


@pytest.mark.parametrize(("glimpses", "first"), [(3, "random"), (5, "agent")])
def test_watch_draws_one_frame_a_glimpse(
    glimpses: int, first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--glimpses", str(glimpses), "--first", first, "--run", "mine"]
    assert type_in(capsys, *TRAIN, *words).code == 0
    result = type_in(capsys, "watch", "mine", "--count", "3")
    assert result.code == 0
    paths = [Path("mine/fixations.gif"), Path("mine/fixations.png")]
    assert all(str(path) in result.out for path in paths)
    with Image.open(paths[0]) as animation:
        assert animation.format == "GIF"
        assert animation.n_frames == glimpses  # type: ignore[attr-defined]
        assert animation.info["loop"] == 0
        frame = animation.size
    with Image.open(paths[1]) as still:
        assert still.format == "PNG"
        assert still.mode == "RGB"
        panel = (still.width // glimpses, still.height // 3)
    assert frame == (3 * panel[0], panel[1])


def test_watch_draws_into_another_folder_and_the_same_again(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in run.iterdir())
    for out in ("pictures/here", "pictures/there"):
        assert type_in(capsys, "watch", run, "--count", "2", "--out", out).code == 0
    assert sorted(path.name for path in run.iterdir()) == before
    for name in ("fixations.gif", "fixations.png"):
        here, there = (Path("pictures") / place / name for place in ("here", "there"))
        assert here.read_bytes() == there.read_bytes()
    other = ["--split", "train", "--out", "other"]
    assert type_in(capsys, "watch", run, "--count", "2", *other).code == 0
    drawn = Path("other/fixations.png").read_bytes()
    assert drawn != Path("pictures/here/fixations.png").read_bytes()


def test_predict_says_what_the_agent_says(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grey, colour = _picture(Path("grey.png"), (30, 50)), _picture(Path("my photo.png"), (9, 7, 3))
    result = type_in(capsys, "predict", trained, grey, colour, "--seed", "3")
    assert result.code == 0
    agent = load(trained)
    lines = iter(result.out.splitlines())
    for path in (grey, colour):
        image = load_image(path, channels=1)
        probabilities, locations = agent.predict(image[None], seed=3)
        best = int(probabilities[0, -1].argmax())
        sure = 100 * float(probabilities[0, -1, best])
        assert next(lines) == f"{path}: {agent.task.classes[best]} ({sure:.1f} %)"
        for number in range(6):
            x, y = locations[0, number].tolist()
            row = probabilities[0, number]
            assert next(lines) == (
                f"  glimpse {number + 1} at ({x:+.2f}, {y:+.2f}): "
                f"{agent.task.classes[int(row.argmax())]} ({100 * float(row.max()):.1f} %)"
            )
    assert next(lines, None) is None
    assert type_in(capsys, "predict", trained, grey, colour, "--seed", "3") == result
    assert type_in(capsys, "predict", trained, grey, colour).out != result.out


def test_predict_draws_into_a_file(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = [_picture(Path(name)) for name in ("a.png", "b.png")]
    result = type_in(capsys, "predict", trained, *images, "--out", "looks.png")
    assert result.code == 0
    assert "drawn: looks.png" in result.out
    with Image.open("looks.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.width / 6 < sheet.height / 2 < 2 * sheet.width / 6


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    result = type_in(capsys, "list")
    assert result.code == 0
    words = result.out.split()
    for name in (*ENVIRONMENTS, *TRAINERS, *image_names()):
        assert name in words


# Help.

COMMANDS = [[], ["train"], *(["train", agent] for agent in TRAINERS)]
COMMANDS += [["evaluate"], ["watch"], ["predict"], ["reproduce"], ["list"]]


def _explained(text: str) -> Iterator[tuple[str, str]]:
    """Return every option, argument or subcommand of a help text with what it says of it."""
    head = r"(?:-\S.*?|[A-Z]+|\S+)"
    pattern = rf"^(?: {{2}}| {{4}})({head})(?: {{2,}}(\S.*))?\n((?: {{6,}}\S.*\n)*)"
    body = text[text.index("\n\n") :].replace("\n  For more details", "\nFor more details")
    for name, beside, below in re.findall(pattern, body, flags=re.MULTILINE):
        yield name, f"{beside} {' '.join(below.split())}".strip()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_explains_every_option(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    explained = dict(_explained(out))
    named = {word for name in explained for word in re.findall(r"--?\w+", name)}
    usage = out[: out.index("\n\n")]
    shown = set(re.findall(r"\[(--\w+)", usage.split("[options]")[-1]))
    assert shown <= named
    assert "--help" in named
    for name, text in explained.items():
        said = re.sub(r"\((type|required|default): .*\)|\(required\)", "", text)
        assert len(said.split()) >= 2 or "Available subcommands" in name, f"{name}: {text!r}"


@pytest.mark.parametrize("agent", TRAINERS)
def test_help_names_every_option_of_an_agent(
    agent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["train", agent, "--help"])
    explained = dict(_explained(capsys.readouterr().out))
    named = {word for name in explained for word in re.findall(r"--(\w+)", name)}
    if agent in AGENTS:
        assert TRAINERS[agent].options == (RunOptions, AGENTS[agent].config, ViewOptions)
    for options in TRAINERS[agent].options:
        assert {field.name for field in fields(options)} <= named


def test_help_lists_every_command_and_agent(capsys: pytest.CaptureFixture[str]) -> None:
    for words, names in (
        ([], ("train", "evaluate", "watch", "predict", "reproduce", "list")),
        (["train"], tuple(TRAINERS)),
    ):
        with pytest.raises(SystemExit):
            main([*words, "--help"])
        explained = dict(_explained(capsys.readouterr().out))
        assert set(names) <= explained.keys()


# Mistakes.

MISTAKES: list[tuple[list[str], str]] = [
    ([], r"\{train,evaluate,watch,predict,reproduce, \.\.\.\}"),
    (["trian"], r"'trian'.*train"),
    (["--bogus"], r"--bogus"),
    (["train"], r"an agent must be named, got none: add one of reinforce, ppo, es, uniform"),
    (["train", "bogus"], r"'bogus'.*reinforce"),
    ([*TRAIN, "--bogus", "1"], r"--bogus"),
    ([*TRAIN, "--copie", "2"], r"--copie"),  # no abbreviations: they change when options are added
    ([*TRAIN, "--core", "gru"], r"core.*lstm.*relu.*gru"),
    ([*TRAIN, "--precision", "half"], r"precision.*float32.*half"),
    ([*TRAIN, "--reward", "loss"], r"reward.*gain.*correct.*loss"),
    ([*TRAIN, "--outside", "grey"], r"outside.*zero.*edge.*mean.*grey"),
    ([*TRAIN, "--first", "left"], r"first.*random.*centre.*agent.*left"),
    ([*TRAIN, "--steps", "many"], r"steps.*many"),
    ([*TRAIN, "--steps", "1.5"], r"steps.*1\.5"),
    ([*TRAIN, "--size", "large"], r"size.*large"),
    ([*TRAIN, "--image_size", "5"], r"image_size.*5"),
    ([*TRAIN, "--image_size", "[5]"], r"image_size.*5"),
    ([*TRAIN, "--steps", "0"], r"`steps` must be a whole number from 1, got 0"),
    ([*TRAIN, "--batch", "0"], r"`batch` must be a whole number from 1, got 0"),
    ([*TRAIN, "--copies", "0"], r"`copies` must be a whole number from 1, got 0"),
    ([*TRAIN, "--hidden", "0"], r"`hidden` must be a whole number from 1, got 0"),
    ([*TRAIN, "--features", "-1"], r"`features` must be a whole number from 1, got -1"),
    ([*TRAIN, "--seed", "-1"], r"`seed` must be a whole number from 0, got -1"),
    ([*TRAIN, "--std", "0"], r"`std` must be finite and at least 1e-06, got 0"),
    ([*TRAIN, "--learning_rate", "-1"], r"`learning_rate` must be finite and at least 0, got -1"),
    ([*TRAIN, "--early", "-1"], r"`early` must be finite and at least 0, got -1"),
    ([*TRAIN, "--clip", "-1"], r"`clip` must be finite and at least 0, got -1"),
    ([*TRAIN, "--threads", "0"], r"`?threads`? must be .* got 0"),
    ([*TRAIN, "--log_every", "0"], r"`log_every` must be a whole number from 1, got 0"),
    ([*TRAIN, "--size", "0"], r"`size` must be a whole number from 1, got 0"),
    ([*TRAIN, "--glimpses", "0"], r"`glimpses` must be a whole number from 1, got 0"),
    ([*TRAIN, "--context", "0"], r"`context` must be a whole number from 1, got 0"),
    ([*TRAIN, "--reach", "-1"], r"`reach` must be finite and at least 0, got -1"),
    ([*TRAIN, "--env", "glimpse/Bogus-v0"], r"`env` must be one of glimpse/Digits-v0.*Bogus-v0'"),
    ([*TRAIN, "--env", "glimpse/Digits-v9"], r"`env` must be one of glimpse/Digits-v0.*Digits-v9'"),
    ([*TRAIN, "--env", "two words"], r"`env` must be one of glimpse/Digits-v0.*'two words'"),
    ([*TRAIN, "--env", "nowhere:My-v0"], r"`env` must be .*'nowhere:My-v0'.*MODULE:ID"),
    ([*TRAIN, "--env", "json:My-v0"], r"`env` must be .*'json:My-v0'.*MODULE:ID"),
    ([*TRAIN, "--env", ":My-v0"], r"`env` must be .*':My-v0'.*MODULE:ID"),
    ([*TRAIN, "--env", "CartPole-v1"], r"`env` must be .*'CartPole-v1'"),
    ([*TRAIN, "--env", "Pendulum-v1"], r"`env` must be .*'Pendulum-v1'"),
    (
        [*TRAIN, "--images", "photoz"],
        r"`images` must be the path of .*haystack, mnist, got 'photoz'",
    ),
    ([*TRAIN, "--canvas", "huge"], r"`canvas` must be one of .*translated-40.*, got 'huge'"),
    ([*TRAIN, "--device", "gpu"], r"`device` must be auto.*'gpu'"),
    ([*TRAIN, "--device", "cpu:x"], r"`device` must be auto.*'cpu:x'"),
    ([*TRAIN, "--config", "nowhere.yaml"], r"nowhere\.yaml"),
    (["train", "--resume"], r"--resume"),
    (["train", "--resume", "nowhere"], r"nowhere must be the folder of a run"),
    (["evaluate"], r"required"),
    (["evaluate", "nowhere"], r"nowhere must be the folder of a run"),
    (["watch", "nowhere"], r"nowhere must be the folder of a run"),
    (["predict", "nowhere", "photo.png"], r"nowhere must be the folder of a run"),
    (["list", "everything"], r"everything"),
    ([*TRAIN, "--warm_up", "4"], r"`warm_up` must be below steps=4, got 4"),
    ([*TRAIN, "--baseline", "others"], r"`copies` must be at least 2 with baseline 'others'"),
    (["reproduce"], r"paper"),
    (["reproduce", "draw"], r"paper.*draw.*ram"),
]


@pytest.mark.parametrize(
    ("words", "message"), MISTAKES, ids=[" ".join(words)[-40:] for words, _ in MISTAKES]
)
def test_a_mistake_earns_one_line_and_leaves_nothing_behind(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert re.search(message, refused_line(capsys, *words))
    assert list(Path().iterdir()) == []


RUN_MISTAKES: list[tuple[list[str], str]] = [
    (["evaluate", "RUN", "--split", "all"], r"`split` must be one of test, train, validation"),
    (["evaluate", "RUN", "--device", "gpu"], r"`device` must be auto.*'gpu'"),
    (["evaluate", "RUN", "--seed", "-1"], r"seed.*-1"),
    (["evaluate", "RUN", "--seed", "1" + "0" * 25], r"seed.*10{25}"),
    (["evaluate", "RUN", "--bogus"], r"--bogus"),
    (["watch", "RUN", "--count", "0"], r"`count` must be a whole number from 1, got 0"),
    (["watch", "RUN", "--out", "RUN/config.yaml"], r"config\.yaml"),
    (["predict", "RUN"], r"required"),
    (["predict", "RUN", "none.png"], r"none\.png must be a readable image"),
    (["predict", "RUN", "."], r"\. must be a readable image"),
    (["predict", "RUN", "RUN/config.yaml"], r"config\.yaml must be a readable image"),
    (["predict", "RUN", "RUN/config.yaml", "--device", "gpu"], r"`device` must be auto.*'gpu'"),
    (["train", "--resume", "RUN", "reinforce"], r"`--resume` must stand alone"),
    (
        [*TRAIN, "--run", "RUN"],
        r"the run's folder must be new, got .*run, which is there.*--resume",
    ),
    ([*TRAIN, "--run", "RUN/config.yaml"], r"the run's folder must be new, got .*config\.yaml"),
    ([*TRAIN, "--run", "RUN/config.yaml/sub"], r"config\.yaml/sub"),
    ([*TRAIN, "--images", "RUN"], r"run must be a folder that holds images as CLASS/IMAGE\.png"),
]


@pytest.mark.parametrize(
    ("words", "message"), RUN_MISTAKES, ids=[" ".join(words)[-40:] for words, _ in RUN_MISTAKES]
)
def test_a_mistake_with_a_run_earns_one_line(
    words: list[str], message: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in run.iterdir()}
    line = refused_line(capsys, *(word.replace("RUN", str(run)) for word in words))
    assert re.search(message, line)
    assert {path: path.read_bytes() for path in run.iterdir()} == before


@pytest.mark.parametrize("seed", ["-1", "1" + "0" * 25])
@pytest.mark.parametrize("command", ["watch", "predict"])
def test_a_seed_that_is_none_earns_one_line(
    command: str, seed: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = [_picture(Path("photo.png"))] if command == "predict" else []
    out = ["--out", "pictures"] if command == "watch" else []
    assert f"got {seed}" in refused_line(capsys, command, trained, *image, *out, "--seed", seed)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_cuda_must_be_there(device: str, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = f"`device` must be auto or cpu (no CUDA here), got '{device}'"
    image = _picture(Path("photo.png"))
    for words in (TRAIN, ["evaluate", trained], ["watch", trained], ["predict", trained, image]):
        assert wanted in refused_line(capsys, *words, "--device", device)


def test_no_folder_of_mnist(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GLIMPSE_DATA", raising=False)
    words = [*TRAIN, "--env", "glimpse/MNIST-v0"]
    assert re.search(
        "MNIST must be on disk.*--data-root.*GLIMPSE_DATA", refused_line(capsys, *words)
    )
    Path("empty").mkdir()
    for root in ("empty", "nowhere"):
        line = refused_line(capsys, *words, "--data-root", root)
        assert f"{root} must hold train-images-idx3-ubyte.gz, got none" in line


@pytest.mark.parametrize("packed", [True, False])
def test_a_file_of_mnist_that_was_cut_off_is_named(
    packed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "train-images-idx3-ubyte" + (".gz" if packed else "")
    content = b"\0\0\x08\x03" + bytes(5000)
    content = gzip.compress(content)[:-9] if packed else content[:-9]
    Path("data/mnist").mkdir(parents=True)
    Path("data/mnist", name).write_bytes(content)
    line = refused_line(capsys, *TRAIN, "--env", "glimpse/MNIST-v0", "--data_root", "data")
    assert str(Path("data/mnist", name)) in line
    assert "fetch it again" in line


def test_an_unreadable_image_in_a_folder_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    photos = _photos(Path("photos"), count=4)
    broken = photos / "cat" / "broken.png"
    broken.write_bytes(b"no picture")
    words = [*TRAIN, "--env", "glimpse/Images-v0", "--images", photos]
    assert f"{broken} must be a readable image" in refused_line(capsys, *words)
    whole = (photos / "cat" / "01.png").read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    assert f"{broken} must be a readable image" in refused_line(capsys, *words)


def test_an_image_cut_off_is_named_by_predict(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = _picture(Path("photo.png"), (40, 40))
    image.write_bytes(image.read_bytes()[:300])
    assert "photo.png must be a readable image" in refused_line(capsys, "predict", trained, image)


def test_an_image_set_too_large_for_its_canvas(capsys: pytest.CaptureFixture[str]) -> None:
    _picture(Path("photos/cat/1.png"), (80, 90))
    words = [*TRAIN, "--images", "photos", "--canvas", "translated-60"]
    assert "`canvas` must hold images of 80x90, got 60x60" in refused_line(capsys, *words)


def test_images_that_have_moved_away(capsys: pytest.CaptureFixture[str]) -> None:
    photos = _photos(Path("photos"))
    words = ["--env", "glimpse/Images-v0", "--images", photos, "--run", "mine"]
    assert type_in(capsys, *TRAIN, *words).code == 0
    photos.rename("elsewhere")
    assert "got 'photos'" in refused_line(capsys, "evaluate", "mine")
    assert "got 'photos'" in refused_line(capsys, "train", "--resume", "mine")


# Damaged runs.

NEEDED = {
    "config.yaml": ["train --resume", "evaluate", "watch"],
    "agent.json": ["train --resume", "evaluate", "watch", "predict"],
    "weights.safetensors": ["train --resume", "evaluate", "watch", "predict"],
    "checkpoint.pt": ["train --resume"],
}
needed = pytest.mark.parametrize(
    ("name", "command"), [(name, command) for name in NEEDED for command in NEEDED[name]]
)


def _use(command: str, run: Path) -> list[str | Path]:
    words: list[str | Path] = [*command.split(), run]
    return [*words, _picture(Path("photo.png"))] if command == "predict" else words


@needed
def test_a_missing_file_of_a_run_is_named(
    name: str, command: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / name).unlink()
    line = refused_line(capsys, *_use(command, run))
    assert str(run) in line
    assert name in line


@needed
@pytest.mark.parametrize("damage", ["empty", "other", "half", "bytes"])
def test_a_damaged_file_of_a_run_is_named(
    name: str, command: str, damage: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (run / name).read_bytes()
    # The first half of a YAML file is YAML, so that one is cut off within a list.
    half = content + b"seed: [1, " if name == "config.yaml" else content[: len(content) // 2]
    damages = {"empty": b"", "other": b"other", "half": half, "bytes": bytes(range(128, 256))}
    (run / name).write_bytes(damages[damage])
    line = refused_line(capsys, *_use(command, run))
    assert str(run / name) in line


def test_a_damaged_checkpoint_earns_no_warning_beside_the_line(run: Path) -> None:
    (run / "checkpoint.pt").write_bytes(bytes(range(128, 256)))
    process = _start("train", "--resume", str(run))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.count("\n") == 1, err


@pytest.mark.plain
@pytest.mark.parametrize(
    "foreign",
    [{}, {"weight": torch.zeros(2)}, {"step": 2}, {"step": 2, "learner": {}}, {"step": None}],
    ids=str,
)
def test_a_checkpoint_of_another_program_is_refused(
    foreign: dict[str, object], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(foreign, run / "checkpoint.pt")
    assert "checkpoint" in refused_line(capsys, "train", "--resume", run)


@pytest.mark.parametrize("name", ["weights.safetensors", "checkpoint.pt"])
def test_a_file_of_another_run_is_refused(
    name: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert type_in(capsys, *TRAIN, "--hidden", "8", "--run", "narrow").code == 0
    shutil.copy(Path("narrow") / name, run / name)
    assert name.split(".")[0] in refused_line(capsys, "train", "--resume", run)


@pytest.mark.plain
@pytest.mark.parametrize("command", ["train --resume", "evaluate"])
@pytest.mark.parametrize(
    "line",
    ["env: 3", "env: glimpse/Bogus-v0", "images: [1]", "reach: far", "size: x", "canvas: 5"],
)
def test_a_config_that_was_edited_into_nonsense_earns_one_line(
    command: str, line: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (run / "config.yaml").open("a") as file:
        file.write(line + "\n")
    assert line.split(":")[0] in refused_line(capsys, *_use(command, run))


@pytest.mark.plain
@pytest.mark.parametrize("line", ["device: 3", "threads: lots", "threads: 0", "log_every: x"])
def test_run_options_that_were_edited_into_nonsense_earn_one_line(
    line: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (run / "config.yaml").open("a") as file:
        file.write(line + "\n")
    assert line.split(":")[0] in refused_line(capsys, "train", "--resume", run)


@pytest.mark.plain
@pytest.mark.parametrize("command", ["train --resume", "evaluate", "watch"])
@pytest.mark.parametrize("line", ["size: 9", "scales: 2"])
def test_a_config_that_does_not_fit_the_agent_earns_one_line(
    command: str, line: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (run / "config.yaml").open("a") as file:
        file.write(line + "\n")
    refused_line(capsys, *_use(command, run))


@pytest.mark.parametrize(
    ("agent", "text", "message"),
    [
        ("uniform", "std: 0.1", "std"),  # reinforce's
        ("reinforce", "bogus: 1", "bogus"),
        ("reinforce", "steps: many", "steps.*many"),
        ("reinforce", "a: [", r"other\.yaml|config"),
        ("reinforce", "- 1", r"other\.yaml|config"),
        ("reinforce", "", r"other\.yaml|config"),
        ("reinforce", "\udcff", r"other\.yaml|config"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_in_words(
    agent: str, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("other.yaml").write_text(text, errors="surrogateescape")
    line = refused_line(capsys, "train", agent, *TINY, "--config", "other.yaml")
    assert re.search(message, line)
