"""Writing a file: whole, or not at all."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glimpse.atomic import write_atomically


def _fail(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any) -> None:
        raise error

    return fail


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("where", [(os, "fsync"), (Path, "replace"), (Path, "chmod")])
def test_a_write_that_fails_leaves_the_old_file_whole(
    where: tuple[Any, str], error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with monkeypatch.context() as patched:
        patched.setattr(*where, _fail(error))
        with pytest.raises(type(error)):
            write_atomically(tmp_path / "file", b"the new content")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


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
