"""Single images and targets from outside: pictures, arrays and tensors of every usual shape.

Convention:
    Here an image is `(C, H, W)`, uint8 or float in [0, 1]. Pictures of Pillow become grey or RGB of
    8 bits, 16 bits are divided by 256.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from .checks import check_count, to_tensor
from .progress import tracked

_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B")
_GREY = ("1", "L", "LA", "I", *_SIXTEEN_BITS)
_CHANNELS = (1, 3, 4)  # of the usual images

Size = tuple[int, int]  # height and width, in pixels


def is_grey(picture: Image.Image) -> bool:
    """Return whether a picture has no colours."""
    return picture.mode in _GREY


def from_picture(
    picture: Image.Image, *, channels: int, size: Size | None = None
) -> UInt8[Tensor, "C H W"]:
    """Return a picture of Pillow as an image.

    Args:
        picture: The picture.
        channels: 1 for grey, 3 for RGB.
        size: To which it is resized; None: it stays as large as it is.

    Raises:
        ValueError: Its numbers have no fixed white.
    """
    if picture.mode in _SIXTEEN_BITS or (picture.mode == "I" and picture.format == "PPM"):
        # Pillow would clip them at 255
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    elif picture.mode in ("I", "F"):
        raise ValueError(f"mode {picture.mode} has no fixed white, give 8 or 16 bits")
    picture = picture.convert("L" if channels == 1 else "RGB")
    if size is not None:
        picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(picture))
    return pixels[None] if channels == 1 else pixels.permute(2, 0, 1).contiguous()


def to_image(given: Any, name: str, size: Size | None = None) -> Shaped[Tensor, "C H W"]:
    """Return a tensor, an array or a picture as an image.

    Args:
        given: `(C, H, W)` or, if it is grey, `(H, W)`; or a picture of Pillow.
        name: What errors call it.
        size: To which it is resized; None: it stays as large as it is.

    Raises:
        ValueError: It is none of these, or its type or range is another.
    """
    if isinstance(given, Image.Image):
        try:
            return from_picture(given, channels=1 if is_grey(given) else 3, size=size)
        except (OSError, SyntaxError, ValueError) as error:
            raise ValueError(f"{name} must be readable, got none ({error}): leave it out") from None
    if not isinstance(given, Tensor | np.ndarray):
        raise ValueError(
            f"{name} must be a tensor, an array or a picture of Pillow, got "
            f"{type(given).__name__}: convert it"
        )
    if isinstance(given, np.ndarray) and given.dtype.kind not in "uifbc":
        raise ValueError(f"{name} must be of numbers, got {given.dtype}: convert it")
    image = to_tensor(given).detach()
    image = image[None] if image.ndim == 2 else image
    check_image(image, name)
    if size is None or image.shape[1:] == size:
        return image
    pixels = image[None] if image.dtype == torch.float64 else image[None].float()
    pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True)[0]
    if image.is_floating_point():
        return pixels.clamp_(0, 1).to(image.dtype)
    return pixels.round().to(torch.uint8)


def to_class(given: Any, name: str) -> int:
    """Return the number of a class, given as any whole number or as a tensor or array of one.

    Raises:
        ValueError: It is no whole number from 0.
    """
    number = given.item() if isinstance(given, Tensor | np.ndarray) and given.ndim == 0 else given
    if not isinstance(number, Integral) or isinstance(number, bool) or number < 0:
        raise ValueError(
            f"{name} must be a whole number from 0, got {number!r}: number the classes from 0 and "
            "leave out what has none"
        )
    return int(number)


def to_target(given: Any, name: str) -> np.ndarray:
    """Return what is right for an image, of any task, as an array.

    Raises:
        ValueError: It holds anything but numbers.
    """
    try:
        given = given.detach().cpu() if isinstance(given, Tensor) else given
        target = np.asarray(given)
    except (TypeError, ValueError):
        target = np.asarray(None)
    if target.dtype.kind not in "uif":
        raise ValueError(
            f"{name} must be a number or an array of numbers, got {given!r}: convert it"
        )
    return target


def check_image(image: Tensor, name: str) -> None:
    """Refuse anything but `(C, H, W)`, uint8 or float in [0, 1].

    Raises:
        ValueError: The rank, the type or the range is another, or there is no pixel.
    """
    shape = tuple(image.shape)
    if image.ndim != 3 or 0 in shape:
        raise ValueError(
            f"{name} must be (C, H, W) or (H, W) with at least one pixel, got {shape}: "
            "give one image at a time"
        )
    if shape[0] > max(_CHANNELS) and shape[2] in _CHANNELS:
        raise ValueError(
            f"{name} must be (C, H, W), got {shape}: put the channels first, as "
            "np.moveaxis(image, -1, 0) does"
        )
    if image.dtype == torch.uint8:
        return
    if not image.is_floating_point():
        raise ValueError(
            f"{name} must be uint8 or float in [0, 1], got {image.dtype}: convert it to uint8 if "
            "it holds 0 to 255"
        )
    low, high = (float(bound) for bound in image.detach().aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{name} must be finite, got NaN or infinity: leave it out or mend it")
    if low < 0 or high > 1:
        raise ValueError(
            f"{name} of floats must lie in [0, 1], got {low:g} to {high:g}: divide by 255?"
        )


def check_alike(images: Sequence[Shaped[Tensor, "..."]]) -> None:
    """Refuse images that could not be in one set; their heights and widths may differ.

    Raises:
        ValueError: There is none, or the rank, the channels or the type differ; the first image
            that does is named.
    """
    if len(images) == 0:
        raise ValueError("`images` must be at least one, got none: is a filter too strict?")
    first = images[0]
    for number, image in enumerate(images):
        if image.ndim != 3:
            raise ValueError(
                f"image {number} must be (C, H, W), got {tuple(image.shape)}: "
                "use image[None] if it is grey"
            )
        if len(image) != len(first):
            raise ValueError(
                f"image {number} must have as many channels as image 0, {len(first)}, got "
                f"{len(image)}: make all grey or all RGB"
            )
        if image.dtype != first.dtype:
            raise ValueError(
                f"image {number} must be {first.dtype} like image 0, got {image.dtype}: "
                "convert all to one type"
            )
        if image.device != first.device:
            raise ValueError(
                f"image {number} must be on {first.device} like image 0, got {image.device}: "
                f"use image.to({str(first.device)!r})"
            )


def collect(
    pairs: Iterable[Any],
    total: int,
    doing: str,
    *,
    size: Size | None = None,
    of: str = "",
    to_answer: Callable[[Any, str], Any] = to_class,
) -> tuple[list[Shaped[Tensor, "_c _h _w"]], list[Any], list[int]]:
    """Return the images and the targets of pairs `(image, target)`, and which may become RGB.

    The last are the numbers of the grey pictures of Pillow, for `to_one_mode`.

    Args:
        pairs: One after another.
        total: How many there are.
        doing: What a progress bar says.
        size: Height and width to which every image is resized, in pixels.
        of: What errors say behind the number of an image.
        to_answer: `to_class`, or `to_target` for other tasks.

    Raises:
        ValueError: One is no such pair; it is named.
    """
    images: list[Tensor] = []
    targets: list[Any] = []
    grey: list[int] = []
    for number, pair in enumerate(tracked(pairs, doing, total)):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            got = f"{type(pair).__name__} of {len(pair)}" if isinstance(pair, tuple | list) else ""
            raise ValueError(
                f"item {number}{of} must be (image, target), got {got or type(pair).__name__}: "
                "give both and nothing else"
            )
        images.append(to_image(pair[0], f"image {number}{of}", size))
        targets.append(to_answer(pair[1], f"target {number}{of}"))
        if np.shape(targets[-1]) != np.shape(targets[0]):
            raise ValueError(
                f"target {number}{of} must be {np.shape(targets[0])} like target 0, got "
                f"{np.shape(targets[-1])}: give every image as many numbers"
            )
        if isinstance(pair[0], Image.Image) and len(images[-1]) == 1:
            grey.append(number)
    return images, targets, grey


def to_one_mode(images: list[Tensor], grey: Iterable[int]) -> None:
    """Make the pictures of these numbers RGB, in place, where any image is."""
    if any(len(image) == 3 for image in images):
        for number in grey:
            images[number] = images[number].expand(3, -1, -1)


def check_size(size: Size | None) -> None:
    """Refuse what is no height and width to resize to.

    Raises:
        ValueError: It is none.
    """
    if size is None:
        return
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise ValueError(f"`size` must be (height, width), got {size!r}: give both, in pixels")
    check_count(1, height=size[0], width=size[1])
