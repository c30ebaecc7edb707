"""What pip installs is what the folders hold, and no folder looks sideways."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]
FOLDERS = {folder: package for package, folder in SETUPTOOLS["package-dir"].items()}
GROUND = "glimpse"
UPPER = set(FOLDERS) - {GROUND}
DEVELOPMENT = {"test", "lint", "benchmarks"}  # extras of those who work on Glimpse


def _name(path: Path) -> str:
    """Return the name under which a file is imported."""
    top, *rest = path.relative_to(ROOT).with_suffix("").parts
    return ".".join([FOLDERS[top], *(part for part in rest if part != "__init__")])


MODULES = {
    _name(path): path
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*.py"))  # which follows no links
}


def _package(name: str) -> str:
    """Return the package that a module is, or lies in."""
    return name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]


def _room(name: str) -> str:
    """Return the folder that a name belongs to; the ground floor's is glimpse."""
    return next((f for f in UPPER if f"{name}.".startswith(f"{GROUND}.{f}.")), GROUND)


def _imports(name: str, source: str) -> Iterator[tuple[ast.stmt, bool, list[str]]]:
    """Return every import statement of a module, wherever it stands.

    Each comes with whether it is relative, and with the full names of what it may import: for
    `from a import b` the module `a` and, if there is one, the module `a.b`.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield node, False, [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _package(name).split(".")[: -(node.level - 1) or None] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names]
            yield node, node.level > 0, [module, *names]


def _forbidden(name: str, source: str) -> list[str]:
    """Return the imports of a module that look sideways or up, or round about."""
    found = []
    for node, relative, names in _imports(name, source):
        for imported in names:
            literal = imported.split(".")[0] in UPPER
            sideways = _room(imported) not in (_room(name), GROUND) and _room(name) != "cli"
            about = not relative and f"{imported}.".startswith(f"{_package(name)}.")
            if literal or sideways or about:
                found.append(f"{MODULES[name]}:{node.lineno} imports {imported}")
    return found


def test_every_folder_of_modules_is_packaged() -> None:
    assert {_package(name) for name in MODULES} == set(SETUPTOOLS["packages"])
    assert {GROUND, *(f"{GROUND}.{folder}" for folder in UPPER)} == set(SETUPTOOLS["packages"])
    assert {"envs", "agents", "soft_baselines", "cli"} == UPPER


@pytest.mark.parametrize("folder", sorted(UPPER))
def test_a_link_leads_from_the_package_to_the_folder(folder: str) -> None:
    link = ROOT / GROUND / folder
    target = os.readlink(link) if link.is_symlink() else link.read_text()  # as git does on Windows
    assert target == f"../{folder}"


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_its_own_folder_and_the_ground_floor_only(name: str) -> None:
    assert not _forbidden(name, MODULES[name].read_text()), (
        "inside a folder write `from .x`, to the ground floor `from glimpse.x`, "
        "and wire folders together in cli/, examples/ or tests/"
    )


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("glimpse.batch", "from glimpse import envs"),
        ("glimpse.batch", "from . import agents"),
        ("glimpse.batch", "from .cli import main"),
        ("glimpse.batch", "from .envs.config import EnvConfig"),
        ("glimpse.batch", "from glimpse.eye import Eye"),
        ("glimpse", "from . import envs"),
        ("glimpse.envs.single", "from glimpse import agents"),
        ("glimpse.envs.single", "def f():\n    import glimpse.agents.agent"),
        ("glimpse.envs.single", "from glimpse.envs.config import EnvConfig"),
        ("glimpse.agents", "from glimpse.soft_baselines import make"),
        ("glimpse.agents.agent", "import envs"),
        ("glimpse.agents.agent", "from agents import agent"),
        ("glimpse.agents.agent", "from ..envs import config"),
        ("glimpse.agents.agent", "from .. import envs"),
        ("glimpse.agents.agent", "from glimpse.cli import main"),
        ("glimpse.cli.main", "from glimpse.cli import train"),
        ("glimpse.cli.main", "from cli import train"),
    ],
)
def test_what_looks_sideways_is_found(name: str, line: str) -> None:
    assert _forbidden(name, line)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("glimpse.batch", "from .eye import Eye"),
        ("glimpse.batch", "import torch.agents\nfrom envs_of_others import x"),
        ("glimpse.envs.single", "from glimpse.batch import GlimpseBatch"),
        ("glimpse.envs.single", "from glimpse import GlimpseBatch"),
        ("glimpse.envs.single", "from . import config\nfrom .config import EnvConfig"),
        ("glimpse.cli.main", "from glimpse.envs import ENVIRONMENTS\nimport glimpse.agents"),
    ],
)
def test_what_looks_straight_is_not(name: str, line: str) -> None:
    assert not _forbidden(name, line)


def test_modules_import_one_another_in_no_circle() -> None:
    graph: dict[str, set[str]] = {name: set() for name in MODULES}
    for name, path in MODULES.items():
        for node, _, (module, *names) in _imports(name, path.read_text()):
            modules = {imported for imported in [module, *names] if imported in MODULES}
            # `from . import x` of a module x needs x; the package is there already.
            if isinstance(node, ast.ImportFrom) and modules >= set(names):
                modules.discard(module)
            graph[name] |= modules
    assert sum(map(len, graph.values())) > len(MODULES)  # the graph is not empty
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" imports ".join(error.args[1][::-1]))


def _inside_functions(source: str) -> set[int]:
    """Return the lines of a module that are only run when a function is called."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    return {
        inner.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, functions)
        for inner in ast.walk(node)
        if isinstance(inner, ast.stmt)
    }


