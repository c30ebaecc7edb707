"""Image sets from a folder: one folder a class, image files inside."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError
from rich.console import Console
from rich.progress import track
from torch import Tensor

from .image_set import SPLITS, ImageSet

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B")
_GREY = ("1", "L", "LA", "I", *_SIXTEEN_BITS)


def load_folder(root: str | Path, *, size: tuple[int, int] | None = None) -> ImageSet:
    """Read `root/CLASS/IMAGE`, or `root/SPLIT/CLASS/IMAGE` where there is a folder `root/train`.

    Images become grey if all of them are, else RGB. Without folders named train, validation and
    test, 10 % of the images are drawn for validation and 10 % for test, always the same.

    Args:
        root: The folder.
        size: Height and width to which every image is resized, in pixels; None: all have one size.

    Raises:
        ValueError: There is no such folder or no image in it, a file is not readable, or the sizes
            differ; the file is named.
    """
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
    return ImageSet.from_arrays(
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
            if image.mode in _SIXTEEN_BITS or (
                image.mode == "I" and image.format == "PPM"
            ):  # Pillow would clip them at 255
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            elif image.mode in ("I", "F"):
                raise ValueError(f"mode {image.mode} has no fixed white, give 8 or 16 bits")
            picture = image.convert("L" if channels == 1 else "RGB")
        except (OSError, SyntaxError, ValueError) as error:
            raise _unreadable(path, error) from error
    if size is not None:
        picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(picture))
    return pixels[None] if channels == 1 else pixels.permute(2, 0, 1).contiguous()


def _files(root: Path) -> list[Path]:
    return sorted(
        file
        for file in root.glob("[!.]*/[!.]*")
        if file.suffix.lower() in _SUFFIXES and file.is_file()
    )


def _read_all(files: list[Path], size: tuple[int, int] | None) -> UInt8[Tensor, "N C H W"]:
    modes, sizes = zip(*map(_look_up, files), strict=True)
    channels = 1 if all(mode in _GREY for mode in modes) else 3
    other = next((k for k, found in enumerate(sizes) if found != sizes[0]), None)
    if size is None and other is not None:
        width, height = sizes[other]
        raise ValueError(
            f"{files[other]} must be as large as {files[0].name}, {sizes[0][1]}x{sizes[0][0]}, "
            f"got {height}x{width}: pass size=(height, width) to resize them"
        )
    with ThreadPoolExecutor() as pool:
        images = pool.map(lambda file: load_image(file, channels=channels, size=size), files)
        progress = track(
            images,
            "reading images",
            total=len(files),
            console=Console(stderr=True),
            transient=True,
        )
        return torch.stack(list(progress))


def _look_up(path: Path) -> tuple[str, tuple[int, int]]:
    with _open(path) as image:
        return image.mode, image.size


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
