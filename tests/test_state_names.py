"""Names of weights stay: files of weights that people have must go on to load."""

import itertools
from pathlib import Path

import pytest

from glimpse.soft_baselines import ATTENTION, make

LISTS = (
    *("branches", "bases", "contexts", "widen", "down", "level"),
    *("before", "trunk", "up", "after"),
)
KNOWN = Path(__file__).with_name("state_names.txt")


def _listed(name: str) -> str:
    """Return a line for a module's weights, those of batch normalisation as one."""
    weights = make(name, 64).state_dict()
    short = dict.fromkeys(
        at.removesuffix("num_batches_tracked") + "*"
        if f"{at.rpartition('.')[0]}.num_batches_tracked" in weights
        else at
        for at in weights
        if at.endswith("num_batches_tracked")
        or f"{at.rpartition('.')[0]}.num_batches_tracked" not in weights
    )
    return f"{name}: {' '.join(short)}"


@pytest.mark.parametrize("name", list(ATTENTION))
def test_names_of_weights_are_as_they_were(name: str) -> None:
    assert _listed(name) in KNOWN.read_text(encoding="utf-8").splitlines(), (
        "weights that were saved would no longer load; if that is meant, say so in CHANGELOG.md "
        f"and write to {KNOWN.name}: {_listed(name)}"
    )


@pytest.mark.parametrize("name", list(ATTENTION))
def test_names_are_words(name: str) -> None:
    """A number stands only for one of several alike, as in `branches.0`."""
    for at in make(name, 64).state_dict():
        parts = at.split(".")
        assert not any(
            part.isdigit() and before not in LISTS for before, part in itertools.pairwise(parts)
        )
