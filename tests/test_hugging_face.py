"""Image sets from data sets of Hugging Face."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from expect import random_pixels, refused
from PIL import Image

from glimpse import ImageSet, MixedSet, load_hugging_face
from glimpse.image_set import random_splits
from glimpse.tasks import Classification

datasets = pytest.importorskip("datasets")

PETS = datasets.ClassLabel(names=["cat", "dog"])


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may reach the hub."""
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()


def _pets(sizes: list[tuple[int, int]], labels: Any = PETS, **columns: Any) -> Any:
    rows = {
        "picture": [
            Image.fromarray(random_pixels(*size, seed=seed)) for seed, size in enumerate(sizes)
        ],
        "kind": [seed % 2 for seed in range(len(sizes))],
        **{name: [0] * len(sizes) for name in columns},
    }
    features = datasets.Features({"picture": datasets.Image(), "kind": labels, **columns})
    return datasets.Dataset.from_dict(rows, features=features)


def _check(images: Any, count: int) -> None:
    assert isinstance(images, ImageSet)
    wanted = [random_pixels(4, 6, seed=seed).tolist() for seed in range(count)]
    assert images.images[:, 0].tolist() == wanted
    assert images.targets.tolist() == [seed % 2 for seed in range(count)]
    assert images.task == Classification(("cat", "dog"))


@pytest.mark.parametrize("kind", [None, "torch", "numpy"])
def test_every_image_is_read_whatever_the_format(kind: str | None) -> None:
    images = load_hugging_face(_pets([(4, 6)] * 20).with_format(kind))
    _check(images, 20)
    assert images.splits["train"].tolist() == random_splits(20)["train"].tolist()


def test_images_of_different_sizes_make_a_mixed_set_unless_resized() -> None:
    pets = _pets([(4, 6), (6, 4)])
    images = load_hugging_face(pets, splits={"test": [0, 1]})
    assert isinstance(images, MixedSet)
    assert images.sizes.tolist() == [[6, 4], [4, 6]]
    assert images.splits["test"].tolist() == [0, 1]
    assert load_hugging_face(pets, size=(3, 5)).shape == (1, 3, 5)


def test_a_transform_that_was_set_is_kept() -> None:
    def half(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return rows | {"picture": [np.asarray(image)[:2] for image in rows["picture"]]}

    pets = _pets([(4, 6)] * 2)
    pets.set_transform(half)
    assert load_hugging_face(pets).shape == (1, 2, 6)


def test_columns_may_be_named() -> None:
    pets = _pets([(4, 6)] * 2, other=PETS, age=datasets.Value("int64"))
    _check(load_hugging_face(pets, image="picture", label="kind"), 2)
    ages = load_hugging_face(pets, label="age")
    assert ages.targets.tolist() == [0, 0]
    assert ages.task == Classification(("0",))
    with refused(
        "`label` must name a column unless exactly one is of type ClassLabel, got kind, other of"
    ):
        load_hugging_face(pets)
    with refused("`label` must be one of the columns picture (Image), kind (ClassLabel), other"):
        load_hugging_face(pets, label="size")
    with refused("`image` must name a column unless exactly one is of type Image, got none of ki"):
        load_hugging_face(pets.remove_columns("picture"), label="kind")


def test_parts_are_the_splits() -> None:
    parts = datasets.DatasetDict(train=_pets([(4, 6)] * 20), test=_pets([(4, 6)] * 3))
    images = load_hugging_face(parts)
    assert images.splits["test"].tolist() == [20, 21, 22]
    assert len(images.splits["validation"]) == 2
    both = torch.cat([images.splits["train"], images.splits["validation"]])
    assert sorted(both.tolist()) == list(range(20))
    with refused("`splits` must be left out of a data set that comes as train, test, got train:"):
        load_hugging_face(parts, splits={"train": [0]})


def test_parts_of_other_classes_are_refused() -> None:
    owls = _pets([(4, 6)], labels=datasets.ClassLabel(names=["owl"]))
    with refused("classes must be the same in every split, got {'train': ['cat', 'dog'], 'test'"):
        load_hugging_face({"train": _pets([(4, 6)]), "test": owls})


@pytest.mark.parametrize("divided", [False, True])
def test_what_was_saved_is_read_from_its_path(tmp_path: Path, divided: bool) -> None:
    pets = _pets([(4, 6)] * 3)
    saved = datasets.DatasetDict(test=pets) if divided else pets
    saved.save_to_disk(tmp_path / "pets")
    _check(load_hugging_face(tmp_path / "pets"), 3)
    _check(load_hugging_face(str(tmp_path / "pets")), 3)


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    source = str(tmp_path / "nothing")
    with refused(f"`source` must be a data set on disk or on the hub, got {source!r} ("):
        load_hugging_face(source)


def test_what_is_no_such_data_set_is_refused() -> None:
    with refused("`source` must be a Dataset, a DatasetDict, a path or a name, got list: for oth"):
        load_hugging_face([(np.zeros((2, 2)), 0)])
    with refused("`source` must have a length, got IterableDataset: load it without streaming"):
        load_hugging_face(_pets([(4, 6)]).to_iterable_dataset())
    with refused("a data set must hold images, got none: give some"):
        load_hugging_face(_pets([]))


def test_items_without_a_class_are_named() -> None:
    pets = _pets([(4, 6)] * 2, age=datasets.Value("float64"))
    with refused("target 0 must be a whole number from 0, got 0.0: number the classes from 0"):
        load_hugging_face(pets, label="age")


def test_without_the_extra_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with refused('which is not installed: run pip install "glimpse-rl[huggingface]"'):
        load_hugging_face("pets")