def _distributions(requirements: Iterable[str]) -> set[str]:
    return {_plain(re.split(r"[^\w-]", requirement)[0]) for requirement in requirements}


def _plain(distribution: str) -> str:
    return distribution.lower().replace("_", "-")


def _undeclared(name: str, source: str) -> list[str]:
    """Return the imports of a module that neither a dependency nor an extra brings.

    What an extra brings may only be imported when a function is called: whoever lacks it can still
    import the module.
    """
    needed = _distributions(PROJECT["project"]["dependencies"])
    extras = PROJECT["project"]["optional-dependencies"]
    optional = {
        distribution
        for extra in set(extras) - DEVELOPMENT
        for distribution in _distributions(extras[extra])
    }
    providers, later, found = packages_distributions(), _inside_functions(source), []
    for node, relative, (module, *_) in _imports(name, source):
        top = module.split(".")[0]
        if relative or top == GROUND or top in sys.stdlib_module_names:
            continue
        allowed = needed | optional if node.lineno in later else needed
        if not allowed & {_plain(provider) for provider in providers.get(top, ())}:
            found.append(f"{MODULES[name]}:{node.lineno} imports {top}")
    return found


@pytest.mark.parametrize("name", MODULES)
def test_what_is_imported_is_declared(name: str) -> None:
    found = _undeclared(name, MODULES[name].read_text())
    assert not found, "declare it in pyproject.toml, or import what an extra brings in a function"


@pytest.mark.parametrize(
    "source",
    [
        "import openslide",
        "from openslide.deepzoom import DeepZoomGenerator",
        "try:\n    import openslide\nexcept ImportError:\n    openslide = None",
        "class Slide:\n    import openslide",
        "import hypothesis",
        "def test():\n    import hypothesis",
        "def lint():\n    import mypy.api",
        "def measure():\n    import tifffile",
        "import no_such_package",
        "def f():\n    import no_such_package",
    ],
)
def test_what_is_not_declared_is_found(source: str) -> None:
    assert _undeclared("glimpse.slide_file", source)


@pytest.mark.parametrize(
    "source",
    [
        "import torch, numpy.typing\nfrom PIL import Image",
        "def open_slide():\n    import openslide",
        "def f():\n    try:\n        from openslide import OpenSlide\n    except ImportError: pass",
        "import json\nfrom .pyramid import Pyramid\nfrom glimpse.eye import Eye",
    ],
)
def test_what_is_declared_is_not(source: str) -> None:
    assert not _undeclared("glimpse.slide_file", source)


def test_the_engine_does_not_know_gymnasium() -> None:
    above = {"gymnasium", "stable_baselines3", "jsonargparse"}
    for name, path in MODULES.items():
        if _room(name) == GROUND:
            for node, _, (module, *_) in _imports(name, path.read_text()):
                assert module.split(".")[0] not in above, f"{path}:{node.lineno}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """Build the wheel of a copy, so that nothing is left in the checkout."""
    if not all(importlib.util.find_spec(name) for name in ("setuptools", "pip")):
        pytest.skip("setuptools and pip build the wheel")
    copy, built = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("built")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for folder in FOLDERS:
        shutil.copytree(
            ROOT / folder,
            copy / folder,
            symlinks=True,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--disable-pip-version-check", "--wheel-dir", str(built), str(copy)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_wheel_holds_every_file(wheel: zipfile.ZipFile) -> None:
    wanted = set()
    for folder, package in FOLDERS.items():
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and not path.is_symlink():
                place = path.relative_to(ROOT / folder).as_posix()
                wanted.add(f"{package.replace('.', '/')}/{place}")
    assert {"glimpse/py.typed", "glimpse/digits.safetensors", "glimpse/envs/single.py"} <= wanted
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == wanted
    for name in ("py.typed", "digits.safetensors"):
        assert wheel.read(f"glimpse/{name}") == (ROOT / "glimpse" / name).read_bytes()


def test_the_wheel_holds_licence_and_command(wheel: zipfile.ZipFile) -> None:
    (place,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    assert wheel.read(f"{place}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    entry = wheel.read(f"{place}/entry_points.txt").decode()
    assert "glimpse = glimpse.cli:main" in entry
