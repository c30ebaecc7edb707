"""What the README shows runs: every Python block, and every `glimpse` command in its order.

So do the Python blocks of the pages in docs; their links lead somewhere, too.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

README = Path(__file__).parents[1] / "README.md"
PAGES = [README, *sorted((README.parent / "docs").rglob("*.md"))]
SHELLS = ("sh", "bash", "console")
SECONDS = 300  # for one block or command


class Block(NamedTuple):
    """A fenced block, or a command in one, and the line of the README where it begins."""

    language: str
    line: int
    text: str


def _blocks(text: str) -> Iterator[Block]:
    fence = r"^(?P<indent> *)```(?P<language>\w*)[^\n`]*\n(?P<body>.*?)^(?P=indent)```[ \t]*$"
    for found in re.finditer(fence, text, flags=re.MULTILINE | re.DOTALL):
        indent, body = found["indent"], found["body"]
        lines = [line.removeprefix(indent) for line in body.splitlines()]
        line = text.count("\n", 0, found.start("body")) + 1
        yield Block(found["language"], line, "\n".join(lines) + "\n")


def _commands(text: str) -> Iterator[Block]:
    """Return the `glimpse` commands of the shell blocks; what installs and prepares is left out."""
    for language, start, body in _blocks(text):
        if language not in SHELLS:
            continue
        line, whole = start, ""
        for number, part in enumerate(body.splitlines(), start=start):
            line = line if whole else number
            whole += part
            if whole.endswith("\\"):
                whole = whole.removesuffix("\\")
                continue
            prompted = re.match(r"\s*[$%>] ", whole)
            command = whole[prompted.end() :] if prompted else whole
            whole = ""
            if (prompted or language != "console") and re.match(r"\s*(\w+=\S* )*glimpse ", command):
                yield Block(language, line, command.strip())


TEXT = README.read_text(encoding="utf-8")
EXAMPLES = [
    pytest.param(block, id=f"{page.name} line {block.line}")
    for page in PAGES
    for block in _blocks(page.read_text(encoding="utf-8"))
    if block.language == "python"
]
COMMANDS = list(_commands(TEXT))


def _skip_without_mnist(block: Block) -> None:
    if "mnist" in block.text.lower() and not os.environ.get("GLIMPSE_DATA"):
        pytest.skip("GLIMPSE_DATA names no folder of MNIST")


def _run(words: list[str], place: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=place,
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which all commands run."""
    return tmp_path_factory.mktemp("readme")


_done: dict[tuple[Path, int], subprocess.CompletedProcess[str] | None] = {}


def _run_up_to(number: int, place: Path) -> subprocess.CompletedProcess[str] | None:
    """Run the commands up to this one, each once, and return its result; None: it needs MNIST."""
    for at, command in enumerate(COMMANDS[: number + 1]):
        if (place, at) in _done:
            continue
        if "mnist" in command.text.lower() and not os.environ.get("GLIMPSE_DATA"):
            _done[place, at] = None
            continue
        words = shlex.split(command.text, comments=True)
        begin = words.index("glimpse")
        variables = dict(word.split("=", 1) for word in words[:begin])
        words = [sys.executable, "-m", "glimpse.cli", *words[begin + 1 :]]
        _done[place, at] = _run(words, place, **variables)
    return _done[place, number]


def _id(block: Block) -> str:
    return f"line {block.line}"


def test_the_readme_shows_how_in_python_and_on_the_command_line() -> None:
    assert "```python" in TEXT, f"{README} has no ```python block"
    assert COMMANDS, f"{README} has no `glimpse` command in a ```sh block"
    assert {command.text.split("glimpse ", 1)[1].split()[0] for command in COMMANDS} >= {"train"}


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=[_id(block) for block in COMMANDS])
def test_a_command_runs_after_those_before_it(number: int, place: Path) -> None:
    _skip_without_mnist(COMMANDS[number])
    result = _run_up_to(number, place)
    assert result is not None
    assert result.returncode == 0, f"{COMMANDS[number].text}\n{result.stdout}{result.stderr}"
    assert "Traceback" not in result.stderr
    assert "Warning" not in result.stderr


@pytest.mark.parametrize("block", EXAMPLES)
def test_an_example_runs_on_its_own(block: Block, place: Path, tmp_path: Path) -> None:
    _skip_without_mnist(block)
    if re.search(r"""["']runs?\b""", block.text):  # it reads what a command has written
        _run_up_to(len(COMMANDS) - 1, place)
        shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    (tmp_path / "example.py").write_text(block.text, encoding="utf-8")
    result = _run([sys.executable, "-W", "error", "example.py"], tmp_path)
    assert result.returncode == 0, f"{block.text}\n{result.stdout}{result.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)", prose)
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert links or page != README
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_line_waits_to_be_filled_in(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if re.fullmatch(r"[A-Z]{3,}|.*\b(TODO|TBD|XXX)\b.*", line)]


SAMPLE = """\
```sh
pip install glimpse-rl
glimpse train reinforce \\
    --steps 3  # few
python -m venv glimpse
GLIMPSE_DATA=data glimpse evaluate "my run"
```

* A point

  ```python
  for x in range(3):
      print(x)
  ```

```console
$ glimpse list
glimpse prints this
$ make glimpse
```

```yaml
glimpse: no command
```
"""


def test_blocks_and_commands_are_found() -> None:
    assert [block.language for block in _blocks(SAMPLE)] == ["sh", "python", "console", "yaml"]
    assert next(b for b in _blocks(SAMPLE) if b.language == "python") == Block(
        "python", 12, "for x in range(3):\n    print(x)\n"
    )
    commands = list(_commands(SAMPLE))
    assert [(command.line, shlex.split(command.text, comments=True)) for command in commands] == [
        (3, ["glimpse", "train", "reinforce", "--steps", "3"]),
        (6, ["GLIMPSE_DATA=data", "glimpse", "evaluate", "my run"]),
        (17, ["glimpse", "list"]),
    ]
