"""Searching: what counts as found, in batches, in Gymnasium and by a scripted eye."""

import json
import math
import re
from collections.abc import Callable, Generator
from itertools import cycle
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import tifffile
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from glimpse import Eye, GlimpseBatch, GlimpseSensor, catalogue, register_images
from glimpse.agents import Agent, CentreConfig, ReinforceConfig, control, reinforce
from glimpse.canvas import Canvas, OnCanvas
from glimpse.envs import GlimpseEnv, GlimpseVectorEnv
from glimpse.haystack import load_haystacks
from glimpse.networks import RecurrentAttention
from glimpse.pyramid import ArrayPyramid
from glimpse.slides import SlideSet
from glimpse.tasks import Search
from glimpse.windows import Windows

Array = NDArray[Any]

# Two slides, four places; a look of 16 pixels finds one of ten by chance.
HEIGHT, WIDTH, SIZE, GLIMPSES, PLACES = 40, 60, 16, 5, 4
MODES = [mode.value for mode in AutoresetMode]
every_first = pytest.mark.parametrize("first", ["random", "centre", "agent"])


@pytest.fixture(autouse=True)
def _own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_registered", {})


def slides() -> SlideSet:
    random = np.random.default_rng(0)
    levels = [(HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2)]
    return SlideSet(
        [
            ArrayPyramid([random.integers(0, 256, (1, *size), dtype=np.uint8) for size in levels])
            for _ in range(2)
        ],
        torch.tensor([0, 1, 1, 0]),
        torch.tensor([[0.1, 0.2], [-0.8, 0.9], [0.5, -0.5], [1, -1]], dtype=torch.float64),
        {"train": torch.arange(PLACES), "test": torch.tensor([1, 2])},
    )


def batch_of(rows: int, *, copies: int = 1, **options: Any) -> GlimpseBatch:
    sensor = GlimpseSensor(SIZE, 2)
    eye = Eye(sensor=sensor, **{"glimpses": GLIMPSES, "first": "agent", "context": 4, **options})
    return GlimpseBatch(slides(), eye, rows, copies=copies)


def action_to(target: Tensor) -> Tensor:
    """Return the action that looks at a place."""
    return target.float()


def action_beside(target: Tensor) -> Tensor:
    """Return an action that looks well beside a place, in the slide's other half."""
    return torch.where(target > 0, -0.5, 0.5).float()


def actions(rows: int, number: int, spread: float = 1.2) -> Tensor:
    """Return actions that are a function of their number, some of them beyond the border."""
    generator = torch.Generator().manual_seed(number)
    return (torch.rand(rows, 2, generator=generator) * 2 - 1) * spread


def refused(message: str) -> Any:
    return pytest.raises(ValueError, match="^" + re.escape(message) + ".*$")


def same(got: Any, wanted: Any, where: str = "") -> None:
    """Compare to the last bit, types included."""
    assert type(got) is type(wanted), where
    if isinstance(got, dict):
        assert got.keys() == wanted.keys(), where
        for name in got:
            same(got[name], wanted[name], f"{where}/{name}")
    elif isinstance(got, list | tuple) or (isinstance(got, np.ndarray) and got.dtype == object):
        assert len(got) == len(wanted), where
        for number, (one, other) in enumerate(zip(got, wanted, strict=True)):
            same(one, other, f"{where}/{number}")
    elif isinstance(got, np.ndarray | Tensor):
        assert got.dtype == wanted.dtype, where
        np.testing.assert_array_equal(got, wanted, err_msg=where)
    else:
        assert got == wanted, where


# What is found


def covers(size: int, centre: list[float], place: list[float]) -> bool:
    """Say whether the pixels of a window around a centre cover a place, axis by axis."""
    for c, p in zip(centre, place, strict=True):
        start = math.floor(c - size / 2 + 0.5)
        if not start <= p < start + size:
            return False
    return True


