"""The batch of episodes: what is seen, counted and rewarded, and what decides it."""

import copy
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from glimpse import Eye, GlimpseBatch, GlimpseSensor, ImageSet
from glimpse.canvas import Canvas, OnCanvas
from glimpse.image_set import ImageSource
from glimpse.rewards import REWARDS
from glimpse.tables import SummedAreaTables
from glimpse.tasks import answered
from glimpse.windows import Windows

COUNT, CLASSES = 12, 3
BASE = torch.randint(
    0, 256, (COUNT, 2, 9, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
FIRSTS = ("random", "centre", "agent")


def _fixed(classes: int = CLASSES) -> ImageSet:
    splits = {"train": [1, 2, 4, 6, 7, 9, 10], "validation": [0, 3, 5], "test": [8, 11]}
    return ImageSet.from_arrays(BASE, [k % classes for k in range(COUNT)], splits=splits)


def _canvas(classes: int = CLASSES) -> OnCanvas:
    return OnCanvas(_fixed(classes), Canvas(12, 18, pieces=2, piece=3))


SOURCES: dict[str, Callable[..., ImageSource]] = {"fixed": _fixed, "canvas": _canvas}
every_source = pytest.mark.parametrize("source", SOURCES.keys())
every_first = pytest.mark.parametrize("first", FIRSTS)
every_predict = pytest.mark.parametrize("predict", ["external", "flat"])


def _eye(**options: Any) -> Eye:
    options = {"glimpses": 4, "context": 3, "reach": 7.0, **options}
    return Eye(sensor=GlimpseSensor(3, scales=2, outside="mean"), **options)


def _batch(source: str = "fixed", rows: int = 5, first: str = "random", **kw: Any) -> GlimpseBatch:
    return GlimpseBatch(SOURCES[source](), _eye(first=first), rows, **kw)


def _refused(message: str) -> Any:
    return pytest.raises(ValueError, match=re.escape(message))


def _begun(count: int, *args: Any, **kw: Any) -> list[GlimpseBatch]:
    """Return batches of one kind that have been reset with seed 0."""
    batches = [_batch(*args, **kw) for _ in range(count)]
    for batch in batches:
        batch.reset(seed=0)
    return batches


def _actions(rows: int, number: int) -> Tensor:
    """Return actions that are a function of their number, some of them beyond the border."""
    generator = torch.Generator().manual_seed(number)
    return torch.rand(rows, 2, generator=generator) * 2.4 - 1.2


def _answers(batch: GlimpseBatch, rows: int, number: int) -> Tensor | None:
    if batch.predict == "external":
        return None
    generator = torch.Generator().manual_seed(number)
    scores = torch.randn(rows, batch.task.scores, generator=generator)
    return scores.log_softmax(dim=-1)


def _step(batch: GlimpseBatch, number: int, rows: int = 5) -> dict[str, Tensor]:
    return _named(batch.step(_actions(rows, number), _answers(batch, rows, number)))


def _named(result: tuple[Any, ...]) -> dict[str, Tensor]:
    """Return all tensors of what `reset` or `step` returned."""
    observation, *judged, info = result
    names = ("reward", "terminated", "truncated")
    return {**observation, **dict(zip(names, judged, strict=False)), **info}


def _assert_same(got: dict[str, Tensor], wanted: dict[str, Tensor], note: object = "") -> None:
    assert got.keys() == wanted.keys()
    for name, tensor in got.items():
        assert torch.equal(tensor, wanted[name]), (name, note)


def _rows(result: dict[str, Tensor], rows: Any) -> dict[str, Tensor]:
    return {name: tensor[rows] for name, tensor in result.items()}


# What is seen


@every_source
@every_first
def test_shapes_and_types(source: str, first: str) -> None:
    batch = _batch(source, first=first, predict="flat")
    wanted = {
        "glimpse": ((5, 2, 2, 3, 3), torch.float32),
        "context": ((5, 2, 3, 3), torch.float32),
        "location": ((5, 2), torch.float32),
        "step": ((5, 1), torch.float32),
        "target": ((5,), torch.int64),
        "reward": ((5,), torch.float32),
        "terminated": ((5,), torch.bool),
        "truncated": ((5,), torch.bool),
    }
    began, went = _named(batch.reset(seed=0)), _step(batch, 0)
    assert {name: (tuple(x.shape), x.dtype) for name, x in went.items()} == wanted
    for name, tensor in began.items():
        assert (tuple(tensor.shape), tensor.dtype) == wanted.pop(name)
    assert set(wanted) == {"reward", "terminated", "truncated"}


@every_source
@every_first
@every_predict
def test_a_row_sees_the_same_alone_and_among_others(source: str, first: str, predict: str) -> None:
    together = _batch(source, first=first, predict=predict)
    rows = [_batch(source, 1, first, predict=predict) for _ in range(5)]
    number = 0
    for episode in range(3):
        seed = 40 if episode == 0 else None
        wanted = _named(together.reset(seed=seed))
        for b, row in enumerate(rows):
            got = _named(row.reset(seed=None if seed is None else seed + b))
            _assert_same(got, _rows(wanted, slice(b, b + 1)), (episode, b))
        while not bool(wanted.get("terminated", torch.tensor(False)).all()):
            number += 1
            action, answer = _actions(5, number), _answers(together, 5, number)
            wanted = _named(together.step(action, answer))
            for b, row in enumerate(rows):
                mine = slice(b, b + 1)
                got = _named(row.step(action[mine], None if answer is None else answer[mine]))
                _assert_same(got, _rows(wanted, mine), (episode, b, number))
        assert torch.equal(torch.cat([row.trail for row in rows]), together.trail)
        assert torch.equal(rows[3].pixels(0), together.pixels(3))


@every_source
def test_a_seed_for_each_row_is_that_row_s_own(source: str) -> None:
    own = _named(_batch(source, 4).reset(seed=[9, 2, 9, 3]))
    for row, seed in enumerate((9, 2, 9, 3)):
        alone = _named(_batch(source, 1).reset(seed=seed))
        _assert_same(alone, _rows(own, slice(row, row + 1)), row)


@every_source
def test_later_episodes_and_other_seeds_are_other_ones(source: str) -> None:
    batch = _batch(source, 20)
    episodes = [_named(batch.reset(seed=0)), _named(batch.reset()), _named(batch.reset(seed=100))]
    at = torch.cat([episode["location"] for episode in episodes])
    assert len(at.unique(dim=0)) == 60
    assert not torch.equal(episodes[0]["target"], episodes[1]["target"])
    _assert_same(_named(batch.reset(seed=0)), episodes[0])


@every_source
@every_first
def test_the_glimpse_is_what_the_sensor_sees_at_the_location(source: str, first: str) -> None:
    batch = _batch(source, first=first)
    result = _named(batch.reset(seed=3))
    pictures = torch.stack([batch.pixels(row) for row in range(5)])
    scale = 7 / (torch.tensor([12, 9] if source == "fixed" else [18, 12]).double() / 2)
    for number in range(4):
        if number or first != "agent":
            seen = batch.eye.sensor(pictures, result["location"].double() * scale)
            assert torch.equal(result["glimpse"], seen), number
        result = _step(batch, number)


@every_source
def test_pixels_and_target_belong_to_the_observation(source: str) -> None:
    batch = _batch(source, 8, split="test")
    for _ in range(3):
        target = _named(batch.reset())["target"]
        for row in range(8):
            picture = batch.pixels(row)
            assert picture.shape == batch.images.shape
            there = [
                index
                for index in range(COUNT)
                if (picture.unfold(1, 9, 1).unfold(2, 12, 1) >= BASE[index][:, None, None])
                .flatten(3)
                .all(dim=3)
                .all(dim=0)
                .any()
            ]
            assert len(there) == 1
            assert there[0] in (8, 11)  # the test split
            assert int(target[row]) == there[0] % CLASSES


@every_source
def test_the_context_is_the_average_of_the_whole_image(source: str) -> None:
    batch = _batch(source)
    began, went = _named(batch.reset(seed=0)), _step(batch, 0)
    for row in range(5):
        picture = batch.pixels(row).double() / 255
        _, height, width = picture.shape
        blocks = picture.reshape(2, 3, height // 3, 3, width // 3).mean(dim=(2, 4))
        assert torch.allclose(began["context"][row].double(), blocks, atol=1e-6)
    assert torch.equal(began["context"], went["context"])
    assert float(began["context"].std()) > 0


def test_images_of_floats_give_what_their_bytes_give() -> None:
    of_bytes = _fixed()
    images = of_bytes.images.double() / 255
    of_floats = ImageSet(images, of_bytes.targets, of_bytes.task, of_bytes.splits)
    wanted = _named(GlimpseBatch(of_bytes, _eye(), 5).reset(seed=0))
    for name, tensor in _named(GlimpseBatch(of_floats, _eye(), 5).reset(seed=0)).items():
        assert tensor.dtype == wanted[name].dtype
        assert torch.allclose(tensor, wanted[name], atol=1e-6), name


def test_without_a_context_there_is_none() -> None:
    batch = GlimpseBatch(_fixed(), _eye(context=None), 5)
    assert set(batch.reset(seed=0)[0]) == {"glimpse", "location", "step"}
    assert set(batch.step(_actions(5, 0))[0]) == {"glimpse", "location", "step"}


# Where it begins and how far it reaches


@every_source
def test_first_random_is_anywhere(source: str) -> None:
    location = _batch(source, 4000).reset(seed=0)[0]["location"].double()
    assert -1 <= float(location.min()) < -0.99
    assert 0.99 < float(location.max()) <= 1
    assert float((location.square().mean(dim=0) - 1 / 3).abs().max()) < 0.025


@every_source
@pytest.mark.parametrize(("first", "glimpses"), [("centre", 1), ("agent", 0)])
def test_first_centre_is_the_centre_and_first_agent_has_seen_nothing(
    source: str, first: str, glimpses: int
) -> None:
    batch = _batch(source, first=first)
    for _ in range(2):
        observation, _ = batch.reset(seed=0)
        assert observation["step"].tolist() == [[glimpses]] * 5
        assert observation["location"].tolist() == [[0, 0]] * 5
        assert bool(observation["glimpse"].any()) == bool(glimpses)
        assert (float(observation["glimpse"].std()) > 0) == bool(glimpses)
        assert float(observation["context"].std()) > 0
        assert batch.trail.isnan().all(dim=2).tolist() == [[k >= glimpses for k in range(4)]] * 5
        _step(batch, 0)


def _dot(row: int, column: int, reach: float | None) -> GlimpseBatch:
    """Return a batch on one image, 21x41 pixels, of which one is bright, seen pixel by pixel."""
    image = torch.zeros(1, 1, 21, 41, dtype=torch.uint8)
    image[0, 0, row, column] = 255
    images = ImageSet.from_arrays(image, [0], splits={"train": [0]})
    eye = Eye(sensor=GlimpseSensor(1), glimpses=100, first="centre", reach=reach)
    return GlimpseBatch(images, eye, 1)


@pytest.mark.parametrize(
    ("row", "column", "reach", "action"),
    [
        (10, 20, 8.0, (0.0, 0.0)),
        (6, 24, 8.0, (0.5, -0.5)),
        (18, 12, 8.0, (-1.0, 1.0)),
        (6, 24, 16.0, (0.25, -0.25)),
        (0, 0, None, (-40 / 41, -20 / 21)),
        (5, 31, None, (22 / 41, -10 / 21)),
    ],
)
def test_reach_is_counted_in_pixels_on_both_axes(
    row: int, column: int, reach: float | None, action: tuple[float, float]
) -> None:
    batch = _dot(row, column, reach)
    batch.reset(seed=0)
    pixel = (2 / 41, 2 / 21) if reach is None else (1 / reach, 1 / reach)
    for right in (-1, 0, 1):
        for down in (-1, 0, 1):
            at = torch.tensor([[action[0] + right * pixel[0], action[1] + down * pixel[1]]])
            if float(at.abs().max()) > 1:
                continue
            observation, *_ = batch.step(at)
            assert float(observation["glimpse"].sum()) == (right == down == 0), (right, down)
            assert torch.equal(observation["location"], at)


def test_a_reach_beyond_the_image_sees_what_is_outside() -> None:
    image = torch.full((1, 1, 4, 4), 255, dtype=torch.uint8)
    images = ImageSet.from_arrays(image, [0], splits={"train": [0]})
    eye = Eye(sensor=GlimpseSensor(1), glimpses=3, first="centre", reach=10.0)
    batch = GlimpseBatch(images, eye, 1)
    assert float(batch.reset(seed=0)[0]["glimpse"].sum()) == 1
    assert float(batch.step(torch.tensor([[1.0, 0.0]]))[0]["glimpse"].sum()) == 0
    assert float(batch.step(torch.tensor([[0.1, 0.1]]))[0]["glimpse"].sum()) == 1


@every_source
@every_predict
def test_trail_and_sensed_are_where_it_has_looked(source: str, predict: str) -> None:
    batch = _batch(source, predict=predict)
    scale = 7 / (torch.tensor([12.0, 9.0] if source == "fixed" else [18.0, 12.0]) / 2)
    for seed in (0, 1):
        looked = [_named(batch.reset(seed=seed))["location"]]
        for number in range(4):
            assert torch.equal(batch.trail[:, : len(looked)], torch.stack(looked, dim=1))
            assert bool(batch.trail[:, len(looked) :].isnan().all())
            assert batch.trail.shape == (5, 4, 2)
            assert torch.allclose(batch.sensed, batch.trail * scale, equal_nan=True)
            result = _step(batch, number)
            if len(looked) < 4:
                looked.append(result["location"])


# Counting


@every_source
@pytest.mark.parametrize(
    ("first", "predict", "steps"),
    [
        ("random", "external", 3),
        ("centre", "external", 3),
        ("agent", "external", 4),
        ("random", "flat", 4),
        ("centre", "flat", 4),
        ("agent", "flat", 5),
    ],
)
def test_glimpses_are_counted_and_the_episode_ends(
    source: str, first: str, predict: str, steps: int
) -> None:
    batch = _batch(source, first=first, predict=predict)
    start = 0 if first == "agent" else 1
    for _ in range(2):
        assert _named(batch.reset())["step"].tolist() == [[start]] * 5
        for number in range(1, steps + 1):
            result = _step(batch, number)
            assert result["step"].tolist() == [[min(start + number, 4)]] * 5
            assert result["terminated"].tolist() == [number == steps] * 5
            assert not bool(result["truncated"].any())
    assert batch.eye.actions == 4 - start


@every_source
@every_predict
def test_an_episode_of_one_glimpse(source: str, predict: str) -> None:
    batch = GlimpseBatch(SOURCES[source](), _eye(glimpses=1), 5, predict=predict)
    began = _named(batch.reset(seed=0))
    result = _step(batch, 0)
    assert bool(result["terminated"].all())
    for name, tensor in began.items():
        assert torch.equal(tensor, result[name]), name


@every_source
@every_first
def test_the_last_location_is_ignored_with_flat_answers(source: str, first: str) -> None:
    batch, twin = _begun(2, source, first=first, predict="flat")
    for one in (batch, twin):
        for number in range(batch.eye.actions):
            before = _step(one, number)
    last = _answers(batch, 5, 9)
    here = _named(batch.step(_actions(5, 10), last))
    there = _named(twin.step(_actions(5, 11), last))
    _assert_same(here, there)
    for name in ("glimpse", "location", "step", "context"):
        assert torch.equal(here[name], before[name]), name
    assert torch.equal(batch.trail, twin.trail)


@every_source
@every_first
@every_predict
def test_rows_that_are_over_stay_as_they_are(source: str, first: str, predict: str) -> None:
    (batch,) = _begun(1, source, first=first, predict=predict, reward="gain")
    for number in range(batch.eye.actions + (predict == "flat")):
        last = _step(batch, number)
    last = {name: tensor.clone() for name, tensor in last.items()}
    last["reward"].zero_()
    trail = batch.trail
    for number in range(20, 23):
        _assert_same(_step(batch, number), last, number)
    assert torch.equal(batch.trail, trail)


# Rewards


@every_first
@pytest.mark.parametrize("reward", REWARDS.keys())
def test_flat_rewards_are_those_of_the_stacked_answers(first: str, reward: str) -> None:
    batch = _batch(rows=30, first=first, predict="flat", reward=reward)
    number = 0
    for _ in range(3):  # nothing of an earlier episode may be left
        target = _named(batch.reset())["target"]
        answers, rewards = [], []
        for _ in range(batch.eye.actions + 1):
            number += 1
            answer = _answers(batch, 30, number)
            assert answer is not None
            answers.append(answer)
            rewards.append(batch.step(_actions(30, number), answer)[1])
        if first == "agent":  # the first answer is given before anything was seen
            assert not bool(rewards.pop(0).any())
            answers.pop(0)
        wanted = REWARDS[reward](answered(batch.task), torch.stack(answers, dim=1), target)
        assert torch.allclose(torch.stack(rewards, dim=1), wanted)
        assert bool(wanted[:, -1].any())


def test_external_rewards_are_zero() -> None:
    (batch,) = _begun(1)
    for number in range(3):
        assert _step(batch, number)["reward"].tolist() == [0] * 5


def test_rewards_of_rows_at_different_steps() -> None:
    batch, twin, fresh = _begun(3, predict="flat", reward="gain")
    for one in (batch, twin):
        for number in range(2):
            _step(one, number)
    batch.reset(options={"reset_mask": torch.tensor([False, True, False, False, True])})
    fresh.reset()
    for number in range(2, 4):
        got, old, new = (_step(one, number) for one in (batch, twin, fresh))
        stayed, began = [0, 2, 3], [1, 4]
        _assert_same(_rows(got, stayed), _rows(old, stayed), number)
        _assert_same(_rows(got, began), _rows(new, began), number)


# Resets


@every_source
@every_first
def test_copies_share_the_image_and_nothing_else(source: str, first: str) -> None:
    batch = _batch(source, 12, first, copies=3)
    single = _batch(source, 1, first)
    for episode in range(2):
        result = _named(batch.reset(seed=5 if episode == 0 else None))
        for group in range(0, 12, 3):
            rows = [batch.pixels(row) for row in range(group, group + 3)]
            assert torch.equal(rows[0], rows[1])
            assert torch.equal(rows[0], rows[2])
            assert len(result["target"][group : group + 3].unique()) == 1
        if source == "canvas":
            assert not torch.equal(batch.pixels(0), batch.pixels(3))
        if first == "random":
            assert len(result["location"].unique(dim=0)) == 12
        alone = _named(single.reset(seed=11 if episode == 0 else None))
        _assert_same(alone, _rows(result, slice(6, 7)), "the first of its group")
    moved = _step(batch, 0, 12)
    assert len(moved["location"].unique(dim=0)) > 1


@every_source
@every_first
@every_predict
def test_a_partial_reset_leaves_the_other_rows(source: str, first: str, predict: str) -> None:
    mask = torch.tensor([True, False, True, False, False])
    for steps in range(5):
        batch, twin, fresh = _begun(3, source, first=first, predict=predict)
        last = _named(batch.reset(seed=0))
        for number in range(steps):
            last = _step(batch, number)
            _step(twin, number)
        again = _named(batch.reset(options={"reset_mask": mask}))
        wanted = _named(fresh.reset())
        last = {name: last[name] for name in again}
        _assert_same(_rows(again, mask), _rows(wanted, mask), steps)
        _assert_same(_rows(again, ~mask), _rows(last, ~mask), steps)
        for number in range(10, 16):
            got, old, new = (_step(one, number) for one in (batch, twin, fresh))
            _assert_same(_rows(got, ~mask), _rows(old, ~mask), (steps, number))
            _assert_same(_rows(got, mask), _rows(new, mask), (steps, number))
        for row in range(5):
            other = fresh if bool(mask[row]) else twin
            assert torch.equal(batch.pixels(row), other.pixels(row))
            assert torch.equal(batch.trail[row], other.trail[row])


MASKS = [
    [False] * 6,
    [True] * 6,
    np.array([0, 0, 1, 1, 0, 0], dtype=bool),
    torch.tensor([True, True, False, False, True, True]),
]


@every_source
@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("seed", [None, 70, [5, 0, 9, 9, 2, 4]])
@pytest.mark.parametrize("indices", [None, [0, 3, 5, 8, 0, 3]])
def test_a_mask_says_which_rows_get_the_seeds_and_images(
    source: str, copies: int, mask: Any, seed: Any, indices: list[int] | None
) -> None:
    batch, usual, whole = _begun(3, source, 6, copies=copies)
    last = _step(batch, 0, 6)
    options = {} if indices is None else {"indices": indices[: 6 // copies]}
    again = _named(batch.reset(seed=seed, options={**options, "reset_mask": mask}))
    wanted, chosen = _named(whole.reset(seed=seed, options=options)), torch.as_tensor(mask)
    _assert_same(_rows(again, chosen), _rows(wanted, chosen))
    _assert_same(_rows(again, ~chosen), _rows({name: last[name] for name in again}, ~chosen))
    after, usually, wanted = (_named(one.reset()) for one in (batch, usual, whole))
    _assert_same(_rows(after, chosen), _rows(wanted, chosen))
    _assert_same(_rows(after, ~chosen), _rows(usually, ~chosen))


@pytest.mark.plain
@every_source
@pytest.mark.parametrize(
    "seed",
    [np.int64(7), np.uint8(7), np.uint64(7), np.arange(7, 12), [np.int64(7), 8, 9, 10, 11]],
    ids=repr,
)
def test_seeds_may_be_numpy_integers(source: str, seed: Any) -> None:
    batch, twin = _batch(source), _batch(source)
    _assert_same(_named(batch.reset(seed=seed)), _named(twin.reset(seed=7)))
    _assert_same(_named(batch.reset()), _named(twin.reset()))
    if np.ndim(seed) == 0:
        for got, wanted in zip(batch.sweep(seed=seed), twin.sweep(seed=7), strict=True):
            _assert_same(_named(got), _named(wanted))


@every_source
@pytest.mark.parametrize("make", [list, np.array, torch.tensor])
def test_indices_name_the_images(source: str, make: Callable[[list[int]], Any]) -> None:
    batch = _batch(source)
    named = _named(batch.reset(seed=0, options={"indices": make([8, 0, 8])}))  # any split
    assert named["target"].tolist() == [8 % CLASSES, 0, 8 % CLASSES]
    assert len(_step(batch, 0, 3)["glimpse"]) == 3
    if source == "fixed":
        for row, index in enumerate((8, 0, 8)):
            assert torch.equal(batch.pixels(row), BASE[index])
    # The rest of the episode is a function of the seed alone; then the usual rows come back.
    assert torch.equal(named["location"], batch.reset(seed=0)[0]["location"][:3])
    assert len(_named(batch.reset(seed=0))["target"]) == 5
    more = _named(batch.reset(seed=0, options={"indices": make(list(range(COUNT)))}))
    assert more["target"].tolist() == [k % CLASSES for k in range(COUNT)]


def test_indices_are_one_a_group_of_copies() -> None:
    batch = _batch(rows=6, copies=2)
    batch.reset(seed=0, options={"indices": [9, 3]})
    for row, index in enumerate((9, 9, 3, 3)):
        assert torch.equal(batch.pixels(row), BASE[index])


# Sweeps


@every_source
@pytest.mark.parametrize(
    ("rows", "copies", "sizes"),
    [(3, 1, [3, 3, 1]), (7, 1, [7]), (50, 1, [7]), (1, 1, [1] * 7), (4, 2, [4, 4, 4, 2])],
)
def test_a_sweep_shows_each_image_once(
    source: str, rows: int, copies: int, sizes: list[int]
) -> None:
    batch = GlimpseBatch(SOURCES[source](COUNT), _eye(), rows, copies=copies)
    parts = [_named(part) for part in batch.sweep()]
    assert [len(part["target"]) for part in parts] == sizes
    targets = torch.cat([part["target"] for part in parts]).tolist()
    assert targets == [k for k in (1, 2, 4, 6, 7, 9, 10) for _ in range(copies)]
    assert torch.cat([part["step"] for part in parts]).unique().tolist() == [1]


def test_a_sweep_may_be_of_another_split() -> None:
    batch = GlimpseBatch(_fixed(COUNT), _eye(), 2)
    found = {
        split: [int(k) for _, info in batch.sweep(split) for k in info["target"]]
        for split in ("validation", "test", "train")
    }
    assert found == {"validation": [0, 3, 5], "test": [8, 11], "train": [1, 2, 4, 6, 7, 9, 10]}


@every_source
@every_predict
def test_a_sweep_does_not_depend_on_the_batch(source: str, predict: str) -> None:
    """What an image's episode shows is the same for every batch size, with steps in between."""
    episodes: list[dict[int, list[dict[str, Tensor]]]] = []
    for rows, copies in ((1, 1), (3, 1), (20, 1), (4, 2)):
        batch = GlimpseBatch(SOURCES[source](COUNT), _eye(), rows, copies=copies, predict=predict)
        batch.reset()  # with a seed nobody chose
        seen: dict[int, list[dict[str, Tensor]]] = {}
        for part in batch.sweep(seed=3):
            results = [_named(part)]
            index = results[0]["target"]
            for number in range(batch.eye.actions + 1):
                at = torch.stack([_actions(COUNT, number)[k] for k in index])
                answer = _answers(batch, COUNT, number)
                results.append(_named(batch.step(at, None if answer is None else answer[index])))
            for row in range(0, len(index), copies):
                assert int(index[row]) not in seen
                seen[int(index[row])] = [_rows(result, row) for result in results]
        episodes.append(seen)
    for other in episodes[1:]:
        assert other.keys() == episodes[0].keys()
        for image, results in other.items():
            for got, wanted in zip(results, episodes[0][image], strict=True):
                _assert_same(got, wanted, image)


@every_source
def test_the_seed_of_a_sweep_matters(source: str) -> None:
    batch = GlimpseBatch(SOURCES[source](COUNT), _eye(), 7)
    (one,), (same,), (other,) = (list(batch.sweep(seed=seed)) for seed in (0, 0, 1))
    _assert_same(_named(one), _named(same))
    assert not torch.equal(one[0]["location"], other[0]["location"])
    assert torch.equal(one[1]["target"], other[1]["target"])


def test_copies_in_a_sweep_look_at_different_places() -> None:
    batch = GlimpseBatch(_canvas(COUNT), _eye(), 14, copies=2)
    ((observation, _),) = batch.sweep()
    assert len(observation["location"].unique(dim=0)) == 14
    assert torch.equal(batch.pixels(0), batch.pixels(1))


@pytest.mark.parametrize("seed", [-100, 2**63 - 1])
def test_the_seeds_of_a_sweep_must_be_in_the_range_of_seeds(seed: int) -> None:
    with pytest.raises(ValueError, match=r"`seed` must be .*in \[0, 2\*\*63\)"):
        list(_batch().sweep(seed=seed))


# Memory


def _script(batch: GlimpseBatch) -> list[Callable[[], tuple[Any, ...]]]:
    """Return calls of every kind, in an order in which each sees the state that others left."""
    mask = torch.tensor([True, False, False, True, False])

    def step(number: int) -> Callable[[], tuple[Any, ...]]:
        return lambda: batch.step(_actions(5, number), _answers(batch, 5, number))

    return [
        lambda: batch.reset(seed=0),
        step(0),
        step(1),
        lambda: batch.reset(options={"reset_mask": mask}),
        *map(step, range(2, 9)),  # some rows end before the others, then all stay as they are
        lambda: batch.reset(options={"reset_mask": ~mask}),
        step(9),
        lambda: batch.reset(seed=3, options={"reset_mask": torch.zeros(5, dtype=torch.bool)}),
        step(10),
        lambda: batch.reset(options={"indices": [1, 2, 3, 4, 5]}),
        step(11),
        lambda: batch.reset(seed=1),
        step(12),
    ]


@every_source
@every_first
@every_predict
def test_what_is_done_to_results_changes_nothing(source: str, first: str, predict: str) -> None:
    batch, twin = (_batch(source, first=first, predict=predict) for _ in range(2))
    for number, (call, same) in enumerate(zip(_script(batch), _script(twin), strict=True)):
        got = _named(call())
        _assert_same(got, _named(same()), number)
        for tensor in (*got.values(), batch.trail, batch.sensed, batch.pixels(0)):
            tensor.fill_(1 if tensor.dtype == torch.bool else 99)
    for split in ("train", "validation", "test"):
        assert torch.equal(batch.images.splits[split], _fixed().splits[split])
    number = torch.arange(batch.images.count)
    assert torch.equal(batch.images.target(number, number), _fixed().targets)


@every_source
@every_first
@every_predict
def test_earlier_results_stay_what_they_were(source: str, first: str, predict: str) -> None:
    batch = _batch(source, first=first, predict=predict)
    results: list[dict[str, Tensor]] = []
    copies: list[dict[str, Tensor]] = []
    for call in _script(batch):
        results.append(_named(call()))
        results[-1] |= {"trail": batch.trail, "sensed": batch.sensed, "pixels": batch.pixels(0)}
        copies.append(copy.deepcopy(results[-1]))
        for number, (got, wanted) in enumerate(zip(results, copies, strict=True)):
            for name, tensor in got.items():
                same = torch.allclose(tensor, wanted[name], rtol=0, atol=0, equal_nan=True)
                assert same, (name, number, len(results))


@every_source
@every_first
def test_every_observation_is_read_anew_and_none_is_kept(
    source: str, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, looks = SummedAreaTables.look, list[int]()

    def count(prepared: Any, index: Tensor, centre: Tensor, windows: Windows) -> Tensor:
        looks.append(len(index))
        return look(prepared, index, centre, windows)

    monkeypatch.setattr(SummedAreaTables, "look", count)
    batch = _batch(source, first=first)
    for number, call in enumerate(_script(batch), start=1):
        shape = _named(call())["glimpse"].shape
        assert looks == [5] * number
        kept = [tensor.shape for tensor in vars(batch).values() if isinstance(tensor, Tensor)]
        assert len(kept) > 5
        assert shape not in kept


@every_source
@every_predict
def test_what_is_done_to_arguments_afterwards_changes_nothing(source: str, predict: str) -> None:
    batch, twin = (_batch(source, predict=predict) for _ in range(2))
    seeds, indices = torch.arange(5), torch.tensor([0, 3, 5, 7, 9])
    batch.reset(seed=seeds, options={"indices": indices})
    twin.reset(seed=torch.arange(5), options={"indices": [0, 3, 5, 7, 9]})
    seeds.fill_(50)
    indices.fill_(2)
    for number in range(5):
        action, answer = _actions(5, number), _answers(batch, 5, number)
        got = _named(batch.step(action, answer))
        _assert_same(got, _step(twin, number), number)
        action.fill_(0.5)
        if answer is not None:
            answer.fill_(-7)
    _assert_same(_named(batch.reset()), _named(twin.reset()))


def test_arguments_are_left_as_they_are() -> None:
    batch = _batch(predict="flat")
    options = {"indices": [0, 3, 5, 7, 9]}
    batch.reset(seed=0, options=options)
    assert options == {"indices": [0, 3, 5, 7, 9]}
    action, answer = _actions(5, 0) * 3, torch.full((5, CLASSES), -1.0)
    before = action.clone()
    batch.step(action, answer)
    assert torch.equal(action, before)
    assert torch.equal(answer, torch.full((5, CLASSES), -1.0))


# Mistakes


@every_source
@pytest.mark.parametrize("beyond", [1.5, 100.0, float("inf")])
def test_actions_beyond_1_are_clipped(source: str, beyond: float) -> None:
    batch, twin = _begun(2, source, 4)
    corners = torch.tensor([[1.0, 0.5], [-1.0, 1.0], [0.25, -1.0], [-1.0, -1.0]])
    action = torch.where(corners.abs() == 1, corners * beyond, corners)
    got, wanted = _named(batch.step(action)), _named(twin.step(corners))
    _assert_same(got, wanted)
    assert torch.equal(got["location"], corners)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_actions_may_be_of_any_float_type(dtype: torch.dtype) -> None:
    batch, twin = _begun(2)
    action = _actions(5, 0).to(dtype)
    _assert_same(_named(batch.step(action)), _named(twin.step(action.float())))


@every_predict
def test_actions_and_answers_may_carry_a_gradient(predict: str) -> None:
    (batch,) = _begun(1, predict=predict)
    answer = _answers(batch, 5, 0)
    result = batch.step(
        _actions(5, 0).requires_grad_(), None if answer is None else answer.requires_grad_()
    )
    assert not any(tensor.requires_grad for tensor in _named(result).values())
    assert not batch.trail.requires_grad


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 0}, "`rows` must be a whole number from 1, got 0"),
        ({"copies": 0}, "`copies` must be a whole number from 1, got 0"),
        ({"rows": 5, "copies": 2}, "`rows` must be a multiple of copies=2, got 5: choose 4"),
        ({"rows": 1, "copies": 2}, "`rows` must be a multiple of copies=2, got 1: choose 2"),
        ({"split": "dev"}, "`split` must be one of test, train, validation, got 'dev'"),
        ({"predict": "both"}, "`predict` must be one of dict, external, flat, got 'both'"),
        ({"reward": "fame"}, "`reward` must be one of correct, gain, loss, got 'fame'"),
    ],
)
def test_a_batch_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with _refused(message):
        _batch(**options)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_split_without_images_is_refused(split: str) -> None:
    images = ImageSet.from_arrays(BASE, [0] * COUNT, splits={"train": [0, 1], "validation": []})
    batch = GlimpseBatch(images, _eye(), 2)
    message = f"split '{split}' must hold images, got none: choose another split"
    with _refused(message):
        GlimpseBatch(images, _eye(), 2, split=split)
    with _refused(message):
        list(batch.sweep(split))
    with _refused("`split` must be one of test, train, validation, got 'a'"):
        list(batch.sweep("a"))


@every_source
def test_a_step_before_the_first_reset_is_refused(source: str) -> None:
    batch = _batch(source)
    for _ in range(2):  # a refused reset is none
        with _refused("`reset` must come before `step`"):
            batch.step(_actions(5, 0))
        with _refused("`reset_mask` must be (0,) of bool, got (5,) of torch.bool: reset all rows"):
            batch.reset(options={"reset_mask": [True] * 5})
        with _refused("`seed` must be one number or 5, got (2,)"):
            batch.reset(seed=[1, 2])


NAN = torch.tensor([[0.0, 0.0]] * 3 + [[0.5, float("nan")]] + [[0.0, 0.0]])
SURE = torch.zeros(5, CLASSES)
FINITE = "`answer` must be finite, got NaN or infinity: use log_softmax of scores"
STEPS = [
    (NAN, None, "`action` must be numbers, got [0.5, nan] in row 3"),
    (torch.zeros(4, 2), None, "`action` must be (5, 2), got (4, 2)"),
    (torch.zeros(5, 3), None, "`action` must be (5, 2), got (5, 3)"),
    (torch.zeros(2), None, "`action` must be (5, 2), got (2,)"),
    (torch.zeros(5, 2), SURE, "`answer` must not be given with predict='external', got one"),
    (torch.zeros(5, 2), None, "`answer` must be given with predict='flat', got none"),
    (torch.zeros(5, 2), SURE[:4], "`answer` must be (5, 3), got (4, 3)"),
    (torch.zeros(5, 2), SURE[:, :2], "`answer` must be (5, 3), got (5, 2)"),
    (torch.zeros(5, 2), SURE[0], "`answer` must be (5, 3), got (3,)"),
    (torch.zeros(5, 2), NAN[:, :1] + NAN[:, 1:] + SURE, FINITE),
    (torch.zeros(5, 2), torch.eye(5, CLASSES).log(), FINITE),
    (torch.zeros(5, 2), -torch.eye(5, CLASSES).log(), FINITE),
]


@pytest.mark.plain
@pytest.mark.parametrize(("action", "answer", "message"), STEPS)
def test_a_refused_step_changes_nothing(
    action: Tensor, answer: Tensor | None, message: str
) -> None:
    flat = (answer is not None) != ("given" in message)
    batch, twin = _begun(2, predict="flat" if flat else "external")
    with _refused(message):
        batch.step(action, answer)
    assert torch.allclose(batch.trail, twin.trail, rtol=0, atol=0, equal_nan=True)
    for number in range(4):
        _assert_same(_step(batch, number), _step(twin, number), number)


ALL = [True] * 6
RESETS = [  # seed, indices and mask for 6 rows, two an image
    ([1, 2], None, None, "`seed` must be one number or 6, got (2,): give one for each row"),
    ([1, 2, 3], [1, 2], None, "`seed` must be one number or 4, got (3,): give one for each row"),
    (-1, None, None, "`seed` must be in [0, 2**63), got -1: choose another"),
    (-1, [1, 2], None, "`seed` must be in [0, 2**63), got -1: choose another"),
    (-1, None, ALL, "`seed` must be in [0, 2**63), got -1: choose another"),
    (2**63, None, None, f"`seed` must be in [0, 2**63), got {2**63}: choose another"),
    ([*range(5), -5], None, None, "`seed` must be in [0, 2**63), got -5: choose another"),
    (None, [], None, "`indices` must be (images,), got (0,): name one image for each group"),
    (None, [[1]], None, "`indices` must be whole numbers below 2**63, got [1]: give one axis"),
    (None, 3, None, "`indices` must be whole numbers below 2**63, got 3: give one axis"),
    (
        None,
        [1, 2],
        ALL,
        "`indices` must be (3,), got (2,): name one image for each group of copies",
    ),
    (None, [0, 12], None, "`indices` must be in [0, 12), got 0 to 12: name images that are there"),
    (None, [-1, 3], None, "`indices` must be in [0, 12), got -1 to 3: name images that are there"),
    (None, [0.5, 1.5], None, "`indices` must be whole numbers below 2**63, got 0.5: give one axis"),
    (
        None,
        [True, False],
        None,
        "`indices` must be whole numbers below 2**63, got True: give one axis",
    ),
    (None, None, ALL[1:], "`reset_mask` must be (6,) of bool, got (5,) of torch.bool: reset all"),
    (None, None, True, "`reset_mask` must be (6,) of bool, got () of torch.bool: reset all rows"),
    (None, None, [ALL], "`reset_mask` must be (6,) of bool, got (1, 6) of torch.bool: reset all"),
    (None, None, [1] * 6, "`reset_mask` must be (6,) of bool, got (6,) of torch.int64: reset all"),
    (None, None, torch.ones(6), "`reset_mask` must be (6,) of bool, got (6,) of torch.float32"),
    *(
        (
            None,
            None,
            [row in rows for row in range(6)],
            "`reset_mask` must hold for all copies=2 of",
        )
        for rows in ([0], [5], [1, 2], [0, 1, 3], [0, 2, 3, 4, 5])
    ),
]


@every_source
@pytest.mark.parametrize(("seed", "indices", "mask", "message"), RESETS)
def test_a_refused_reset_changes_nothing(
    source: str, seed: Any, indices: Any, mask: Any, message: str
) -> None:
    batch, twin = _begun(2, source, 6, copies=2)
    options = {"indices": indices, "reset_mask": mask}
    with _refused(message):
        batch.reset(seed=seed, options={k: v for k, v in options.items() if v is not None})
    for row in range(6):
        assert torch.equal(batch.pixels(row), twin.pixels(row))
    for number in range(2):
        _assert_same(_step(batch, number, 6), _step(twin, number, 6), number)
        assert torch.allclose(batch.trail, twin.trail, rtol=0, atol=0, equal_nan=True)
    _assert_same(_named(batch.reset()), _named(twin.reset()))


def test_an_unknown_option_is_refused() -> None:
    with _refused("`options` must be among indices and reset_mask, got index: leave it out"):
        _batch().reset(options={"index": [1]})


def test_sets_and_tables_are_shared_between_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    images, makers = _fixed(), list[int]()
    make = SummedAreaTables.of

    def count(*arguments: Any) -> SummedAreaTables:
        makers.append(len(makers))
        return make(*arguments)

    monkeypatch.setattr(SummedAreaTables, "of", count)
    one, two = (GlimpseBatch(images, _eye(), rows) for rows in (2, 3))
    assert makers == [0]
    one.reset(seed=0)
    two.reset(seed=0)
    wanted = _named(two.step(_actions(3, 0)))
    two.reset(seed=0)
    one.step(_actions(2, 1))
    _assert_same(_named(two.step(_actions(3, 0))), wanted)


def _without_tables(*_: Any) -> SummedAreaTables:
    raise AssertionError("tables were made")


@every_first
@every_predict
@pytest.mark.parametrize("outside", ["zero", "edge", "mean"])
def test_a_set_above_the_memory_allowed_is_read_directly_and_looks_the_same(
    outside: Any, predict: str, first: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last bit."""
    eye = replace(_eye(first=first), sensor=GlimpseSensor(3, scales=3, outside=outside))
    tables = GlimpseBatch(_fixed(), eye, 6, copies=2, predict=predict, memory=1e9)
    monkeypatch.setattr(SummedAreaTables, "of", _without_tables)
    direct = GlimpseBatch(_fixed(), eye, 6, copies=2, predict=predict, memory=0.0)
    for seed in (3, None):
        began = [_named(batch.reset(seed=seed)) for batch in (direct, tables)]
        _assert_same(*began, seed)
        for number in range(4):
            _assert_same(_step(direct, number, 6), _step(tables, number, 6), number)
    swept = [list(map(_named, batch.sweep("validation"))) for batch in (direct, tables)]
    for got, wanted in zip(*swept, strict=True):
        _assert_same(got, wanted)


def test_the_memory_allowed_is_that_of_the_set_s_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """12 images of 2 channels, (9 + 1) x (12 + 1) numbers of 2 bytes for each."""
    taken = 12 * 2 * 10 * 13 * 2.0
    GlimpseBatch(_fixed(), _eye(), 5, memory=taken)
    monkeypatch.setattr(SummedAreaTables, "of", _without_tables)
    GlimpseBatch(_fixed(), _eye(), 5, memory=taken - 1)
    with pytest.raises(AssertionError, match="tables were made"):
        GlimpseBatch(_fixed(), _eye(), 5, memory=taken)


@pytest.mark.parametrize("memory", [-1.0, float("nan"), float("inf")])
def test_a_memory_that_is_none_is_refused(memory: float) -> None:
    with _refused(f"`memory` must be finite and at least 0, got {memory}: choose another"):
        GlimpseBatch(_fixed(), _eye(), 5, memory=memory)


def test_numbers_lie_between_0_and_1() -> None:
    result = _named(_batch("canvas", 50).reset(seed=0))
    for name in ("glimpse", "context"):
        assert 0 <= float(result[name].min()) < float(result[name].max()) <= 1
    pooled = F.adaptive_avg_pool2d(BASE.float() / 255, 3)
    assert float(pooled.min()) > 0.2  # noise averages out: the test above is no accident


@every_source
@pytest.mark.parametrize("masked", [False, True])
def test_inference_mode_leaves_nothing_behind(source: str, masked: bool) -> None:
    batch, twin = _batch(source), _batch(source)
    action = torch.zeros(batch.rows, 2)
    options = {"reset_mask": torch.arange(batch.rows) < 2} if masked else None
    for one in (batch, twin):
        with torch.inference_mode(mode=one is batch):
            one.reset(seed=0)
            one.step(action)
        one.reset(options=options)
    got, wanted = _named(batch.step(action)), _named(twin.step(action))
    for name, tensor in wanted.items():
        assert torch.equal(got[name], tensor), name
