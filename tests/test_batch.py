"""The batch of episodes: what is seen, counted and rewarded, and what decides it."""

import copy
from collections.abc import Callable
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

COUNT, CLASSES = 12, 3
BASE = torch.randint(
    0, 256, (COUNT, 2, 9, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
FIRSTS = ("random", "centre", "agent")


def _fixed() -> ImageSet:
    splits = {"train": [1, 2, 4, 6, 7, 9, 10], "validation": [0, 3, 5], "test": [8, 11]}
    return ImageSet.from_arrays(BASE, [k % CLASSES for k in range(COUNT)], splits=splits)


def _canvas() -> OnCanvas:
    return OnCanvas(_fixed(), Canvas(12, 18, pieces=2, piece=3))


SOURCES: dict[str, Callable[[], ImageSource]] = {"fixed": _fixed, "canvas": _canvas}
every_source = pytest.mark.parametrize("source", SOURCES.keys())
every_first = pytest.mark.parametrize("first", FIRSTS)
every_predict = pytest.mark.parametrize("predict", ["external", "flat"])


def _eye(**options: Any) -> Eye:
    options = {"glimpses": 4, "context": 3, "reach": 7.0, **options}
    return Eye(sensor=GlimpseSensor(3, scales=2, outside="mean"), **options)


def _batch(source: str = "fixed", rows: int = 5, first: str = "random", **kw: Any) -> GlimpseBatch:
    return GlimpseBatch(SOURCES[source](), _eye(first=first), rows, **kw)


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
    of_floats = ImageSet(images, of_bytes.targets, of_bytes.classes, of_bytes.splits)
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


def test_first_centre_is_the_centre() -> None:
    batch = _batch(first="centre")
    observation, _ = batch.reset(seed=0)
    assert observation["location"].tolist() == [[0, 0]] * 5
    assert observation["step"].tolist() == [[1]] * 5
    assert float(observation["glimpse"].std()) > 0


def test_first_agent_has_seen_nothing() -> None:
    batch = _batch(first="agent")
    for _ in range(2):
        observation, _ = batch.reset(seed=0)
        assert observation["step"].tolist() == [[0]] * 5
        assert observation["location"].tolist() == [[0, 0]] * 5
        assert not bool(observation["glimpse"].any())
        assert float(observation["context"].std()) > 0
        assert bool(batch.trail.isnan().all())
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
@every_first
@every_predict
def test_glimpses_are_counted_and_the_episode_ends(source: str, first: str, predict: str) -> None:
    batch = _batch(source, first=first, predict=predict)
    start = 0 if first == "agent" else 1
    wanted = [min(start + k, 4) for k in range(1, 4 - start + (predict == "flat") + 1)]
    for _ in range(2):
        assert _named(batch.reset())["step"].tolist() == [[start]] * 5
        for number, count in enumerate(wanted):
            result = _step(batch, number)
            assert result["step"].tolist() == [[count]] * 5
            assert result["terminated"].tolist() == [number == len(wanted) - 1] * 5
            assert not bool(result["truncated"].any())
    assert batch.eye.actions == 4 - start


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
def test_the_numbers_of_steps_are_those_of_the_contract(
    first: str, predict: str, steps: int
) -> None:
    batch = _batch(first=first, predict=predict)
    batch.reset(seed=0)
    ended = [bool(_step(batch, number)["terminated"].all()) for number in range(steps)]
    assert ended == [False] * (steps - 1) + [True]


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
    batch, twin = (_batch(source, first=first, predict="flat") for _ in range(2))
    for one in (batch, twin):
        one.reset(seed=0)
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
    batch = _batch(source, first=first, predict=predict, reward="gain")
    batch.reset(seed=0)
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
        wanted = REWARDS[reward](torch.stack(answers, dim=1), target)
        assert torch.allclose(torch.stack(rewards, dim=1), wanted)
        assert bool(wanted[:, -1].any())


def test_external_rewards_are_zero() -> None:
    batch = _batch()
    batch.reset(seed=0)
    for number in range(3):
        assert _step(batch, number)["reward"].tolist() == [0] * 5


def test_rewards_of_rows_at_different_steps() -> None:
    batch, twin = (_batch(predict="flat", reward="gain") for _ in range(2))
    for one in (batch, twin):
        one.reset(seed=0)
        for number in range(2):
            _step(one, number)
    batch.reset(options={"reset_mask": torch.tensor([False, True, False, False, True])})
    fresh = _batch(predict="flat", reward="gain")
    fresh.reset(seed=0)
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
        batch, twin, fresh = (_batch(source, first=first, predict=predict) for _ in range(3))
        for one in (batch, twin, fresh):
            last = _named(one.reset(seed=0))
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


@every_source
@pytest.mark.parametrize("mask", [[False] * 5, [True] * 5, np.array([0, 1, 0, 0, 1], dtype=bool)])
def test_a_mask_may_be_any_kind_of_truth_values(source: str, mask: Any) -> None:
    batch, twin = _batch(source), _batch(source)
    for one in (batch, twin):
        one.reset(seed=0)
        last = _step(one, 0)
    again = _named(batch.reset(options={"reset_mask": mask}))
    wanted = _named(twin.reset())
    chosen = torch.as_tensor(mask)
    _assert_same(_rows(again, chosen), _rows(wanted, chosen))
    _assert_same(_rows(again, ~chosen), _rows({name: last[name] for name in again}, ~chosen))


@every_source
def test_a_partial_reset_with_a_seed_gives_it_to_those_rows_only(source: str) -> None:
    mask = torch.tensor([False, True, True, False, False])
    batch, twin, seeded = _batch(source), _batch(source), _batch(source)
    last, wanted = _named(batch.reset(seed=0)), _named(seeded.reset(seed=70))
    twin.reset(seed=0)
    again = _named(batch.reset(seed=70, options={"reset_mask": mask}))
    _assert_same(_rows(again, mask), _rows(wanted, mask))
    _assert_same(_rows(again, ~mask), _rows(last, ~mask))
    after, usual, wanted = (_named(one.reset()) for one in (batch, twin, seeded))
    _assert_same(_rows(after, mask), _rows(wanted, mask))
    _assert_same(_rows(after, ~mask), _rows(usual, ~mask))


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
    assert [torch.equal(batch.pixels(row), BASE[k]) for row, k in enumerate((9, 9, 3, 3))] == [
        True
    ] * 4


@every_source
def test_indices_with_a_mask_change_the_masked_rows_only(source: str) -> None:
    mask = torch.tensor([False, True, False, False, True])
    batch, twin = _batch(source), _batch(source)
    batch.reset(seed=0)
    last = _step(batch, 0)
    wanted = _named(twin.reset(seed=50, options={"indices": [0, 3, 0, 0, 5]}))
    options = {"indices": [0, 3, 0, 0, 5], "reset_mask": mask}
    again = _named(batch.reset(seed=50, options=options))
    _assert_same(_rows(again, mask), _rows(wanted, mask))
    _assert_same(_rows(again, ~mask), _rows({name: last[name] for name in again}, ~mask))


# Sweeps


def _numbered(source: str) -> ImageSource:
    """Return images whose targets are their indices."""
    fixed = _fixed()
    base = ImageSet.from_arrays(BASE, range(COUNT), splits=fixed.splits)
    return base if source == "fixed" else OnCanvas(base, Canvas(12, 18, pieces=2, piece=3))


@every_source
@pytest.mark.parametrize(
    ("rows", "copies", "sizes"),
    [(3, 1, [3, 3, 1]), (7, 1, [7]), (50, 1, [7]), (1, 1, [1] * 7), (4, 2, [4, 4, 4, 2])],
)
def test_a_sweep_shows_each_image_once(
    source: str, rows: int, copies: int, sizes: list[int]
) -> None:
    batch = GlimpseBatch(_numbered(source), _eye(), rows, copies=copies)
    parts = [_named(part) for part in batch.sweep()]
    assert [len(part["target"]) for part in parts] == sizes
    targets = torch.cat([part["target"] for part in parts]).tolist()
    assert targets == [k for k in (1, 2, 4, 6, 7, 9, 10) for _ in range(copies)]
    assert torch.cat([part["step"] for part in parts]).unique().tolist() == [1]


def test_a_sweep_may_be_of_another_split() -> None:
    batch = GlimpseBatch(_numbered("fixed"), _eye(), 2)
    found = {
        split: [int(k) for _, info in batch.sweep(split) for k in info["target"]]
        for split in ("validation", "test", "train")
    }
    assert found == {
        "validation": [0, 3, 5],
        "test": [8, 11],
        "train": [1, 2, 4, 6, 7, 9, 10],
    }


@every_source
@every_predict
def test_a_sweep_does_not_depend_on_the_batch(source: str, predict: str) -> None:
    """What an image's episode shows is the same for every batch size, with steps in between."""
    episodes: list[dict[int, list[dict[str, Tensor]]]] = []
    for rows, copies in ((1, 1), (3, 1), (20, 1), (4, 2)):
        batch = GlimpseBatch(_numbered(source), _eye(), rows, copies=copies, predict=predict)
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
    batch = GlimpseBatch(_numbered(source), _eye(), 7)
    (one,), (same,), (other,) = (list(batch.sweep(seed=seed)) for seed in (0, 0, 1))
    _assert_same(_named(one), _named(same))
    assert not torch.equal(one[0]["location"], other[0]["location"])
    assert torch.equal(one[1]["target"], other[1]["target"])


def test_copies_in_a_sweep_look_at_different_places() -> None:
    batch = GlimpseBatch(_numbered("canvas"), _eye(), 14, copies=2)
    ((observation, _),) = batch.sweep()
    assert len(observation["location"].unique(dim=0)) == 14
    assert torch.equal(batch.pixels(0), batch.pixels(1))


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_sweep_of_a_split_without_images_ends_or_names_it(split: str) -> None:
    images = ImageSet.from_arrays(BASE, [0] * COUNT, splits={"train": [0, 1], "validation": []})
    batch = GlimpseBatch(images, _eye(), 2)
    try:
        parts = list(batch.sweep(split))
    except ValueError as error:
        assert f"split '{split}' must hold images" in str(error)  # noqa: PT017
    else:
        assert parts == []


def test_a_sweep_of_an_unknown_split_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="`split` must be one of test, train, validation, got 'a'"):
        list(_batch().sweep("a"))


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
    assert torch.equal(batch.images.targets, _fixed().targets)


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
    batch, twin = _batch(source, 4), _batch(source, 4)
    batch.reset(seed=0)
    twin.reset(seed=0)
    corners = torch.tensor([[1.0, 0.5], [-1.0, 1.0], [0.25, -1.0], [-1.0, -1.0]])
    action = torch.where(corners.abs() == 1, corners * beyond, corners)
    got, wanted = _named(batch.step(action)), _named(twin.step(corners))
    _assert_same(got, wanted)
    assert torch.equal(got["location"], corners)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_actions_may_be_of_any_float_type(dtype: torch.dtype) -> None:
    batch, twin = _batch(), _batch()
    batch.reset(seed=0)
    twin.reset(seed=0)
    action = _actions(5, 0).to(dtype)
    _assert_same(_named(batch.step(action)), _named(twin.step(action.float())))


@every_predict
def test_actions_and_answers_may_carry_a_gradient(predict: str) -> None:
    batch = _batch(predict=predict)
    batch.reset(seed=0)
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
        ({"predict": "both"}, "`predict` must be one of external, flat, got 'both'"),
        ({"reward": "fame"}, "`reward` must be one of correct, gain, got 'fame'"),
    ],
)
def test_a_batch_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _batch(**options)


