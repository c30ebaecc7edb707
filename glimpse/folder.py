"""Image sets from a folder: one folder a class, image files inside."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from .image_set import SPLITS, ImageSet
from .mixed_set import MixedSet, image_set_of
from .pictures import check_size, from_picture, is_grey
from .progress import tracked

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def load_folder(root: str | Path, *, size: tuple[int, int] | None = None) -> ImageSet | MixedSet:
    """Read `root/CLASS/IMAGE`, or `root/SPLIT/CLASS/IMAGE` where there is a folder `root/train`.

    Images become grey if all of them are, else RGB; of different sizes they make a `MixedSet`.
    Without folders named train, validation and test, 10 % of the images are drawn for validation
    and 10 % for test, always the same.

    Args:
        root: The folder.
        size: Height and width to which every image is resized, in pixels; None: they stay as large
            as they are.

    Raises:
        ValueError: There is no such folder or no image in it, or a file is not readable; it is
            named.
    """
    check_size(size)
    root = Path(root)
    divided = (root / "train").is_dir()
    parts = {split: _files(root / split) for split in SPLITS} if divided else {"": _files(root)}
    files = [file for part in parts.values() for file in part]
    if not files:
        raise ValueError(
            f"{root} must be a folder that holds images as CLASS/IMAGE.png, got none "
            f"(of {', '.join(_SUFFIXES)}): put each class in a folder of its own"
        )
    classes = sorted({file.parent.name for file in files})
    splits = None
    if divided:
        names = np.repeat(list(parts), [len(part) for part in parts.values()])
        splits = {split: np.flatnonzero(names == split) for split in SPLITS}
    return image_set_of(
        _read_all(files, size),
        [classes.index(file.parent.name) for file in files],
        classes=classes,
        splits=splits,
    )


def load_image(
    path: str | Path, *, channels: int, size: tuple[int, int] | None = None
) -> UInt8[Tensor, "C H W"]:
    """Read one image file.

    Args:
        path: The file.
        channels: 1 for grey, 3 for RGB.
        size: Height and width to which it is resized, in pixels; None: as it is.

    Raises:
        ValueError: The file is not a readable image; it is named.
    """
    with _open(path) as image:
        try:
            return from_picture(image, channels=channels, size=size)
        except (OSError, SyntaxError, ValueError) as error:
            raise _unreadable(path, error) from error


def _files(root: Path) -> list[Path]:
    return sorted(
        file
        for file in root.glob("[!.]*/[!.]*")
        if file.suffix.lower() in _SUFFIXES and file.is_file()
    )


def _read_all(files: list[Path], size: tuple[int, int] | None) -> list[UInt8[Tensor, "C _h _w"]]:
    channels = 1 if all(map(_grey, files)) else 3
    with ThreadPoolExecutor() as pool:
        images = pool.map(lambda file: load_image(file, channels=channels, size=size), files)
        return list(tracked(images, "reading images", len(files)))


def _grey(path: Path) -> bool:
    with _open(path) as image:
        return is_grey(image)


def _open(path: str | Path) -> Image.Image:
    try:
        return Image.open(path)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str | Path, error: Exception) -> ValueError:
    reason = "unknown format" if isinstance(error, UnidentifiedImageError) else error
    return ValueError(
        f"{path} must be a readable image, got none ({reason}): mend it or take it away"
    )
