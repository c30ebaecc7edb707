"""The options of a soft baseline: every module of the table fits, and it learns what agents see."""

from typing import Any

import pytest
import torch
from expect import refused
from learners import TRAIN, make_config, make_learner, small_canvas, small_images

from glimpse import ImageSet
from glimpse.catalogue import find_images
from glimpse.classifier import Classifier, error_of
from glimpse.soft_baselines import ATTENTION, After, DrawAttention, SoftConfig, SpatialTransformer

NAMES = ["none", "stn", *ATTENTION]


def _places(attention: str, **options: Any) -> dict[str, torch.nn.Module]:
    network = SoftConfig(attention=attention, **options).network((1, 16, 20), 3)
    return {at: m.attention for at, m in network.named_modules() if isinstance(m, After)}


@pytest.mark.parametrize("attention", NAMES)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 40, 36)])
def test_every_module_is_inserted_and_learns(attention: str, shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    network = SoftConfig(attention=attention).network(shape, 4)
    assert any(isinstance(module, After) for module in network.modules()) == (attention != "none")
    logits = network(torch.rand(3, *shape))
    assert logits.shape == (3, 4)
    logits.square().sum().backward()
    assert all(weights.grad is not None for weights in network.parameters())
    assert all(weights.grad.isfinite().all() for weights in network.parameters())


def test_transformers_and_draw_stand_at_the_input() -> None:
    for name, kind in (("stn", SpatialTransformer), ("draw", DrawAttention)):
        (module,) = _places(name).values()
        assert isinstance(module, kind)
        assert list(_places(name)) == ["input"]
        assert module.channels == 1
    assert list(_places("spatial_transformer")) == ["input"]


def test_others_stand_where_their_papers_have_them() -> None:
    assert list(_places("residual")) == ["layer1", "layer2"]
    assert list(_places("bam")) == ["layer1", "layer2"]
    assert list(_places("se", blocks=2)) == [
        f"layer{stage}.{block}.bn2" for stage in (1, 2, 3) for block in (0, 1)
    ]
    assert list(_places("criss_cross")) == ["layer3"]
    assert list(_places("non_local", blocks=2)) == ["layer2.0"]
    assert _places("none") == {}


@pytest.mark.parametrize("width", [16, 20, 24])
def test_selective_kernels_have_groups_that_fit(width: int) -> None:
    assert len(_places("sk", width=width)) == 3


@pytest.mark.parametrize("canvas", [False, True])
def test_it_learns_from_the_images_that_reinforce_sees(canvas: bool) -> None:
    """Of the same seed and batch, step by step, to the pixel."""
    source = small_canvas if canvas else small_images
    agent = make_learner(make_config(seed=5), source)
    config = SoftConfig(seed=5, steps=10, batch=4, width=2, attention="none")
    soft = Classifier(config, source(), config.make(source()))
    seen: list[torch.Tensor] = []
    soft.network.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    for _ in range(2 * len(TRAIN) // 4):
        agent.step()
        soft.step()
        shown = torch.stack([agent.batch.pixels(row) for row in range(4)])
        assert torch.equal(seen[-1], shown / 255)
    assert len({images.sum().item() for images in seen}) == len(seen)


def test_it_learns_the_digits() -> None:
    digits = find_images("digits")
    config = SoftConfig(steps=80, batch=64, attention="se")
    learner = Classifier(config, digits, config.make(digits))
    assert error_of(learner.network, digits, "test").percent > 75
    for _ in range(80):
        learner.step()
    assert error_of(learner.network, digits, "test").percent < 25


def test_a_seed_is_a_network() -> None:
    made = []
    for seed, drawn in ((3, 0), (3, 1), (4, 0)):
        torch.manual_seed(drawn)
        made.append(SoftConfig(seed=seed, attention="se").make(small_images()).state_dict())
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])
    assert not torch.equal(made[0]["fc.weight"], made[2]["fc.weight"])


def test_making_one_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    SoftConfig().make(small_images())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_module_that_nobody_knows_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"none, .*stn.*got 'sse'"):
        SoftConfig(attention="sse")


@pytest.mark.parametrize("name", ["width", "blocks", "steps"])
def test_counts_are_refused(name: str) -> None:
    with refused(f"`{name}` must be a whole number from 1, got 0"):
        SoftConfig(**{name: 0})


def test_a_width_that_the_module_does_not_take_is_refused() -> None:
    with refused("`width` must suit cbam, got 8, of which it says: `reduction` must be in [1, 8]"):
        SoftConfig(width=8).make(small_images())


def test_another_task_is_refused() -> None:
    with refused("`images` must be a classification of images of one size, got a Search"):
        SoftConfig().make(find_images("haystack"))
    sizes = ImageSet.from_arrays(torch.zeros(2, 1, 5, 5), [0, 1])
    assert SoftConfig(attention="none").make(sizes).shape == (1, 5, 5)
