"""The examples in docstrings are true."""

import ast
import doctest
import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest

import glimpse

MODULES = [
    "glimpse",
    *(
        module.name
        for module in pkgutil.walk_packages(glimpse.__path__, "glimpse.")
        if not module.name.endswith(".__main__")  # which would run the command
    ),
]
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _examples(name: str) -> Iterator[doctest.DocTest]:
    """Return the examples of a module, as they stand in its source.

    `doctest` itself does not see functions that the jaxtyping hook has wrapped.
    """
    module = importlib.import_module(name)
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, _DOCUMENTED):
            where = getattr(node, "name", name)
            text = ast.get_docstring(node) or ""
            line = node.body[0].lineno - 1 if node.body else 0
            test = doctest.DocTestParser().get_doctest(
                text, vars(module).copy(), f"{name}.{where}", module.__file__, line
            )
            if test.examples:
                yield test


def test_all_folders_are_walked() -> None:
    assert {"glimpse.envs.config", "glimpse.agents.agent", "glimpse.cli.main"} <= set(MODULES)
    assert {"glimpse.soft_baselines", "glimpse.checks"} <= set(MODULES)


def test_there_are_examples() -> None:
    assert sum(len(list(_examples(name))) for name in MODULES) >= 2


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name: str) -> None:
    for test in _examples(name):
        told: list[str] = []
        results = doctest.DocTestRunner(verbose=False).run(test, out=told.append)
        assert results.failed == 0, "".join(told)
        assert results.attempted == len(test.examples)
