"""The engine of the feedback environment."""

import math
from typing import Any

import pytest
import torch
from expect import refused
from nets import CLASSES, SHAPE, convolutional, gains, maxout, pictures
from torch import Tensor

from glimpse import ImageSet
from glimpse.batches import drawn
from glimpse.canvas import CANVASES, OnCanvas
from glimpse.feedback import FeedbackBatch
from glimpse.gated_maxout import GatedMaxout
from glimpse.gated_module import GatedModule
from glimpse.gating import Gated, Pass
from glimpse.image_set import ImageSource

MAPS = 18
every_network = pytest.mark.parametrize("network", ["maxout", "hooks"])


class Told:
    """A network whose first three gains are the probabilities of the classes, in proportion."""

    def __init__(self) -> None:
        self.layers, self.classes = {"all": 4}, CLASSES
        self.looks: list[int] = []

    def chunk(self, images: Tensor, population: int) -> int:
        return 1

    def prepare(self, images: Tensor) -> Tensor:
        return images

    def look(self, prepared: Tensor, gains: Tensor) -> Pass:
        means = prepared.mean(dim=(1, 2, 3))[:, None, None] * gains
        shares = gains[..., :CLASSES] / gains[..., :CLASSES].sum(dim=-1, keepdim=True)
        return Pass(means, shares.log())

    def look_once(self, images: Tensor, gains: Tensor) -> Pass:
        self.looks.append(len(images))
        return self.look(images, gains[:, None])


def _gated(network: str = "maxout") -> Gated:
    if network == "maxout":
        return GatedMaxout(maxout())
    layers = ["first", "block", "block.0", "spare"][:2]
    return GatedModule(convolutional(), [*layers, "norm", "head"], torch.zeros(1, *SHAPE))


def _batch(
    rows: int = 4,
    images: ImageSource | None = None,
    network: Gated | None = None,
    **options: Any,
) -> FeedbackBatch:
    return FeedbackBatch(network or _gated(), images or pictures(), rows, **options)


def _begun(rows: int = 4, seed: int = 0, **options: Any) -> FeedbackBatch:
    batch = _batch(rows, **options)
    batch.reset(seed=seed)
    return batch


def _shares(*rows: list[float]) -> Tensor:
    return torch.tensor([[*row, 1.0] for row in rows])


@every_network
def test_the_first_pass_has_gains_of_one(network: str) -> None:
    batch = _batch(network=_gated(network))
    observation, info = batch.reset(options={"indices": [3, 1, 4, 1]})
    assert info["target"].tolist() == [0, 1, 1, 1]
    assert (batch.gains == 1).all()
    images = pictures().images[torch.tensor([3, 1, 4, 1])] / 255
    whole = maxout() if network == "maxout" else convolutional()
    torch.testing.assert_close(observation["probability"], whole(images).softmax(dim=1))
    first = whole.stages[0] if network == "maxout" else whole.first
    torch.testing.assert_close(observation["activation"][:, :4], first(images).mean(dim=(2, 3)))
    assert observation["step"].tolist() == [[0], [0], [0], [0]]
    assert all(part.dtype == torch.float32 for part in observation.values())


@every_network
def test_gains_of_one_leave_the_answers_as_they_are_in_every_pass(network: str) -> None:
    batch = _batch(network=_gated(network))
    first, _ = batch.reset(seed=0)
    for step in range(1, 6):
        observation, *_ = batch.step(torch.ones(4, batch.maps))
        torch.testing.assert_close(observation["probability"], first["probability"])
        torch.testing.assert_close(observation["activation"], first["activation"])
        assert observation["step"].tolist() == [[step]] * 4


@every_network
def test_a_pass_is_the_network_s_with_the_gains_given(network: str) -> None:
    gated = _gated(network)
    batch = _begun(network=gated)
    images = torch.stack([batch.pixels(row) for row in range(4)])
    for seed in range(2):
        given = gains(4, batch.maps, seed=seed)
        observation, *_ = batch.step(given)
        seen = gated.look(gated.prepare(images), given[:, None])
        assert (batch.gains == given).all()
        torch.testing.assert_close(observation["activation"], seen.activations[:, 0])
        torch.testing.assert_close(batch.log_probs, seen.log_probs[:, 0])
        torch.testing.assert_close(observation["probability"], batch.log_probs.exp())


