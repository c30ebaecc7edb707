"""`glimpse attention list`: the table of modules."""

import pytest
from command import refused_line, type_in

from glimpse.soft_baselines import ATTENTION

pytestmark = pytest.mark.usefixtures("elsewhere")


def test_every_module_is_printed_with_domain_year_and_paper(
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = type_in(capsys, "attention", "list")
    assert (result.code, result.err) == (0, "")
    title, head, *rows = result.out.splitlines()
    assert title.strip() == "soft attention"
    assert head.split() == ["module", "domain", "year", "paper"]
    assert [row.split()[0] for row in rows] == list(ATTENTION)
    for row, entry in zip(rows, ATTENTION.values(), strict=True):
        assert row.split()[1:3] == [entry.domain, str(entry.year)]
        assert row.strip().endswith(entry.paper)


@pytest.mark.parametrize("words", [[], ["show"]])
def test_anything_else_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    refused_line(capsys, "attention", *words)
