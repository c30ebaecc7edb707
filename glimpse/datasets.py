"""Image sets from data sets of PyTorch, or anything that is read as they are: by number."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor
from torch.utils.data import IterableDataset, Subset

from .checks import check_name
from .image_set import SPLITS, ImageSet
from .mixed_set import Indices, MixedSet, image_set_of
from .pictures import Size, check_size, collect, to_class, to_one_mode, to_target
from .tasks import Search, Task


@runtime_checkable
class MapStyle(Protocol):
    """What is read item by item: `torch.utils.data.Dataset` of a known length, lists of pairs."""

    def __len__(self) -> int:
        """Return how many items there are."""
        ...

    def __getitem__(self, number: int, /) -> Any:
        """Return `(image, target)`."""
        ...


def load_dataset(
    dataset: MapStyle | Mapping[str, MapStyle],
    *,
    task: Task | Search | None = None,
    classes: Iterable[str] | None = None,
    splits: Mapping[str, Indices] | None = None,
    size: Size | None = None,
) -> ImageSet | MixedSet:
    """Read every item of a data set, or of one for each split, once.

    An item is `(image, target)`. The image is a picture of Pillow, or a tensor or array `(C, H, W)`
    or `(H, W)`, uint8 or float in [0, 1]; the target is a whole number from 0, or what the task
    asks for. Images of different sizes make a `MixedSet`.

    Args:
        dataset: The data set, or a mapping from `train`, `validation` and `test` to one each. Where
            that has no validation, 10 % of train are drawn for it, always the same.
        task: What is asked about the images; by default a classification.
        classes: The names of its classes; by default `dataset.classes`, or else their numbers.
        splits: Indices of `train`, `validation`, `test` of a single data set; by default
            `random_splits`.
        size: Height and width to which every image is resized, in pixels; None: they stay as large
            as they are.

    Raises:
        ValueError: It is no such data set, or empty; an item is not what it should be and is named;
            splits were given twice.
    """
    parts = dataset if isinstance(dataset, Mapping) else {"": dataset}
    for split, part in parts.items():
        if isinstance(part, IterableDataset) or not isinstance(part, MapStyle):
            raise ValueError(
                f"a data set must have a length and numbered items, got {type(part).__name__}"
                f"{_of(split)}: give one, or list(dataset) of one without numbers"
            )
    images, targets, divided = read_parts(
        {split: (_items(part), len(part)) for split, part in parts.items()},
        size,
        to_class if task is None else to_target,
    )
    if isinstance(dataset, Mapping):
        if splits is not None:
            raise ValueError(
                f"`splits` must be left out where data sets come as {', '.join(dataset)}, got "
                f"{', '.join(splits)}: divide them before"
            )
        splits = divided
    if classes is None and task is None:
        classes = _classes(parts)
    return image_set_of(images, targets, task=task, classes=classes, splits=splits)


def read_parts(
    parts: Mapping[str, tuple[Iterable[Any], int]],
    size: Size | None,
    to_answer: Callable[[Any, str], Any] = to_class,
) -> tuple[list[Shaped[Tensor, "C _h _w"]], list[Any], dict[str, Int64[Tensor, "M"]]]:
    """Return the images and targets of all parts, and the splits if they are these parts.

    Args:
        parts: For each split its pairs `(image, target)` and how many there are; a single part
            without a name is not divided.
        size: Height and width to which every image is resized, in pixels.
        to_answer: `to_class`, or `to_target` for other tasks.

    Raises:
        ValueError: A split has another name, a part is empty, or an item is no such pair.
    """
    check_size(size)
    images: list[Tensor] = []
    targets: list[Any] = []
    grey: list[int] = []
    splits = {split: torch.zeros(0, dtype=torch.int64) for split in SPLITS}
    if not parts:
        raise ValueError("a data set must hold images, got none: give one at least")
    for split, (pairs, count) in parts.items():
        if split:
            check_name("split", split, SPLITS)
        if count == 0:
            raise ValueError(f"a data set must hold images, got none{_of(split)}: give some")
        some, answers, greys = collect(
            pairs, count, "reading images", size=size, of=_of(split), to_answer=to_answer
        )
        splits[split] = torch.arange(len(images), len(images) + len(some))
        grey += [len(images) + number for number in greys]
        images += some
        targets += answers
    to_one_mode(images, grey)
    if "train" in parts and "validation" not in parts:
        order = np.random.default_rng(0).permutation(len(splits["train"]))
        drawn, rest = np.split(splits["train"].numpy()[order], [len(order) // 10])
        splits["validation"] = torch.from_numpy(np.sort(drawn))
        splits["train"] = torch.from_numpy(np.sort(rest))
    return images, targets, splits


def _items(part: MapStyle) -> Iterable[Any]:
    return (part[number] for number in range(len(part)))


def _of(split: str) -> str:
    return f" of {split}" if split else ""


def _classes(parts: Mapping[str, MapStyle]) -> Iterable[str] | None:
    """Return the names of the classes as torchvision's data sets have them."""
    found = None
    for split, part in parts.items():
        whole: Any = part
        while isinstance(whole, Subset):
            whole = whole.dataset
        named = getattr(whole, "classes", None)
        if named is None:
            continue
        names = tuple(str(name) for name in named)
        if found is not None and names != found:
            raise ValueError(
                f"`classes` must be the same in every split, got {', '.join(names)} in {split} and "
                f"{', '.join(found)} before: pass classes="
            )
        found = names
    return found
