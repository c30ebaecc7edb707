"""Agents in run folders: what is saved is loaded, and what is damaged is named."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glimpse import Eye, GlimpseBatch, GlimpseSensor, ImageSet
from glimpse.agents import AGENTS, Agent, ReinforceConfig, load, save
from glimpse.loop import Learner
from glimpse.run_folder import RunFolder

CLASSES = ("Katze", "Käfer")
EYE = Eye(sensor=GlimpseSensor(3, scales=2, outside="edge"), glimpses=3, reach=4.5, context=2)
SIZES: dict[str, Any] = {"steps": 3, "batch": 4, "hidden": 8, "features": 6}
every_agent = pytest.mark.parametrize("name", AGENTS)


def _pixels(count: int = 9) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 1, 8, 11), dtype=torch.uint8, generator=generator)


def _batch() -> GlimpseBatch:
    images = ImageSet.from_arrays(
        _pixels(), [k % 2 for k in range(9)], classes=CLASSES, splits={"train": range(9)}
    )
    return GlimpseBatch(images, EYE, 4)


def _trained(name: str = "reinforce", **options: Any) -> Agent:
    batch = _batch()
    config = AGENTS[name].config(**{**SIZES, **options})
    agent = Agent.for_batch(config, batch)
    learner = AGENTS[name].learner(config, batch, agent.model)
    assert isinstance(learner, Learner)
    for _ in range(3):
        learner.step()
    return agent


@pytest.fixture
def saved(tmp_path: Path) -> RunFolder:
    run = RunFolder.create(tmp_path / "run")
    save(_trained(), run)
    return run


def test_the_agents() -> None:
    assert set(AGENTS) == {"reinforce", "ppo", "es", "uniform", "centre", "untrained"}
    assert len({entry.config for entry in AGENTS.values()}) == len(AGENTS)
    for entry in AGENTS.values():
        assert "\n" not in entry.summary
        assert entry.summary


# What is saved is loaded


@every_agent
@pytest.mark.parametrize("core", ["relu", "lstm"])
def test_a_loaded_agent_predicts_the_same(name: str, core: str, tmp_path: Path) -> None:
    agent = _trained(name, core=core, seed=7)
    run = RunFolder.create(tmp_path / "run")
    save(agent, run)
    for again in (load(run.path), load(str(run.path))):
        assert again.config == agent.config
        assert type(again.config) is type(agent.config)
        assert (again.eye, again.channels, again.task.classes) == (EYE, 1, CLASSES)
        for got, wanted in zip(again.predict(_pixels()), agent.predict(_pixels()), strict=True):
            assert torch.equal(got, wanted)


def test_weights_are_those_of_the_training_and_not_of_the_seed(saved: RunFolder) -> None:
    loaded, fresh = load(saved.path), Agent.for_batch(ReinforceConfig(**SIZES), _batch())
    weights = loaded.model.state_dict()
    assert any(not torch.equal(weights[k], v) for k, v in fresh.model.state_dict().items())


def test_a_second_save_replaces_the_first(saved: RunFolder) -> None:
    other = _trained("uniform", seed=3)
    save(other, saved)
    again = load(saved.path)
    assert again.config == other.config
    assert torch.equal(again.model.classifier.weight, other.model.classifier.weight)


def test_the_files_can_be_read_by_anyone(saved: RunFolder) -> None:
    assert {file.name for file in saved.path.iterdir()} == {
        *("agent.json", "weights.safetensors", "versions.json")
    }
    description = json.loads((saved.path / "agent.json").read_text())
    assert description["agent"] == "reinforce"
    assert description["task"] == {"name": "classification", "classes": list(CLASSES)}
    assert description["eye"]["sensor"] == {
        **{"size": 3, "scales": 2, "factor": 2, "outside": "edge"}
    }
    assert description["config"]["hidden"] == 8


class Own(nn.Module):
    """A glimpse network of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2 * 9, 6)

    def forward(self, glimpse: Tensor, location: Tensor) -> Tensor:
        features: Tensor = self.layer(glimpse.flatten(1))
        return features


def test_a_glimpse_network_of_ones_own_is_given_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    agent = Agent.for_batch(ReinforceConfig(**SIZES), _batch(), glimpse_network=Own())
    run = RunFolder.create(tmp_path / "run")
    save(agent, run)
    again = load(run.path, glimpse_network=Own())
    assert isinstance(again.model.glimpse, Own)
    for got, wanted in zip(again.predict(_pixels()), agent.predict(_pixels()), strict=True):
        assert torch.equal(got, wanted)
    with pytest.raises(ValueError, match=_unfit(run)):
        load(run.path)


@dataclass(frozen=True, kw_only=True)
class OwnConfig(ReinforceConfig):
    """Options that the table does not know."""


def test_an_agent_that_could_not_be_loaded_is_not_saved(tmp_path: Path) -> None:
    agent = Agent.for_batch(OwnConfig(**SIZES), _batch())
    run = RunFolder.create(tmp_path / "run")
    with pytest.raises(ValueError, match=r"OwnConfig"):
        save(agent, run)
    assert not (run.path / "agent.json").exists()


