"""How the suite runs: deterministic hypothesis, and the tests that only the plain run can make.

The suite runs twice: plain, and with `--jaxtyping-packages=glimpse,beartype.beartype`. In the
second run the hook refuses wrong shapes and types before our own errors can speak; tests of those
are marked `@pytest.mark.plain` and skipped there.
"""

import pytest
from hypothesis import settings

settings.register_profile("deterministic", deadline=None, derandomize=True)
settings.load_profile("deterministic")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "plain: passes shapes or types that the jaxtyping hook refuses first"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("jaxtyping_packages", None):
        return
    skip = pytest.mark.skip(reason="the jaxtyping hook refuses this before our own error speaks")
    for item in items:
        if item.get_closest_marker("plain"):
            item.add_marker(skip)