@pytest.mark.parametrize("splits", [{"train": [0]}, {"train": [0], "test": []}])
def test_a_split_without_images_is_refused(splits: dict[str, list[int]]) -> None:
    images = ImageSet.from_arrays(BASE, [0] * COUNT, splits=splits)
    with pytest.raises(ValueError, match="split 'test' must hold images, got none"):
        GlimpseBatch(images, _eye(), 5, split="test")


@every_source
def test_a_step_before_the_first_reset_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="`reset` must come before `step`"):
        _batch(source).step(_actions(5, 0))
    with pytest.raises(ValueError, match=r"`reset_mask` must be \(0,\), got \(5,\): reset all"):
        _batch(source).reset(options={"reset_mask": [True] * 5})


NAN = torch.tensor([[0.0, 0.0]] * 3 + [[0.5, float("nan")]] + [[0.0, 0.0]])
SURE = torch.zeros(5, CLASSES)
STEPS = [
    (NAN, None, r"`action` must be numbers, got \[0.5, nan\] in row 3"),
    (torch.zeros(4, 2), None, r"`action` must be \(5, 2\), got \(4, 2\)"),
    (torch.zeros(5, 3), None, r"`action` must be \(5, 2\), got \(5, 3\)"),
    (torch.zeros(2), None, r"`action` must be \(5, 2\), got \(2,\)"),
    (torch.zeros(5, 2), SURE, "`answer` must be given with predict='flat' only, got True"),
    (torch.zeros(5, 2), None, "`answer` must be given with predict='flat' only, got False"),
    (torch.zeros(5, 2), SURE[:4], r"`answer` must be \(5, 3\), got \(4, 3\)"),
    (torch.zeros(5, 2), SURE[:, :2], r"`answer` must be \(5, 3\), got \(5, 2\)"),
    (torch.zeros(5, 2), SURE[0], r"`answer` must be \(5, 3\), got \(3,\)"),
    (torch.zeros(5, 2), SURE / 0, "`answer` must be numbers, got NaN"),
]


