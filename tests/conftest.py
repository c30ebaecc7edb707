"""How the suite runs: deterministic hypothesis, and the tests that only the plain run can make.

The suite runs twice: plain, and with `--jaxtyping-packages=glimpse,beartype.beartype`. In the
second run the hook refuses wrong shapes and types before our own errors can speak; tests of those
are marked `@pytest.mark.plain` and skipped there. Tests marked `@pytest.mark.mnist` need the real
MNIST and are skipped where the environment variable GLIMPSE_DATA does not name its folder.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

settings.register_profile("deterministic", deadline=None, derandomize=True)
settings.load_profile("deterministic")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "plain: passes shapes or types that the jaxtyping hook refuses first"
    )
    config.addinivalue_line("markers", "mnist: needs the folder that GLIMPSE_DATA names")
    if config.getoption("jaxtyping_packages", None):
        # `gymnasium.spaces.Dict` derives from `typing.Mapping`; beartype warns whoever names it.
        config.addinivalue_line(
            "filterwarnings",
            r"ignore:.*type hint typing\.Mapping\[str, gymnasium\.spaces"
            ":beartype.roar.BeartypeDecorHintPep585DeprecationWarning",
        )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes `env_id` once for every registered environment.

    One that takes `env_predict` too runs once for everyone who may judge there: of a search that is
    the learner alone, since the location is the answer.
    """
    if "env_id" not in metafunc.fixturenames:
        return
    from glimpse.envs import ENVIRONMENTS  # not before the jaxtyping hook is there

    images = {env_id: view.get("images") for env_id, view in ENVIRONMENTS.items()}
    searched = {
        env_id: view.get("images") == "haystack" or view.get("task") == "search"
        for env_id, view in ENVIRONMENTS.items()
    }
    names, runs = ["env_id"], [(env_id,) for env_id in images]
    if "env_predict" in metafunc.fixturenames:
        names = ["env_id", "env_predict"]
        runs = [
            (env_id, predict)
            for env_id in images
            for predict in ("external", "flat")
            if predict == "external" or not searched[env_id]
        ]
    marks = {env_id: pytest.mark.mnist for env_id in images if images[env_id] == "mnist"}
    metafunc.parametrize(names, [pytest.param(*run, marks=marks.get(run[0], ())) for run in runs])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    hooked = bool(config.getoption("jaxtyping_packages", None))
    reasons = {
        "plain": hooked and "the jaxtyping hook refuses this before our own error speaks",
        "mnist": not os.environ.get("GLIMPSE_DATA") and "GLIMPSE_DATA names no folder of MNIST",
    }
    for item in items:
        for marker, reason in reasons.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test in a folder of its own, with a wide terminal and nothing registered."""
    from glimpse import catalogue  # not before the jaxtyping hook is there

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(catalogue, "_registered", {})


@pytest.fixture
def small_cells(elsewhere: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every cell of the paper's table show small images, for a few steps."""
    from cells import make_small  # not before the jaxtyping hook is there

    make_small(monkeypatch)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Two test processes share the cores; more threads than cores are slower by far."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
