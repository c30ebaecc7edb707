"""What every soft attention module of the table holds, whatever it does."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

import pytest
import torch
from expect import refused
from torch import Tensor, nn

from glimpse.soft_baselines import ATTENTION, make, sampling, softmax_attention

CHANNELS = 32
# What they do depends on the size of the maps: levels, cells, depth, PyTorch's affine grid.
SIZED = ("fpa", "pyramid_object_context", "residual", "spatial_transformer")
every = pytest.mark.parametrize("name", list(ATTENTION))


def _module(name: str, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Return a module none of whose parameters is zero, as some are at first."""
    torch.manual_seed(0)
    module = make(name, CHANNELS).to(dtype)
    with torch.no_grad():
        for weights in module.parameters():
            weights.add_(0.1 * torch.randn_like(weights))
    return module


def _maps(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


@every
@pytest.mark.parametrize("size", [(1, 1), (7, 7), (5, 9), (14, 6)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_shape_and_dtype_stay(name: str, size: tuple[int, int], dtype: torch.dtype) -> None:
    module = _module(name, dtype).eval()
    maps = _maps(2, CHANNELS, *size).to(dtype)
    out = module(maps)
    assert (out.shape, out.dtype) == (maps.shape, dtype)
    assert bool(out.isfinite().all())


@every
def test_images_of_a_batch_do_not_mix(name: str) -> None:
    module, maps = _module(name, torch.float64).eval(), _maps(3, CHANNELS, 6, 9).double()
    alone = torch.cat([module(image[None]) for image in maps])
    torch.testing.assert_close(module(maps), alone, rtol=1e-10, atol=1e-12)


@every
def test_the_input_and_every_parameter_get_a_gradient(name: str) -> None:
    module, maps = _module(name).train(), _maps(8, CHANNELS, 6, 9).requires_grad_()
    module(maps).square().sum().backward()
    lost = [
        of
        for of, weights in [("maps", maps), *module.named_parameters()]
        if weights.grad is None or not weights.grad.any()
    ]
    assert lost == []


@every
def test_gradients_are_those_of_differences(name: str) -> None:
    module = _module(name, torch.float64).eval()
    maps = _maps(2, CHANNELS, 3, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(module, maps, fast_mode=True)


@every
def test_gradients_to_be_differentiated_are_the_same(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those in pieces come from a second formula then, where one input may lead to another."""
    monkeypatch.setattr(softmax_attention, "WEIGHTS", 40)
    monkeypatch.setattr(sampling, "NUMBERS", 2**9)
    module, maps = _module(name, torch.float64).eval(), _maps(2, CHANNELS, 5, 6).double()
    inputs = [maps.requires_grad_(), *module.parameters()]
    once, again = (
        torch.autograd.grad(module(maps).square().sum(), inputs, create_graph=twice)
        for twice in (False, True)
    )
    for wanted, found in zip(once, again, strict=True):
        torch.testing.assert_close(found.detach(), wanted)


@every
def test_weights_come_back(name: str) -> None:
    module, other = _module(name), make(name, CHANNELS)
    other.load_state_dict(module.state_dict())
    maps = _maps(2, CHANNELS, 5, 5)
    assert torch.equal(module.eval()(maps), other.eval()(maps))


@pytest.mark.plain
@every
def test_what_are_no_maps_is_refused(name: str) -> None:
    module = make(name, CHANNELS)
    wrong: Any
    for wrong, got in (([1], "list"), (torch.ones(2, CHANNELS, 5, 5).long(), "torch.int64")):
        with refused(f"`maps` must be a tensor of floats, got {got}: convert it"):
            module(wrong)
    with refused(f"`maps` must have a position or more, got (2, {CHANNELS}, 0, 5): give larger"):
        module(_maps(2, CHANNELS, 0, 5))


# Options of one kind, and what none of that kind may be.
WRONG: Mapping[str, tuple[Any, ...]] = {
    **dict.fromkeys(("reduction", "heads", "groups", "kernel", "size"), ("x", None, 2.5, True, 0)),
    **dict.fromkeys(("rounds", "cells", "hidden", "stride", "depth"), ("x", None, 2.5, True, 0)),
    **dict.fromkeys(("keys", "values", "branches", "minimum", "key_least"), ("x", 2.5, True, 0)),
    **dict.fromkeys(("dilation", "before", "trunk", "mask"), ("x", None, 2.5, True, 0)),
    **dict.fromkeys(("key_share", "value_share", "dropout"), ("x", None, -1, 2, float("nan"))),
    **dict.fromkeys(("others", "grids"), (3, "x", None, (0,), (2.5,))),
    **dict.fromkeys(("variant", "kind", "pooling", "fusion", "activation"), ("x", None, 3, [1])),
    **dict.fromkeys(("combine", "pyramid"), ("x", 3, [1])),
    **dict.fromkeys(("subsample", "normalised", "bias"), ("x", None, 3, [1])),
    **dict.fromkeys(("gamma", "sharpness"), ("x", None, -1, float("nan"))),
    "dimensions": ("x", None, 4, [2], True),
    "order": ("x", None, -1, 2.5),
    "out_channels": ("x", 0, 2.5),
    "terms": (1111, None, "11", "0000"),
}


@pytest.mark.plain
@every
def test_options_that_are_none_are_refused_in_one_line(name: str) -> None:
    options = signature(ATTENTION[name].module).parameters
    for option in list(options)[1:]:
        kind = "others" if (name, option) == ("aa_conv", "size") else option
        for value in WRONG[kind]:
            if (
                value is None
                and signature(ATTENTION[name].module).parameters[option].default is None
            ):
                continue
            with pytest.raises(ValueError, match=rf"^`{option}` .*must be .*got .*: [^\n]+$"):
                make(name, CHANNELS, **{option: value})


@pytest.mark.plain
@every
def test_maps_of_another_form_are_refused(name: str) -> None:
    for maps in (_maps(CHANNELS, 5, 5), _maps(2, CHANNELS + 1, 5, 5)):
        with pytest.raises(ValueError, match=f"`maps` must be \\(B, {CHANNELS}, H, W\\), got"):
            make(name, CHANNELS)(maps)


@pytest.mark.plain
@every
def test_it_can_be_exported_for_any_number_and_size(name: str) -> None:
    free = dict.fromkeys((0,) if name in SIZED else (0, 2, 3), torch.export.Dim.AUTO)
    module, maps = _module(name).eval(), _maps(2, CHANNELS, 6, 9)
    exported = torch.export.export(module, (maps,), dynamic_shapes=(free,)).module()
    others = _maps(3, CHANNELS, *((6, 9) if name in SIZED else (8, 7)))
    torch.testing.assert_close(exported(others), module(others))


@every
def test_there_may_be_no_image(name: str) -> None:
    assert _module(name).eval()(_maps(0, CHANNELS, 5, 6)).shape == (0, CHANNELS, 5, 6)


@every
def test_it_runs_under_autocast(name: str) -> None:
    module, maps = _module(name), _maps(4, CHANNELS, 6, 9).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        out = module(maps)
    assert bool(out.isfinite().all())
    out.float().square().sum().backward()
    assert all(weights.grad is not None for weights in module.parameters())
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert module.eval()(maps).shape == maps.shape


@pytest.mark.plain
@every
def test_it_can_be_compiled(name: str) -> None:
    torch.compiler.reset()
    module, maps = _module(name).eval(), _maps(2, CHANNELS, 6, 9)
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(maps), module(maps))
