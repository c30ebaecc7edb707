"""What sets gains: the paper's equation as a loop, and a population as one individual at a time."""

import pytest
import torch
from expect import generator
from gated import CLASSES, hooked, images, network
from torch import Tensor

from glimpse.agents import POLICIES, look_again, mean_one
from glimpse.agents.gain_policy import Choose, Standard, linear, observation, static
from glimpse.gated_maxout import GatedMaxout
from glimpse.gating import Gated, Pass

MAPS, OBSERVED = 7, 10
PASSES = 3


def _weights(kind: str, count: int, scale: float = 1.0) -> Tensor:
    size = POLICIES[kind].weights(MAPS, OBSERVED)
    return scale * torch.randn(count, size, generator=generator(1))


def _seen(count: int = 5, population: int = 1) -> Pass:
    draw = generator(2)
    activations = torch.rand(count, population, MAPS, generator=draw)
    logits = torch.randn(count, population, CLASSES, generator=draw)
    return Pass(activations, logits.log_softmax(dim=-1))


def _standard() -> Standard:
    draw = generator(3)
    scale = torch.rand(OBSERVED, generator=draw) + 0.5
    return Standard(torch.randn(OBSERVED, generator=draw), scale)


def test_gains_are_positive_and_their_mean_is_one() -> None:
    gains = mean_one(5 * torch.randn(4, 3, MAPS, generator=generator()))
    assert (gains > 0).all()
    torch.testing.assert_close(gains.mean(dim=-1), torch.ones(4, 3))
    assert torch.equal(mean_one(torch.zeros(2, 3, MAPS)), torch.ones(2, 3, MAPS))
    wanted = torch.tensor([1.0, 2.0, 3.0]) / 2
    torch.testing.assert_close(mean_one(torch.tensor([1.0, 2.0, 3.0]).log()), wanted)


def test_observed_are_the_means_of_maps_and_the_probabilities() -> None:
    seen = _seen(2, 3)
    got = observation(seen)
    assert got.shape == (2, 3, OBSERVED)
    assert torch.equal(got[..., :MAPS], seen.activations)
    torch.testing.assert_close(got[..., MAPS:].sum(dim=-1), torch.ones(2, 3))
    assert torch.equal(got[..., MAPS:], seen.log_probs.exp())


@pytest.mark.parametrize("of_all", [True, False], ids=["one-pass-for-all", "a-pass-each"])
def test_the_linear_policy_is_its_equation(of_all: bool) -> None:
    """a_j = A exp(s_j) / sum_i exp(s_i), s = theta [o; 1]; the last column is the bias."""
    standard, count = _standard(), 4
    weights, seen = _weights("linear", count, 0.3), _seen(5, 1 if of_all else count)
    gains = linear(weights, standard, MAPS)(seen)
    assert gains.shape == (5, count, MAPS)
    told = observation(seen)
    for image in range(5):
        for one in range(count):
            o = (told[image, 0 if of_all else one] - standard.mean) / standard.scale
            theta = weights[one].view(MAPS, OBSERVED + 1)
            scores = torch.stack(
                [
                    sum(theta[j, i] * o[i] for i in range(OBSERVED)) + theta[j, OBSERVED]
                    for j in range(MAPS)
                ]
            )
            wanted = MAPS * scores.exp() / scores.exp().sum()
            torch.testing.assert_close(gains[image, one], wanted, rtol=1e-4, atol=1e-5)
    assert float(gains.std(dim=0).amax(dim=1).min()) > 0.05  # they depend on what is seen


@pytest.mark.parametrize("population", [1, 3])
def test_the_static_control_does_not_see(population: int) -> None:
    weights = _weights("static", 3)
    gains = static(weights, _standard(), MAPS)(_seen(5, population))
    assert gains.shape == (5, 3, MAPS)
    for image in range(5):
        torch.testing.assert_close(gains[image], MAPS * weights.softmax(dim=1))
    assert POLICIES["static"].weights(MAPS, OBSERVED) == MAPS
    assert POLICIES["linear"].weights(MAPS, OBSERVED) == MAPS * (OBSERVED + 1) == 77


@pytest.mark.parametrize("kind", POLICIES)
def test_weights_of_zero_leave_gains_one_and_answers_as_they_were(kind: str) -> None:
    choose = POLICIES[kind].make(0 * _weights(kind, 2), _standard(), MAPS)
    assert torch.equal(choose(_seen()), torch.ones(5, 2, MAPS))
    plain = network()
    said = look_again(hooked(plain), images(), choose, 2, PASSES)
    with torch.no_grad():
        wanted = plain(images()).log_softmax(dim=1)
    for one in range(2):
        for number in range(PASSES + 1):
            torch.testing.assert_close(said[:, one, number], wanted)


def _alone(gated: Gated, shown: Tensor, choose: Choose) -> Tensor:
    """Return what one individual says of one image after each pass, a pass at a time."""
    gains, said = torch.ones(1, 1, MAPS), []
    for _ in range(PASSES + 1):
        seen = gated.look(gated.prepare(shown), gains)
        said.append(seen.log_probs[0, 0])
        gains = choose(seen)
    return torch.stack(said)


@pytest.mark.parametrize("kind", POLICIES)
@pytest.mark.parametrize("made", ["maxout", "module"])
@pytest.mark.parametrize("chunk", [None, 2])
def test_a_population_is_one_individual_and_one_image_at_a_time(
    kind: str, made: str, chunk: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many images are looked at at once; always compared with gains set by hooks."""
    weights, standard, shown = _weights(kind, 4), _standard(), images(5)
    gated: Gated = GatedMaxout(network()) if made == "maxout" else hooked()
    if chunk is not None:
        monkeypatch.setattr(gated, "chunk", lambda *_: chunk, raising=True)
    choose = POLICIES[kind].make(weights, standard, MAPS)
    said = look_again(gated, shown, choose, 4, PASSES)
    assert said.shape == (5, 4, PASSES + 1, CLASSES)
    for image in range(5):
        for one in range(4):
            alone = POLICIES[kind].make(weights[one : one + 1], standard, MAPS)
            wanted = _alone(hooked(), shown[image : image + 1], alone)
            torch.testing.assert_close(said[image, one], wanted, rtol=1e-4, atol=1e-4)
    assert float(said[:, :, 0].std(dim=1).max()) < 1e-6  # all share the first pass
    assert float(said[:, :, -1].std(dim=1).min()) > 1e-3  # and go their own ways


def test_observations_are_standardised_by_their_mean_and_deviation() -> None:
    seen = _seen(50)
    seen.activations[:, 0, 2] = 0.25  # a map that never changes
    standard = Standard.of(seen)
    told = (observation(seen) - standard.mean) / standard.scale
    torch.testing.assert_close(told.mean(dim=(0, 1)), torch.zeros(OBSERVED), rtol=0, atol=1e-5)
    deviation = told.double().std(dim=(0, 1), correction=0)
    wanted = torch.ones(OBSERVED, dtype=torch.float64)
    wanted[2] = 0
    torch.testing.assert_close(deviation, wanted, rtol=0, atol=1e-5)
    assert standard.scale[2] == 1


def test_unstandardised_observations_stay_as_they_are() -> None:
    standard = Standard.none(hooked(), torch.device("cpu"))
    assert torch.equal(standard.mean, torch.zeros(OBSERVED))
    assert torch.equal(standard.scale, torch.ones(OBSERVED))


def test_looking_needs_no_gradients() -> None:
    weights = _weights("linear", 2).requires_grad_()
    said = look_again(hooked(), images(), linear(weights, _standard(), MAPS), 2, 1)
    assert not said.requires_grad
