"""Sets of images of different sizes.

Convention:
    Each image has a size of its own, and a location in [-1, 1] goes from edge to edge of that
    image: (1, 1) is the lower right corner of a thumbnail and of a poster alike. Windows are as
    many pixels wide in all of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64, Shaped
from torch import Tensor
from torch.nn import functional as F

from .checks import to_tensor
from .image_set import ImageSet, check_splits, indices_of, targets_of
from .pictures import Size, check_alike, check_image
from .progress import tracked
from .ragged import RaggedPixels, RaggedTables
from .sensor import GlimpseSensor, Prepared
from .tables import white_of
from .tasks import Search, Task

# Images of different sizes are shown together in at most so many pixels a side.
_THUMBNAIL = 128
# Bytes of averaged images that are kept.
_KEPT = 2**28

Indices = Iterable[int] | Tensor | np.ndarray


@dataclass(frozen=True, eq=False)
class MixedSet:
    """Images of different sizes in memory, all of one type and number of channels.

    Each image takes its own pixels and its tables as much as in an `ImageSet` (see there): nothing
    is padded. Sets whose tables would take more than the memory allowed are read pixel by pixel.

    Attributes:
        images: All of them, one after another.
        targets: What is right for each.
        task: What is asked about them.
        splits: The indices of `train`, `validation` and `test`.
    """

    images: RaggedPixels
    targets: Shaped[Tensor, "N ..."]
    task: Task | Search
    splits: Mapping[str, Int64[Tensor, "M"]]
    _prepared: dict[torch.dtype, RaggedTables] = field(default_factory=dict, init=False, repr=False)
    _averaged: dict[Size, Float32[Tensor, "N C _h _w"]] = field(
        default_factory=dict, init=False, repr=False
    )
    _elsewhere: dict[torch.device, "MixedSet"] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check what came from outside.

        Raises:
            ValueError: The targets do not fit the images or the task, or a split names an image
                that is not there.
        """
        if self.targets.shape[:1] != (self.count,):
            raise ValueError(
                f"`targets` must be ({self.count}, ...), got {tuple(self.targets.shape)}: "
                "give one target for each image"
            )
        self.task.check(self.targets)
        check_splits(self.splits, self.count, "images")

    @classmethod
    def from_arrays(
        cls,
        images: Sequence[Shaped[Tensor, "C _h _w"] | np.ndarray],
        targets: Iterable[Any] | Shaped[Tensor, "N ..."] | np.ndarray,
        *,
        task: Task | Search | None = None,
        classes: Iterable[str] | None = None,
        splits: Mapping[str, Indices] | None = None,
    ) -> "MixedSet":
        """Make a set of NumPy arrays or tensors.

        Args:
            images: `(C, H, W)` each, uint8 or float in [0, 1].
            targets: One for each image: of a classification a whole number from 0.
            task: What is asked about them; by default a classification.
            classes: The names of its classes; by default their numbers.
            splits: Indices of `train`, `validation`, `test`; by default `random_splits`.

        Raises:
            ValueError: There is no image, the images' ranks, channels or types differ, an image is
                of another type or range, classes are named beside another task, or as the class
                itself.
        """
        tensors = [to_tensor(image) for image in images]
        check_alike(tensors)
        for number, image in enumerate(tensors):
            check_image(image, f"image {number}")
        answers, task = targets_of(targets, task, classes)
        ragged, indices = RaggedPixels.of(tensors), indices_of(splits, len(tensors))
        return MixedSet(ragged, answers, task, indices).to(ragged.device)

    @property
    def count(self) -> int:
        """How many images there are."""
        return len(self.images.sizes)

    @property
    def device(self) -> torch.device:
        """Where all tensors are."""
        return self.images.device

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, the greatest height and the greatest width."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    @property
    def sizes(self) -> Int64[Tensor, "N 2"]:
        """Width and height of every image, in pixels."""
        return self.images.sizes

    def target(
        self, index: Int64[Tensor, "B"], keys: Int64[Tensor, "B"]
    ) -> Shaped[Tensor, "B ..."]:
        """Return the targets of these indices; nothing is random, so the keys do not matter."""
        return self.targets[index]

    def draw(
        self, index: Int64[Tensor, "B"], keys: Int64[Tensor, "B"]
    ) -> Shaped[Tensor, "B C _h _w"]:
        """Return the images of these indices; nothing is random, so the keys do not matter.

        If all have one size they come as they are. Else each is stretched, `averaged`, to that of
        `shape` but at most 128 pixels a side: a location in [-1, 1] still names the same spot.
        """
        sizes = self.sizes[index]
        if len(index) and bool((sizes == sizes[0]).all()):
            return torch.stack([self.images.image(number) for number in index.tolist()])
        _, height, width = self.shape
        white, dtype = white_of(self.images.flat.dtype), self.images.flat.dtype
        shown = self.averaged(index, min(height, _THUMBNAIL), min(width, _THUMBNAIL))
        return (shown * 255).round().to(dtype) if white == 255 else shown.to(dtype)

    @torch.inference_mode(mode=False)  # what it keeps may be used outside of that mode later
    def averaged(
        self, index: Int64[Tensor, "B"], height: int, width: int
    ) -> Float32[Tensor, "B C {height} {width}"]:
        """Return images averaged to one size, in [0, 1], each as if it were alone.

        A pixel is the mean of all pixels of the image that it touches, as in
        `torch.nn.functional.adaptive_avg_pool2d`. All images of the set are averaged at once and
        kept; on a CPU only if that takes no more than 256 MiB. So nothing waits for a GPU.
        """
        size, on_cpu = (height, width), self.device.type == "cpu"
        if on_cpu and 4 * self.count * self.shape[0] * height * width > _KEPT:
            return self._average(index.tolist(), size)
        if size not in self._averaged:
            everything = tracked(range(self.count), "averaging images", self.count)
            self._averaged[size] = self._average(everything, size)
        return self._averaged[size][index]

    def _average(self, numbers: Iterable[int], size: Size) -> Float32[Tensor, "B C h w"]:
        white, parts = white_of(self.images.flat.dtype), []
        for number in numbers:
            parts.append(F.adaptive_avg_pool2d(self.images.image(number).float() / white, size))
        empty = torch.zeros(0, self.shape[0], *size, device=self.device)
        return torch.stack(parts) if parts else empty

    def prepared(self, sensor: GlimpseSensor, memory: float) -> Prepared:
        """Return all images prepared for the sensor: their tables, if these fit into `memory`."""
        dtype = sensor.table_dtype(self.images.flat.dtype)  # all that the tables depend on
        if RaggedTables.memory(self.shape[0], self.sizes, dtype) > memory:
            return self.images
        if dtype not in self._prepared:
            self._prepared[dtype] = RaggedTables.of(self.images, dtype)
        return self._prepared[dtype]

    def to(self, device: torch.device | str) -> "MixedSet":
        """Return the same set with its tensors on `device`; asked again, the very same."""
        device = torch.empty(0, device=device).device  # with its number
        if device in self._elsewhere:
            return self._elsewhere[device]
        tensors = [self.images.flat, self.targets, *self.splits.values()]
        if all(tensor.device == device for tensor in tensors):
            return self
        splits = {split: index.to(device) for split, index in self.splits.items()}
        moved = MixedSet(self.images.to(device), self.targets.to(device), self.task, splits)
        self._elsewhere[device] = moved
        return moved


def image_set_of(
    images: Sequence[Shaped[Tensor, "C _h _w"]],
    targets: Iterable[Any] | Shaped[Tensor, "N ..."] | np.ndarray,
    *,
    task: Task | Search | None = None,
    classes: Iterable[str] | None = None,
    splits: Mapping[str, Indices] | None = None,
) -> ImageSet | MixedSet:
    """Return images as an `ImageSet` if all have one size, else as a `MixedSet`.

    Raises:
        ValueError: As both.
    """
    check_alike(images)
    if all(image.shape == images[0].shape for image in images):
        stack = torch.stack(list(images))
        return ImageSet.from_arrays(stack, targets, task=task, classes=classes, splits=splits)
    return MixedSet.from_arrays(images, targets, task=task, classes=classes, splits=splits)