@pytest.mark.plain
@pytest.mark.parametrize(("action", "answer", "message"), STEPS)
def test_a_refused_step_changes_nothing(
    action: Tensor, answer: Tensor | None, message: str
) -> None:
    flat = (answer is not None) != ("got True" in message or "got False" in message)
    batch, twin = (_batch(predict="flat" if flat else "external") for _ in range(2))
    batch.reset(seed=0)
    twin.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        batch.step(action, answer)
    for number in range(4):
        _assert_same(_step(batch, number), _step(twin, number), number)


RESETS = [
    ({"seed": [1, 2]}, r"`seed` must be one number or 5, got \(2,\)"),
    ({"seed": [1, 2, 3], "options": {"indices": [1, 2]}}, "`seed` must be one number or 2"),
    ({"options": {"index": [1]}}, "`options` must be among indices and reset_mask, got index"),
    ({"options": {"indices": []}}, r"`indices` must be \(images,\), got \(0,\)"),
    ({"options": {"indices": [[1]]}}, r"`indices` must be \(images,\), got \(1, 1\)"),
    ({"options": {"indices": 3}}, r"`indices` must be \(images,\), got \(\)"),
    ({"options": {"indices": [0, 12]}}, r"`indices` must be in \[0, 12\), got 0 to 12"),
    ({"options": {"indices": [-1, 3]}}, r"`indices` must be in \[0, 12\), got -1 to 3"),
    ({"options": {"indices": [0.5, 1.5]}}, "`indices` must be whole numbers"),
    ({"options": {"reset_mask": [True] * 4}}, r"`reset_mask` must be \(5,\), got \(4,\)"),
    ({"options": {"reset_mask": True}}, r"`reset_mask` must be \(5,\), got \(\)"),
    (
        {"options": {"reset_mask": [True] * 5, "indices": [1, 2]}},
        r"`indices` must be \(5,\), got \(2,\)",
    ),
]