# What is missing or damaged is named


def _unfit(run: RunFolder) -> str:
    path = re.escape(str(run.path / "weights.safetensors"))
    mend = "restore both files, or give the glimpse_network it was trained with"
    return rf"^{path} must fit agent\.json, got other weights \(.+\): {mend}$"


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        message = f"^{re.escape(str(path))} must be the folder of a run, got none"
        with pytest.raises(ValueError, match=message):
            load(path)


@pytest.mark.parametrize("name", ["agent.json", "weights.safetensors"])
def test_a_missing_file_is_named(name: str, saved: RunFolder) -> None:
    saved.write_config({})
    (saved.path / name).unlink()
    with pytest.raises(ValueError, match=f"^{re.escape(str(saved.path / name))} must be there, "):
        load(saved.path)


@pytest.mark.parametrize("name", ["agent.json", "weights.safetensors"])
@pytest.mark.parametrize("part", [0.0, 0.5, 0.95])
def test_a_damaged_file_is_named(name: str, part: float, saved: RunFolder) -> None:
    content = (saved.path / name).read_bytes()
    (saved.path / name).write_bytes(content[: int(part * len(content))])
    message = f"^{re.escape(str(saved.path / name))} must be as it was written, got a damaged file"
    with pytest.raises(ValueError, match=message):
        load(saved.path)


def _describe(saved: RunFolder, **changes: Any) -> None:
    saved.write_json("agent.json", {**saved.read_json("agent.json"), **changes})


def _no_agent(saved: RunFolder) -> str:
    return f"^{re.escape(str(saved.path / 'agent.json'))} must describe an agent, got "


@pytest.mark.parametrize(
    ("name", "reader"),
    [("dasnet", "glimpse.agents.load_dasnet"), ("base", "glimpse.bases.find_network")],
)
def test_who_looks_at_no_glimpses_is_read_by_another(
    name: str, reader: str, saved: RunFolder
) -> None:
    _describe(saved, agent=name)
    wanted = f"must be the run of an agent that looks at glimpses, got one of {name}: read it with "
    with pytest.raises(ValueError, match=re.escape(f"{saved.path} {wanted}{reader}(run)")):
        load(saved.path)


def test_an_unknown_agent_is_refused_and_the_known_ones_are_named(saved: RunFolder) -> None:
    _describe(saved, agent="draw")
    known = "`agent` must be one of centre, es, ppo, reinforce, uniform, untrained, got 'draw'"
    with pytest.raises(ValueError, match=_no_agent(saved) + known):
        load(saved.path)


@pytest.mark.parametrize("name", ["agent", "config", "eye", "channels", "task"])
def test_a_description_that_lacks_something_is_refused(name: str, saved: RunFolder) -> None:
    description = saved.read_json("agent.json")
    del description[name]
    saved.write_json("agent.json", description)
    with pytest.raises(ValueError, match=_no_agent(saved) + f".*{name}"):
        load(saved.path)


@pytest.mark.plain
@pytest.mark.parametrize(
    "changes",
    [
        {"agent": 3},
        {"agent": ["reinforce"]},
        {"config": {"steps": 0}},
        {"config": {"momentum": 0.9}},
        {"config": 3},
        {"eye": {"glimpses": 3}},
        {"eye": {"sensor": {"size": 3, "depth": 2}}},
        {"eye": {"sensor": None}},
        {"eye": 3},
        {"channels": "one"},
        {"channels": -1},
        {"channels": 1.5},
        {"channels": None},
        {"task": 3},
    ],
    ids=str,
)
def test_a_description_that_is_none_is_refused(changes: Any, saved: RunFolder) -> None:
    _describe(saved, **changes)
    with pytest.raises(ValueError, match=_no_agent(saved)):
        load(saved.path)


@pytest.mark.parametrize(
    "changes",
    [
        {"config": {**SIZES, "hidden": 9}},
        {"config": {**SIZES, "core": "relu"}},
        {"channels": 3},
        {"task": {"name": "classification", "classes": ["a", "b", "c"]}},
    ],
    ids=str,
)
def test_weights_that_do_not_fit_are_refused(changes: Any, saved: RunFolder) -> None:
    _describe(saved, **changes)
    with pytest.raises(ValueError, match=_unfit(saved)):
        load(saved.path)


def test_weights_that_lack_one_or_have_one_too_many_are_refused(saved: RunFolder) -> None:
    weights = saved.read_weights()
    extra = {**weights, "surplus": torch.zeros(1)}
    some = {name: weight for name, weight in weights.items() if name != "baseline.bias"}
    for changed, name in ((extra, "surplus"), (some, "baseline.bias")):
        saved.write_weights(changed)
        with pytest.raises(ValueError, match=_unfit(saved).replace(".+", f".*{name}.*")):
            load(saved.path)
