"""Image sets: images with a target each and three splits, read through the sensor by index.

Convention:
    Images are `(N, C, H, W)`, uint8 or float in [0, 1], all of one size. What targets are is the
    task's affair: of a classification, whole numbers from 0. Splits are indices; a split may be
    empty.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from .checks import check_images, check_name, to_tensor, whole_numbers
from .pixels import Pixels
from .sensor import GlimpseSensor, Prepared
from .tables import SummedAreaTables
from .tasks import Classification, Search, Task

SPLITS = ("train", "validation", "test")


@runtime_checkable
class ImageSource(Protocol):
    """What an environment asks of images.

    Attributes:
        shape: Channels, height and width of every image; of different sizes, the largest.
        sizes: Width and height of every index, in pixels; None: all are as `shape` says.
        task: What is asked about them.
        count: How many indices N there are.
        splits: The indices of every split.
        device: Where their tensors lie.
    """

    @property
    def shape(self) -> tuple[int, int, int]: ...  # noqa: D102
    @property
    def sizes(self) -> Int64[Tensor, "N 2"] | None: ...  # noqa: D102
    @property
    def task(self) -> Task | Search: ...  # noqa: D102
    @property
    def count(self) -> int: ...  # noqa: D102
    @property
    def splits(self) -> Mapping[str, Int64[Tensor, "M"]]: ...  # noqa: D102
    @property
    def device(self) -> torch.device: ...  # noqa: D102

    def draw(
        self, index: Int64[Tensor, "B"], keys: Int64[Tensor, "B"]
    ) -> Shaped[Tensor, "B C H W"]:
        """Return the images of these indices; what is random in them is a function of the keys.

        Images that are too large for that come at a lower resolution.
        """
        ...

    def target(
        self, index: Int64[Tensor, "B"], keys: Int64[Tensor, "B"]
    ) -> Shaped[Tensor, "B ..."]:
        """Return the targets of the images that `draw` draws."""
        ...

    def prepared(self, sensor: GlimpseSensor, memory: float) -> Prepared | None:
        """Return all images prepared for the sensor; None where every draw is another image.

        What is made for that takes at most `memory` bytes.
        """
        ...

    def to(self, device: torch.device | str) -> "ImageSource":
        """Return the same source with its tensors on `device`."""
        ...


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images in memory. They stay what they are, uint8 or float, on the device they are on.

    What the sensor reads is made once for each kind of sensor and kept: summed-area tables, one for
    all scales. For every image of C channels a table takes C (H + 1) (W + 1) numbers of 2 bytes
    with up to 5 scales of factor 2 (3 of factor 4), of 4 bytes with up to 12 (6), else of 8;
    always of 8 for images of floats. That is 2 bytes a pixel beside the 1 of a uint8 image, none of
    it more for a further scale, and at most 0.1 GiB more while tables are made. Images whose tables
    would take more than the memory allowed are read pixel by pixel, with the same result.

    Attributes:
        images: All of them.
        targets: What is right for each.
        task: What is asked about them.
        splits: The indices of `train`, `validation` and `test`.
    """

    images: Shaped[Tensor, "N C H W"]
    targets: Shaped[Tensor, "N ..."]
    task: Task | Search
    splits: Mapping[str, Int64[Tensor, "M"]]
    _prepared: dict[torch.dtype | None, Prepared] = field(
        default_factory=dict, init=False, repr=False
    )
    _elsewhere: dict[torch.device, "ImageSet"] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check what came from outside.

        Raises:
            ValueError: The images are of the wrong rank, type or range, the targets do not fit
                them, or a split names an image that is not there.
        """
        check_images(self.images)
        count = len(self.images)
        if count == 0:
            raise ValueError("`images` must be at least one, got none: is a filter too strict?")
        if self.targets.shape[:1] != (count,):
            raise ValueError(
                f"`targets` must be ({count}, ...), got {tuple(self.targets.shape)}: "
                "give one target for each image"
            )
        self.task.check(self.targets)
        check_splits(self.splits, count, "images")

    @classmethod
    def from_arrays(
        cls,
        images: Shaped[Tensor, "N C H W"] | np.ndarray,
        targets: Iterable[Any] | Shaped[Tensor, "N ..."] | np.ndarray,
        *,
        task: Task | Search | None = None,
        classes: Iterable[str] | None = None,
        splits: Mapping[str, Iterable[int] | Tensor | np.ndarray] | None = None,
    ) -> "ImageSet":
        """Make a set of NumPy arrays or tensors.

        Args:
            images: `(N, C, H, W)`, uint8 or float in [0, 1].
            targets: One for each image: of a classification a whole number from 0.
            task: What is asked about them; by default a classification.
            classes: The names of its classes; by default their numbers.
            splits: Indices of `train`, `validation`, `test`; by default `random_splits`.

        Raises:
            ValueError: As the class itself; or classes are named beside another task.
        """
        images = to_tensor(images).contiguous()
        answers, task = targets_of(targets, task, classes)
        indices = indices_of(splits, len(images))
        return ImageSet(images, answers, task, indices).to(images.device)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    @property
    def sizes(self) -> None:
        """None: all images have one size."""
        return

    @property
    def count(self) -> int:
        """How many images N there are."""
        return len(self.images)

    @property
    def device(self) -> torch.device:
        """Where they lie."""
        return self.images.device

    def draw(
        self, index: Int64[Tensor, "B"], keys: Int64[Tensor, "B"]
    ) -> Shaped[Tensor, "B C H W"]:
        """Return the images of these indices; nothing is random here, so the keys do not matter."""
        return self.images[index]

    def target(
        self, index: Int64[Tensor, "B"], keys: Int64[Tensor, "B"]
    ) -> Shaped[Tensor, "B ..."]:
        """Return the targets of these indices; the keys do not matter."""
        return self.targets[index]

    def prepared(self, sensor: GlimpseSensor, memory: float) -> Prepared:
        """Return all images prepared for the sensor: their tables, if these fit into `memory`."""
        dtype = sensor.table_dtype(self.images.dtype)  # all that the tables depend on
        kind = dtype if SummedAreaTables.memory(self.images.shape, dtype) <= memory else None
        if kind not in self._prepared:
            direct = kind is None
            made = Pixels.of(self.images) if direct else sensor.prepare(self.images)
            self._prepared[kind] = made
        return self._prepared[kind]

    def to(self, device: torch.device | str) -> "ImageSet":
        """Return the same set with its tensors on `device`; asked again, the very same."""
        device = torch.empty(0, device=device).device  # with its number
        if device in self._elsewhere:
            return self._elsewhere[device]
        tensors = [self.images, self.targets, *self.splits.values()]
        if all(tensor.device == device for tensor in tensors):
            return self
        splits = {split: index.to(device) for split, index in self.splits.items()}
        moved = ImageSet(self.images.to(device), self.targets.to(device), self.task, splits)
        self._elsewhere[device] = moved
        return moved


def targets_of(
    targets: Iterable[Any] | Tensor | np.ndarray,
    task: Task | Search | None,
    classes: Iterable[str] | None,
) -> tuple[Shaped[Tensor, "N ..."], Task | Search]:
    """Return targets from outside as a tensor, and the task: by default a classification.

    Args:
        targets: One for each image.
        task: What is asked about them, or None.
        classes: The names of the classes of a classification, or None.

    Raises:
        ValueError: They are no numbers, or classes are named beside another task.
    """
    if task is not None:
        if classes is not None:
            raise ValueError("`classes` must be left out beside a task, got both: it has its own")
        listed = targets if isinstance(targets, Tensor | np.ndarray) else list(targets)
        try:
            tensor = to_tensor(listed if isinstance(listed, Tensor) else np.asarray(listed))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"`targets` must be numbers, the same many for each image, got {error}: mend them"
            ) from error
        if isinstance(task, Search):
            return tensor.double(), task
        return tensor if tensor.is_floating_point() else tensor.long(), task
    numbers = whole_numbers("targets", targets)
    if classes is None:
        classes = map(str, range(int(numbers.max()) + 1 if numbers.numel() else 0))
    return numbers, Classification(tuple(classes))


def indices_of(
    splits: Mapping[str, Iterable[int] | Tensor | np.ndarray] | None, count: int
) -> dict[str, Int64[Tensor, "M"]]:
    """Return splits from outside as tensors; None: `random_splits`.

    Raises:
        ValueError: They are no whole numbers.
    """
    if splits is None:
        return random_splits(count)
    return {name: whole_numbers(f"splits[{name!r}]", index) for name, index in splits.items()}


def check_splits(splits: Mapping[str, Int64[Tensor, "M"]], count: int, things: str) -> None:
    """Refuse splits of another name, or that name things which are not there.

    Raises:
        ValueError: They do.
    """
    for split, index in splits.items():
        check_name("split", split, SPLITS)
        if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < count:
            raise ValueError(
                f"split {split!r} must name {things} in [0, {count}), got {int(index.min())} to "
                f"{int(index.max())}: leave those out"
            )


def random_splits(count: int, *, seed: int = 0) -> dict[str, Int64[Tensor, "M"]]:
    """Divide indices at random: 80 % train, 10 % validation, 10 % test; a seed, a division."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(count))
    tenth = count // 10
    return {
        "train": order[2 * tenth :],
        "validation": order[:tenth],
        "test": order[tenth : 2 * tenth],
    }