@pytest.mark.parametrize(
    ("reward", "boost", "wanted"),
    [
        ("log_loss", 0.005, [0.005 * math.log(0.75), math.log(0.125), math.log(0.25)]),
        ("log_loss", 2.0, [2 * math.log(0.75), math.log(0.125), math.log(0.25)]),
        ("correct", 0.005, [1.0, 0.0, 0.0]),
    ],
)
def test_only_the_last_answer_pays(reward: str, boost: float, wanted: list[float]) -> None:
    batch = _batch(3, network=Told(), passes=2, reward=reward, boost=boost)
    batch.reset(options={"indices": [0, 1, 2]})
    _, paid, over, truncated, info = batch.step(_shares([1, 6, 1], [1, 6, 1], [1, 6, 1]))
    assert (paid.tolist(), over.any(), truncated.any()) == ([0, 0, 0], False, False)
    _, paid, over, truncated, info = batch.step(_shares([6, 1, 1], [6, 1, 1], [2, 4, 2]))
    torch.testing.assert_close(paid, torch.tensor(wanted))
    assert over.all()
    assert not truncated.any()
    assert info["target"].tolist() == [0, 1, 2]
    torch.testing.assert_close(batch.pay(batch.log_probs, batch.target), torch.tensor(wanted))


@pytest.mark.parametrize("passes", [1, 2, 5])
def test_an_episode_has_so_many_passes_after_the_first(passes: int) -> None:
    batch = _begun(passes=passes)
    ends = [batch.step(gains(4, MAPS))[2].tolist() for _ in range(passes)]
    assert ends == [[False] * 4] * (passes - 1) + [[True] * 4]


def test_what_is_over_stays_as_it_is_pays_nothing_and_is_not_looked_at() -> None:
    network = Told()
    batch = _batch(3, network=network, passes=2)
    batch.reset(seed=0)
    batch.step(_shares([1, 2, 3], [1, 2, 3], [1, 2, 3]))
    batch.reset(options={"reset_mask": torch.tensor([False, True, False])})
    last, paid, over, *_ = batch.step(_shares([3, 2, 1], [3, 2, 1], [3, 2, 1]))
    assert (over.tolist(), paid.ne(0).tolist()) == ([True, False, True], [True, False, True])
    network.looks.clear()
    seen, paid, over, *_ = batch.step(_shares([1, 1, 2], [1, 1, 2], [1, 1, 2]))
    assert network.looks == [1]
    assert (over.tolist(), paid.ne(0).tolist()) == ([True] * 3, [False, True, False])
    for name, part in seen.items():
        assert (part[[0, 2]] == last[name][[0, 2]]).all()
    network.looks.clear()
    again, paid, over, *_ = batch.step(_shares([2, 1, 1], [2, 1, 1], [2, 1, 1]))
    assert network.looks == []
    assert (over.all(), paid.any()) == (True, False)
    assert all((part == seen[name]).all() for name, part in again.items())


def test_some_rows_begin_anew_and_the_others_go_on() -> None:
    batch, twin = _begun(), _begun()
    given = gains(4, MAPS)
    before, *_ = batch.step(given)
    twin.step(given)
    mask = torch.tensor([True, False, False, True])
    after, _ = batch.reset(options={"reset_mask": mask})
    assert after["step"].flatten().tolist() == [0, 1, 1, 0]
    assert (batch.gains[mask] == 1).all()
    for name in before:
        assert (after[name][~mask] == before[name][~mask]).all()
    (ours, *_), (theirs, *_) = batch.step(given), twin.step(given)
    for name in ours:
        torch.testing.assert_close(ours[name][~mask], theirs[name][~mask])


def test_no_rows_may_begin_anew() -> None:
    batch = _begun(network=_gated("hooks"))
    before, *_ = batch.step(gains(4, batch.maps))
    after, _ = batch.reset(options={"reset_mask": torch.zeros(4, dtype=torch.bool)})
    assert all((part == after[name]).all() for name, part in before.items())


