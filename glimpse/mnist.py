"""MNIST from the four files in which it is published, compared with their known checksums.

Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document
recognition", 1998. The checksums are MD5 of the unpacked files.
"""

import hashlib
import os
from pathlib import Path

import numpy as np

from .idx import parse_idx, read_plain_or_gzip
from .image_set import ImageSet

_CHECKSUMS = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
_TRAIN = 55_000  # of 60,000; the other 5,000 are for validation


def load_mnist(data_root: str | Path | None = None) -> ImageSet:
    """Return MNIST, `(70000, 1, 28, 28)` uint8: 55,000 train, 5,000 validation, 10,000 test.

    Args:
        data_root: The folder with the four files, plain or gzip, or with a folder `mnist` of them;
            by default the environment variable GLIMPSE_DATA.

    Raises:
        ValueError: No folder was named, or a file is missing, damaged or not the published one.
    """
    root = mnist_root(data_root)
    parts = {name: _read(root, name) for name in _CHECKSUMS}
    images = np.concatenate([parts[name] for name in parts if "images" in name])
    targets = np.concatenate([parts[name] for name in parts if "labels" in name])
    splits = {
        "train": range(_TRAIN),
        "validation": range(_TRAIN, 60_000),
        "test": range(60_000, len(images)),
    }
    return ImageSet.from_arrays(images[:, None], targets, splits=splits)


def mnist_root(data_root: str | Path | None = None) -> Path:
    """Return the folder to look in: the one that is named, else that of GLIMPSE_DATA.

    Raises:
        ValueError: Neither is there.
    """
    root = data_root or os.environ.get("GLIMPSE_DATA")
    if not root:
        raise ValueError(
            "MNIST must be on disk, got no folder: pass data_root= (--data-root), or set "
            "GLIMPSE_DATA to a folder that holds mnist/train-images-idx3-ubyte.gz and its siblings"
        )
    return Path(root)


def _read(root: Path, name: str) -> np.ndarray:
    places = [folder / file for folder in (root / "mnist", root) for file in (name, name + ".gz")]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise ValueError(
            f"{root} must hold {name}.gz, got none there nor in its folder mnist: "
            "put the four files of MNIST there"
        )
    content = read_plain_or_gzip(path)
    checksum = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if checksum != _CHECKSUMS[name]:
        raise ValueError(
            f"{path} must have the MD5 {_CHECKSUMS[name]} once unpacked, got {checksum}: "
            "fetch it again"
        )
    return parse_idx(content, path)
