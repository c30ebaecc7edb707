from collections.abc import Callable
from dataclasses import replace
from typing import Any

import ap_gym  # noqa: F401  registers its environments
import gymnasium
import numpy as np
import pytest
import torch
from active import SIZE, STEPS, FakeActive
from expect import refused
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from learners import small_images

from glimpse import Eye, GlimpseBatch, GlimpseSensor
from glimpse.agents import AGENTS, Agent, PpoConfig, ReinforceConfig, reinforce
from glimpse.agents.ppo_learner import PpoLearner
from glimpse.envs import ActiveBatch
from glimpse.episodes import EpisodeBatch
from glimpse.loop import train

SMALL: dict[str, Any] = {"hidden": 8, "features": 8}
NONE = torch.zeros(1, dtype=torch.int64)


def fake(rows: int = 2, **options: Any) -> ActiveBatch:
    return ActiveBatch(lambda: FakeActive(rows, **options), episodes=5)


def seeds(first: int, rows: int = 2) -> torch.Tensor:
    return torch.arange(rows) + first


def circle_square(rows: int) -> VectorEnv[Any, Any, Any]:
    name = "CircleSquare-v0"
    config = replace(gymnasium.spec(name).kwargs["image_perception_config"], prefetch=False)
    return gymnasium.make_vec(
        name, rows, vectorization_mode="vector_entry_point", image_perception_config=config
    )


def test_batches_of_both_kinds_are_what_learners_ask_for() -> None:
    eye = Eye(sensor=GlimpseSensor(4), glimpses=2)
    assert isinstance(GlimpseBatch(small_images(), eye, 2), EpisodeBatch)
    assert isinstance(fake(), EpisodeBatch)


def test_observations_have_our_form_and_range() -> None:
    batch = fake()
    seen = batch.begin(seeds(7), NONE)
    assert {name: value.dtype for name, value in seen.items()} == dict.fromkeys(
        ("glimpse", "location", "step"), torch.float32
    )
    assert seen["glimpse"].shape == (2, 1, 2, SIZE, SIZE)
    of_class = batch.target[:, None, None, None] * torch.full((2, 1, SIZE, SIZE), 200 / 255)
    assert torch.equal(seen["glimpse"][:, :, 0], of_class.float())
    assert seen["step"].tolist() == [[1.0], [1.0]]
    assert torch.equal(seen["location"], torch.from_numpy(batch.env.position).float())
    after = batch.look(torch.zeros(2, 2))
    assert torch.allclose(after["glimpse"][:, 0, 1], torch.tensor(1 / 255))
    assert after["step"].tolist() == [[2.0], [2.0]]


def test_what_is_counted_of_an_environment() -> None:
    batch = fake(3)
    assert (batch.rows, batch.eye.glimpses, batch.eye.actions) == (3, STEPS, STEPS - 1)
    assert batch.eye.sensor == GlimpseSensor(SIZE)
    assert batch.shape is None  # the image is not known
    assert batch.shown.shape[1:] == (2, SIZE, SIZE)
    assert batch.task.classes == ("0", "1")


def test_an_action_of_one_is_the_end_of_the_action_space() -> None:
    batch = fake()
    batch.begin(seeds(0), NONE)
    batch.look(torch.tensor([[1.0, -1.0], [-3.0, 0.5]]))
    assert batch.env.actions[-1]["action"].tolist() == [[4.0, -2.0], [0.0, 1.0]]
    assert batch.env.actions[-1]["prediction"].tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_where_a_row_was_is_kept() -> None:
    batch = fake()
    first = batch.begin(seeds(0), NONE)["location"]
    second = batch.look(torch.ones(2, 2))["location"]
    assert torch.equal(batch.trail[:, 0], first)
    assert torch.equal(batch.trail[:, 1], second)
    assert bool(batch.trail[:, 2].isnan().all())
    assert torch.equal(batch.sensed[:, :2], batch.trail[:, :2])  # of an unknown image


def test_an_episode_is_a_function_of_the_first_seed() -> None:
    one, other = fake(), fake()
    other.begin(seeds(4), NONE)
    mine, same = one.begin(seeds(5), NONE), other.begin(torch.tensor([5, 99]), NONE)
    assert all(torch.equal(mine[name], same[name]) for name in mine)
    assert not torch.equal(mine["location"], one.begin(seeds(6), NONE)["location"])


