"""A run's files: what is written is read back, and an interruption or damage is survived."""

import json
import os
import pickle
import platform
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from glimpse.run_folder import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run")


def _named(run: RunFolder, name: str) -> str:
    return f"^{re.escape(str(run.path / name))} must be as it was written, got a damaged file: "


# The folder


def test_a_new_folder_says_with_what_it_was_made(tmp_path: Path) -> None:
    run = RunFolder.create(str(tmp_path / "some" / "deep" / "run"))
    assert run.path == tmp_path / "some" / "deep" / "run"
    assert [file.name for file in run.path.iterdir()] == ["versions.json"]
    versions = run.read_json("versions.json")
    assert versions["python"] == platform.python_version()
    assert versions["torch"] == torch.__version__
    assert {"glimpse-rl", "numpy", "gymnasium", "safetensors", "pillow"} < versions.keys()


def test_an_empty_folder_is_as_good_as_none(tmp_path: Path) -> None:
    assert RunFolder.create(tmp_path).path == tmp_path


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("text")
    (tmp_path / "file").write_text("text")
    for name in ("full", "file"):
        message = f"the run's folder must be new, got {tmp_path / name}, which is there: name"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
            RunFolder.create(tmp_path / name)
    assert (tmp_path / "file").read_text() == "text"
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["thesis.tex"]


def test_a_run_is_opened_by_its_folder(run: RunFolder) -> None:
    run.write_config({"steps": 3})
    assert RunFolder.open(run.path) == RunFolder.open(str(run.path)) == run


def test_an_agent_alone_is_a_run_too(run: RunFolder) -> None:
    run.write_json("agent.json", {})
    assert RunFolder.open(run.path) == run


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        message = f"{path} must be the folder of a run, got none (it has neither config.yaml nor "
        with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
            RunFolder.open(path)


# What is written is read


def test_a_config_comes_back_in_its_order(run: RunFolder) -> None:
    config = {"steps": 5, "learning_rate": 2e-3, "core": "lstm", "reach": None, "size": [12, 8]}
    run.write_config(config)
    assert run.read_config() == config
    assert list(run.read_config()) == list(config)
    assert "learning_rate: 0.002\n" in (run.path / "config.yaml").read_text()


def test_json_comes_back(run: RunFolder) -> None:
    content = {"agent": "reinforce", "eye": {"sensor": {"size": 8}}, "classes": ["Käfer", "2"]}
    run.write_json("agent.json", content)
    assert run.read_json("agent.json") == content
    assert json.loads((run.path / "agent.json").read_text()) == content


def test_weights_come_back_bit_for_bit(run: RunFolder) -> None:
    weights = {
        "a.weight": torch.rand(3, 4, generator=torch.Generator().manual_seed(0)),
        "transposed": torch.arange(6.0).view(2, 3).T,
        "trained": torch.tensor([1e-40, -0.0, 3.0], requires_grad=True),
        "count": torch.tensor(7),
        "half": torch.ones(2, dtype=torch.bfloat16),
    }
    run.write_weights(weights)
    read = run.read_weights()
    assert read.keys() == weights.keys()
    for name, tensor in weights.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor.detach())


def test_a_checkpoint_comes_back(run: RunFolder) -> None:
    checkpoint = {
        "step": 5,
        "learner": {"model": {"w": torch.eye(2)}, "betas": (0.9, 0.99), "on": True, "none": None},
        "names": ["a", "b"],
    }
    run.write_checkpoint(checkpoint)
    read = run.read_checkpoint()
    assert torch.equal(read["learner"]["model"].pop("w"), checkpoint["learner"]["model"].pop("w"))
    assert read == checkpoint


# An interrupted write

WRITERS: dict[str, Callable[[RunFolder, int], None]] = {
    "config.yaml": lambda run, value: run.write_config({"value": value}),
    "agent.json": lambda run, value: run.write_json("agent.json", {"value": value}),
    "weights.safetensors": lambda run, value: run.write_weights({"value": torch.tensor(value)}),
    "checkpoint.pt": lambda run, value: run.write_checkpoint({"value": value}),
    "metrics.csv": lambda run, value: run.metrics.append(value, {f"value {value}": 0.5}),
}


