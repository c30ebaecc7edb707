"""MNIST: its errors without the data, its content where the data lie."""

import gzip
import hashlib
import os
import shutil
from pathlib import Path

import pytest
import torch

from glimpse.image_set import SPLITS, ImageSet
from glimpse.mnist import load_mnist, mnist_root

_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="module")
def root() -> Path:
    place = Path(os.environ.get("GLIMPSE_DATA") or _SHARED)
    if not place.is_dir():
        pytest.skip("no real MNIST here: set GLIMPSE_DATA")
    return place


@pytest.fixture(scope="module")
def mnist(root: Path) -> ImageSet:
    return load_mnist(root)


def test_without_a_folder_the_error_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLIMPSE_DATA", raising=False)
    with pytest.raises(ValueError, match=r"got no folder: pass data_root= .*or set GLIMPSE_DATA"):
        load_mnist()


def test_an_empty_variable_is_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLIMPSE_DATA", "")
    with pytest.raises(ValueError, match="got no folder"):
        mnist_root()


def test_the_named_folder_goes_before_the_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GLIMPSE_DATA", "/elsewhere")
    assert mnist_root(str(tmp_path)) == tmp_path
    assert mnist_root() == Path("/elsewhere")


def test_a_missing_file_is_named_with_the_folder(tmp_path: Path) -> None:
    message = f"{tmp_path.name} must hold train-images-idx3-ubyte.gz, got none there"
    with pytest.raises(ValueError, match=message):
        load_mnist(tmp_path)
    with pytest.raises(ValueError, match=r"nowhere must hold train-images-idx3-ubyte\.gz"):
        load_mnist(tmp_path / "nowhere")


@pytest.mark.parametrize("folder", [".", "mnist"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_is_not_the_published_one_is_named_with_both_checksums(
    tmp_path: Path, folder: str, packed: bool
) -> None:
    content = bytes([0, 0, 8, 3]) + b"\0\0\0\1" * 3 + b"\7"
    name = _FILES[0] + ".gz" * packed
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / name).write_bytes(gzip.compress(content) if packed else content)
    got = hashlib.md5(content, usedforsecurity=False).hexdigest()
    message = f"{name} must have the MD5 6bbc9ace898e44ae57da46a324031adb once unpacked, got {got}"
    with pytest.raises(ValueError, match=message):
        load_mnist(tmp_path)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    content = gzip.compress(bytes(1000))
    (tmp_path / (_FILES[0] + ".gz")).write_bytes(content[:-9])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz must be a readable file"):
        load_mnist(tmp_path)


def test_sizes_and_types(mnist: ImageSet) -> None:
    assert mnist.images.shape == (70_000, 1, 28, 28)
    assert mnist.images.dtype == torch.uint8
    assert mnist.targets.shape == (70_000,)
    assert mnist.task.classes == tuple("0123456789")
    assert (int(mnist.images.min()), int(mnist.images.max())) == (0, 255)


def test_splits_are_those_of_the_publication(mnist: ImageSet) -> None:
    assert [mnist.splits[name].tolist() for name in SPLITS] == [
        list(range(55_000)),
        list(range(55_000, 60_000)),
        list(range(60_000, 70_000)),
    ]


def test_images_and_targets_belong_together(mnist: ImageSet) -> None:
    """The published numbers of images per class, and the first digits of both files."""
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert mnist.targets[:60_000].bincount().tolist() == counts
    assert mnist.targets[:5].tolist() == [5, 0, 4, 1, 9]
    assert mnist.targets[60_000:60_005].tolist() == [7, 2, 1, 0, 4]
    zeros, ones = (mnist.images[mnist.targets == k, 0].float().mean(dim=0) for k in (0, 1))
    assert float(zeros[14, 14]) < 25 < 200 < float(ones[14, 14])


def test_plain_and_packed_files_give_the_same(root: Path, mnist: ImageSet, tmp_path: Path) -> None:
    for k, name in enumerate(_FILES):
        source = next(
            place
            for folder in (root / "mnist", root)
            for place in (folder / name, folder / f"{name}.gz")
            if place.is_file()
        )
        content = source.read_bytes()
        content = gzip.decompress(content) if source.suffix == ".gz" else content
        if k % 2:  # labels packed, images plain
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content, 1))
        else:
            (tmp_path / name).write_bytes(content)
    found = load_mnist(tmp_path)
    shutil.rmtree(tmp_path)
    assert torch.equal(found.images, mnist.images)
    assert torch.equal(found.targets, mnist.targets)


def test_the_variable_names_the_folder(
    root: Path, mnist: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLIMPSE_DATA", str(root))
    assert torch.equal(load_mnist().targets, mnist.targets)