def test_the_class_is_known_before_the_first_look_of_the_same_episode() -> None:
    batch, plain = fake(8), fake(8)
    seen, same = batch.begin(seeds(3, 8), NONE), plain.begin(seeds(3, 8), NONE)
    assert torch.equal(batch.target, (seen["glimpse"][:, 0, 0, 0, 0] > 0).long())
    action = torch.rand(8, 2)
    moved, alike = batch.look(action), plain.look(action)
    assert all(torch.equal(moved[name], alike[name]) for name in moved)
    assert torch.equal(seen["location"], same["location"])
    assert torch.equal(batch.target, plain.target)


def test_the_next_episodes_are_others() -> None:
    batch = fake()
    one, info = batch.reset(seed=1)
    assert info["target"].shape == (2,)
    assert not torch.equal(one["location"], batch.reset()[0]["location"])


def test_evaluation_begins_enough_episodes_that_training_never_sees() -> None:
    batch = fake()  # five episodes are asked for, two rows
    places = [seen["location"] for seen, _ in batch.sweep("test", seed=0)]
    again = [seen["location"] for seen, _ in batch.sweep("test", seed=0)]
    others = [seen["location"] for seen, _ in batch.sweep("validation", seed=0)]
    assert [len(place) for place in places] == [2, 2, 2]
    assert torch.equal(torch.cat(places), torch.cat(again))
    assert not torch.isin(torch.cat(places), torch.cat(others)).any()


def test_a_twin_has_episodes_of_its_own() -> None:
    batch = fake()
    seen = batch.begin(seeds(0), NONE)
    twin = batch.twin()
    twin.begin(seeds(1), NONE)
    assert twin.eye == batch.eye
    assert torch.equal(batch.trail[:, 0], seen["location"])
    twin.close()


def test_a_plain_image_has_no_location() -> None:
    batch = fake(observation=spaces.Box(0, 255, (SIZE, SIZE, 2), np.uint8))
    assert batch.begin(seeds(0), NONE)["location"].tolist() == [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize("name", list(AGENTS))
def test_every_agent_is_a_function_of_its_seed(name: str) -> None:
    entry, found = AGENTS[name], []
    for _ in range(2):
        batch = fake(8)
        config = entry.config(steps=3, batch=8, **SMALL)
        agent = Agent.for_batch(config, batch)
        metrics = train(entry.learner(config, batch, agent.model), 3).metrics
        errors = agent.evaluate(batch, "test").mean
        assert errors[0].count == 8
        found.append(({key: float(value) for key, value in metrics.items()}, errors))
    assert found[0] == found[1]


@pytest.mark.parametrize(("config", "learner"), [(ReinforceConfig, reinforce)])
def test_a_class_that_every_glimpse_shows_is_learned(
    config: type[ReinforceConfig], learner: Callable[..., Any]
) -> None:
    batch, options = fake(32), config(steps=40, batch=32, learning_rate=1e-2, ema=0.0, **SMALL)
    agent = Agent.for_batch(options, batch)
    train(learner(options, batch, agent.model), 40)
    assert agent.survey(batch, "test").errors[-1].wrong == 0


def a_box(*shape: int) -> spaces.Box:
    return spaces.Box(-1, 1, shape)


ANSWER = spaces.Box(-np.inf, np.inf, (2,))


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"action": a_box(2)}, "the action space must be a Dict of action and prediction, got Box"),
        (
            {"action": spaces.Dict(action=a_box(3), prediction=ANSWER)},
            "actions must be a bounded Box of shape (2,), got Box(-1.0, 1.0, (3,), float32): our",
        ),
        (
            {"action": spaces.Dict(action=ANSWER, prediction=ANSWER)},
            "actions must be a bounded Box of shape (2,), got Box(-inf, inf, (2,), float32): our",
        ),
        ({"target": a_box(2)}, "what is predicted must be a class, got Box(-1.0, 1.0, (2,)"),
        (
            {"action": spaces.Dict(action=a_box(2), prediction=spaces.Discrete(2))},
            "what is predicted must be a class, got Discrete(2) from Discrete(2): use a classif",
        ),
        (
            {"observation": spaces.Dict(glimpse_pos=a_box(2))},
            "the observation must hold an image `glimpse` (H, W, C), got Dict(",
        ),
        ({"observation": a_box(5, 4, 1)}, "glimpses must be square, got 5 x 4: make the"),
        (
            {"observation": spaces.Dict(glimpse=a_box(4, 4, 1), inverted=a_box(1))},
            "the observation must hold glimpse, glimpse_pos, time_step and no more, got inverted:",
        ),
    ],
)
def test_environments_that_do_not_fit(space: dict[str, Any], message: str) -> None:
    with refused(message):
        fake(**space)