@given(
    size=st.integers(1, 9),
    rows=st.lists(
        st.tuples(*[st.tuples(st.integers(-80, 800), st.integers(-42, 42))] * 2), min_size=1
    ),
)
def test_found_is_what_the_pixels_of_the_finest_window_cover(
    size: int, rows: list[tuple[tuple[int, int], ...]]
) -> None:
    """Positions in eighths of a pixel: centres anywhere, places near them and on the very edges."""
    centre = [[c / 8 for c, _ in row] for row in rows]
    place = [[(c + beside) / 8 for c, beside in row] for row in rows]
    found = Search().found(
        Windows(size, (1, 4), "edge"),
        torch.tensor(centre, dtype=torch.float64),
        torch.tensor(place, dtype=torch.float64),
    )
    assert found.tolist() == [covers(size, *both) for both in zip(centre, place, strict=True)]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_exactly_size_squared_places_a_look_are_found(size: int) -> None:
    """Wherever the centre lies in its pixel."""
    for centre in ((10.0, 10.0), (10.5, 9.49), (9.999, 10.5)):
        row, column = torch.meshgrid(torch.arange(20), torch.arange(20), indexing="ij")
        places = torch.stack([column, row], dim=-1).view(-1, 2).double() + 0.5
        centres = torch.tensor([centre], dtype=torch.float64).expand(400, 2)
        found = Search().found(Windows(size, (1,), "zero"), centres, places)
        assert int(found.sum()) == size**2


# In a batch


@every_first
@pytest.mark.parametrize("reach", [None, 20.0])
def test_rewards_and_ends_are_those_of_a_loop(first: str, reach: float | None) -> None:
    rows = 60
    batch = batch_of(rows, first=first, reach=reach)
    observation, info = batch.reset(seed=0)
    scale = [1.0, 1.0] if reach is None else [reach / (WIDTH / 2), reach / (HEIGHT / 2)]
    count = [0 if first == "agent" else 1] * rows
    over, found = [False] * rows, 0
    for number in range(GLIMPSES + 2):
        action = actions(rows, number)
        before = observation
        observation, reward, terminated, truncated, told = batch.step(action)
        assert torch.equal(told["target"], info["target"])
        assert not bool(truncated.any())
        for row in range(rows):
            pays = False
            if not over[row]:
                count[row] += 1
                sides = (WIDTH, HEIGHT)
                target = info["target"][row].tolist()
                clipped = action[row].clamp(-1, 1).tolist()
                centre = [
                    (a * s + 1) / 2 * n for a, s, n in zip(clipped, scale, sides, strict=True)
                ]
                # Fine enough to tell a pixel's edge from a hair beside it, as floats do not.
                place = [
                    round((t + 1) / 2 * n * 2**20) / 2**20
                    for t, n in zip(target, sides, strict=True)
                ]
                pays = covers(SIZE, centre, place)
                over[row] = pays or count[row] == GLIMPSES
                assert torch.equal(observation["location"][row], action[row].clamp(-1, 1))
            else:
                for name, tensor in observation.items():
                    assert torch.equal(tensor[row], before[name][row]), name
            assert float(reward[row]) == pays
            assert bool(terminated[row]) == over[row]
            assert float(observation["step"][row]) == count[row]
            found += pays
    assert all(over)
    assert 10 < found < rows  # neither none nor all
    assert len(set(count)) > 2


def test_a_row_that_has_found_its_place_pays_no_more_and_stays_where_it_is() -> None:
    batch = batch_of(2)
    _, info = batch.reset(seed=0)
    to, beside = action_to(info["target"]), action_beside(info["target"])
    action = torch.stack([to[0], beside[1]])
    first, reward, over, _, _ = batch.step(action)
    assert reward.tolist() == [1, 0]
    assert over.tolist() == [True, False]
    trail = batch.trail
    for number in (2, 3):
        later, reward, over, _, _ = batch.step(torch.stack([beside[0], beside[1]]))
        assert reward.tolist() == [0, 0]
        assert over.tolist() == [True, False]
        for name, tensor in later.items():
            assert torch.equal(tensor[0], first[name][0]), name
        assert later["step"][:, 0].tolist() == [1, number]
        np.testing.assert_array_equal(batch.trail[0], trail[0])
    later, reward, over, _, _ = batch.step(to)
    assert reward.tolist() == [0, 1]
    assert over.tolist() == [True, True]
    assert batch.step(to)[1].tolist() == [0, 0]


