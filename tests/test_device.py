"""Devices by name."""

import pytest
import torch

from glimpse.device import find_device


def test_auto_is_cuda_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert find_device("auto") == torch.device("cuda")
    assert find_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ValueError, match="must be auto, cpu, cuda, cuda:0, cuda:1, got 'cuda:2'"):
        find_device("cuda:2")
    with pytest.raises(ValueError, match="got 'cuda:01'"):
        find_device("cuda:01")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device("auto") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cpu:x", "", "cuda:-1"])
def test_a_name_of_no_device_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="`device` must be "):
        find_device(name)
