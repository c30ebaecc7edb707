"""`glimpse reproduce ram` on small images: every cell is trained once, measured and shown."""

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cells import (
    change_recipes,
    disturb,
    make_job,
    measured_in,
    press,
    press_twice,
    same_weights,
    written_files,
)
from command import Result, refused_line, type_in

from glimpse.agents.learner import EpisodeLearner
from glimpse.cli import reproduce
from glimpse.cli.ram import CELLS
from glimpse.cli.ram_job import Job

pytestmark = pytest.mark.usefixtures("elsewhere")
on_small_images = pytest.mark.usefixtures("small_cells")

PLACE = Path("mine/smoke")
TABLE = PLACE / "table.md"
SMOKE = ["reproduce", "ram", "--budget", "smoke", "--run", "mine", "--only"]
PAPER = ["reproduce", "ram", "--budget", "paper", "--run", "mine", "--only"]


def _reproduced(capsys: pytest.CaptureFixture[str], *words: str) -> Result:
    result = type_in(capsys, *SMOKE, *words)
    assert result.code == 0, result.err
    return result


def _rows() -> list[dict[str, str]]:
    """Return the rows of the table by the names of its columns."""
    lines = [line for line in TABLE.read_text().splitlines() if line.startswith("|")]
    head, _, *rows = ([part.strip() for part in line[1:-1].split("|")] for line in lines)
    return [dict(zip(head, row, strict=True)) for row in rows]


def _column(name: str) -> list[str]:
    return [row[name] for row in _rows()]


# What a command leaves


@on_small_images
def test_cells_are_trained_and_the_table_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    result = _reproduced(capsys, "28x28/ram-2", "*60/conv")
    assert result.out.startswith("smoke: every cell learns for seconds")
    assert result.out.endswith(f"table: {TABLE}\n")
    text = TABLE.read_text()
    assert text in result.out
    assert _column("model") == ["RAM, 2 glimpses", "convolutional", "convolutional"]
    runs = ["28x28/ram-2-seed-0", "translated-60/conv-seed-0", "cluttered-60/conv-seed-0"]
    for name, row in zip(runs, _rows(), strict=True):
        measured = measured_in(PLACE / name)
        assert row["task"] == name.split("/")[0]
        assert row["ours"] == f"**{measured['errors'][-1]['mean']['error']:.2f}**"
        assert measured["machine"].endswith(", 1 thread")
        for name in ("machine", "date"):
            assert measured[name] in text.splitlines()[-1]
        assert f"torch {measured['versions']['torch']}" in text.splitlines()[-1]
    written = {str(path.parent.relative_to(PLACE)) for path in PLACE.rglob("result.json")}
    assert written == {*runs}


@on_small_images
def test_a_cell_that_was_measured_is_not_trained_again(capsys: pytest.CaptureFixture[str]) -> None:
    _reproduced(capsys, "28x28/ram-2", "28x28/fc-256")
    before = written_files(PLACE)
    again = _reproduced(capsys, "28x28/ram-2", "28x28/fc-256")
    after = written_files(PLACE)
    assert before.pop(str(TABLE)) < after.pop(str(TABLE))
    assert after == before
    assert again.err == ""
    more = _reproduced(capsys, "28x28/conv")
    assert "28x28/conv, seed 0 (1 of 1)" in more.err
    assert _column("model") == ["FC 2 x 256", "convolutional", "RAM, 2 glimpses"]
    _reproduced(capsys, "28x28/conv", "--seeds", "2")
    _reproduced(capsys, "28x28/ram-2")
    assert _column("seeds") == ["1", "2", "1"]  # also those of the commands before


@on_small_images
def test_seeds_are_runs_that_differ(capsys: pytest.CaptureFixture[str]) -> None:
    result = _reproduced(capsys, "28x28/ram-2", "--seeds", "2")
    assert "28x28/ram-2, seed 1 (2 of 2)" in result.err
    assert _column("seeds") == ["2"]
    assert not same_weights(*(PLACE / f"28x28/ram-2-seed-{seed}" for seed in (0, 1)))


