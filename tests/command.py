"""The `glimpse` command as a user types it, in this process."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from glimpse.cli import main


class Result(NamedTuple):
    """What a command left on the terminal."""

    code: int
    out: str
    err: str


def type_in(capsys: pytest.CaptureFixture[str], *words: str | Path) -> Result:
    capsys.readouterr()
    code = main([str(word) for word in words])
    return Result(code, *capsys.readouterr())


def refused_line(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """Return the one line that a mistake earns."""
    result = type_in(capsys, *words)
    assert result.code in (1, 2), result
    assert result.out == ""
    lines = [line for line in result.err.splitlines() if line]  # a bar that is gone left a blank
    assert len(lines) == 1, result.err
    assert lines[0].startswith("glimpse: ")
    assert not Path("runs").exists()
    return lines[0]


def every_mistake(mistakes: list[tuple[list[str], str]]) -> pytest.MarkDecorator:
    """Return the mark of a test that takes the `words` of each mistake and the `message`."""
    ids = [" ".join(words) for words, _ in mistakes]
    return pytest.mark.parametrize(("words", "message"), mistakes, ids=ids)


def assert_refused(capsys: pytest.CaptureFixture[str], message: str, *words: str | Path) -> None:
    """Expect one line that fits the message, and nothing left behind in the folder."""
    assert re.search(message, refused_line(capsys, *words))
    assert list(Path().iterdir()) == []