@pytest.mark.parametrize(("first", "steps"), [("agent", 5), ("random", 4), ("centre", 4)])
def test_who_finds_nothing_has_all_looks(first: str, steps: int) -> None:
    batch = batch_of(3, first=first)
    for seed in range(2):
        _, info = batch.reset(seed=seed)
        for number in range(1, steps + 1):
            _, reward, over, _, _ = batch.step(action_beside(info["target"]))
            assert not bool(reward.any())
            assert over.tolist() == [number == steps] * 3


def test_the_last_look_may_find() -> None:
    batch = batch_of(1)
    _, info = batch.reset(seed=0)
    for _ in range(GLIMPSES - 1):
        assert not bool(batch.step(action_beside(info["target"]))[2])
    _, reward, over, _, _ = batch.step(action_to(info["target"]))
    assert (float(reward), bool(over)) == (1, True)


def test_the_glimpse_of_reset_does_not_count() -> None:
    batch = batch_of(1, first="centre")
    observation, info = batch.reset(seed=0, options={"indices": [0]})  # near the centre
    pixels = batch.images.slides[0].read(0, 22, 12, SIZE, SIZE)
    assert torch.equal(observation["glimpse"][0, 0], torch.from_numpy(pixels).float() / 255)
    assert covers(SIZE, [30, 20], ((info["target"][0] + 1) / 2 * torch.tensor([60, 40])).tolist())
    _, reward, over, _, _ = batch.step(action_beside(info["target"]))
    assert (float(reward), bool(over)) == (0, False)
    _, reward, over, _, _ = batch.step(torch.zeros(1, 2))
    assert (float(reward), bool(over)) == (1, True)


def test_the_target_is_the_place_of_the_image() -> None:
    batch = batch_of(6)
    for index in ([0, 1, 2, 3, 2, 2], [3, 3, 1, 0, 0, 2]):
        _, info = batch.reset(seed=0, options={"indices": index})
        assert info["target"].dtype == torch.float64
        assert torch.equal(info["target"], slides().targets[index])
        info["target"].zero_()  # may be scribbled on
        told = batch.step(torch.zeros(6, 2))[-1]
        assert torch.equal(told["target"], slides().targets[index])


def test_the_glimpse_and_the_context_are_those_of_the_slide() -> None:
    batch = batch_of(PLACES)
    observation, _ = batch.reset(seed=0, options={"indices": range(PLACES)})
    looked = batch.step(torch.zeros(PLACES, 2))[0]
    for row, number in enumerate(slides().slide.tolist()):
        slide = slides().slides[number]
        coarse = torch.from_numpy(slide.read(1, 0, 0, 30, 20)).float() / 255
        context = F.adaptive_avg_pool2d(coarse, 4)
        assert torch.allclose(observation["context"][row], context)
        assert torch.equal(looked["context"][row], observation["context"][row])
        assert not bool(observation["glimpse"][row].any())
        fine = torch.from_numpy(slide.read(0, 22, 12, SIZE, SIZE)).float() / 255
        assert torch.equal(looked["glimpse"][row, 0], fine)
        assert torch.equal(looked["glimpse"][row, 1], coarse[:, 2:18, 7:23])
        assert torch.equal(batch.pixels(row).float() / 255, coarse)


