"""Batches of whole images: those that the environments show for the same seeds and indices."""

from collections.abc import Callable
from math import floor

import pytest
import torch
from expect import refused
from gated import hooked, image_set
from learners import small_canvas, small_images

from glimpse import Eye, GlimpseBatch, GlimpseSensor
from glimpse.batches import as_floats, drawn, swept
from glimpse.feedback import FeedbackBatch
from glimpse.image_set import ImageSet, ImageSource

INDICES = torch.tensor([3, 11, 3, 0, 8, 16])
SEEDS = torch.tensor([5, 6, 7, 100, 9, 2**40])


@pytest.mark.parametrize("source", [small_canvas, small_images])
def test_they_are_those_of_a_glimpse_batch(source: Callable[[], ImageSource]) -> None:
    """Whose glimpse is here the whole image amid zeros."""
    images = source()
    _, height, width = images.shape
    side = max(height, width)
    eye = Eye(sensor=GlimpseSensor(side), glimpses=1, first="centre")
    core = GlimpseBatch(images, eye, len(INDICES))
    observation, info = core.reset(seed=SEEDS, options={"indices": INDICES})
    top, left = (-floor((extent - side) / 2 + 0.5) for extent in (height, width))
    shown = observation["glimpse"][:, 0, :, top : top + height, left : left + width]
    batch = drawn(images, SEEDS, INDICES)
    torch.testing.assert_close(batch.images, shown, rtol=0, atol=1e-6)
    assert batch.images.dtype == torch.float32
    assert float(batch.images.std()) > 0.1
    assert torch.equal(batch.target, info["target"])


def test_they_are_those_of_a_feedback_batch() -> None:
    images = image_set()
    core = FeedbackBatch(hooked(), images, len(INDICES))
    core.reset(seed=SEEDS, options={"indices": INDICES})
    batch = drawn(images, SEEDS, INDICES)
    for row in range(len(INDICES)):
        assert torch.equal(core.pixels(row), batch.images[row])
    assert torch.equal(core.target, batch.target)


def test_what_is_random_is_a_function_of_the_seed() -> None:
    images = small_canvas()
    same = torch.zeros(4, dtype=torch.int64)
    one, other = (drawn(images, torch.tensor([1, 1, 2, 3]) + k, same) for k in (0, 0))
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.images[0], one.images[1])
    assert not torch.equal(one.images[0], one.images[2])


def test_the_first_split_may_be_empty() -> None:
    images = image_set(train=[])
    assert torch.equal(drawn(images, SEEDS, INDICES).target, images.targets[INDICES])


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_a_sweep_shows_every_image_once(rows: int) -> None:
    images = image_set()
    batches = list(swept(images, "test", rows))
    assert [len(batch.images) for batch in batches[:-1]] == [rows] * (len(batches) - 1)
    index = images.splits["test"]
    whole = torch.cat([batch.images for batch in batches])
    assert torch.equal(whole, images.images[index] / 255)
    assert torch.equal(torch.cat([batch.target for batch in batches]), images.targets[index])


def test_a_sweep_is_a_function_of_its_seed_whatever_the_batch() -> None:
    images = small_canvas()
    sweeps = [
        torch.cat([batch.images for batch in swept(images, "train", rows, seed=seed)])
        for rows, seed in ((1, 0), (5, 0), (5, 7))
    ]
    assert torch.equal(sweeps[0], sweeps[1])
    assert not torch.equal(sweeps[1], sweeps[2])


def test_pixels_become_floats() -> None:
    bytes_ = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 1, 3)
    torch.testing.assert_close(as_floats(bytes_).flatten(), torch.tensor([0, 0.2, 1.0]))
    halves = torch.tensor([0, 0.5, 1], dtype=torch.float64).view(1, 1, 1, 3)
    assert torch.equal(as_floats(halves), halves.float())


def test_a_split_without_images_is_refused() -> None:
    with refused("split 'test' must hold images, got none: choose another split"):
        next(swept(image_set(test=[]), "test", 3))
    with refused("`split` must be one of test, train, validation, got 'tset': choose one"):
        next(swept(image_set(), "tset", 3))
    images = ImageSet.from_arrays(torch.zeros(2, 1, 3, 3), [0, 1], splits={"train": [0, 1]})
    with refused("split 'validation' must hold images, got none"):
        next(swept(images, "validation", 3))