def _fail(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any) -> None:
        raise error

    return fail


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("where", [(os, "fsync"), (Path, "replace"), (Path, "chmod")])
@pytest.mark.parametrize("name", WRITERS)
def test_a_write_that_fails_leaves_the_old_file_whole(
    name: str,
    where: tuple[Any, str],
    error: BaseException,
    run: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    WRITERS[name](run, 1)
    before = {file.name: file.read_bytes() for file in run.path.iterdir()}
    with monkeypatch.context() as patched:
        patched.setattr(*where, _fail(error))
        with pytest.raises(type(error)):
            WRITERS[name](run, 2)
    assert {file.name: file.read_bytes() for file in run.path.iterdir()} == before
    WRITERS[name](run, 2)
    assert (run.path / name).read_bytes() != before[name]


# Missing and damaged files

READERS: dict[str, Callable[[RunFolder], Any]] = {
    "config.yaml": RunFolder.read_config,
    "agent.json": lambda run: run.read_json("agent.json"),
    "weights.safetensors": RunFolder.read_weights,
    "checkpoint.pt": RunFolder.read_checkpoint,
}


@pytest.mark.parametrize("name", READERS)
def test_a_missing_file_is_named(name: str, run: RunFolder) -> None:
    message = f"{run.path / name} must be there, got No such file or directory: was the run"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        READERS[name](run)


@pytest.mark.parametrize("name", READERS)
def test_a_folder_in_a_files_place_is_named(name: str, run: RunFolder) -> None:
    (run.path / name).mkdir()
    message = f"{run.path / name} must be there, got Is a directory: "
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        READERS[name](run)


@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.5, 0.9, 0.99, -1])
@pytest.mark.parametrize("name", ["agent.json", "weights.safetensors", "checkpoint.pt"])
def test_a_half_written_file_is_named(name: str, part: float, run: RunFolder) -> None:
    run.write_json("agent.json", {"agent": "reinforce", "classes": [str(n) for n in range(50)]})
    tensor = torch.rand(40, 40, generator=torch.Generator().manual_seed(0))
    run.write_weights({"weight": tensor, "bias": tensor[0].clone()})
    run.write_checkpoint({"step": 3, "learner": {"weight": tensor, "bias": tensor[0]}})
    content = (run.path / name).read_bytes()
    READERS[name](run)
    cut = len(content) + int(part) if part < 0 else int(part * len(content))
    cut -= name == "agent.json" and part < 0  # its last byte is a line break
    (run.path / name).write_bytes(content[:cut])
    with pytest.raises(ValueError, match=_named(run, name)):
        READERS[name](run)


@pytest.mark.parametrize("garbage", [b"", b"\0" * 64, b"\xff\xfe\x80" * 50, b"[1, 2", b"- 1\n- 2"])
@pytest.mark.parametrize("name", READERS)
def test_garbage_is_named(name: str, garbage: bytes, run: RunFolder) -> None:
    (run.path / name).write_bytes(garbage)
    with pytest.raises(ValueError, match=_named(run, name)):
        READERS[name](run)


@pytest.mark.parametrize(
    "text",
    [
        "steps: [1, 2",
        "steps: 'five",
        "steps: 1\n  batch: 2",
        "{",
        "5",
        "a: &b [*b",
        "day: 2026-13-45",
        "steps: 0b_",
    ],
)
def test_yaml_that_is_none_is_named(text: str, run: RunFolder) -> None:
    (run.path / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match=_named(run, "config.yaml")):
        run.read_config()


def test_a_checkpoint_that_is_no_dictionary_is_named(run: RunFolder) -> None:
    torch.save([1, 2], run.path / "checkpoint.pt")
    with pytest.raises(ValueError, match=_named(run, "checkpoint.pt")):
        run.read_checkpoint()


# No code is run


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_refused_and_does_not_run(
    zipped: bool, run: RunFolder, tmp_path: Path
) -> None:
    content = {"step": 1, "learner": Bomb(tmp_path / "exploded")}
    torch.save(content, run.path / "checkpoint.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=_named(run, "checkpoint.pt")):
        run.read_checkpoint()
    (run.path / "checkpoint.pt").write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=_named(run, "checkpoint.pt")):
        run.read_checkpoint()
    assert not (tmp_path / "exploded").exists()
    pickle.loads(pickle.dumps(content))
    assert (tmp_path / "exploded").exists()  # it would have


def test_code_in_a_config_is_refused_and_does_not_run(run: RunFolder, tmp_path: Path) -> None:
    bomb = tmp_path / "exploded"
    (run.path / "config.yaml").write_text(f"a: !!python/object/apply:os.mkdir ['{bomb}']\n")
    with pytest.raises(ValueError, match=_named(run, "config.yaml")):
        run.read_config()
    assert not bomb.exists()


def test_metrics_have_their_file(run: RunFolder) -> None:
    assert run.metrics.path == run.path / "metrics.csv"
    run.metrics.append(3, {"loss": 0.5})
    assert run.metrics.read() == [{"step": 3, "loss": 0.5}]
    assert run.metrics == RunFolder(run.path).metrics