def test_a_mask_begins_anew_what_it_names_and_leaves_what_is_found() -> None:
    batch = batch_of(3)
    _, info = batch.reset(seed=0)
    found, _, over, _, _ = batch.step(action_to(info["target"]))
    assert over.tolist() == [True] * 3
    mask = torch.tensor([False, True, False])
    begun, info = batch.reset(options={"reset_mask": mask, "indices": [0, 2, 0]})
    assert torch.equal(info["target"][1], slides().targets[2])
    assert begun["step"][:, 0].tolist() == [1, 0, 1]
    for name, tensor in begun.items():
        assert torch.equal(tensor[[0, 2]], found[name][[0, 2]]), name
    for action, wanted, ends in (
        (action_beside(info["target"]), [0, 0, 0], [True, False, True]),
        (action_to(info["target"]), [0, 1, 0], [True, True, True]),
    ):
        _, reward, over, _, _ = batch.step(action)
        assert reward.tolist() == wanted
        assert over.tolist() == ends
    batch.reset(seed=1)
    assert not bool(batch.step(actions(3, 0) * 0 + 9)[2].all())


@every_first
def test_a_row_sees_the_same_alone_and_among_others(first: str) -> None:
    together, alone = batch_of(4, first=first), [batch_of(1, first=first) for _ in range(4)]
    for episode in range(4):
        seed = 7 if episode == 0 else None
        result: Any = together.reset(seed=seed)
        rows: list[Any] = [
            batch.reset(seed=None if seed is None else seed + b) for b, batch in enumerate(alone)
        ]
        for number in range(GLIMPSES + 1):
            for b, row in enumerate(rows):
                one = [
                    {name: tensor[b : b + 1] for name, tensor in part.items()}
                    if isinstance(part, dict)
                    else part[b : b + 1]
                    for part in result
                ]
                same(list(row), one, f"{episode}/{number}/{b}")
            action = actions(4, 10 * episode + number)
            result = together.step(action)
            rows = [batch.step(action[b : b + 1]) for b, batch in enumerate(alone)]


def test_copies_search_the_same_place_each_for_itself() -> None:
    batch = batch_of(4, copies=2)
    _, info = batch.reset(seed=0)
    assert torch.equal(info["target"][::2], info["target"][1::2])
    to, beside = action_to(info["target"]), action_beside(info["target"])
    _, reward, over, _, _ = batch.step(torch.stack([to[0], beside[1], beside[2], to[3]]))
    assert reward.tolist() == [1, 0, 0, 1]
    assert over.tolist() == [True, False, False, True]


def test_a_sweep_shows_every_place_once() -> None:
    seen = [info["target"] for _, info in batch_of(3).sweep("train")]
    assert [len(target) for target in seen] == [3, 1]
    assert torch.equal(torch.cat(seen), slides().targets)


# Who cannot search


def test_a_search_is_not_to_be_answered() -> None:
    message = "`predict` must be 'external' for a search, got 'flat': the location is the answer"
    with refused(message):
        GlimpseBatch(slides(), Eye(sensor=GlimpseSensor(4)), 1, predict="flat")
    register_images("slides", slides())
    for make in (GlimpseEnv, GlimpseVectorEnv):
        with refused(message):
            make(images="slides", predict="flat")


def test_slides_are_not_laid_on_a_canvas() -> None:
    message = "images on a canvas must be classified, got a Search: leave the canvas out"
    with refused(message):
        OnCanvas(slides(), Canvas(100, 100))
    register_images("slides", slides())
    with refused(message):
        gymnasium.make("glimpse/Slide-v0", images="slides", canvas="translated-60")


@pytest.mark.parametrize(
    "learn",
    [
        lambda batch, model: Agent.for_batch(ReinforceConfig(), batch),
        lambda batch, model: reinforce(ReinforceConfig(), batch, model),
        pytest.param(
            lambda batch, model: control(CentreConfig(batch=2), batch, model).step(),
            marks=pytest.mark.plain,
        ),
    ],
    ids=["agent", "reinforce", "control"],
)
def test_agents_that_answer_refuse_a_search(learn: Callable[..., object]) -> None:
    batch = batch_of(2, context=None)
    model = RecurrentAttention((2, 1, SIZE, SIZE), 3)
    with refused(
        "images must be answered about, got a Search, whose answer is the location: choose "
        "another environment"
    ):
        learn(batch, model)