@pytest.mark.parametrize("canvas", [False, True])
def test_copies_share_an_image(canvas: bool) -> None:
    images: ImageSource = pictures()
    network: Gated = Told()
    if canvas:
        images = OnCanvas(images, CANVASES["translated-40"])
    batch = _begun(6, images=images, network=network, copies=3)
    for first in (0, 3):
        for row in (first + 1, first + 2):
            assert (batch.pixels(row) == batch.pixels(first)).all()
            assert batch.target[row] == batch.target[first]
    assert (batch.pixels(0) != batch.pixels(3)).any()


@pytest.mark.parametrize("copies", [1, 2])
def test_what_a_learner_draws_is_what_reset_shows(copies: int) -> None:
    canvases = OnCanvas(pictures(), CANVASES["translated-40"])
    batch = _batch(4, images=canvases, network=Told(), copies=copies)
    indices = torch.tensor([5, 2, 0, 1])[: 4 // copies]
    batch.reset(seed=9, options={"indices": indices})
    images, classes = drawn(canvases, torch.arange(9, 13, copies), indices)
    assert (classes == batch.target[::copies]).all()
    for group, image in enumerate(images):
        assert (image == batch.pixels(group * copies)).all()


@every_network
def test_a_row_is_the_same_alone_and_among_others(network: str) -> None:
    among, alone = _begun(5, 100, network=_gated(network)), _batch(1, network=_gated(network))
    given = gains(5, among.maps)
    seen, *_ = among.step(given)
    for row in range(5):
        alone.reset(seed=100 + row)
        mine, *_ = alone.step(given[row : row + 1])
        assert alone.target[0] == among.target[row]
        for name in seen:
            torch.testing.assert_close(mine[name][0], seen[name][row])


def test_seeds_say_which_images_come() -> None:
    def shown(seed: int | None) -> list[int]:
        _, info = batch.reset(seed=seed)
        return [float(batch.pixels(row).sum()) for row in range(8)] + info["target"].tolist()

    batch = _batch(8)
    first, second = shown(3), shown(None)
    assert first != second
    assert [shown(3), shown(None)] == [first, second]
    assert shown(4) != first
    batch.reset(seed=list(range(3, 11)))
    assert shown(3) == first


def test_only_images_of_the_split_are_drawn() -> None:
    images = pictures()
    means = {
        round(float(image.float().mean()), 3) for image in images.images[images.splits["test"]]
    }
    batch = _begun(40, split="test")
    shown = {round(float(batch.pixels(row).mean() * 255), 3) for row in range(40)}
    assert shown == means


@pytest.mark.parametrize(("split", "count"), [("train", 6), ("test", 4), (None, 6)])
@pytest.mark.parametrize("copies", [1, 2])
def test_a_sweep_shows_every_image_once(split: str | None, count: int, copies: int) -> None:
    batch, images = _batch(4, copies=copies), pictures()
    shown: list[Tensor] = []
    for observation, info in batch.sweep(split):
        rows = len(info["target"])
        assert len(observation["activation"]) == rows <= 4
        shown += [batch.pixels(row) for row in range(0, rows, copies)]
        _, paid, *_ = batch.step(torch.ones(rows, MAPS))
        assert len(paid) == rows
    pool = images.splits[split or "train"]
    assert len(shown) == count
    torch.testing.assert_close(torch.stack(shown), images.images[pool] / 255)


def test_there_may_be_other_images_than_rows() -> None:
    batch = _batch(4)
    for count in (2, 7, 4):
        observation, info = batch.reset(seed=0, options={"indices": range(count)})
        assert observation["activation"].shape == (count, MAPS)
        assert len(info["target"]) == len(batch.gains) == count
    assert len(batch.reset()[1]["target"]) == 4


def test_a_twin_has_episodes_of_its_own() -> None:
    batch = _begun()
    first, twin = batch.step(gains(4, MAPS))[0], batch.twin()
    with refused("`reset` must come before `step`, got a step: call reset(seed=0)"):
        twin.step(gains(4, MAPS))
    twin.reset(seed=5)
    twin.step(gains(4, MAPS, seed=1))
    assert (batch.gains == gains(4, MAPS)).all()
    assert batch.step(gains(4, MAPS))[0]["step"].tolist() == [[2]] * 4
    assert first["step"].tolist() == [[1]] * 4


def test_results_share_no_memory_with_later_ones() -> None:
    batch = _begun()
    given = gains(4, MAPS)
    observation, paid, over, *_, info = batch.step(given)
    kept = [*observation.values(), paid, over, info["target"], batch.gains, batch.log_probs]
    copies = [part.clone() for part in kept]
    given.zero_()
    for _ in range(4):
        batch.step(gains(4, MAPS, seed=3))
    batch.reset(seed=17)
    assert all((part == copy).all() for part, copy in zip(kept, copies, strict=True))


def test_what_begins_in_inference_mode_goes_on_outside() -> None:
    batch = _batch()
    with torch.inference_mode():
        batch.reset(seed=0)
        batch.step(gains(4, MAPS))
    observation, *_ = batch.step(gains(4, MAPS).requires_grad_())
    assert not any(part.requires_grad for part in observation.values())
    batch.reset()


def test_a_network_in_double_precision_is_observed_in_single() -> None:
    batch = _begun(network=GatedMaxout(maxout().double()))
    observation, *_ = batch.step(gains(4, MAPS))
    assert observation["activation"].dtype == torch.float32
    torch.testing.assert_close(
        observation["activation"], _begun().step(gains(4, MAPS))[0]["activation"]
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 0}, "`rows` must be a whole number from 1, got 0"),
        ({"copies": 0}, "`copies` must be a whole number from 1, got 0"),
        ({"copies": 3}, "`rows` must be a multiple of copies=3, got 4: choose 3"),
        ({"passes": 0}, "`passes` must be a whole number from 1, got 0"),
        ({"boost": -0.5}, "`boost` must be finite and at least 0, got -0.5"),
        ({"boost": math.nan}, "`boost` must be finite and at least 0, got nan"),
        ({"reward": "fame"}, "`reward` must be one of correct, log_loss, got 'fame': choose one"),
        ({"split": "all"}, "`split` must be one of test, train, validation, got 'all'"),
        ({"split": "validation"}, "split 'validation' must hold images, got none: choose another"),
    ],
    ids=str,
)
@pytest.mark.plain
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with refused(message):
        _batch(**options)


