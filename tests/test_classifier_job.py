"""One training of a network that sees images whole: what is kept, when, and what is judged."""

import json
from pathlib import Path

import pytest
import torch
from gated import CLASSES, image_set
from PIL import Image
from torch import nn

from glimpse.classifier import Classifier, ClassifierConfig, error_of
from glimpse.cli.classifier_job import judge, train_classifier
from glimpse.image_set import ImageSource
from glimpse.run_folder import RunFolder


def _learner(images: ImageSource, steps: int = 40) -> Classifier[ClassifierConfig]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(80, CLASSES))
    return Classifier(ClassifierConfig(steps=steps, batch=4), images, network)


def test_the_network_is_kept_before_between_and_at_the_end(tmp_path: Path) -> None:
    learner, folder, kept = _learner(image_set()), RunFolder.create(tmp_path / "run"), []
    pictures = []

    def draw() -> Image.Image:
        pictures.append(len(kept))
        return Image.new("RGB", (2, 2))

    def keep() -> None:
        kept.append(learner.network[1].weight.clone())  # type: ignore[index]

    progress = train_classifier(learner, folder, 10, keep, picture=draw)
    assert (progress.step, progress.steps) == (40, 40)
    assert len(kept) == 4  # at first, after 20, after 40, and of these the best
    assert pictures == [3]  # after 40 steps
    best = learner.state_dict()["best"]["1.weight"]
    assert torch.equal(kept[-1], best)
    rows = (folder.path / "metrics.csv").read_text().splitlines()
    assert rows[0] == "step,loss,train error %,validation error %"
    assert [row.split(",")[0] for row in rows[1:]] == ["10", "20", "30", "40"]


@pytest.mark.parametrize("split", ["test", "train"])
def test_it_is_judged_by_test_images_or_where_there_are_none_by_those_of_training(
    split: str, tmp_path: Path
) -> None:
    images = image_set() if split == "test" else image_set(test=[])
    learner, folder = _learner(images), RunFolder.create(tmp_path / "run")
    error, named = judge(learner, folder)
    assert named == split
    assert error == error_of(learner.network, images, split)
    written = json.loads((folder.path / "evaluation.json").read_text())
    assert written["error"] == error.percent
    assert (written["split"], written["images"]) == (split, error.count)


def test_without_validation_images_the_last_weights_are_kept(tmp_path: Path) -> None:
    learner, kept = _learner(image_set(validation=[]), steps=3), []
    folder = RunFolder.create(tmp_path / "run")
    train_classifier(learner, folder, 1, lambda: kept.append(learner.network.state_dict()))
    assert learner.state_dict()["best"] == {}
    assert "validation" not in (folder.path / "metrics.csv").read_text()
