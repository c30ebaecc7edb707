"""Images that change their class from pass to pass: wrong to right, and right to wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from glimpse.answer_sheet import Answers, Group, answer_sheet
from glimpse.batches import Batch


@dataclass
class Kind:
    """Images that changed one way.

    Attributes:
        count: How many.
        kept: The first of them.
    """

    count: int = 0
    kept: list[Answers] = field(default_factory=list)


@dataclass
class Changes:
    """What changed between the first pass and the last.

    Attributes:
        classes: The names of the classes.
        most: How many images are kept of each kind.
        seen: How many images there were.
        mended: Those that were wrong, then right.
        spoilt: Those that were right, then wrong.
    """

    classes: Sequence[str]
    most: int
    seen: int = 0
    mended: Kind = field(default_factory=Kind)
    spoilt: Kind = field(default_factory=Kind)

    def add(self, batch: Batch, probabilities: Float[Tensor, "B T n"]) -> None:
        """Count a batch in; its answers are those after each of T passes."""
        right = probabilities.argmax(dim=2) == batch.target[:, None]
        before, after = right[:, 0], right[:, -1]
        self.seen += len(right)
        self._keep(self.mended, batch, probabilities, ~before & after)
        self._keep(self.spoilt, batch, probabilities, before & ~after)

    def _keep(
        self,
        kind: Kind,
        batch: Batch,
        probabilities: Float[Tensor, "B T n"],
        which: Bool[Tensor, "B"],
    ) -> None:
        rows = which.nonzero()[:, 0].tolist()
        kind.count += len(rows)
        for row in rows[: self.most - len(kind.kept)]:
            target = self.classes[int(batch.target[row])]
            shown = answers_to(batch.images[row], probabilities[row], self.classes, target)
            kind.kept.append(shown)

    def page(self, split: str) -> Image.Image:
        """Draw those that were kept; say how many there were."""
        groups = []
        for name, kind in (("wrong to right", self.mended), ("right to wrong", self.spoilt)):
            heading = f"{name}: {kind.count or 'none'} of {self.seen:,} {split} images"
            if kind.count > len(kind.kept):
                heading += f"; shown: the first {len(kind.kept)}"
            groups.append(Group(heading, kind.kept))
        return answer_sheet(groups)


def answers_to(
    image: Float[Tensor, "C H W"],
    probabilities: Float[Tensor, "T n"],
    classes: Sequence[str],
    target: str | None = None,
) -> Answers:
    """Return what was said of an image after each of T passes, in words."""
    sure, best = probabilities.max(dim=1)
    return Answers(image, [classes[number] for number in best.tolist()], sure.tolist(), target)
