"""Every example runs as a script, in a folder of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
# The option that makes each short, and what it says at its end.
SHORT = {
    "hard_vs_soft.py": ("--steps", "pixels sensed"),
    "own_environment.py": ("--steps", "answers right"),
    "own_images.py": ("--steps", "test error"),
    "own_task.py": ("--steps", "test error"),
    "recurrent_ppo.py": ("--steps", "of the test images"),
    "search.py": ("--slides", "of 3 found"),
    "train.py": ("--steps", "test error"),
}


def test_there_are_examples() -> None:
    assert [example.name for example in EXAMPLES] == list(SHORT)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_runs_and_is_short(example: Path, tmp_path: Path) -> None:
    short, says = SHORT[example.name]
    done = subprocess.run(
        [sys.executable, "-W", "error", example, short, "3"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert says in done.stdout
    assert len(example.read_text().splitlines()) <= 60
