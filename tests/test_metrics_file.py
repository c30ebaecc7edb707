"""Metrics: what is appended is read, and a row that was cut off harms no other."""

import csv
import math
from pathlib import Path

import pytest

from glimpse.metrics_file import MetricsFile

_DAMAGED = (
    r"/metrics\.csv must be as it was written, got a damaged file: restore it or take it away$"
)


@pytest.fixture
def file(tmp_path: Path) -> MetricsFile:
    return MetricsFile(tmp_path / "metrics.csv")


def _rows(file: MetricsFile) -> list[list[str]]:
    with file.path.open(newline="") as opened:
        return list(csv.reader(opened))


def test_without_metrics_there_are_no_rows(file: MetricsFile) -> None:
    assert file.read() == []
    file.forget_after(0)
    assert not file.path.exists()


def test_metrics_come_back(file: MetricsFile) -> None:
    rows = [{"loss": 0.1 + 0.2, "error": 1e-300}, {"loss": -1 / 3, "error": 2e17}]
    for step, row in enumerate(rows, 1):
        file.append(10 * step, row)
    assert file.read() == [{"step": 10.0, **rows[0]}, {"step": 20.0, **rows[1]}]
    assert _rows(file)[0] == ["step", "loss", "error"]
    assert [row[0] for row in _rows(file)] == ["step", "10", "20"]


def test_metrics_that_are_no_finite_numbers_come_back(file: MetricsFile) -> None:
    file.append(1, {"loss": math.nan, "norm": math.inf})
    (row,) = file.read()
    assert math.isnan(row["loss"])
    assert row["norm"] == math.inf


def test_a_new_column_widens_the_file(file: MetricsFile) -> None:
    file.append(1, {"loss": 0.5})
    file.append(2, {"error": 7.0, "loss": 0.25})
    file.append(3, {"error": 6.0})
    assert file.read() == [
        {"step": 1, "loss": 0.5},
        {"step": 2, "loss": 0.25, "error": 7.0},
        {"step": 3, "error": 6.0},
    ]
    assert _rows(file) == [
        ["step", "loss", "error"],
        ["1", "0.5", ""],
        ["2", "0.25", "7.0"],
        ["3", "", "6.0"],
    ]


def test_columns_may_have_any_name(file: MetricsFile) -> None:
    file.append(1, {'train error, "in" %': 3.0})
    file.append(2, {'train error, "in" %': 2.0})
    assert [row['train error, "in" %'] for row in file.read()] == [3.0, 2.0]


def _write(file: MetricsFile, text: str) -> None:
    file.path.write_bytes(text.encode())


CUT = "step,loss,error\r\n1,0.5,7.0\r\n2,0.25,6.0\r\n30,0.12"


@pytest.mark.parametrize("cut", range(len(CUT) - 6, len(CUT) + 1))
def test_a_row_that_was_cut_off_is_left_out(cut: int, file: MetricsFile) -> None:
    _write(file, CUT[:cut])
    wanted = [{"step": 1, "loss": 0.5, "error": 7.0}, {"step": 2, "loss": 0.25, "error": 6.0}]
    assert file.read() == wanted
    file.forget_after(99)
    assert file.read() == wanted
    file.append(3, {"loss": 0.125, "error": 5.0})
    assert file.read() == [*wanted, {"step": 3, "loss": 0.125, "error": 5.0}]


def test_a_row_that_was_cut_off_does_not_spoil_the_next(file: MetricsFile) -> None:
    _write(file, CUT)
    file.append(3, {"loss": 0.125, "error": 5.0})
    assert [row["step"] for row in file.read()] == [1, 2, 3]
    assert file.read()[-1] == {"step": 3, "loss": 0.125, "error": 5.0}


def test_a_cut_between_the_ends_of_a_line_harms_nothing(file: MetricsFile) -> None:
    _write(file, "step,loss\r\n1,0.5\r\n2,0.25\r")
    file.append(3, {"loss": 0.125})
    rows = file.read()
    assert rows[0] == {"step": 1, "loss": 0.5}
    assert rows[-1] == {"step": 3, "loss": 0.125}
    assert len(rows) <= 3


@pytest.mark.parametrize("header", ["", "st", "step,lo", "step,loss", "step,loss\r"])
def test_a_header_that_was_cut_off_is_written_anew(header: str, file: MetricsFile) -> None:
    _write(file, header)
    assert file.read() == []
    file.append(1, {"loss": 0.5})
    assert file.read() == [{"step": 1, "loss": 0.5}]
    assert _rows(file) == [["step", "loss"], ["1", "0.5"]]


def test_what_was_logged_after_a_step_is_forgotten(file: MetricsFile) -> None:
    for step in (10, 20, 30, 40):
        file.append(step, {"loss": step / 8})
    file.forget_after(25)
    assert file.read() == [{"step": 10, "loss": 1.25}, {"step": 20, "loss": 2.5}]
    file.forget_after(20)
    assert [row["step"] for row in file.read()] == [10, 20]
    file.append(30, {"loss": 3.0})
    assert [row["step"] for row in file.read()] == [10, 20, 30]
    file.forget_after(0)
    assert file.read() == []
    assert _rows(file) == [["step", "loss"]]


@pytest.mark.parametrize(
    "content",
    [
        b"step,loss\r\n1,abc\r\n",
        b"step,loss\r\n1,2,3\r\n",
        b"\xff\xfe\x80\r\n",
        b"step,loss\r\n\xff\xff,\x80\r\n",
        b"loss\r\n0.5\r\n",
        b"step,loss\r\n1,0.5\r2,0.25\r\n",
        b"step,loss\r\n1,0.5\r\n" + b"\0" * 9 + b"\r\n",
    ],
)
def test_damaged_metrics_are_named(content: bytes, file: MetricsFile) -> None:
    file.path.write_bytes(content)
    with pytest.raises(ValueError, match=_DAMAGED):
        file.read()
    with pytest.raises(ValueError, match=_DAMAGED):
        file.forget_after(5)
    with pytest.raises(ValueError, match=_DAMAGED):
        file.append(6, {"new": 0.5})
    assert file.path.read_bytes() == content
