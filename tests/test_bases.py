"""Networks by name, and bases in the folders of their runs."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from expect import refused
from nets import ODD, ONE, SHAPE, TWO, convolutional, floats, maxout

from glimpse import bases, register_network
from glimpse.bases import find_network, load_base, network_names, save_base
from glimpse.gated_maxout import GatedMaxout
from glimpse.gated_module import GatedModule
from glimpse.maxout import SIZES, MaxoutNetwork, Sizes
from glimpse.run_folder import RunFolder

IMAGES: Mapping[str, Any] = {"images": "digits", "canvas": "translated-40"}


@pytest.fixture(autouse=True)
def _none_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bases, "_registered", {})


def _saved(place: Path, network: MaxoutNetwork | None = None, **images: Any) -> RunFolder:
    run = RunFolder.create(place / "base")
    save_base(run, network or maxout(), images or IMAGES)
    return run


def test_a_registered_network_is_found_and_has_its_layers() -> None:
    network = convolutional()
    register_network("mine", network, ["first", "units"])
    base = find_network("mine")
    assert network_names() == ("mine",)
    assert (base.layers, base.images) == (("first", "units"), {})
    gated = base.gated(floats(1))
    assert isinstance(gated, GatedModule)
    assert gated.layers == {"first": 4, "units": 7}
    assert base.gated(floats(1), ["block"]).layers == {"block": 6}
    torch.testing.assert_close(base.network(floats(3)), network(floats(3)))


def test_a_name_alone_is_one_layer() -> None:
    register_network("mine", convolutional(), "first")
    base = find_network("mine")
    assert base.layers == ("first",)
    assert base.gated(floats(1), "block").layers == {"block": 6}


def test_what_is_registered_is_a_frozen_copy() -> None:
    network = convolutional().train()
    register_network("mine", network, ["first"])
    found = find_network("mine").network
    before = found(floats(2))
    with torch.no_grad():
        network.head.weight.zero_()
    assert network.training
    assert all(weights.requires_grad for weights in network.parameters())
    assert not found.training
    assert not any(weights.requires_grad for weights in found.parameters())
    assert torch.equal(found(floats(2)), before)


def test_a_name_may_be_given_anew() -> None:
    register_network("mine", convolutional(), ["first"])
    register_network("mine", maxout())
    assert isinstance(find_network("mine").network, MaxoutNetwork)
    assert network_names() == ("mine",)


def test_maxout_networks_share_work_if_all_their_layers_have_gains() -> None:
    register_network("two", maxout(TWO))
    register_network("one", maxout(ONE))
    two, one = find_network("two"), find_network("one")
    assert isinstance(two.gated(floats(1)), GatedMaxout)
    assert isinstance(two.gated(floats(1), ["stages.0", "stages.1"]), GatedMaxout)
    assert isinstance(two.gated(floats(1), ["stages.1", "stages.0"]), GatedModule)
    assert two.gated(floats(1), ["stages.1"]).layers == {"stages.1": 4}
    assert one.gated(floats(1)).layers == {"stages.0": 3}


@pytest.mark.parametrize("sizes", [ODD, TWO, "small"], ids=["odd", "two", "small"])
def test_a_base_comes_back_from_its_folder(tmp_path: Path, sizes: Sizes | str) -> None:
    shape = (1, 28, 20) if sizes == "small" else SHAPE
    network = MaxoutNetwork(shape, 5, sizes=sizes, dropout=0.25, input_dropout=0.125)
    base = find_network(_saved(tmp_path, network).path)
    assert isinstance(base.network, MaxoutNetwork)
    assert (base.network.shape, base.network.sizes) == (shape, network.sizes)
    assert base.network.dropout.p == base.network.convolutions[1].dropout.p == 0.25
    assert base.network.convolutions[0].dropout.p == 0.125
    assert not base.network.training
    assert not any(weights.requires_grad for weights in base.network.parameters())
    images = floats(2, shape)
    assert torch.equal(base.network(images), network.eval()(images))
    assert (base.layers, base.images) == ((), IMAGES)


def test_the_folder_says_what_it_takes(tmp_path: Path) -> None:
    run = _saved(tmp_path, images="photos", image_size=(9, 12), data_root=None, canvas=None)
    assert {file.name for file in run.path.iterdir()} == {
        *("agent.json", "weights.safetensors", "versions.json")
    }
    assert json.loads((run.path / "agent.json").read_text()) == {
        "agent": "base",
        "network": {
            "shape": [2, 9, 12],
            "classes": 3,
            "sizes": json.loads(json.dumps(ODD)),
            "dropout": 0.5,
            "input_dropout": 0.2,
        },
        "images": {"images": "photos", "image_size": [9, 12], "data_root": None, "canvas": None},
        "shown": None,
    }
    assert load_base(run.path).images["image_size"] == (9, 12)


def test_sizes_may_be_named_in_the_folder(tmp_path: Path) -> None:
    run = _saved(tmp_path, maxout("small", (1, 28, 20)))
    content = run.read_json("agent.json")
    run.write_json("agent.json", {**content, "network": {**content["network"], "sizes": "small"}})
    network = load_base(run.path).network
    assert isinstance(network, MaxoutNetwork)
    assert network.sizes is SIZES["small"]


def test_a_registered_name_comes_before_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _saved(tmp_path)
    assert isinstance(find_network("base").network, MaxoutNetwork)
    register_network("base", convolutional(), ["first"])
    assert not isinstance(find_network("base").network, MaxoutNetwork)


@pytest.mark.parametrize("name", ["agent.json", "weights.safetensors"])
def test_a_missing_or_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    run = _saved(tmp_path)
    run.write_config({})  # what else says that it is a run
    file = run.path / name
    whole = file.read_bytes()
    for content in (b"", whole[: len(whole) // 2], os.urandom(64)):
        file.write_bytes(content)
        with refused(f"{file} must be as it was written, got a damaged file: restore it"):
            find_network(run.path)
    file.unlink()
    with refused(f"{file} must be there, got No such file or directory: was the run interrupted"):
        find_network(run.path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"agent": "reinforce"}, "`agent` must be one of base, got 'reinforce'"),
        ({"agent": None}, "`agent` must be one of base, got 'None'"),
        ({"network": None}, ""),
        ({"images": None}, ""),
        ({"images": {"task": "search"}}, "`images` must be one of canvas, data_root, image_size"),
        ({"network.shape": [1, 28]}, "not enough values to unpack"),
        ({"network.shape": [1, 28, -2]}, "`width` must be a whole number from 1, got -2"),
        ({"network.classes": 0}, "`classes` must be a whole number from 1, got 0"),
        ({"network.sizes": "huge"}, "`sizes` must be one of paper, small, got 'huge'"),
        ({"network.sizes": [[], None]}, "`stages` must be a whole number from 1, got 0"),
        ({"network.sizes": [[[2, 3, 1, 0, 2, 2]], None]}, "`pool` must be a whole number from 1"),
        ({"network.sizes": [[[2, "3", 1, 2, 2, 2]], None]}, "`kernel` must be a whole number"),
        ({"network.sizes": [[[2, 99, 1, 2, 2, 2]], None]}, "images must be large enough for 1"),
        ({"network.sizes": 3}, ""),
        ({"network.dropout": 2}, "dropout probability has to be between 0 and 1"),
        ({"network.depth": 2}, ""),
    ],
    ids=str,
)
@pytest.mark.plain
def test_a_folder_that_describes_no_base_is_named(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    run = _saved(tmp_path)
    content = run.read_json("agent.json")
    for name, value in changes.items():
        *above, last = name.split(".")
        (content[above[0]] if above else content)[last] = value
    run.write_json("agent.json", content)
    with refused(f"{run.path / 'agent.json'} must describe a base, got {reason}"):
        load_base(run.path)


def test_weights_of_another_network_are_named(tmp_path: Path) -> None:
    run = _saved(tmp_path)
    run.write_weights(maxout(TWO).state_dict())
    with refused(f"{run.path / 'weights.safetensors'} must fit agent.json, got other weights ("):
        load_base(run.path)


def test_a_base_is_saved_with_options_that_find_images_only(tmp_path: Path) -> None:
    with refused("`images` must be one of canvas, data_root, image_size, images, got 'size'"):
        _saved(tmp_path, size=3)
    assert not (tmp_path / "base" / "agent.json").exists()


@pytest.mark.parametrize("given", [None, 3, b"x"], ids=str)
@pytest.mark.plain
def test_what_is_no_name_is_refused(given: Any) -> None:
    got = "none" if given is None else type(given).__name__
    with refused(f"`base` must be a name or a path, got {got}: give the folder of a run of `gli"):
        find_network(given)


def test_unknown_names_and_other_folders_are_refused(tmp_path: Path) -> None:
    for name in ("", "nobody"):
        with refused(f"or a registered name (none so far), got {name!r}: check the path, or call"):
            find_network(name)
    register_network("mine", convolutional(), ["first"])
    with refused("the folder of a base's run or a registered name (mine), got 'nobody': check"):
        find_network("nobody")
    with refused(f"{tmp_path} must be the folder of a run, got none (it has neither config.yaml"):
        find_network(tmp_path)


@pytest.mark.parametrize("name", ["", "a/b", "a\\b"])
def test_names_that_could_be_paths_are_refused(name: str) -> None:
    with refused(f"`name` must be a name without slashes, got {name!r}: choose another"):
        register_network(name, convolutional())


@pytest.mark.plain
def test_what_is_no_module_is_refused() -> None:
    given: Any = torch.relu
    with refused("`network` must be a torch.nn.Module, got builtin_function_or_method: wrap it"):
        register_network("mine", given)


def test_images_of_another_shape_are_refused(tmp_path: Path) -> None:
    base = load_base(_saved(tmp_path).path)
    with refused("images must be (2, 9, 12), (C, H, W) of those the base was trained on, got (2, "):
        base.gated(floats(1, (2, 12, 9)))
    register_network("mine", convolutional(), ["first"])
    with pytest.raises(ValueError, match=re.escape("the network must take images, got (1, 1, 9, ")):
        find_network("mine").gated(floats(1, (1, 9, 12)))


def test_a_module_without_layers_is_refused() -> None:
    register_network("mine", convolutional())
    with refused("`layers` must be at least one name, got none: choose of first, norm, block"):
        find_network("mine").gated(floats(1))
