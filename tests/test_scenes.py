"""Scenes: what is asked about them can be read off their pixels."""

from typing import Any

import gymnasium
import pytest
import torch
from expect import refused
from gymnasium.utils.env_checker import check_env
from torch import Tensor

import glimpse.envs
from glimpse import Eye, GlimpseBatch, GlimpseSensor, ImageSet
from glimpse.canvas import Canvas
from glimpse.digits import load_digits
from glimpse.image_set import ImageSource
from glimpse.scenes import SCENES, CountingScene, Scene, SearchScene, SequenceScene
from glimpse.tasks import Classification, Search, Sequence

COUNT, CLASSES = 12, 4
SPLITS = {"train": [0, 3, 4, 7, 9], "validation": [1, 10], "test": [2, 5, 6, 8]}  # 11 is in none
INDEX = torch.arange(1200) % COUNT
KEYS = torch.randint(-(2**62), 2**62, (1200,), generator=torch.Generator().manual_seed(0))


def _base(height: int = 3, width: int = 5, brightness: Tensor | None = None) -> ImageSet:
    """Return images that are of one brightness each, by default white."""
    shades = torch.full((COUNT,), 255) if brightness is None else brightness
    images = shades.to(torch.uint8)[:, None, None, None].repeat(1, 1, height, width)
    return ImageSet.from_arrays(images, [k % CLASSES for k in range(COUNT)], splits=SPLITS)


def _numbered() -> ImageSet:
    return _base(brightness=torch.arange(1, COUNT + 1))


def _scenes(base: ImageSource, canvas: Canvas) -> list[Scene]:
    return [kind(base, canvas) for kind in SCENES.values()]


def _blocks(picture: Tensor) -> list[int]:
    """Return the shades, from left to right, of images 5 pixels wide that share no column."""
    columns = picture[0].amax(dim=0).tolist()
    shades, x = [], 0
    while x < len(columns):
        if columns[x]:
            shades.append(columns[x])
            x += 4
        x += 1
    return shades


def test_what_is_asked() -> None:
    search, counting, sequence = _scenes(_base(), Canvas(20, 30))
    assert search.task == Search()
    assert counting.task == Classification(("0", "1", "2", "3", "4", "5"))
    assert sequence.task == Sequence(("0", "1", "2", "3"), 2)
    for scene in (search, counting, sequence):
        assert isinstance(scene, ImageSource)
        assert (scene.shape, scene.sizes, scene.count) == ((1, 20, 30), None, COUNT)
        assert scene.splits is scene.base.splits
        for target in (scene.target(INDEX, KEYS), scene.target(INDEX[:0], KEYS[:0])):
            scene.task.check(target)
        assert scene.draw(INDEX[:0], KEYS[:0]).shape == (0, 1, 20, 30)
        assert type(scene.to("cpu")) is type(scene)


def test_a_searched_image_has_its_centre_where_the_target_says() -> None:
    scene = SearchScene(_base(), Canvas(11, 17))
    white = scene.draw(INDEX, KEYS)[:, 0].double() / 255
    assert (white.sum(dim=(1, 2)) == 15).all()
    x = (torch.arange(17) + 0.5) * 2 / 17 - 1
    y = (torch.arange(11) + 0.5) * 2 / 11 - 1
    centroid = torch.stack([white.sum(dim=1) @ x.double(), white.sum(dim=2) @ y.double()], dim=1)
    torch.testing.assert_close(scene.target(INDEX, KEYS), centroid / 15, rtol=0, atol=1e-6)
    assert len(scene.target(INDEX, KEYS).unique(dim=0)) == 9 * 13  # every place


@pytest.mark.parametrize(("height", "width", "most"), [(12, 10, 5), (6, 15, 6), (7, 18, 1)])
def test_as_many_images_as_the_target_says(height: int, width: int, most: int) -> None:
    scene = CountingScene(_base(), Canvas(height, width), most)
    target = scene.target(INDEX, KEYS)
    white = (scene.draw(INDEX, KEYS) == 255).sum(dim=(1, 2, 3))
    assert torch.equal(white, target * 15)
    counts = target.bincount(minlength=most + 1)
    assert len(counts) == most + 1
    expected = len(INDEX) / (most + 1)
    assert float(((counts - expected) ** 2 / expected).sum()) < 25


