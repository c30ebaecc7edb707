"""The progress bar of what takes long."""

import pytest

from glimpse import progress
from glimpse.progress import tracked


def test_items_come_as_they_are_and_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(tracked("abc", "reading images", 3)) == ["a", "b", "c"]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == ""


def test_what_takes_long_shows_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert list(tracked(range(3), "reading images", 3)) == [0, 1, 2]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "reading images" in captured.err


def test_an_error_passes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        list(tracked((1 // number for number in (1, 0)), "dividing", 2))
