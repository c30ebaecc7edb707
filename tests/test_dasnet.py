"""dasNet: what it says is what its policy's passes say, and a folder holds all of it."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from expect import generator, refused
from gated import CLASSES, Misled, hooked, image_set, images, misleading_images, network
from torch import Tensor

from glimpse.agents import Dasnet, DasnetConfig, load_dasnet, look_again
from glimpse.bases import Base, save_base
from glimpse.evaluation import ErrorRate
from glimpse.gated_module import GatedModule
from glimpse.run_folder import RunFolder

MAPS = 7


def make(scale: float = 0.5, **options: Any) -> Dasnet:
    """Return a policy that does something, of the tiny maxout network by its fast way."""
    config = DasnetConfig(**{"passes": 2, **options})
    gated = Base(network()).gated(images(1))
    net = Dasnet.create(config, gated, images(20, seed=5))
    return net.with_weights(scale * torch.randn(net.weights.shape, generator=generator(4)))


def saved(net: Dasnet, folder: Path) -> Path:
    run = RunFolder.create(folder)
    net.save(run)
    save_base(RunFolder.create(folder / "base"), network(), {"images": "digits"})
    return folder


@pytest.mark.parametrize("policy", ["linear", "static"])
def test_a_new_policy_leaves_every_gain_and_answer_as_it_is(policy: str) -> None:
    config = DasnetConfig(policy=policy, passes=3)  # type: ignore[arg-type]
    net = Dasnet.create(config, hooked(), images(20))
    assert not net.weights.any()
    assert len(net.weights) == (MAPS * (MAPS + CLASSES + 1) if policy == "linear" else MAPS)
    probabilities, gains = net.predict(images())
    assert torch.equal(gains, torch.ones(6, 3, MAPS))
    assert probabilities.shape == (6, 4, CLASSES)
    with torch.no_grad():
        wanted = network()(images()).softmax(dim=1)
    for number in range(4):
        torch.testing.assert_close(probabilities[:, number], wanted)


def test_what_is_predicted_is_what_the_passes_say() -> None:
    net = make()
    probabilities, gains = net.predict(images())
    assert (gains.shape, probabilities.shape) == ((6, 2, MAPS), (6, 3, CLASSES))
    torch.testing.assert_close(gains.mean(dim=2), torch.ones(6, 2))
    gated, ones = hooked(), torch.ones(6, MAPS)
    for number, gain in enumerate([ones, gains[:, 0], gains[:, 1]]):
        said = gated.look_once(images(), gain).log_probs[:, 0].exp()
        torch.testing.assert_close(probabilities[:, number], said, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(net.answers(images()).exp(), probabilities)
    assert float((gains - 1).abs().max()) > 0.1
    assert float((gains[:, 1] - gains[:, 0]).abs().max()) > 0.01
    more = net.answers(images(), 4)
    assert more.shape == (6, 5, CLASSES)
    torch.testing.assert_close(more[:, :3].exp(), probabilities)


def test_bytes_and_arrays_are_images_too() -> None:
    net = make()
    pixels = image_set().images[:4]
    wanted = net.predict(pixels / 255)
    for given in (pixels, pixels.numpy(), (pixels / 255).double().numpy().astype(np.float64)):
        for got, want in zip(net.predict(given), wanted, strict=True):
            torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)


def test_observations_are_standardised_on_the_images_given() -> None:
    """By the first pass, however many images are looked at at once."""
    seen = hooked().look_once(images(20, seed=5), torch.ones(20, MAPS))
    told = torch.cat([seen.activations, seen.log_probs.exp()], dim=2)[:, 0]
    standard = make().standard
    torch.testing.assert_close(standard.mean, told.mean(dim=0), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(standard.scale, told.std(dim=0, correction=0), rtol=1e-3, atol=1e-6)
    plain = make(standardise=False).standard
    assert not plain.mean.any()
    assert (plain.scale == 1).all()


def test_an_error_is_that_of_every_image_after_each_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    net, shown = make(scale=3.0), image_set()
    index = shown.splits["test"]
    answers = net.answers(shown.images[index] / 255).argmax(dim=2)
    wrong = (answers != shown.targets[index][:, None]).sum(dim=0).tolist()
    monkeypatch.setattr("glimpse.agents.dasnet._ROWS", 3)
    assert net.evaluate(shown, "test") == tuple(ErrorRate(one, 8) for one in wrong)
    assert len(net.evaluate(shown, "train", passes=4)) == 5
    assert len({*wrong}) > 1


def test_the_weights_of_a_policy_are_those_of_the_equation() -> None:
    """A policy that mutes the map that lies, and doubts it only where it is bright."""
    gated, shown = GatedModule(Misled(), ["maps"], torch.zeros(1, 3, 2, 2)), misleading_images()
    net = Dasnet.create(DasnetConfig(passes=1, standardise=False), gated, torch.zeros(1, 3, 2, 2))
    assert net.evaluate(shown, "test")[0].percent == 50
    theta = torch.zeros(3, 3 + 2 + 1)  # of o: three maps, two classes, the bias
    theta[2, 2] = -10  # the lie, by itself
    rates = net.with_weights(theta.flatten()).evaluate(shown, "test")
    assert [rate.percent for rate in rates] == [50, 0]


# Saving and loading


@pytest.mark.parametrize("policy", ["linear", "static"])
def test_what_is_loaded_says_the_same(policy: str, tmp_path: Path) -> None:
    net = make(policy=policy, seed=3, std_rate=0.5)
    loaded = load_dasnet(saved(net, tmp_path / "run"))
    assert loaded.config == net.config
    for got, want in zip(loaded.predict(images()), net.predict(images()), strict=True):
        assert torch.equal(got, want)


def test_a_network_of_ones_own_is_given_again(tmp_path: Path) -> None:
    gated = hooked()
    net = Dasnet.create(DasnetConfig(passes=1), gated, images(9)).with_weights(torch.ones(77))
    run = RunFolder.create(tmp_path / "run")
    net.save(run)
    loaded = load_dasnet(run.path, network=gated)
    assert torch.equal(loaded.answers(images()), net.answers(images()))
    with refused(f"`network` must be given for {run.path}, got none: its base is not in the"):
        load_dasnet(run.path)


def test_a_policy_of_another_network_is_refused(tmp_path: Path) -> None:
    path = saved(make(), tmp_path / "run")
    other = GatedModule(network(), ["stages.0"], images(1))
    with refused("the policy must have 32 weights for this network, got (77,): give the network"):
        load_dasnet(path, network=other)


@pytest.mark.parametrize(
    "damage",
    [
        {"config": None},
        {"config": {}},
        {"config": {"population": 1}},
        {"config": {"sights": 2}},
        pytest.param({"config": {"policy": "cubic"}}, marks=pytest.mark.plain),
    ],
    ids=str,
)
def test_a_damaged_description_is_refused(damage: dict[str, Any], tmp_path: Path) -> None:
    path = saved(make(), tmp_path / "run")
    config = damage["config"] and {**asdict(make().config), **damage["config"]}
    (path / "agent.json").write_text(json.dumps({"agent": "dasnet", "config": config}))
    if damage["config"] == {}:
        config = {}
        (path / "agent.json").write_text(json.dumps({"agent": "dasnet"}))
    with refused(f"{path} must hold a run of dasnet, got "):
        load_dasnet(path)


def test_the_run_of_another_agent_is_named(tmp_path: Path) -> None:
    path = saved(make(), tmp_path / "run")
    with refused(f"{path / 'base'} must hold a run of dasnet, got one of base: name the folder"):
        load_dasnet(path / "base")


@pytest.mark.parametrize("name", ["agent.json", "weights.safetensors", "base/agent.json"])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    path = saved(make(), tmp_path / "run")
    (path / name).unlink()
    if name == "agent.json":
        with refused(f"{path} must be the folder of a run, got none"):
            load_dasnet(path)
        return
    if name == "base/agent.json":
        with refused(f"{path / 'base'} must be the folder of a run, got none"):
            load_dasnet(path)
        return
    with refused(f"{path / name} must be there"):
        load_dasnet(path)


def test_weights_that_are_missing_are_refused(tmp_path: Path) -> None:
    path = saved(make(), tmp_path / "run")
    RunFolder(path).write_weights({"policy": torch.zeros(77)})
    with refused(f"{path} must hold a run of dasnet, got 'mean': name the folder of one"):
        load_dasnet(path)


def test_a_run_can_be_copied(tmp_path: Path) -> None:
    net = make()
    shutil.copytree(saved(net, tmp_path / "run"), tmp_path / "copy")
    shutil.rmtree(tmp_path / "run")
    assert torch.equal(load_dasnet(tmp_path / "copy").answers(images()), net.answers(images()))


# Refusals


@pytest.mark.parametrize("shape", [(2, 1, 10, 8), (2, 3, 8, 10), (2, 1, 9, 10)])
@pytest.mark.parametrize("way", ["maxout", "module"])
def test_images_of_another_size_are_refused(shape: tuple[int, ...], way: str) -> None:
    net = make() if way == "maxout" else replace(make(), network=hooked())
    with refused(f"`images` must be (B, 1, 8, 10), as large as those of the base, got {shape}"):
        net.predict(torch.zeros(shape))


def test_what_is_no_image_is_refused() -> None:
    with refused("`images` of floats must lie in [0, 1], got 0 to 255: divide by 255?"):
        pixels: Tensor = torch.zeros(1, 1, 8, 10)
        pixels[0, 0, 0, 0] = 255
        make().predict(pixels)


@pytest.mark.plain
def test_an_image_alone_is_refused() -> None:
    with refused("`images` must be (N, C, H, W), got (8, 10): use images[:, None]"):
        make().predict(torch.zeros(8, 10))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "`steps` must be a whole number from 1, got 0"),
        ({"batch": 0}, "`batch` must be a whole number from 1, got 0"),
        ({"passes": 0}, "`passes` must be a whole number from 1, got 0"),
        ({"population": 1}, "`population` must be at least 2, got 1: individuals are compared"),
        ({"std": 0.0}, "`std` must be finite and at least 1e-12, got 0.0"),
        ({"centre_rate": -1.0}, "`centre_rate` must be finite and at least 0, got -1.0"),
        ({"std_rate": -1.0}, "`std_rate` must be finite and at least 0, got -1.0"),
        ({"boost": -1.0}, "`boost` must be finite and at least 0, got -1.0"),
        ({"seed": -1}, "`seed` must be a whole number from 0, got -1"),
        pytest.param(
            {"policy": "cubic"},
            "`policy` must be one of linear, static, got 'cubic'",
            marks=pytest.mark.plain,
        ),
        pytest.param(
            {"reward": "gain"},
            "`reward` must be one of correct, log_loss, got 'gain'",
            marks=pytest.mark.plain,
        ),
        pytest.param(
            {"learn_from": "all"},
            "`learn_from` must be one of other, shown, got 'all'",
            marks=pytest.mark.plain,
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], message: str) -> None:
    with refused(message):
        DasnetConfig(**options)


def test_a_population_looks_as_its_individuals_do() -> None:
    net = make()
    weights = torch.stack([net.weights, 0 * net.weights])
    both = look_again(net.network, images(), net.choose(weights), 2, 2)
    torch.testing.assert_close(both[:, 0], net.answers(images()))
    alone = net.with_weights(0 * net.weights)
    torch.testing.assert_close(both[:, 1], alone.answers(images()))
