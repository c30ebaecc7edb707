"""Portions: apart, together everything, and the same whatever the run's seed."""

import pytest
import torch
from expect import refused
from gated import image_set

from glimpse.agents import BaseConfig, BaseLearner, portion
from glimpse.image_set import ImageSet


def _indices(images: ImageSet, count: int | None, *, other: bool = False) -> list[int]:
    indices: list[int] = portion(images, count, other=other).splits["train"].tolist()
    return indices


@pytest.mark.parametrize("count", [1, 10, 23])
def test_a_portion_and_the_others_are_apart_and_together_all(count: int) -> None:
    images = image_set(train=range(2, 26))
    shown, others = _indices(images, count), _indices(images, count, other=True)
    assert (len(shown), len(others)) == (count, 24 - count)
    assert not set(shown) & set(others)
    assert sorted(shown + others) == list(range(2, 26))


def test_none_and_the_full_count_are_all() -> None:
    images = image_set()
    assert sorted(_indices(images, None)) == sorted(_indices(images, 24)) == list(range(24))


def test_a_portion_is_drawn_at_random_but_always_the_same() -> None:
    images = image_set()
    shown = _indices(images, 12)
    assert shown not in (list(range(12)), list(range(12, 24)))
    torch.manual_seed(1)
    assert _indices(images, 12) == shown
    assert _indices(images, 6) == shown[:6]  # a smaller one is part of a larger one


def test_a_base_is_shown_its_portion_only_whatever_its_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = image_set()
    wanted = set(_indices(images, 10))
    for seed in (0, 1):
        config = BaseConfig(steps=10, batch=5, train_images=10, seed=seed)
        learner = BaseLearner(config, images, config.make(images))
        seen: set[int] = set()
        draw = ImageSet.draw

        def spy(
            self: ImageSet,
            index: torch.Tensor,
            keys: torch.Tensor,
            seen: set[int] = seen,
            draw: object = draw,
        ) -> torch.Tensor:
            seen.update(index.tolist())
            return self.images[index]

        with monkeypatch.context() as patch:
            patch.setattr(ImageSet, "draw", spy)
            for _ in range(4):
                learner.step()
        assert seen == wanted


def test_more_than_there_are_is_refused() -> None:
    with refused("`train_images` must be at most 24, got 25: there are no more"):
        portion(image_set(), 25)


@pytest.mark.parametrize("count", [None, 24])
def test_none_that_are_left_is_refused(count: int | None) -> None:
    with refused("the base must leave some of 24 training images, got none left: train it with"):
        portion(image_set(), count, other=True)