@pytest.mark.plain
def test_what_is_no_vector_environment() -> None:
    with refused("`make` must make a vector environment, got a int: use gymnasium.make_vec"):
        ActiveBatch(lambda: 3)  # type: ignore[arg-type,return-value]


def test_episodes_that_are_not_equally_long() -> None:
    batch = ActiveBatch(lambda: FakeActive(early=True), glimpses=STEPS)
    batch.begin(seeds(0), NONE)
    with refused("episodes must have 3 steps in every row, got an end at step 1: give the right"):
        batch.look(torch.zeros(2, 2))


def test_options_that_do_not_fit() -> None:
    with refused("`classes` must be 2 names, got 1: name every class"):
        ActiveBatch(FakeActive, classes=("circle",))
    with refused("options must not be given, got indices: the environment draws its images"):
        fake().reset(options={"indices": [0]})
    with refused("`split` must be one of test, train, validation, got 'all'"):
        next(fake().sweep("all"))


def test_what_is_known_of_circle_square() -> None:
    batch = ActiveBatch(lambda: circle_square(4))
    seen = batch.begin(seeds(3, 4), NONE)
    known = batch.target
    assert batch.shape == (1, 28, 28)
    assert batch.eye.glimpses == 16
    shown = batch.shown
    batch.look(torch.zeros(4, 2))
    assert torch.equal(batch.target, known)  # what the environment says after a step
    centre = (batch.sensed[:, 0] + 1) / 2 * 28 - 0.5  # in pixels, between four of them
    low = centre.floor().long()
    for row, (x, y) in enumerate(low.tolist()):
        near = shown[row, 0, y : y + 2, x : x + 2]
        value = seen["glimpse"][row, 0, 0, 2, 2]
        assert float(near.min()) - 1e-6 <= float(value) <= float(near.max()) + 1e-6
    assert torch.equal(batch.pixels(1), shown[1])


def test_glimpses_of_circle_square_are_the_environments() -> None:
    batch, env = ActiveBatch(lambda: circle_square(4)), circle_square(4)
    ours, (theirs, _) = batch.begin(seeds(5, 4), NONE), env.reset(seed=5)
    for _ in range(15):
        assert np.array_equal(ours["glimpse"][:, 0, 0].numpy(), theirs["glimpse"][..., 0])
        assert np.array_equal(ours["location"].numpy(), theirs["glimpse_pos"])
        action = torch.rand(4, 2) * 2 - 1
        ours = batch.look(action)
        answer = np.zeros((4, 2), np.float32)
        theirs, _, over, _, _ = env.step({"action": action.numpy(), "prediction": answer})
        assert not over.any()
    assert env.step({"action": action.numpy(), "prediction": answer})[2].all()
    env.close()


def test_agents_look_at_circle_square() -> None:
    batch = ActiveBatch(lambda: circle_square(4), episodes=4, classes=("square", "circle"))
    config = PpoConfig(steps=1, batch=4, **SMALL)
    agent = Agent.for_batch(config, batch)
    assert "reward" in PpoLearner(config, batch, agent.model).step()
    survey = agent.survey(batch, "test")
    assert len(survey.errors) == 16
    assert 0 < survey.diagnosis.unique_area < 1
    look = agent.looks(batch, "test", 1)[0]
    assert look.image.shape == (1, 28, 28)
    assert set(look.answers) <= {"square", "circle"}
    assert look.width == 28
