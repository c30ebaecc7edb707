"""Images of different sizes: a batch of them is, row by row, what each image is alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from expect import anywhere, generator, random_pixels, refused
from torch import Tensor
from torch.nn import functional as F

from glimpse import Eye, GlimpseBatch, GlimpseSensor, ImageSet, MixedSet
from glimpse.image_set import SPLITS, ImageSource, random_splits
from glimpse.mixed_set import image_set_of
from glimpse.ragged import RaggedPixels, RaggedTables
from glimpse.tasks import Classification, Search

ENOUGH = 2.0**33  # bytes
SIZES = [(5, 9), (24, 7), (1, 1), (16, 16), (5, 9), (40, 31)]  # height and width
EVERYWHERE = {"train": range(len(SIZES))}
every_memory = pytest.mark.parametrize("memory", [ENOUGH, 0.0], ids=["tables", "pixels"])
every_type = pytest.mark.parametrize("floats", [False, True], ids=["uint8", "float32"])


def _images(
    sizes: Sequence[tuple[int, int]] = SIZES, channels: int = 2, floats: bool = False
) -> list[Tensor]:
    pixels = [
        torch.from_numpy(random_pixels(channels, *size, seed=seed))
        for seed, size in enumerate(sizes)
    ]
    return [image.float() / 255 for image in pixels] if floats else pixels


def _mixed(images: Sequence[Tensor] | None = None, **options: Any) -> MixedSet:
    images = _images() if images is None else images
    options = {"splits": EVERYWHERE, **options}
    return MixedSet.from_arrays(images, [k % 3 for k in range(len(images))], **options)


def _alone(image: Tensor) -> ImageSet:
    return ImageSet.from_arrays(image[None], [0], splits={"train": [0]})


def _keys(index: Tensor) -> Tensor:
    return torch.zeros_like(index)


def test_a_mixed_set_is_an_image_source() -> None:
    images = _mixed()
    assert isinstance(images, ImageSource)
    assert images.shape == (2, 40, 31)  # the greatest height, the greatest width
    assert images.sizes.tolist() == [[width, height] for height, width in SIZES]
    assert images.count == len(SIZES)
    assert images.device == torch.device("cpu")
    assert images.task == Classification(("0", "1", "2"))
    index = torch.tensor([4, 2])
    assert images.target(index, _keys(index)).tolist() == [1, 2]


@every_memory
@every_type
@pytest.mark.parametrize("outside", ["zero", "edge", "mean"])
@pytest.mark.parametrize("rows", [3, 700], ids=["few", "many"])
def test_the_sensor_reads_each_image_as_if_it_were_alone(
    memory: float, floats: bool, outside: Any, rows: int
) -> None:
    sensor = GlimpseSensor(4, scales=3, outside=outside)
    images = _images(floats=floats)
    prepared = _mixed(images).prepared(sensor, memory)
    assert isinstance(prepared, RaggedTables if memory else RaggedPixels)
    index = torch.randint(len(images), (rows,), generator=generator())
    location = anywhere(rows) * 1.5
    seen = sensor.read(prepared, index, location)
    for number, image in enumerate(images):
        of_it = index == number
        alone = _alone(image).prepared(sensor, memory)
        zeros = torch.zeros(int(of_it.sum()), dtype=torch.int64)
        wanted = sensor.read(alone, zeros, location[of_it])
        # Sums of floats differ in their last bits.
        torch.testing.assert_close(seen[of_it], wanted, rtol=0, atol=1e-6 if floats else 0)


EYES = {
    "edges": Eye(sensor=GlimpseSensor(3, scales=2), glimpses=4),
    "agent": Eye(sensor=GlimpseSensor(3, scales=2), glimpses=4, first="agent"),
    "reach": Eye(sensor=GlimpseSensor(3), glimpses=4, reach=6.0),
    "stride": Eye(sensor=GlimpseSensor(3), glimpses=4, first="centre", stride=2.5),
    "stride within reach": Eye(sensor=GlimpseSensor(3), glimpses=4, reach=4.0, stride=2.5),
    "context": Eye(sensor=GlimpseSensor(3), glimpses=4, context=7),
    "zoom": Eye(sensor=GlimpseSensor(3), glimpses=4, zoom=3),
}


@every_memory
@pytest.mark.parametrize("eye", EYES.values(), ids=EYES)
def test_a_batch_sees_each_image_as_in_a_batch_of_its_own(eye: Eye, memory: float) -> None:
    images = _images()
    together = GlimpseBatch(_mixed(images), eye, len(images), memory=memory)
    index = list(range(len(images)))
    seen = [together.reset(seed=7, options={"indices": index})[0]]
    actions = [anywhere(len(images), seed=seed) for seed in range(eye.actions)]
    if eye.zoom > 1:
        actions = [torch.cat([action, action[:, :1]], dim=1) for action in actions]
    seen += [together.step(action)[0] for action in actions]
    for row, image in enumerate(images):
        alone = GlimpseBatch(_alone(image), eye, 1, memory=memory)
        wanted = [alone.reset(seed=7 + row, options={"indices": [0]})[0]]
        wanted += [alone.step(action[row : row + 1])[0] for action in actions]
        for one, other in zip(seen, wanted, strict=True):
            assert one.keys() == other.keys()
            for name in one:
                assert torch.equal(one[name][row : row + 1], other[name]), name
        assert torch.equal(together.sensed[row : row + 1], alone.sensed)
        assert together.width(row) == alone.width(0)


def test_reach_and_stride_are_in_pixels_whatever_the_size() -> None:
    images = [torch.zeros(1, 20, 40), torch.zeros(1, 200, 80)]
    for image in images:  # white from 5 pixels right of the centre on
        image[:, :, image.shape[2] // 2 + 5 :] = 1
    for options in ({"reach": 10.0}, {"stride": 10.0}):
        eye = Eye(sensor=GlimpseSensor(2), glimpses=2, first="centre", **options)
        batch = GlimpseBatch(_mixed(images, splits={"train": [0, 1]}), eye, 2)
        before, _ = batch.reset(seed=0, options={"indices": [0, 1]})
        assert before["glimpse"].max() == 0
        for across, brightness in ((0.3, 0), (0.5, 0.5), (0.7, 1)):
            batch.reset(options={"indices": [0, 1]})
            observation = batch.step(torch.tensor([[across, 0.0]] * 2))[0]
            assert observation["glimpse"].flatten(1).mean(dim=1).tolist() == [brightness] * 2


def test_a_sweep_shows_every_image_once() -> None:
    batch = GlimpseBatch(_mixed(), EYES["context"], 4)
    targets = [info["target"].tolist() for _, info in batch.sweep("train")]
    assert targets == [[0, 1, 2, 0], [1, 2]]


def test_some_rows_begin_anew_with_images_of_another_size() -> None:
    batch = GlimpseBatch(_mixed(), EYES["context"], 2)
    batch.reset(seed=0, options={"indices": [0, 1]})
    mask = torch.tensor([False, True])
    after, _ = batch.reset(options={"indices": [0, 5], "reset_mask": mask})
    fresh, _ = GlimpseBatch(_mixed(), EYES["context"], 2).reset(seed=0, options={"indices": [0, 5]})
    assert torch.equal(after["context"], fresh["context"])
    assert [batch.width(row) for row in range(2)] == [9, 31]


def test_a_search_has_places_in_each_image_s_own_edges() -> None:
    images = _images([(10, 40), (100, 10)], channels=1)
    places = torch.tensor([[0.5, 0.5], [0.5, 0.5]])
    found = MixedSet.from_arrays(images, places, task=Search(), splits={"train": [0, 1]})
    eye = Eye(sensor=GlimpseSensor(2), glimpses=3, first="centre")
    batch = GlimpseBatch(found, eye, 2)
    batch.reset(seed=0, options={"indices": [0, 1]})
    # 1 pixel beside the places on the wide image, 5 on the tall one
    _, reward, over, _, _ = batch.step(torch.tensor([[0.5, 0.6], [0.5, 0.6]]))
    assert reward.tolist() == [1, 0]
    assert over.tolist() == [True, False]
    assert batch.step(torch.tensor([[0.5, 0.5]] * 2))[1].tolist() == [0, 1]


def test_images_of_one_size_are_drawn_as_they_are() -> None:
    images = _images()
    index = torch.tensor([4, 0])
    assert torch.equal(
        _mixed(images).draw(index, _keys(index)), torch.stack([images[4], images[0]])
    )


@every_type
def test_images_of_different_sizes_are_drawn_stretched(floats: bool) -> None:
    images = [*_images([(300, 20), (8, 8)], floats=floats)]
    index = torch.tensor([0, 1])
    drawn = _mixed(images, splits={"train": [0, 1]}).draw(index, _keys(index))
    assert drawn.shape == (2, 2, 128, 20)
    assert drawn.dtype == images[0].dtype
    wanted = torch.stack([F.adaptive_avg_pool2d(image.float(), (128, 20)) for image in images])
    torch.testing.assert_close(drawn.float(), wanted, rtol=0, atol=1e-6 if floats else 0.51)


@pytest.mark.parametrize("kept", [0, 2**28])
def test_averages_are_the_same_whether_kept_or_not(
    kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glimpse.mixed_set._KEPT", kept)
    images, index = _images(), torch.tensor([5, 2, 5])
    mixed = _mixed(images)
    for _ in range(2):
        found = mixed.averaged(index, 3, 4)
        wanted = [F.adaptive_avg_pool2d(images[k].float() / 255, (3, 4)) for k in index.tolist()]
        assert torch.equal(found, torch.stack(wanted))
    assert mixed.averaged(index[:0], 3, 4).shape == (0, 2, 3, 4)
    assert len(mixed._averaged) == bool(kept)


def test_tables_are_made_once_for_each_type() -> None:
    images = _mixed()
    narrow, same = GlimpseSensor(3, scales=2), GlimpseSensor(9, scales=2, outside="mean")
    assert images.prepared(narrow, ENOUGH) is images.prepared(same, ENOUGH)
    assert images.prepared(narrow, 0.0) is images.images
    wide = images.prepared(GlimpseSensor(3, scales=7), ENOUGH)
    assert isinstance(wide, RaggedTables)
    assert wide.flat.dtype == torch.int32


def test_to_the_same_device_is_the_same_set() -> None:
    images = _mixed()
    assert images.to("cpu") is images


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@every_memory
def test_another_device_shows_the_same(memory: float) -> None:
    images = _mixed()
    moved = images.to("cuda")
    assert images.to("cuda") is moved
    batches = [GlimpseBatch(each, EYES["context"], 6, memory=memory) for each in (images, moved)]
    for one, other in zip(*(batch.sweep("train") for batch in batches), strict=True):
        for name in one[0]:
            torch.testing.assert_close(one[0][name], other[0][name].cpu())


def test_one_size_makes_an_image_set_and_several_a_mixed_one() -> None:
    same = image_set_of(_images([(3, 4)] * 2), [0, 1])
    assert isinstance(same, ImageSet)
    mixed = image_set_of(_images([(3, 4), (4, 3)]), [0, 1], classes=["a", "b"])
    assert isinstance(mixed, MixedSet)
    assert mixed.task == Classification(("a", "b"))


def test_by_default_the_division_is_the_usual_one() -> None:
    images = _images([(1 + k, 2) for k in range(20)])
    found, wanted = _mixed(images, splits=None).splits, random_splits(20)
    assert [found[name].tolist() for name in SPLITS] == [wanted[name].tolist() for name in SPLITS]


def test_arrays_and_tensors_make_the_same_set() -> None:
    images = _images()
    of_arrays = _mixed([image.numpy() for image in images])
    assert torch.equal(of_arrays.images.flat, _mixed(images).images.flat)


SMALL = torch.zeros(1, 2, 3)
BAD: dict[str, tuple[list[Any], str]] = {
    "none": ([], "`images` must be at least one, got none: is a filter too strict?"),
    "rank": (
        [SMALL, SMALL[0]],
        "image 1 must be (C, H, W), got (2, 3): use image[None] if it is grey",
    ),
    "channels": (
        [SMALL, SMALL.expand(3, 2, 3)],
        "image 1 must have as many channels as image 0, 1, got 3: make all grey or all RGB",
    ),
    "type": (
        [SMALL, SMALL.byte()],
        "image 1 must be torch.float32 like image 0, got torch.uint8: convert all to one type",
    ),
    "device": (
        [SMALL, SMALL.to("meta")],
        "image 1 must be on cpu like image 0, got meta: use image.to('cpu')",
    ),
    "range": (
        [SMALL, SMALL + 2],
        "image 1 of floats must lie in [0, 1], got 2 to 2: divide by 255?",
    ),
    "NaN": (
        [SMALL, SMALL * torch.nan],
        "image 1 must be finite, got NaN or infinity: leave it out or mend it",
    ),
    "whole numbers": (
        [SMALL.int(), SMALL.int()],
        "image 0 must be uint8 or float in [0, 1], got torch.int32: convert it to uint8 if",
    ),
    "channels last": (
        [torch.zeros(20, 30, 3), torch.zeros(20, 31, 3)],
        "image 0 must be (C, H, W), got (20, 30, 3): put the channels first",
    ),
    "no pixel": (
        [SMALL, torch.zeros(1, 0, 3)],
        "image 1 must be (C, H, W) or (H, W) with at least one pixel, got (1, 0, 3): give one",
    ),
}


@pytest.mark.plain
@pytest.mark.parametrize("name", BAD)
def test_images_that_do_not_fit_one_another_are_refused(name: str) -> None:
    images, message = BAD[name]
    with refused(message):
        MixedSet.from_arrays(images, [0] * len(images), splits={"train": []})


@pytest.mark.parametrize(
    ("targets", "options", "message"),
    [
        ([0, 1, 2], {}, "`targets` must be (2, ...), got (3,): give one target for each image"),
        ([0, -1], {}, "`targets` must be in [0, 1), got -1 to 0: number the classes from 0"),
        ([0, 2], {"classes": "ab"}, "`targets` must be in [0, 2), got 0 to 2: number the classes"),
        ([0, 0.5], {}, "`targets` must be whole numbers below 2**63, got 0.5: give one axis"),
        ([0, 1], {"task": Search()}, "`targets` of a search must be (N, 2) of floats, got (2,)"),
        ([0, 1], {"splits": {"train": [2]}}, "split 'train' must name images in [0, 2), got 2 to"),
        ([0, 1], {"splits": {"training": [0]}}, "`split` must be one of test, train, validation"),
        (
            [0, 1],
            {"task": Classification(("a", "b")), "classes": "ab"},
            "`classes` must be left out beside a task, got both: it has its own",
        ),
    ],
)
def test_targets_and_splits_that_do_not_fit_are_refused(
    targets: list[Any], options: dict[str, Any], message: str
) -> None:
    images = [np.zeros((1, 2, 3), dtype=np.uint8), np.zeros((1, 3, 2), dtype=np.uint8)]
    with refused(message):
        MixedSet.from_arrays(images, targets, **options)
