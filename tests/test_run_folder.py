"""A run's files: what is written is read back, and an interruption or damage is survived."""

import csv
import json
import math
import os
import pickle
import platform
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from glimpse.run_folder import RunFolder, write_atomically


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
    "metrics.csv": lambda run, value: run.append_metrics(value, {f"value {value}": 0.5}),
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


def test_a_first_write_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", _fail(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_atomically(tmp_path / "file", b"content")
    assert list(tmp_path.iterdir()) == []


def test_the_old_file_is_there_until_the_new_one_is_whole_and_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "file", []
    path.write_bytes(b"old")
    fsync, replace = os.fsync, Path.replace

    def watched_fsync(handle: int) -> None:
        seen.append(("fsync", path.read_bytes(), os.fstat(handle).st_size))
        fsync(handle)

    def watched_replace(self: Path, target: Path) -> Path:
        seen.append(("replace", path.read_bytes(), len(self.read_bytes())))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "replace", watched_replace)
    write_atomically(path, b"the new content")
    assert seen == [("fsync", b"old", 15), ("replace", b"old", 15)]
    assert path.read_bytes() == b"the new content"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_others_may_read_what_was_written(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", b"content")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


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


# Metrics


def _rows(run: RunFolder) -> list[list[str]]:
    with (run.path / "metrics.csv").open(newline="") as file:
        return list(csv.reader(file))


def test_without_metrics_there_are_no_rows(run: RunFolder) -> None:
    assert run.read_metrics() == []
    run.forget_metrics_after(0)
    assert not (run.path / "metrics.csv").exists()


def test_metrics_come_back(run: RunFolder) -> None:
    rows = [{"loss": 0.1 + 0.2, "error": 1e-300}, {"loss": -1 / 3, "error": 2e17}]
    for step, row in enumerate(rows, 1):
        run.append_metrics(10 * step, row)
    assert run.read_metrics() == [{"step": 10.0, **rows[0]}, {"step": 20.0, **rows[1]}]
    assert _rows(run)[0] == ["step", "loss", "error"]
    assert [row[0] for row in _rows(run)] == ["step", "10", "20"]


def test_metrics_that_are_no_finite_numbers_come_back(run: RunFolder) -> None:
    run.append_metrics(1, {"loss": math.nan, "norm": math.inf})
    (row,) = run.read_metrics()
    assert math.isnan(row["loss"])
    assert row["norm"] == math.inf


def test_a_new_column_widens_the_file(run: RunFolder) -> None:
    run.append_metrics(1, {"loss": 0.5})
    run.append_metrics(2, {"error": 7.0, "loss": 0.25})
    run.append_metrics(3, {"error": 6.0})
    assert run.read_metrics() == [
        {"step": 1, "loss": 0.5},
        {"step": 2, "loss": 0.25, "error": 7.0},
        {"step": 3, "error": 6.0},
    ]
    assert _rows(run) == [
        ["step", "loss", "error"],
        ["1", "0.5", ""],
        ["2", "0.25", "7.0"],
        ["3", "", "6.0"],
    ]


def test_columns_may_have_any_name(run: RunFolder) -> None:
    run.append_metrics(1, {'train error, "in" %': 3.0})
    run.append_metrics(2, {'train error, "in" %': 2.0})
    assert [row['train error, "in" %'] for row in run.read_metrics()] == [3.0, 2.0]


def _write_metrics(run: RunFolder, text: str) -> None:
    (run.path / "metrics.csv").write_bytes(text.encode())


CUT = "step,loss,error\r\n1,0.5,7.0\r\n2,0.25,6.0\r\n30,0.12"


@pytest.mark.parametrize("cut", range(len(CUT) - 6, len(CUT) + 1))
def test_a_row_that_was_cut_off_is_left_out(cut: int, run: RunFolder) -> None:
    _write_metrics(run, CUT[:cut])
    wanted = [{"step": 1, "loss": 0.5, "error": 7.0}, {"step": 2, "loss": 0.25, "error": 6.0}]
    assert run.read_metrics() == wanted
    run.forget_metrics_after(99)
    assert run.read_metrics() == wanted
    run.append_metrics(3, {"loss": 0.125, "error": 5.0})
    assert run.read_metrics() == [*wanted, {"step": 3, "loss": 0.125, "error": 5.0}]


def test_a_row_that_was_cut_off_does_not_spoil_the_next(run: RunFolder) -> None:
    _write_metrics(run, CUT)
    run.append_metrics(3, {"loss": 0.125, "error": 5.0})
    assert [row["step"] for row in run.read_metrics()] == [1, 2, 3]
    assert run.read_metrics()[-1] == {"step": 3, "loss": 0.125, "error": 5.0}


def test_what_was_logged_after_a_step_is_forgotten(run: RunFolder) -> None:
    for step in (10, 20, 30, 40):
        run.append_metrics(step, {"loss": step / 8})
    run.forget_metrics_after(25)
    assert run.read_metrics() == [{"step": 10, "loss": 1.25}, {"step": 20, "loss": 2.5}]
    run.forget_metrics_after(20)
    assert [row["step"] for row in run.read_metrics()] == [10, 20]
    run.append_metrics(30, {"loss": 3.0})
    assert [row["step"] for row in run.read_metrics()] == [10, 20, 30]
    run.forget_metrics_after(0)
    assert run.read_metrics() == []
    assert _rows(run) == [["step", "loss"]]


@pytest.mark.parametrize(
    "content",
    [
        b"step,loss\r\n1,abc\r\n",
        b"step,loss\r\n1,2,3\r\n",
        b"\xff\xfe\x80\r\n",
        b"step,loss\r\n\xff\xff,\x80\r\n",
        b"loss\r\n0.5\r\n",
    ],
)
def test_damaged_metrics_are_named(content: bytes, run: RunFolder) -> None:
    (run.path / "metrics.csv").write_bytes(content)
    with pytest.raises(ValueError, match=_named(run, "metrics.csv")):
        run.forget_metrics_after(5)
