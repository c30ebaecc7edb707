"""The embedded digits against scikit-learn's copy of the same set."""

from importlib.resources import as_file, files

import pytest
import torch
from safetensors import safe_open
from torch.nn import functional as F

from glimpse.digits import load_digits
from glimpse.image_set import SPLITS, ImageSet


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load_digits()


@pytest.fixture(scope="module")
def originals() -> tuple[torch.Tensor, torch.Tensor]:
    data = pytest.importorskip("sklearn.datasets").load_digits()
    return torch.from_numpy(data.images.copy()), torch.from_numpy(data.target.copy())


def test_the_packaged_originals_are_those_of_scikit_learn(
    originals: tuple[torch.Tensor, torch.Tensor],
) -> None:
    with (
        as_file(files("glimpse") / "digits.safetensors") as path,
        safe_open(path, "pt") as file,
    ):
        images, targets = file.get_tensor("images"), file.get_tensor("targets")
    assert images.shape == (1797, 8, 8)
    assert torch.equal(images.double(), originals[0])
    assert torch.equal(targets.long(), originals[1])


def test_the_images_are_the_originals_enlarged(
    digits: ImageSet, originals: tuple[torch.Tensor, torch.Tensor]
) -> None:
    assert digits.images.dtype == torch.uint8
    assert digits.images.shape == (1797, 1, 28, 28)
    assert torch.equal(digits.targets, originals[1])
    enlarged = F.interpolate(originals[0][:, None], size=28, mode="bilinear", align_corners=False)
    error = (digits.images.double() / 255 - enlarged / 16).abs().max()
    assert float(error) <= 0.5 / 255 + 1e-6


def test_the_images_are_neither_transposed_nor_dim(digits: ImageSet) -> None:
    zeros = digits.images[digits.targets == 0, 0].float().mean(dim=0) / 255
    assert float(zeros[14, 14]) < 0.2 < 0.5 < float(zeros[4:24].amax())
    ones = digits.images[digits.targets == 1, 0].float().mean(dim=0)
    assert float(ones.mean(dim=0).std()) > 2 * float(ones.mean(dim=1).std())  # an upright stroke
    assert int(digits.images.max()) == 255


def test_the_splits_have_their_sizes_and_divide_everything_once(digits: ImageSet) -> None:
    assert {name: len(digits.splits[name]) for name in SPLITS} == {
        "train": 1257,
        "validation": 180,
        "test": 360,
    }
    everything = torch.cat([digits.splits[name] for name in SPLITS])
    assert everything.sort().values.tolist() == list(range(1797))


@pytest.mark.parametrize("split", SPLITS)
def test_each_class_is_in_each_split(digits: ImageSet, split: str) -> None:
    counts = digits.targets[digits.splits[split]].bincount(minlength=10)
    assert len(counts) == 10
    assert int(counts.min()) >= 5
    assert digits.task.classes == tuple("0123456789")


def test_the_splits_are_mixed(digits: ImageSet) -> None:
    """The set comes in the order of its writers: a cut instead of a permutation would divide them.

    The mean index of a random 360 of 1797 has a standard deviation of 24.
    """
    for split in SPLITS:
        assert abs(float(digits.splits[split].double().mean()) - 898) < 150


def test_the_file_names_its_licence_and_its_makers() -> None:
    with as_file(files("glimpse") / "digits.safetensors") as path, safe_open(path, "pt") as file:
        header = file.metadata()
    assert "CC BY 4.0" in header["licence"]
    assert "Alpaydin" in header["authors"]
    assert "Kaynak" in header["authors"]
    assert "10.24432/C50P49" in header["authors"]
