"""What every soft attention module of the table holds, whatever it does."""

import pytest
import torch
from torch import Tensor, nn

from glimpse.soft_baselines import ATTENTION, make

CHANNELS = 32
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
def test_weights_come_back(name: str) -> None:
    module, other = _module(name), make(name, CHANNELS)
    other.load_state_dict(module.state_dict())
    maps = _maps(2, CHANNELS, 5, 5)
    assert torch.equal(module.eval()(maps), other.eval()(maps))


@pytest.mark.plain
@every
def test_maps_of_another_form_are_refused(name: str) -> None:
    for maps in (_maps(CHANNELS, 5, 5), _maps(2, CHANNELS + 1, 5, 5)):
        with pytest.raises(ValueError, match=f"`maps` must be \\(B, {CHANNELS}, H, W\\), got"):
            make(name, CHANNELS)(maps)


@every
def test_it_can_be_exported(name: str) -> None:
    module, maps = _module(name).eval(), _maps(2, CHANNELS, 6, 9)
    exported = torch.export.export(module, (maps,)).module()
    torch.testing.assert_close(exported(maps), module(maps))


@pytest.mark.plain
@every
def test_it_can_be_compiled(name: str) -> None:
    torch.compiler.reset()
    module, maps = _module(name).eval(), _maps(2, CHANNELS, 6, 9)
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(maps), module(maps))