@pytest.mark.plain
@every_source
@pytest.mark.parametrize(("arguments", "message"), RESETS)
def test_a_refused_reset_changes_nothing(
    source: str, arguments: dict[str, Any], message: str
) -> None:
    batch, twin = _batch(source), _batch(source)
    batch.reset(seed=0)
    twin.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        batch.reset(**arguments)
    for number in range(2):
        _assert_same(_step(batch, number), _step(twin, number), number)
    _assert_same(_named(batch.reset()), _named(twin.reset()))


@pytest.mark.plain
@every_source
def test_a_refused_first_reset_is_no_reset(source: str) -> None:
    batch = _batch(source)
    with pytest.raises(ValueError, match="`seed` must be one number or 5"):
        batch.reset(seed=[1, 2])
    with pytest.raises(ValueError, match="`reset` must come before `step`"):
        batch.step(_actions(5, 0))


def test_sets_and_tables_are_shared_between_batches() -> None:
    images = _fixed()
    one, two = (GlimpseBatch(images, _eye(), rows) for rows in (2, 3))
    assert images.prepared(one.eye.sensor) is images.prepared(two.eye.sensor)
    one.reset(seed=0)
    two.reset(seed=0)
    wanted = _named(two.step(_actions(3, 0)))
    two.reset(seed=0)
    one.step(_actions(2, 1))
    _assert_same(_named(two.step(_actions(3, 0))), wanted)


def test_numbers_lie_between_0_and_1() -> None:
    result = _named(_batch("canvas", 50).reset(seed=0))
    for name in ("glimpse", "context"):
        assert 0 <= float(result[name].min()) < float(result[name].max()) <= 1
    pooled = F.adaptive_avg_pool2d(BASE.float() / 255, 3)
    assert float(pooled.min()) > 0.2  # noise averages out: the test above is no accident
