"""What the commands print and write of an evaluation: the errors, and where the agent looked."""

import csv
import json
import math
from pathlib import Path

import pytest
import torch
from command import type_in
from lookers import SIZES, make_agent
from PIL import Image

from glimpse.agents import (
    Agent,
    CentreConfig,
    Evaluation,
    UniformConfig,
    UntrainedConfig,
    load,
    save,
)
from glimpse.cli.report import print_diagnosis, print_evaluation, to_json, write_picture
from glimpse.diagnosis import Diagnosis
from glimpse.evaluation import ErrorRate
from glimpse.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("elsewhere")

TRAIN = [
    "train",
    "reinforce",
    "--steps",
    "25",
    "--batch",
    "8",
    "--hidden",
    "16",
    "--features",
    "16",
]
TAUGHT = make_agent()
NOT_TAUGHT = [make_agent(kind(**SIZES)) for kind in (UniformConfig, CentreConfig, UntrainedConfig)]
HEALTHY = Diagnosis((0.5, 0.3, 0.1), 0.25, 0.2, (0.0, 0.4, 0.8), 2, 1000)
COLLAPSED = Diagnosis((0.5, 0.001, 0.002), 0.75, 0.2, (0.0, 0.4, 0.8), 2, 1000)


def _evaluation(diagnosis: Diagnosis) -> Evaluation:
    mean, sampled = ((90, 40, 10), (91, 45, 20))
    rates = (tuple(ErrorRate(wrong, 1000) for wrong in errors) for errors in (mean, sampled))
    return Evaluation(*rates, 3.0, (), diagnosis)


@pytest.mark.parametrize("agent", [TAUGHT, NOT_TAUGHT[0]])
def test_what_is_printed(agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    print_evaluation(agent, _evaluation(HEALTHY), "validation")
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert "error on 1,000 validation images, in % [95 % interval]" in lines[0]
    low, high = ErrorRate(40, 1000).interval()
    assert any(f"2 │  4.00 [{low:5.2f}, {high:5.2f}] │  4.50 [" in line for line in lines)
    assert lines[-2] == "validation error: 1.00 %"
    assert lines[-1] == "spread 0.2  border share % 25  unique area % 20  information nats 0.6"
    assert err == ""


def test_warnings_are_printed_beside_it_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    print_evaluation(TAUGHT, _evaluation(COLLAPSED), "test")
    out, err = capsys.readouterr()
    assert "warning" not in out
    assert err.splitlines() == [f"warning: {text}" for text in COLLAPSED.warnings()]
    assert len(err.splitlines()) == 2
    print_diagnosis(TAUGHT, COLLAPSED)
    assert capsys.readouterr() == (out.splitlines()[-1] + "\n", err)


@pytest.mark.parametrize("agent", NOT_TAUGHT, ids=lambda agent: type(agent.config).__name__)
def test_who_does_not_learn_where_to_look_is_not_warned_of(
    agent: Agent, capsys: pytest.CaptureFixture[str]
) -> None:
    """A control looks where it was told to: there is nothing to mend."""
    for diagnosis in (HEALTHY, COLLAPSED):
        print_evaluation(agent, _evaluation(diagnosis), "test")
        out, err = capsys.readouterr()
        assert out.splitlines()[-1].startswith("spread ")
        print_diagnosis(agent, diagnosis)
        assert capsys.readouterr().out == out.splitlines()[-1] + "\n"
        assert err == ""


@pytest.mark.parametrize("diagnosis", [HEALTHY, COLLAPSED])
def test_what_is_written(diagnosis: Diagnosis) -> None:
    written = json.loads(json.dumps(to_json(_evaluation(diagnosis), "test")))
    assert (written["split"], written["images"]) == ("test", 1000)
    assert [row["glimpse"] for row in written["errors"]] == [1, 2, 3]
    for kind, errors in (("mean", (9.0, 4.0, 1.0)), ("sampled", (9.1, 4.5, 2.0))):
        for row, error in zip(written["errors"], errors, strict=True):
            assert row[kind]["error"] == pytest.approx(error)
            wanted = ErrorRate(round(10 * error), 1000).interval()
            assert row[kind]["interval"] == pytest.approx(wanted)
    found = written["diagnosis"]
    found = {name: tuple(v) if isinstance(v, list) else v for name, v in found.items()}
    assert Diagnosis(**found) == diagnosis


def test_a_picture_replaces_another() -> None:
    for colour in ("red", "blue"):
        write_picture(Image.new("RGB", (3, 2), colour), Path("picture.png"))
    with Image.open("picture.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (3, 2))
        assert picture.getpixel((0, 0)) == (0, 0, 255)
    assert [path.name for path in Path().iterdir()] == ["picture.png"]


# On the command line


def test_training_logs_and_writes_where_the_agent_looks(capsys: pytest.CaptureFixture[str]) -> None:
    assert type_in(capsys, *TRAIN, "--log_every", "5", "--run", "mine").code == 0
    with Path("mine/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = ("spread", "border share %", "unique area %", "information nats")
    validated = [row for row in rows if row["validation error %"]]
    assert [row["step"] for row in validated] == ["20", "25"]
    for row in validated:
        values = [float(row[name]) for name in names]
        assert all(math.isfinite(value) and value >= 0 for value in values)
        assert values[1] <= 100
        assert 0 < values[2] <= 100
    assert all(row[name] == "" for row in rows[:3] for name in names)
    written = json.loads(Path("mine/evaluation.json").read_text())["diagnosis"]
    assert (written["chosen"], written["images"]) == (5, 360)
    assert len(written["spread"]) == len(written["information"]) == 6
    assert written["spread"][0] == pytest.approx(3**-0.5, abs=0.05)  # the first is anywhere


def test_evaluate_warns_of_a_collapsed_policy(capsys: pytest.CaptureFixture[str]) -> None:
    assert type_in(capsys, *TRAIN, "--run", "mine").code == 0
    agent = load("mine")
    with torch.no_grad():
        agent.model.locator.mean.weight.zero_()
    save(agent, RunFolder(Path("mine")))
    result = type_in(capsys, "evaluate", "mine")
    assert result.code == 0
    assert "\nspread 0" in result.out
    (line,) = (line for line in result.err.splitlines() if "warning" in line)
    assert line.startswith(
        "warning: the policy has collapsed: each glimpse looks at the same place"
    )
    assert line.endswith("reward='gain'")


def test_one_glimpse_has_nothing_to_diagnose(capsys: pytest.CaptureFixture[str]) -> None:
    result = type_in(capsys, *TRAIN, "--glimpses", "1", "--run", "mine")
    assert result.code == 0
    assert "spread" not in result.out
    assert "warning" not in result.err
    assert "spread" not in Path("mine/metrics.csv").read_text()