# As Gymnasium's environments


def _options() -> dict[str, Any]:
    register_images("slides", slides())
    return {"images": "slides", "size": SIZE, "scales": 2, "factor": 2, "glimpses": GLIMPSES}


@every_first
@pytest.mark.parametrize("mode", MODES)
def test_every_result_is_that_of_gymnasium_s_own_vector(mode: str, first: str) -> None:
    options = {**_options(), "first": first}
    ours = GlimpseVectorEnv(3, autoreset_mode=mode, **options)
    theirs = SyncVectorEnv([lambda: GlimpseEnv(**options)] * 3, autoreset_mode=mode)
    same(ours.reset(seed=3), theirs.reset(seed=3))
    rewards, ends = 0.0, set()
    since = np.zeros(3)
    for time in range(40):
        action = actions(3, time, 1.0).numpy()
        (*seen, info), (*wanted, told) = ours.step(action), theirs.step(action)
        same(seen, wanted, f"step {time}")
        assert info.keys() == told.keys()
        assert info["target"].shape == (3, 2)
        for name in told:
            if name != "final_info":
                same(info[name], told[name], f"step {time}/{name}")
        if "final_info" in told:
            ended = told["_final_info"]
            same(info["final_info"]["target"][ended], told["final_info"]["target"][ended])
        reward, over = seen[1], seen[2]
        assert over[reward == 1].all()
        rewards += reward.sum()
        since += 1
        ends |= set(since[over])
        since[over] = 0
        if mode == "Disabled" and over.any():
            seen, info = ours.reset(options={"reset_mask": over.copy()})
            wanted, told = theirs.reset(options={"reset_mask": over.copy()})
            same(seen, wanted, f"reset {time}")
            same(info["target"][over], told["target"][over])
    assert rewards > 4
    assert len(ends) > 2  # some were found soon, some late or never


def _played(env: gymnasium.Env[Any, Any], seed: int) -> list[Any]:
    """Return all results of an episode, begun with a seed, and of the next one."""
    results: list[Any] = []
    for number in range(2):
        results.append(env.reset(seed=None if number else seed))
        over = False
        while not over:
            results.append(env.step(actions(1, len(results) + seed)[0].numpy()))
            over = results[-1][2]
    return results


def test_the_same_seed_is_the_same_episode() -> None:
    env = gymnasium.make("glimpse/Slide-v0", **_options(), context=5)
    first = _played(env, 4)
    same(_played(env, 4), first)
    same(_played(gymnasium.make("glimpse/Slide-v0", **_options(), context=5), 4), first)
    places = [[told["target"].tolist() for *_, told in _played(env, seed)] for seed in range(9)]
    assert len({str(place) for place in places}) > 2


def test_one_environment_speaks_plain_python_and_numpy() -> None:
    env = gymnasium.make("glimpse/Slide-v0", **_options())
    _, info = env.reset(seed=0)
    place = info["target"].copy()
    assert (place.shape, place.dtype) == ((2,), np.float64)
    info["target"][:] = 9
    beside = np.where(place > 0, -0.5, 0.5).astype(np.float32)
    _, reward, over, truncated, info = env.step(beside)
    np.testing.assert_array_equal(info["target"], place)
    assert (reward, over, truncated) == (0.0, False, False)
    _, reward, over, truncated, info = env.step(place.astype(np.float32))
    assert (reward, over, truncated) == (1.0, True, False)
    assert [type(part) for part in (reward, over, truncated)] == [float, bool, bool]


# A slide in a file, end to end