def test_images_of_other_classes_are_refused() -> None:
    images = ImageSet.from_arrays(torch.zeros(10, *SHAPE), range(10))
    with refused("return a logit for each of the images' 10 classes, got 3: choose the images it"):
        _batch(images=images)


def test_images_without_classes_are_refused() -> None:
    from glimpse.tasks import Search

    places = torch.zeros(10, 2, dtype=torch.float64)
    images = ImageSet.from_arrays(torch.zeros(10, *SHAPE), places, task=Search())
    with refused("must be a classification of images of one size, got a Search: choose others"):
        _batch(images=images)


@pytest.mark.parametrize(
    ("value", "got"), [(-0.5, "-0.5"), (math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")]
)
def test_what_is_no_gain_is_refused_and_nothing_has_moved(value: float, got: str) -> None:
    batch, twin = _begun(), _begun()
    given = gains(4, MAPS)
    wrong = given.clone()
    wrong[2, 5] = value
    with refused(f"`action` must be gains of at least 0, got {got} in row 2: look for a division"):
        batch.step(wrong)
    ours, theirs = batch.step(given)[0], twin.step(given)[0]
    assert all((part == theirs[name]).all() for name, part in ours.items())


@pytest.mark.plain
def test_gains_of_a_wrong_shape_are_refused() -> None:
    with refused("`action` must be (4, 18), got (4, 17): give a gain for every map of each row"):
        _begun().step(torch.ones(4, 17))


def test_what_must_come_later_is_refused() -> None:
    batch = _batch()
    with refused("`reset` must come before `step`, got a step: call reset(seed=0)"):
        batch.step(torch.ones(4, MAPS))
    with refused("`reset` must come first, got no image to show: call reset(seed=0)"):
        batch.pixels(0)


def test_bad_sweeps_are_refused() -> None:
    with refused("`split` must be one of test, train, validation, got 'all': choose one"):
        next(_batch().sweep("all"))
    with refused("split 'validation' must hold images, got none: choose another split"):
        next(_batch().sweep("validation"))
    with refused("`seed` must be in [0, 2**63), got"):
        next(_batch().sweep(seed=2**63 - 3))
