"""Agents: what they predict and how they are made; predictions against a loop written out."""

from typing import Any

import numpy as np
import pytest
import torch
from lookers import CLASSES, SIZES, TASK, make_agent, make_batch, make_eye, pixels
from torch import Tensor, nn

from glimpse.agents import (
    Agent,
    CentreConfig,
    Prediction,
    ReinforceConfig,
    UniformConfig,
    UntrainedConfig,
)
from glimpse.coordinates import action_scale, lengths_of

every_core = pytest.mark.parametrize("core", ["relu", "lstm"])
every_first = pytest.mark.parametrize("first", ["random", "centre", "agent"])


def _by_hand(agent: Agent, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return probabilities (B, T, n) and locations in the image (B, T, 2), without any batch."""
    model, eye = agent.model, agent.eye
    _, _, height, width = images.shape
    scale = action_scale(eye.reach, lengths_of(height, width, torch.device("cpu"))).float()
    bright = images.float() / 255
    at = torch.zeros(len(images), 2)
    context = nn.functional.adaptive_avg_pool2d(bright, eye.context or 1)
    assert model.context is not None
    state = model.core.initial(torch.relu(model.context(context.flatten(1))))
    probabilities, locations = [], []
    for t in range(eye.glimpses + (eye.first == "agent")):
        glimpse = eye.sensor(images, at * scale)
        empty = eye.first == "agent" and t == 0
        state = model.core(model.glimpse(glimpse * (not empty), at), state)
        if not empty:
            probabilities.append(model.classifier(state[0]).softmax(dim=-1))
            locations.append(at * scale)
        at = torch.tanh(model.locator.mean(state[0])).clamp(-1, 1)
    return torch.stack(probabilities, dim=1), torch.stack(locations, dim=1)


# Predictions


@every_core
@pytest.mark.parametrize("first", ["centre", "agent"])
def test_a_prediction_is_a_loop_written_out_that_goes_where_the_mean_is(
    core: str, first: str
) -> None:
    agent = make_agent(ReinforceConfig(**SIZES, core=core), make_eye(first))
    images = pixels()
    got = agent.predict(images)
    assert isinstance(got, Prediction)
    probabilities, locations = _by_hand(agent, images)
    assert got.probabilities.shape == (30, 4, 3)
    assert got.locations.shape == (30, 4, 2)
    torch.testing.assert_close(got.probabilities, probabilities, rtol=0, atol=1e-5)
    torch.testing.assert_close(got.locations, locations, rtol=0, atol=1e-5)
    assert locations[:, -1].std(dim=0).max() > 0.02  # it does go to places of its own
    assert not got.probabilities.requires_grad


@every_first
def test_predictions_sum_to_one_and_are_the_same_twice(first: str) -> None:
    agent = make_agent(eye=make_eye(first))
    one, two = agent.predict(pixels()), agent.predict(pixels())
    assert torch.equal(one.probabilities, two.probabilities)
    assert torch.equal(one.locations, two.locations)
    total = one.probabilities.sum(dim=-1)
    torch.testing.assert_close(total, torch.ones_like(total))


def test_locations_are_in_the_image_whatever_the_reach() -> None:
    """An action of 1 goes 3 pixels from the centre: 3/7 of half the width, 3/4.5 of the height."""
    agent = make_agent()
    with torch.no_grad():
        agent.model.locator.mean.bias.copy_(torch.tensor([50.0, -50.0]))
    locations = agent.predict(pixels(5)).locations
    wanted = torch.tensor([3 / 7, -3 / 4.5]).expand(5, 3, 2)
    torch.testing.assert_close(locations[:, 1:], wanted)
    assert torch.equal(locations[:, 0], torch.zeros(5, 2))


def test_a_random_first_location_is_a_function_of_seed_and_number() -> None:
    agent = make_agent(eye=make_eye("random"))
    images = pixels()
    places = agent.predict(images, seed=5).locations[:, 0]
    few = agent.predict(images[3:7], seed=5).locations[:, 0]
    assert torch.equal(few, places[:4])
    assert not torch.equal(agent.predict(images, seed=6).locations[:, 0], places)
    scale = torch.tensor([3 / 7, 3 / 4.5])
    assert (places.abs() <= scale).all()
    assert (places.abs().amax(dim=0) > 0.7 * scale).all()


@pytest.mark.parametrize(("height", "width"), [(9, 14), (5, 4), (40, 11), (1, 1)])
def test_images_may_be_of_any_size(height: int, width: int) -> None:
    agent = make_agent(eye=make_eye(reach=None))
    images = pixels(6, height=height, width=width)
    probabilities, locations = _by_hand(agent, images)
    got = agent.predict(images)
    torch.testing.assert_close(got.probabilities, probabilities, rtol=0, atol=1e-5)
    torch.testing.assert_close(got.locations, locations, rtol=0, atol=1e-5)


def test_an_image_does_not_depend_on_the_others() -> None:
    agent = make_agent()
    images = pixels(3).repeat(171, 1, 1, 1)[:-1]  # 512 are looked at at once
    assert len(images) == 512
    images = torch.cat([images, images[:40]])
    got = agent.predict(images)
    alone = agent.predict(images[:3])
    number = torch.arange(len(images)) % 3
    number[512:] = torch.arange(40) % 3
    for part, wanted in zip(got, alone, strict=True):
        torch.testing.assert_close(part, wanted[number], rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_images_may_be_arrays_and_floats(dtype: Any) -> None:
    agent = make_agent()
    images = pixels(4).numpy()
    given = images if dtype == np.uint8 else (images / 255).astype(dtype)
    wanted = agent.predict(torch.from_numpy(images))
    for part, of_tensor in zip(agent.predict(given), wanted, strict=True):
        torch.testing.assert_close(part, of_tensor, rtol=0, atol=1e-5)


def test_arrays_may_be_flipped_views_and_read_only() -> None:
    agent = make_agent()
    images = pixels(4).numpy()
    wanted = agent.predict(torch.from_numpy(images).flip(3)).probabilities
    assert torch.equal(agent.predict(images[..., ::-1]).probabilities, wanted)
    images.flags.writeable = False
    wanted = agent.predict(torch.from_numpy(images.copy())).probabilities
    assert torch.equal(agent.predict(images).probabilities, wanted)


def test_predicting_leaves_the_images_and_the_generator_alone() -> None:
    agent, images = make_agent(eye=make_eye("random")), pixels(4)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    agent.predict(images)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(images, pixels(4))


def test_layers_that_differ_in_training_are_switched_to_evaluation() -> None:
    class Dropping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.drop = nn.Linear(2 * 2 * 9, 12), nn.Dropout(0.5)

        def forward(self, glimpse: Tensor, location: Tensor) -> Tensor:
            features: Tensor = self.drop(self.layer(glimpse.flatten(1)))
            return features

    agent = Agent.create(ReinforceConfig(**SIZES), make_eye(), 2, TASK, glimpse_network=Dropping())
    one, two = (agent.predict(pixels(4)).probabilities for _ in range(2))
    assert torch.equal(one, two)


@pytest.mark.parametrize("config", [CentreConfig(**SIZES), UniformConfig(**SIZES)])
def test_controls_look_where_they_look(config: Any) -> None:
    locations = make_agent(config, make_eye("agent", reach=None)).predict(pixels(300)).locations
    if isinstance(config, CentreConfig):
        assert torch.equal(locations, torch.zeros(300, 4, 2))
    else:
        assert locations.min() < -0.99
        assert locations.max() > 0.99


# Refusals


@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_other_channels_are_refused(channels: int) -> None:
    shape = (4, channels, 9, 14)
    message = rf"^`images` must be \(B, 2, H, W\), got \({', '.join(map(str, shape))}\): add axes"
    with pytest.raises(ValueError, match=message):
        make_agent().predict(pixels(4, channels=channels))


@pytest.mark.plain
@pytest.mark.parametrize("shape", [(9, 14), (2, 9, 14), (1, 1, 2, 9, 14), ()])
def test_images_of_another_rank_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^`images` must be \(B, 2, H, W\), got \("):
        make_agent().predict(torch.zeros(shape))


def test_images_that_are_no_pictures_are_refused() -> None:
    agent = make_agent()
    nan = torch.zeros(3, 2, 9, 14)
    nan[1, 0, 0, 0] = torch.nan
    cases = {
        "`images` must be finite, got NaN or infinity in image 1: ": nan,
        r"`images` of floats must lie in \[0, 1\], got 0 to 255: ": 255 * (nan == 0).float(),
        r"`images` must be uint8 or float in \[0, 1\], got torch.int64: ": pixels(3).long(),
        "`images` must be at least one, got none: ": pixels(0),
    }
    for message, images in cases.items():
        with pytest.raises(ValueError, match=f"^{message}"):
            agent.predict(images)


# Looks


@every_first
def test_looks_show_what_the_agent_did(first: str) -> None:
    agent = make_agent(eye=make_eye(first))
    batch = make_batch(agent.eye, rows=7)
    images: Any = batch.images
    looks = agent.looks(batch, "test", 3)
    assert len(looks) == 3
    test = images.splits["test"][:3]
    for number, look in zip(test.tolist(), looks, strict=True):
        assert torch.equal(look.image, images.images[number])
        right = [answer == CLASSES[images.targets[number]] for answer in look.answers]
        assert look.right == right
        assert look.sensors == [agent.eye.sensor] * 4
        assert look.width == 14
        assert look.locations.shape == (4, 2)
    if first != "random":
        wanted = agent.predict(images.images[test])
        for row, look in enumerate(looks):
            torch.testing.assert_close(look.locations, wanted.locations[row])
            sure, said = wanted.probabilities[row].max(dim=1)
            torch.testing.assert_close(torch.tensor(look.confidence), sure)
            assert look.answers == [CLASSES[number] for number in said]
    assert len(agent.looks(batch, "train", 100)) == 5


# Making agents


def test_an_agent_is_a_function_of_its_config() -> None:
    weights = []
    for seed, of in ((0, 1), (9, 1), (0, 2)):
        torch.manual_seed(seed)  # the global generator does not matter
        agent = Agent.create(ReinforceConfig(**SIZES, seed=of), make_eye(), 2, TASK)
        weights.append(agent.model.classifier.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    torch.manual_seed(0)
    before = torch.get_rng_state()
    Agent.create(ReinforceConfig(**SIZES), make_eye(), 2, TASK)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_agent_fits_its_batch() -> None:
    batch = make_batch(make_eye())
    agent = Agent.for_batch(UntrainedConfig(**SIZES), batch)
    assert (agent.eye, agent.channels, agent.task.classes) == (batch.eye, 2, CLASSES)
    agent.evaluate(batch, "test")


@pytest.mark.parametrize(
    "config", [ReinforceConfig(**SIZES, reward="correct"), UntrainedConfig(std=0.3, seed=5)]
)
def test_a_description_makes_the_same_agent(config: Any) -> None:
    agent = Agent.create(config, make_eye("agent", reach=None), 2, TASK)
    again = Agent.from_description(agent.describe(), type(config))
    assert again.config == agent.config
    assert (again.eye, again.channels, again.task.classes) == (agent.eye, 2, CLASSES)
    for name, weight in again.model.state_dict().items():
        assert torch.equal(weight, agent.model.state_dict()[name])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_an_agent_on_cuda_says_the_same() -> None:
    agent = make_agent()
    wanted = agent.predict(pixels(5))
    agent.model.cuda()
    for part, of_cpu in zip(agent.predict(pixels(5)), wanted, strict=True):
        torch.testing.assert_close(part.cpu(), of_cpu, rtol=0, atol=1e-4)