TALL, BROAD = 512, 768


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a slide of two levels with two places beside it."""
    random = np.random.default_rng(0)
    with tifffile.TiffWriter(tmp_path / "slide.tiff") as file:
        for number, size in enumerate([(TALL, BROAD), (TALL // 4, BROAD // 4)]):
            pixels = random.integers(0, 256, (*size, 3), dtype=np.uint8)
            file.write(pixels, tile=(256, 256), photometric="rgb", subfiletype=int(number > 0))
    places = [
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [600.0, 100.0]}},
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[[100, 300], [140, 300], [120, 380]]]},
        },
    ]
    (tmp_path / "slide.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": places})
    )
    return tmp_path / "slide.tiff"


def _levels(path: Path) -> list[Array]:
    with tifffile.TiffFile(path) as file:
        return [page.asarray() for page in file.pages]


@pytest.mark.parametrize(("index", "place"), [(0, (600, 100)), (1, (120, 340))])
def test_a_place_in_a_file_is_seen_and_found(
    path: Path, index: int, place: tuple[int, int]
) -> None:
    env = gymnasium.make("glimpse/Slide-v0", images=str(path), scales=2, context=16)
    fine, coarse = (np.moveaxis(level, -1, 0) / np.float32(255) for level in _levels(path))
    observation, info = env.reset(seed=0, options={"indices": [index]})
    assert observation["glimpse"].shape == (2, 3, 32, 32)
    assert not observation["glimpse"].any()
    means = coarse.reshape(3, 16, 8, 16, 12).mean(axis=(2, 4))
    np.testing.assert_allclose(observation["context"], means, atol=1e-6)
    x, y = place
    np.testing.assert_allclose(info["target"], (x / BROAD * 2 - 1, y / TALL * 2 - 1))
    observation, reward, over, _, _ = env.step(np.array([0.1, 0.1], dtype=np.float32))
    assert (reward, over) == (0, False)
    observation, reward, over, _, _ = env.step(info["target"].astype(np.float32))
    assert (reward, over) == (1, True)
    for k, level in enumerate((fine, coarse)):
        left, top = x // 4**k - 16, y // 4**k - 16
        wanted = level[:, top : top + 32, left : left + 32]
        np.testing.assert_array_equal(observation["glimpse"][k], wanted)


ORANGE = (230, 159, 0)  # the finest window


def _box(picture: Array) -> tuple[int, ...]:
    """Return the first and last row and column of what is orange."""
    row, column = np.nonzero((picture == ORANGE).all(axis=-1))
    return int(row.min()), int(row.max()), int(column.min()), int(column.max())


@pytest.mark.parametrize("kind", ["single", "vector"])
def test_the_picture_shows_the_slide_and_the_window_to_scale(path: Path, kind: str) -> None:
    options: dict[str, Any] = dict(
        images=str(path), size=160, scales=1, first="agent", render_mode="rgb_array"
    )
    env: Any = GlimpseEnv(**options) if kind == "single" else GlimpseVectorEnv(2, **options)
    action = np.array([0.25, -0.25], dtype=np.float32)

    def picture() -> Array:
        rendered = env.render()
        return rendered if kind == "single" else rendered[1]

    env.reset(seed=0, options={"indices": [0] if kind == "single" else [1, 0]})
    overview = _levels(path)[1]
    np.testing.assert_array_equal(picture(), overview)
    env.step(action if kind == "single" else np.stack([-action, action]))
    drawn = picture()
    assert drawn.dtype == np.uint8
    # 160 pixels around (480, 192), four times smaller: rows 28 to 67, columns 100 to 139.
    assert _box(drawn) == (28, 67, 100, 139)
    np.testing.assert_array_equal(drawn[:25], overview[:25])
    np.testing.assert_array_equal(drawn[:, :97], overview[:, :97])


def test_a_vector_of_a_file_shows_the_same(path: Path) -> None:
    options = {"images": str(path), "scales": 3}
    vector = gymnasium.make_vec("glimpse/Slide-v0", num_envs=2, **options)
    assert isinstance(vector, VectorEnv)
    seen, info = vector.reset(seed=4)
    for row in range(2):
        alone, told = gymnasium.make("glimpse/Slide-v0", **options).reset(seed=4 + row)
        same({name: values[row] for name, values in seen.items()}, alone)
        np.testing.assert_array_equal(info["target"][row], told["target"])


def test_a_file_without_places_is_refused_when_it_is_opened(path: Path) -> None:
    path.with_suffix(".geojson").unlink()
    with refused(f"the places of a slide must lie beside it, got no {path.with_suffix('')}"):
        gymnasium.make("glimpse/Slide-v0", images=str(path))


# A scripted eye against uniform looks

SLIDES, SIDE = 50, 65536


def _hills(context: Tensor) -> Tensor:
    """Return the actions that look at the hills of a context, the brightest first."""
    (plane,) = context
    tops = plane.where(plane == F.max_pool2d(context, 3, stride=1, padding=1)[0], 0)
    order = tops.flatten().argsort(descending=True)[: int((tops > 0).sum())]
    side = len(plane)
    column_row = torch.stack([order % side, order // side], dim=1)
    return (column_row + 0.5) / side * 2 - 1


def _brightest(seen: dict[str, Tensor], k: int) -> Tensor:
    """Return the action that looks at the brightest of window k; where many are, their middle."""
    (window,) = seen["glimpse"][k]
    row_column = (window == window.max()).nonzero().double().mean(dim=0)
    offset = (row_column.flip(0) + 0.5 - len(window) / 2) * 4**k
    return (seen["location"] + offset / SIDE * 2).float()


def _from_coarse_to_fine(context: Tensor) -> Generator[Tensor, dict[str, Tensor], None]:
    """Go from hill to hill, up to its top and, where a spot on it is bright, to that."""
    for hill in cycle(_hills(context)):
        seen = yield hill
        seen = yield _brightest(seen, 4)
        for k in (2, 1):
            if float(seen["glimpse"][k].max() - seen["glimpse"][k].median()) > 0.1:
                seen = yield _brightest(seen, k)


def _uniform(context: Tensor) -> Generator[Tensor, dict[str, Tensor], None]:
    generator = torch.Generator().manual_seed(int(context.sum() * 1e6))
    while True:
        yield torch.rand(2, generator=generator) * 2 - 1


@pytest.mark.parametrize(("glimpses", "least"), [(12, 0.4), (24, 0.9)])
def test_from_coarse_to_fine_finds_what_uniform_looks_do_not(glimpses: int, least: float) -> None:
    """Of 50 needles 23 against none in 12 looks, 48 against none in 24."""
    eye = Eye(sensor=GlimpseSensor(32, 5, 4), glimpses=glimpses, first="agent", context=32)
    batch = GlimpseBatch(load_haystacks(SLIDES), eye, SLIDES)
    found = {}
    for policy in (_from_coarse_to_fine, _uniform):
        observation, _ = batch.reset(seed=0, options={"indices": range(SLIDES)})
        eyes = [policy(context) for context in observation["context"]]
        action = torch.stack([next(row) for row in eyes])
        total = torch.zeros(SLIDES)
        for _ in range(glimpses):
            observation, reward, *_ = batch.step(action)
            total += reward
            rows = [
                {name: tensor[row] for name, tensor in observation.items()} for row in range(SLIDES)
            ]
            action = torch.stack([one.send(seen) for one, seen in zip(eyes, rows, strict=True)])
        found[policy] = float(total.mean())
    assert found[_uniform] <= 0.02
    assert least <= found[_from_coarse_to_fine] <= 1


def test_nobody_need_be_reset() -> None:
    env = gymnasium.make_vec("glimpse/Slide-v0", num_envs=2, autoreset_mode="Disabled")
    seen, _ = env.reset(seed=0)
    again, _ = env.reset(options={"reset_mask": np.zeros(2, dtype=np.bool_)})
    for name, array in seen.items():
        np.testing.assert_array_equal(again[name], array)
