"""Image sets: images with a target each and three splits, read through the sensor by index.

Convention:
    Images are `(N, C, H, W)`, uint8 or float in [0, 1], all of one size. Targets are whole numbers
    from 0, positions in `classes`. Splits are indices; a split may be empty.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from .checks import check_images, check_name, to_tensor, whole_numbers
from .pixels import Pixels
from .sensor import GlimpseSensor, Prepared
from .tables import SummedAreaTables
from .tasks import Classification, Search

SPLITS = ("train", "validation", "test")


@runtime_checkable
class ImageSource(Protocol):
    """What an environment asks of images.

    Attributes:
        shape: Channels, height and width of every image.
        task: What is asked about them.
        targets: The class, or the place, of every index.
        splits: The indices of every split.
    """

    @property
    def shape(self) -> tuple[int, int, int]: ...  # noqa: D102
    @property
    def task(self) -> Classification | Search: ...  # noqa: D102
    @property
    def targets(self) -> Shaped[Tensor, "N ..."]: ...  # noqa: D102
    @property
    def splits(self) -> Mapping[str, Int64[Tensor, "M"]]: ...  # noqa: D102

    def draw(
        self, index: Int64[Tensor, "B"], keys: Int64[Tensor, "B"]
    ) -> Shaped[Tensor, "B C H W"]:
        """Return the images of these indices; what is random in them is a function of the keys.

        Images that are too large for that come at a lower resolution.
        """
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
        targets: The class of each.
        classes: The names of the classes.
        splits: The indices of `train`, `validation` and `test`.
    """

    images: Shaped[Tensor, "N C H W"]
    targets: Int64[Tensor, "N"]
    classes: tuple[str, ...]
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
        if self.targets.shape != (count,):
            raise ValueError(
                f"`targets` must be ({count},), got {tuple(self.targets.shape)}: "
                "give one target for each image"
            )
        if not 0 <= int(self.targets.min()) <= int(self.targets.max()) < len(self.classes):
            raise ValueError(
                f"`targets` must be in [0, {len(self.classes)}), got {int(self.targets.min())} to "
                f"{int(self.targets.max())}: number the classes from 0 and name each"
            )
        check_splits(self.splits, count, "images")

    @classmethod
    def from_arrays(
        cls,
        images: Shaped[Tensor, "N C H W"] | np.ndarray,
        targets: Iterable[int] | Shaped[Tensor, "N"] | np.ndarray,
        *,
        classes: Iterable[str] | None = None,
        splits: Mapping[str, Iterable[int] | Tensor | np.ndarray] | None = None,
    ) -> "ImageSet":
        """Make a set of NumPy arrays or tensors.

        Args:
            images: `(N, C, H, W)`, uint8 or float in [0, 1].
            targets: One whole number from 0 for each image.
            classes: Their names; by default their numbers.
            splits: Indices of `train`, `validation`, `test`; by default `random_splits`.

        Raises:
            ValueError: As the class itself.
        """
        images = to_tensor(images).contiguous()
        numbers = whole_numbers("targets", targets)
        if classes is None:
            classes = map(str, range(int(numbers.max()) + 1 if numbers.numel() else 0))
        if splits is None:
            splits = random_splits(len(images))
        indices = {
            name: whole_numbers(f"splits[{name!r}]", index) for name, index in splits.items()
        }
        return ImageSet(images, numbers, tuple(classes), indices).to(images.device)

    @property
    def task(self) -> Classification:
        """What is asked about an image: its class."""
        return Classification(self.classes)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def draw(
        self, index: Int64[Tensor, "B"], keys: Int64[Tensor, "B"]
    ) -> Shaped[Tensor, "B C H W"]:
        """Return the images of these indices; nothing is random here, so the keys do not matter."""
        return self.images[index]

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
        moved = ImageSet(self.images.to(device), self.targets.to(device), self.classes, splits)
        self._elsewhere[device] = moved
        return moved


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