@on_small_images
def test_what_is_no_run_of_a_seed_is_passed_over(capsys: pytest.CaptureFixture[str]) -> None:
    """Also where its options are another's, and of a cell whose name begins like another's."""
    _reproduced(capsys, "28x28/ram-2")
    text = TABLE.read_text()
    run = PLACE / "28x28/ram-2-seed-0"
    for name in (
        "ram-2-seed-0-old",
        "ram-2-seed-00",
        "ram-2-seed-",
        "ram-2-seed-x",
        "ram-2",
        "old-ram-2-seed-1",
    ):
        other = shutil.copytree(run, PLACE / "28x28" / name)
        (other / "config.yaml").write_text("steps: 3\n")
    (PLACE / "28x28/ram-2-seed-4").mkdir()  # nothing was trained in it yet
    (PLACE / "28x28/ram-2-seed-5").write_text("a note")
    again = _reproduced(capsys, "28x28/ram-2")
    assert again.err == ""
    assert TABLE.read_text() == text


@on_small_images
@pytest.mark.parametrize("interrupted", [True, False])
def test_a_cell_that_glimpse_train_resumed_is_measured_all_the_same(
    interrupted: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        disturb(patch, EpisodeLearner, "step", 3 if interrupted else 0, press)
        assert type_in(capsys, *SMOKE, "28x28/ram-2").code == (130 if interrupted else 0)
    assert type_in(capsys, "train", "--resume", PLACE / "28x28/ram-2-seed-0").code == 0
    result = _reproduced(capsys, "28x28/ram-2")
    assert ("28x28/ram-2, seed 0 (1 of 1)" in result.err) == interrupted
    (row,) = _rows()
    assert row["10 looks"] != ""


# Going on


@on_small_images
@pytest.mark.parametrize("act", [press, press_twice])
def test_an_interrupted_command_goes_on(
    act: Callable[[], object],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C keeps the steps that were taken; a second one at once loses them, no more."""
    _reproduced(capsys, "28x28/ram-2")
    with monkeypatch.context() as patch:
        disturb(patch, EpisodeLearner, "step", 3, act)
        stopped = type_in(capsys, *SMOKE, "28x28/ram-3")
    folder = PLACE / "28x28/ram-3-seed-0"
    assert stopped.code == 130
    assert not (folder / "result.json").exists()
    assert _column("model") == ["RAM, 2 glimpses"]
    if act is press:
        assert "interrupted; go on with the same command:\n" in stopped.out
        words = shlex.split(stopped.out.splitlines()[-1])
    else:
        words = ["glimpse", *SMOKE, "28x28/ram-3"]
    with monkeypatch.context() as patch:
        taken = disturb(patch, EpisodeLearner, "step", 0, act)
        assert type_in(capsys, *words[1:]).code == 0
    assert len(taken) == (3 if act is press else 6)
    assert len(_rows()) == 2
    assert type_in(capsys, *SMOKE, "28x28/ram-3", "--run", "whole").code == 0
    assert same_weights(folder, Path("whole/smoke/28x28/ram-3-seed-0"))


@on_small_images
def test_the_command_that_goes_on_has_the_options_that_were_given(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"--data_root": "my data", "--device": "cpu", "--threads": "2", "--seeds": "2"}
    disturb(monkeypatch, EpisodeLearner, "step", 3, press)
    words = [word for pair in given.items() for word in pair]
    stopped = type_in(capsys, *SMOKE, "28x28/ram-2", "28x28/c*", *words)
    assert stopped.code == 130
    printed = shlex.split(stopped.out.splitlines()[-1])
    for name, value in {**given, "--budget": "smoke", "--run": "mine"}.items():
        assert printed[printed.index(name) + 1] == value
    at = printed.index("--only")
    assert printed[at + 1 : at + 3] == ["28x28/ram-2", "28x28/c*"]


# Hours, cells and refusals


@on_small_images
def test_the_paper_s_budget_says_first_how_long_it_takes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line a cell, as soon as it is known; of those that were measured already, none."""
    monkeypatch.setattr(Job, "hours", lambda self: 2.5 * self.cell.glimpses)
    result = type_in(capsys, *PAPER, "28x28/ram-2", "28x28/ram-3")
    assert result.code == 0
    said, _, _ = result.err.partition("28x28/ram-2, seed 0 (1 of 2)")
    lines = [line.split() for line in said.splitlines()]
    assert " ".join(lines[0]).startswith("hours of training on this machine")
    assert lines[1:] == [["28x28/ram-2", "5.00"], ["28x28/ram-3", "7.50"]]
    assert "This is no result" not in result.out
    only_once = type_in(capsys, *PAPER, "28x28/ram-2", "28x28/conv")
    assert "28x28/conv" in only_once.err
    assert "28x28/ram-2" not in only_once.err


@on_small_images
def test_other_budgets_measure_no_hours(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Job, "hours")
    for budget in ("smoke", "quick"):
        words = ["reproduce", "ram", "--budget", budget, "--run", "mine", "--only", "28x28/conv"]
        result = type_in(capsys, *words)
        assert result.code == 0, result.err
        assert "hours" not in result.err


@on_small_images
def test_a_run_of_another_recipe_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _reproduced(capsys, "28x28/ram-2")
    before = written_files(Path("mine"))
    change_recipes(monkeypatch, early=0.7)
    line = refused_line(capsys, *SMOKE, "28x28/ram-2")
    assert f"{PLACE / '28x28/ram-2-seed-0'} must hold a run with this version's recipe, " in line
    assert "name another folder with --run, or remove it" in line
    assert refused_line(capsys, *SMOKE, "28x28/ram-3") == line  # before hours of training
    assert written_files(Path("mine")) == before
    assert type_in(capsys, *SMOKE, "28x28/ram-2", "--run", "other").code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*SMOKE, "28x28/ram-9"], "`only` must name cells (28x28/fc-256, 28x28/conv, "),
        ([*SMOKE, "28x28/ram-2", "mnist"], "got 'mnist': choose some"),
        (
            ["reproduce", "ram", "--budget", "large"],
            "`budget` must be one of paper, quick, smoke, ",
        ),
        (["reproduce", "ram", "--seeds", "0"], "`seeds` must be a whole number from 1, got 0"),
        (["reproduce", "ram", "--threads", "0"], "`threads` must be a whole number from 1, got 0"),
        (["reproduce", "ram", "--device", "gpu"], "`device` must be auto"),
    ],
)
def test_a_mistake_earns_one_line_and_leaves_nothing_behind(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused_line(capsys, *words)
    assert message in line
    if "`only`" in line:
        assert all(cell.name in line for cell in CELLS)
    assert list(Path().iterdir()) == []


def test_patterns_choose_cells_in_the_order_of_the_table() -> None:
    chosen = reproduce._chosen(["*/ram-8", "28x28/*", "28x28/ram-2"])
    names = [cell.name for cell in CELLS]
    wanted = [name for name in names if name.startswith("28x28/") or name.endswith("/ram-8")]
    assert [cell.name for cell in chosen] == wanted
    assert len(wanted) == 14
    assert list(reproduce._chosen(["*"])) == list(CELLS)


@pytest.mark.mnist
def test_a_real_cell_learns_for_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    _reproduced(capsys, "28x28/ram-2")
    job = make_job("28x28/ram-2", folder=PLACE / "28x28/ram-2-seed-0")
    measured = job.result()
    assert measured is not None
    assert measured["images"] == 10_000
    (row,) = _rows()
    assert (row["task"], row["model"]) == ("28x28", "RAM, 2 glimpses")
    assert (row["NeurIPS"], row["arXiv"], row["replication"]) == ("3.79", "6.27", "7.70")
    assert (row["beats the paper"], row["beats the replication"]) == ("no", "no")
    assert 20 < float(row["ours"].strip("*")) < 95
