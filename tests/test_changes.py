"""Images that change their class: which, how many, and what is kept of them."""

from collections.abc import Sequence

import pytest
import torch
from PIL import Image
from torch import Tensor

from glimpse.answer_sheet import Group
from glimpse.batches import Batch
from glimpse.cli.changes import Changes, answers_to

CLASSES = ("cat", "dog", "owl")


def _probabilities(*said: tuple[int, ...]) -> Tensor:
    """Return rows that say these classes after each pass, with 60 %."""
    return torch.where(torch.nn.functional.one_hot(torch.tensor(said), 3) > 0, 0.6, 0.2)


def _batch(*target: int) -> Batch:
    images = torch.arange(len(target)) / 10
    return Batch(images[:, None, None, None].expand(-1, 1, 4, 5), torch.tensor(target))


def test_only_first_and_last_pass_count() -> None:
    changes = Changes(CLASSES, 9)
    said = [(1, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 1), (2, 2, 0), (0, 1, 2)]
    changes.add(_batch(0, 0, 0, 0, 0, 0), _probabilities(*said))
    assert (changes.seen, changes.mended.count, changes.spoilt.count) == (6, 2, 2)
    first, second = changes.mended.kept
    assert (first.said, first.target) == (["dog", "cat", "cat"], "cat")
    assert second.said == ["owl", "owl", "cat"]
    assert [float(one.image.max()) for one in changes.mended.kept] == pytest.approx([0.0, 0.4])
    assert [one.said[-1] for one in changes.spoilt.kept] == ["dog", "owl"]
    assert first.confidence == pytest.approx([0.6] * 3)


def test_the_first_are_kept_and_all_are_counted() -> None:
    changes = Changes(CLASSES, 3)
    for _ in range(3):
        changes.add(_batch(1, 1, 2), _probabilities((0, 1), (2, 1), (2, 2)))
    assert (changes.seen, changes.mended.count, changes.spoilt.count) == (9, 6, 0)
    assert [one.said[0] for one in changes.mended.kept] == ["cat", "owl", "cat"]
    assert changes.page("test").height > Changes(CLASSES, 3).page("test").height


def test_the_page_says_how_many_there_were(monkeypatch: pytest.MonkeyPatch) -> None:
    headings: list[str] = []

    def draw(groups: Sequence[Group]) -> Image.Image:
        headings.extend(group.heading for group in groups)
        return Image.new("RGB", (1, 1))

    monkeypatch.setattr("glimpse.cli.changes.answer_sheet", draw)
    changes = Changes(CLASSES, 1)
    for _ in range(400):
        changes.add(_batch(1, 1, 2), _probabilities((0, 1), (2, 1), (2, 2)))
    changes.page("validation")
    assert headings == [
        "wrong to right: 800 of 1,200 validation images; shown: the first 1",
        "right to wrong: none of 1,200 validation images",
    ]


def test_answers_are_told_in_words() -> None:
    answers = answers_to(torch.zeros(1, 2, 2), _probabilities((2, 1))[0], CLASSES)
    assert answers.said == ["owl", "dog"]
    assert answers.confidence == pytest.approx([0.6, 0.6])
    assert answers.target is None