@pytest.mark.parametrize(("width", "length"), [(15, 3), (23, 3), (10, 2)])
def test_from_left_to_right_images_are_those_of_the_target(width: int, length: int) -> None:
    base = _base(brightness=1 + torch.arange(COUNT) % CLASSES)
    scene = SequenceScene(base, Canvas(8, width), length)
    target, pictures = scene.target(INDEX, KEYS), scene.draw(INDEX, KEYS)
    assert target.shape == (len(INDEX), length)
    for picture, wanted in zip(pictures, target, strict=True):
        assert _blocks(picture) == [1 + number for number in wanted.tolist()]


@pytest.mark.parametrize("kind", [CountingScene, SequenceScene])
def test_companions_come_from_the_same_split(kind: type[Scene]) -> None:
    scene = kind(_numbered(), Canvas(12, 20))
    parts = [*SPLITS.values(), [11]]
    seen: list[set[int]] = [set() for _ in parts]
    for index, picture in zip(INDEX.tolist(), scene.draw(INDEX, KEYS), strict=True):
        number = next(n for n, part in enumerate(parts) if index in part)
        there = {shade - 1 for shade in picture.unique().tolist() if shade}
        assert not there or index in there
        seen[number] |= there
    assert seen == [set(part) for part in parts]


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("pieces", [0, 2])
def test_a_scene_is_a_function_of_index_and_key(number: int, pieces: int) -> None:
    scene = _scenes(_numbered(), Canvas(14, 26, pieces=pieces, piece=2))[number]
    drawn, target = scene.draw(INDEX[:40], KEYS[:40]), scene.target(INDEX[:40], KEYS[:40])
    order = torch.tensor([7, 30, 7, 0])
    assert torch.equal(scene.draw(INDEX[order], KEYS[order]), drawn[order])
    assert torch.equal(scene.target(INDEX[order], KEYS[order]), target[order])
    assert len(scene.draw(INDEX[:1].repeat(40), KEYS[:40]).unique(dim=0)) > 20


@pytest.mark.parametrize("kind", list(SCENES.values()))
def test_canvases_and_images_that_make_no_scene_are_refused(kind: Any) -> None:
    with refused("`canvas` must hold images of 3x5, got 2x30"):
        kind(_base(), Canvas(2, 30))
    with refused("images on a canvas must be classified, got a Search"):
        kind(SearchScene(_base(), Canvas(9, 9)), Canvas(20, 20))


def test_canvases_for_too_few_images_are_refused() -> None:
    with refused("`canvas` must hold 5 images, got one for 4"):
        CountingScene(_base(), Canvas(8, 14))
    with refused("`canvas` must hold 2 images beside one another, each 5 pixels wide, got 9"):
        SequenceScene(_base(), Canvas(50, 9))
    with refused("`most` must be a whole number from 1, got 0"):
        CountingScene(_base(), Canvas(9, 9), 0)
    with refused("`length` must be a whole number from 1, got 0"):
        SequenceScene(_base(), Canvas(9, 9), 0)


@pytest.mark.parametrize("name", ["Search", "Counting", "Sequence"])
def test_gymnasium_finds_nothing_amiss(name: str) -> None:
    env = gymnasium.make(f"glimpse/{name}-v0")
    assert env.unwrapped.spec is not None
    assert env.unwrapped.spec.id in glimpse.envs.ENVIRONMENTS
    check_env(env.unwrapped)


@pytest.mark.parametrize("side", [40, 60, 100])
def test_a_search_pays_where_the_window_covers_the_centre_to_the_pixel(side: int) -> None:
    """The window of 8 begins at the centre's own pixel: found; it ends just before it: not."""
    images = SearchScene(load_digits(), Canvas(side, side))
    eye = Eye(sensor=GlimpseSensor(8), first="centre")
    for off, paid in ((4.0, 1.0), (-4.0, 0.0)):
        batch = GlimpseBatch(images, eye, 256)
        _, info = batch.reset(seed=0)
        centre = (info["target"] + 1) / 2 * side
        reward = batch.step(((centre + off) / side * 2 - 1).float())[1]
        inside = ((centre + off) <= side).all(dim=1) & ((centre + off) >= 0).all(dim=1)
        assert reward[inside].tolist() == [paid] * int(inside.sum())


def test_an_image_in_two_splits_has_no_companions() -> None:
    digits = load_digits()
    splits = {"train": torch.arange(20), "test": torch.arange(10, 20)}
    images = CountingScene(
        ImageSet(digits.images, digits.targets, digits.task, splits), Canvas(100, 100)
    )
    with refused("splits of a scene's images must not share any"):
        images.draw(torch.arange(3), torch.arange(3))
