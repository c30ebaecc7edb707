"""In which numbers networks compute."""

import pytest
import torch
from torch import nn

from glimpse.precision import PRECISIONS, autocast

CPU = torch.device("cpu")


def _computed(precision: str) -> torch.dtype:
    layer = nn.Linear(3, 2)
    with autocast(CPU, precision):
        result = layer(torch.ones(1, 3))
    assert layer.weight.dtype == torch.float32
    dtype: torch.dtype = result.dtype
    return dtype


def test_the_named_precision_is_computed_in() -> None:
    assert _computed("float32") == torch.float32
    assert _computed("bfloat16") == torch.bfloat16


@pytest.mark.parametrize("name", ["avx512_bf16", "amx_bf16", "sve_bf16"])
def test_auto_takes_bfloat16_where_the_processor_multiplies_in_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, name: True})
    assert _computed("auto") == torch.bfloat16
    assert _computed("float32") == torch.float32


@pytest.mark.parametrize("capabilities", [{}, {"avx512_bf16": False, "avx2": True}])
def test_auto_takes_float32_elsewhere(
    capabilities: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert _computed("auto") == torch.float32
    assert _computed("bfloat16") == torch.bfloat16


def test_auto_is_the_default() -> None:
    layer = nn.Linear(3, 2)
    with autocast(CPU):
        dtype = layer(torch.ones(1, 3)).dtype
    assert dtype == _computed("auto")


def test_float32_holds_inside_another_autocast() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert _computed("float32") == torch.float32
        assert nn.Linear(3, 2)(torch.ones(1, 3)).dtype == torch.bfloat16


def test_weights_and_gradients_stay_float32() -> None:
    layer = nn.Linear(3, 2)
    with autocast(CPU, "bfloat16"):
        loss = layer(torch.ones(1, 3)).float().sum()
    loss.backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.float32
    assert torch.equal(layer.weight.grad, torch.ones(2, 3))


def test_an_unknown_precision_is_refused() -> None:
    assert PRECISIONS == ("auto", "float32", "bfloat16")
    message = "^`precision` must be one of auto, bfloat16, float32, got 'float16': choose one$"
    with pytest.raises(ValueError, match=message):
        autocast(CPU, "float16")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_computes_in_what_is_named() -> None:
    device = torch.device("cuda")
    layer = nn.Linear(3, 2, device=device)
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        with autocast(device, name):
            assert layer(torch.ones(1, 3, device=device)).dtype == dtype
