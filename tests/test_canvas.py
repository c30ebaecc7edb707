"""Canvases against plain loops over the same random numbers."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from glimpse import GlimpseSensor, ImageSet
from glimpse.canvas import CANVASES, Canvas, OnCanvas
from glimpse.image_set import ImageSource, random_splits
from glimpse.pyramid import ArrayPyramid
from glimpse.randomness import uniform
from glimpse.slides import SlideSet

Picture = list[list[list[float]]]


def _base(channels: int = 2, height: int = 5, width: int = 7, count: int = 12) -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    shape = (count, channels, height, width)
    images = torch.randint(1, 256, shape, generator=generator).to(torch.uint8)
    return ImageSet.from_arrays(images, [k % 3 for k in range(count)])


def _keys(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(-(2**62), 2**62, (count,), generator=torch.Generator().manual_seed(seed))


def _by_hand(images: OnCanvas, index: int, key: torch.Tensor) -> Picture:
    """Lay one canvas with plain loops: the image first, then every piece; the brighter wins."""
    canvas, base = images.canvas, images.base
    assert isinstance(base, ImageSet)
    channels, height, width = base.shape
    numbers = uniform(key[None], 2 + 5 * canvas.pieces)[0].tolist()
    picture = [[[0.0] * canvas.width for _ in range(canvas.height)] for _ in range(channels)]

    def lay(pixels: Picture, down: float, right: float) -> None:
        top = int(down * (canvas.height - len(pixels[0]) + 1))
        left = int(right * (canvas.width - len(pixels[0][0]) + 1))
        for c, plane in enumerate(pixels):
            for y, line in enumerate(plane):
                for x, value in enumerate(line):
                    old = picture[c][top + y][left + x]
                    picture[c][top + y][left + x] = max(old, value)

    lay(base.images[index].tolist(), *numbers[:2])
    train = base.splits["train"].tolist()
    for k in range(canvas.pieces):
        which, *corner, down, right = numbers[2 + 5 * k : 7 + 5 * k]
        source = base.images[train[int(which * len(train))]].tolist()
        top = int(corner[0] * (height - canvas.piece + 1))
        left = int(corner[1] * (width - canvas.piece + 1))
        crop = [
            [line[left : left + canvas.piece] for line in plane[top : top + canvas.piece]]
            for plane in source
        ]
        lay(crop, down, right)
    return picture


def test_a_set_on_a_canvas_is_an_image_source() -> None:
    base = _base()
    images = OnCanvas(base, Canvas(10, 20))
    assert isinstance(images, ImageSource)
    assert images.shape == (2, 10, 20)
    assert images.task == base.task
    number = torch.arange(base.count)
    assert torch.equal(images.target(number, number), base.targets)
    assert images.splits is base.splits
    prepare: Callable[[GlimpseSensor, float], object] = images.prepared
    assert prepare(GlimpseSensor(2), 2.0**33) is None
    assert images.to("cpu").base is base
    assert images.to("cpu").canvas is images.canvas


def test_the_presets_have_the_papers_sizes() -> None:
    wanted = {
        "translated-40": Canvas(40, 40),
        "translated-60": Canvas(60, 60),
        "translated-100": Canvas(100, 100),
        "cluttered-60": Canvas(60, 60, pieces=4, piece=8),
        "cluttered-100": Canvas(100, 100, pieces=8, piece=8),
    }
    assert dict(CANVASES) == wanted


@pytest.mark.parametrize("pieces", [0, 1, 3])
@pytest.mark.parametrize("channels", [1, 2])
def test_canvases_are_those_made_with_plain_loops(channels: int, pieces: int) -> None:
    images = OnCanvas(_base(channels), Canvas(11, 9, pieces=pieces, piece=3))
    keys = _keys(20)
    index = torch.arange(20) % 12
    drawn = images.draw(index, keys)
    assert drawn.dtype == torch.uint8
    assert drawn.shape == (20, channels, 11, 9)
    for row in range(20):
        assert drawn[row].tolist() == _by_hand(images, int(index[row]), keys[row]), row


def test_images_of_floats_are_laid_unchanged() -> None:
    of_bytes = _base()
    base = ImageSet(of_bytes.images / 255, of_bytes.targets, of_bytes.task, of_bytes.splits)
    index, keys = torch.arange(12), _keys(12)
    canvas = Canvas(11, 9, pieces=2, piece=3)
    drawn = OnCanvas(base, canvas).draw(index, keys)
    assert drawn.dtype == torch.float32
    assert torch.equal(drawn, OnCanvas(of_bytes, canvas).draw(index, keys) / 255)


def test_without_clutter_the_image_lies_there_unchanged_and_nothing_else() -> None:
    images = OnCanvas(_base(), Canvas(12, 15))
    base = images.base.draw(torch.arange(12), torch.zeros(12, dtype=torch.int64))
    for row, picture in enumerate(images.draw(torch.arange(12), _keys(12))):
        windows = picture.unfold(1, 5, 1).unfold(2, 7, 1)  # (C, 8, 9, 5, 7)
        same = (windows == base[row][:, None, None]).all(dim=-1).all(dim=-1).all(dim=0)
        assert int(same.sum()) == 1
        assert int(picture.long().sum()) == int(base[row].long().sum())


def test_a_canvas_is_a_function_of_the_key_alone() -> None:
    images = OnCanvas(_base(), Canvas(11, 9, pieces=2, piece=3))
    keys, index = _keys(6), torch.tensor([3, 1, 4, 1, 5, 9])
    together = images.draw(index, keys)
    order = torch.tensor([5, 2, 2, 0])
    assert torch.equal(images.draw(index[order], keys[order]), together[order])
    for row in range(6):
        assert torch.equal(images.draw(index[[row]], keys[[row]])[0], together[row])


def test_other_keys_make_other_canvases() -> None:
    images = OnCanvas(_base(), Canvas(60, 60, pieces=2, piece=3))
    drawn = images.draw(torch.zeros(50, dtype=torch.int64), torch.arange(50))
    assert len({bytes(picture.flatten().tolist()) for picture in drawn}) == 50


def test_no_canvases_can_be_drawn() -> None:
    images = OnCanvas(_base(), Canvas(11, 9, pieces=2, piece=3))
    nothing = torch.zeros(0, dtype=torch.int64)
    assert images.draw(nothing, nothing).shape == (0, 2, 11, 9)


def test_drawing_leaves_the_base_as_it_was() -> None:
    base = _base()
    before = base.images.clone()
    OnCanvas(base, Canvas(5, 7, pieces=3, piece=3)).draw(torch.arange(12), _keys(12)).fill_(7)
    assert torch.equal(base.images, before)


def test_a_canvas_of_the_images_size_shows_the_images() -> None:
    base = _base()
    drawn = OnCanvas(base, Canvas(5, 7)).draw(torch.arange(12), _keys(12))
    assert torch.equal(drawn, base.images)


def test_positions_are_uniform_over_all_places() -> None:
    """24 places, 24,000 draws: chi-squared with 23 degrees of freedom is below 50 in 99.9 %."""
    dot = ImageSet.from_arrays(torch.full((1, 1, 1, 1), 255, dtype=torch.uint8), [0])
    images = OnCanvas(dot, Canvas(4, 6))
    drawn = images.draw(torch.zeros(24_000, dtype=torch.int64), torch.arange(24_000))
    assert torch.equal(drawn.flatten(1).long().sum(dim=1), torch.full((24_000,), 255))
    counts = drawn.flatten(1).bool().sum(dim=0).double()
    assert float(((counts - 1000) ** 2 / 1000).sum()) < 50


def test_pieces_are_uniform_over_places_and_crops() -> None:
    """One dot among black pixels: a piece shows it at a rate that loops over all crops give."""
    base = torch.zeros(1, 1, 3, 3, dtype=torch.uint8)
    base[0, 0, 0, 2] = 200  # in one of the four crops of 2x2, at its upper right
    blank = torch.zeros_like(base)
    source = ImageSet.from_arrays(
        torch.cat([base, blank]), [0, 0], splits={"train": [0], "test": [1]}
    )
    images = OnCanvas(source, Canvas(4, 5, pieces=1, piece=2))
    drawn = images.draw(torch.ones(48_000, dtype=torch.int64), torch.arange(48_000))
    counts = drawn[:, 0].bool().sum(dim=0).double()
    assert int(counts[3].sum()) == int(counts[:, 0].sum()) == 0
    shown = counts[:3, 1:]  # each of the 12 places of the piece: 48,000 / 4 / 12
    assert float(((shown - 1000) ** 2 / 1000).sum()) < 40


def test_clutter_comes_from_training_images_only() -> None:
    """Every image has a brightness of its own; only those of the training split may lie about."""
    brightness = torch.arange(1, 13, dtype=torch.uint8)
    splits = {"train": [1, 4, 8], "validation": [0, 2, 3], "test": [5, 6, 7, 9, 10, 11]}
    base = ImageSet.from_arrays(
        brightness[:, None, None, None].expand(12, 1, 4, 4).contiguous(), [0] * 12, splits=splits
    )
    images = OnCanvas(base, Canvas(40, 40, pieces=4, piece=2))
    seen = set()
    for split in ("validation", "test"):
        index = base.splits[split].repeat(50)
        for row, picture in zip(index, images.draw(index, _keys(len(index))), strict=True):
            there = set(picture.unique().tolist())
            assert int(row) + 1 in there
            others = there - {0, int(row) + 1}
            assert others <= {2, 5, 9}
            seen |= others
    assert seen == {2, 5, 9}


def test_a_canvas_in_a_canvas() -> None:
    inner = OnCanvas(_base(), Canvas(8, 10))
    drawn = OnCanvas(inner, Canvas(20, 20)).draw(torch.arange(12), _keys(12))
    wanted = inner.base.draw(torch.arange(12), _keys(12)).long().sum(dim=(1, 2, 3))
    assert torch.equal(drawn.long().sum(dim=(1, 2, 3)), wanted)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"height": 0, "width": 9}, "`height` must be a whole number from 1, got 0"),
        ({"height": 9, "width": -1}, "`width` must be a whole number from 1, got -1"),
        ({"height": 9, "width": 9, "piece": 0}, "`piece` must be a whole number from 1, got 0"),
        ({"height": 9, "width": 9, "pieces": -1}, "`pieces` must be a whole number from 0, got -1"),
        ({"height": True, "width": 9}, "`height` must be a whole number from 1, got True"),
    ],
)
def test_canvases_that_are_none_are_refused(numbers: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Canvas(**numbers)


@pytest.mark.parametrize(("height", "width"), [(4, 7), (5, 6)])
def test_a_canvas_must_hold_the_images(height: int, width: int) -> None:
    message = f"`canvas` must hold images of 5x7, got {height}x{width}"
    with pytest.raises(ValueError, match=message):
        OnCanvas(_base(), Canvas(height, width))


def test_a_search_is_not_laid_on_a_canvas() -> None:
    """The place would move away."""
    places = torch.zeros(4, 2, dtype=torch.float64)
    level = np.zeros((1, 8, 8), dtype=np.uint8)
    slides = SlideSet([ArrayPyramid([level])], torch.tensor([0] * 4), places, random_splits(4))
    message = "images on a canvas must be classified, got a Search: leave the canvas out"
    with pytest.raises(ValueError, match=f"^{message}$"):
        OnCanvas(slides, Canvas(20, 20))


def test_pieces_must_fit_into_the_images() -> None:
    with pytest.raises(ValueError, match="`piece` must fit into images of 5x7, got 6"):
        OnCanvas(_base(), Canvas(20, 20, pieces=1, piece=6))
    OnCanvas(_base(), Canvas(20, 20, pieces=1, piece=5))
    OnCanvas(_base(), Canvas(20, 20, pieces=0, piece=6))


@pytest.mark.parametrize("splits", [{"test": [0]}, {"train": [], "test": [0]}])
def test_clutter_needs_training_images(splits: dict[str, list[int]]) -> None:
    images = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    base = ImageSet.from_arrays(images, [0], splits=splits)
    with pytest.raises(ValueError, match="`pieces` must come from training images, got none: name"):
        OnCanvas(base, Canvas(9, 9, pieces=1, piece=2))
    drawn = OnCanvas(base, Canvas(9, 9)).draw(torch.tensor([0]), torch.tensor([0]))
    assert drawn.shape == (1, 1, 9, 9)
