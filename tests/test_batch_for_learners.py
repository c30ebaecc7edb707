"""The batch as learners use it: `begin`, `look` and `twin`, bit for bit `reset` and `step`."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from expect import refused
from torch import Tensor

from glimpse import Eye, GlimpseBatch, GlimpseSensor, ImageSet
from glimpse.canvas import Canvas, OnCanvas
from glimpse.image_set import ImageSource

ROWS, COUNT = 6, 12
BASE = torch.randint(
    0, 256, (COUNT, 2, 9, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
SEEDS = torch.tensor([7, 3, 3, 2**40, 0, 11])
INDICES = torch.tensor([8, 0, 5, 5, 11, 2])


def _fixed() -> ImageSet:
    splits = {"train": [1, 2, 4, 6, 7, 9, 10], "validation": [0, 3, 5], "test": [8, 11]}
    return ImageSet.from_arrays(BASE, range(COUNT), splits=splits)


def _canvas() -> OnCanvas:
    return OnCanvas(_fixed(), Canvas(12, 18, pieces=2, piece=3))


SOURCES: dict[str, Callable[[], ImageSource]] = {"fixed": _fixed, "canvas": _canvas}
every_source = pytest.mark.parametrize("source", SOURCES)
every_first = pytest.mark.parametrize("first", ["random", "centre", "agent"])


def _batch(source: str, first: str = "random", **options: Any) -> GlimpseBatch:
    sensor = GlimpseSensor(3, scales=2, outside="mean")
    eye = Eye(sensor=sensor, glimpses=4, first=first, context=3, reach=7.0)
    return GlimpseBatch(SOURCES[source](), eye, ROWS, **options)


def _action(number: int, rows: int = ROWS) -> Tensor:
    """Return actions that are a function of their number, some of them beyond the border."""
    generator = torch.Generator().manual_seed(number)
    return torch.rand(rows, 2, generator=generator) * 2.4 - 1.2


def _assert_same(got: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert got.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert torch.equal(got[name], tensor), name


def _assert_same_state(got: GlimpseBatch, wanted: GlimpseBatch) -> None:
    assert torch.equal(got.target, wanted.target)
    for one, other in ((got.trail, wanted.trail), (got.sensed, wanted.sensed)):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(got.shown, wanted.shown)
    for row in range(len(wanted.target)):
        assert torch.equal(got.pixels(row), wanted.pixels(row))


# begin, look


@every_source
@every_first
@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("memory", [2.0**33, 0.0])
def test_begin_and_look_are_reset_and_step(
    source: str, first: str, copies: int, memory: float
) -> None:
    usual = _batch(source, first, copies=copies, memory=memory)
    quick = _batch(source, first, copies=copies, memory=memory).twin()
    for episode in range(3):
        seeds, indices = SEEDS + episode, (INDICES[: ROWS // copies] + episode) % COUNT
        wanted, info = usual.reset(seed=seeds, options={"indices": indices})
        _assert_same(quick.begin(seeds, indices), wanted)
        assert torch.equal(quick.target, info["target"])
        assert quick.target.tolist() == indices.repeat_interleave(copies).tolist()
        for number in range(5):  # the last ones after the episode is over
            action = _action(10 * episode + number)
            _assert_same(quick.look(action), usual.step(action)[0])
            _assert_same_state(quick, usual)


@every_source
def test_begin_after_a_reset_of_the_same_rows(source: str) -> None:
    batch, usual = _batch(source), _batch(source)
    batch.reset(seed=5)
    batch.step(_action(0))
    wanted, _ = usual.reset(seed=SEEDS, options={"indices": INDICES})
    _assert_same(batch.begin(SEEDS, INDICES), wanted)
    _assert_same_state(batch, usual)


@every_source
@pytest.mark.parametrize("copies", [1, 2])
def test_begin_makes_room_for_as_many_rows_as_there_are_seeds(source: str, copies: int) -> None:
    quick, usual = _batch(source, copies=copies), _batch(source, copies=copies)
    for rows in (2, ROWS, 4, 8):
        seeds = torch.cat([SEEDS, SEEDS + 1])[:rows]
        indices = torch.cat([INDICES, INDICES.flip(0)])[: rows // copies]
        wanted, _ = usual.reset(seed=seeds, options={"indices": indices})
        _assert_same(quick.begin(seeds, indices), wanted)
        assert len(quick.target) == len(quick.trail) == rows
        action = _action(rows, rows)
        _assert_same(quick.look(action), usual.step(action)[0])
        _assert_same_state(quick, usual)


@every_source
def test_what_is_done_to_arguments_and_results_changes_nothing(source: str) -> None:
    batch, wanted = _batch(source).twin(), _batch(source).twin()
    seeds, indices = SEEDS.clone(), INDICES.clone()
    began = batch.begin(seeds, indices)
    wanted.begin(SEEDS, INDICES)
    action = _action(0)
    looked = batch.look(action)
    wanted.look(_action(0))
    for tensor in (seeds, indices, action, *began.values(), *looked.values(), batch.target):
        tensor.fill_(3)
    _assert_same(batch.look(_action(1)), wanted.look(_action(1)))
    _assert_same_state(batch, wanted)


def test_a_look_takes_no_gradient_along() -> None:
    batch = _batch("fixed").twin()
    batch.begin(SEEDS, INDICES)
    seen = batch.look(_action(0).requires_grad_())
    assert not any(tensor.requires_grad for tensor in (*seen.values(), batch.trail))


def test_what_begins_in_inference_mode_may_be_used_outside_of_it() -> None:
    batch, wanted = _batch("canvas").twin(), _batch("canvas").twin()
    with torch.inference_mode():
        batch.begin(SEEDS, INDICES)
    wanted.begin(SEEDS, INDICES)
    _assert_same(batch.look(_action(0)), wanted.look(_action(0)))


# twin


@every_source
@every_first
def test_a_twin_has_the_same_images_and_eye_and_episodes_of_its_own(
    source: str, first: str
) -> None:
    batch, alone = _batch(source, first, copies=2), _batch(source, first, copies=2)
    for one in (batch, alone):
        one.reset(seed=1)
        one.step(_action(1))
    twin = batch.twin()
    assert twin.images is batch.images
    assert (twin.eye, twin.rows, twin.copies) == (batch.eye, ROWS, 2)
    assert (twin.split, twin.predict, twin.device) == (batch.split, batch.predict, batch.device)
    twin_alone = _batch(source, first, copies=2).twin()
    for one in (twin, twin_alone):
        one.begin(SEEDS, INDICES[:3])
    _assert_same_state(batch, alone)
    for number in range(2, 5):  # in turn: neither moves the other
        _assert_same(twin.look(_action(-number)), twin_alone.look(_action(-number)))
        _assert_same(batch.step(_action(number))[0], alone.step(_action(number))[0])
    _assert_same_state(batch, alone)
    _assert_same_state(twin, twin_alone)
    _assert_same(batch.reset()[0], alone.reset()[0])
    _assert_same_state(twin, twin_alone)


@every_source
@every_first
def test_a_twin_is_as_newly_made(source: str, first: str) -> None:
    batch, new = _batch(source, first), _batch(source, first)
    batch.reset(seed=1)
    batch.step(_action(1))
    twin = batch.twin()
    assert len(twin.trail) == len(twin.sensed) == len(twin.shown) == len(twin.target) == 0
    assert len(batch.target) == ROWS
    with refused("`reset` must come first, got no image to show: "):
        twin.pixels(0)
    for kind in (new, twin):
        with refused("`reset` must come before `step`, got a step: "):
            kind.step(_action(2))
        for mask in (torch.arange(ROWS) < 3, torch.zeros(0, dtype=torch.bool)):
            with refused("`reset_mask` must be (0,) of bool, got "):
                kind.reset(options={"reset_mask": mask})
    _assert_same(twin.reset(seed=4)[0], new.reset(seed=4)[0])
    _assert_same(twin.step(_action(3))[0], new.step(_action(3))[0])
    _assert_same_state(twin, new)


@every_source
def test_a_twin_of_a_sweeping_batch_has_all_rows(source: str) -> None:
    batch = _batch(source)
    for _ in batch.sweep("test"):  # two rows
        twin = batch.twin()
        assert twin.begin(SEEDS, INDICES)["glimpse"].shape[0] == ROWS
        assert len(batch.target) == 2


@every_source
def test_a_partial_reset_of_one_leaves_the_other(source: str) -> None:
    batch, alone = _batch(source), _batch(source)
    for one in (batch, alone):
        one.reset(seed=1)
    twin = batch.twin()
    twin.begin(SEEDS, INDICES)
    twin.reset(options={"reset_mask": torch.arange(ROWS) < 3})
    _assert_same_state(batch, alone)
    _assert_same(batch.step(_action(0))[0], alone.step(_action(0))[0])
