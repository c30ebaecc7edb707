"""Runs of `glimpse train base` and `glimpse train dasnet` of seconds, for several test files."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from glimpse.agents import BaseConfig
from glimpse.cli import train_dasnet

SIZE = (1, 10, 8)
BASE = ["train", "base", "--steps", "12", "--batch", "32", "--log_every", "4"]
DASNET = ["train", "dasnet", "--steps", "5", "--population", "6", "--batch", "32", "--passes", "2"]
DASNET += ["--std", "0.3", "--log_every", "1", "--learn_from", "shown"]
DASNET += ["--seed", "4"]  # with which the policy found is better than none, and kept


def photos(root: Path) -> Path:
    """Write 80 small images of three classes, which are darker or lighter; return their folder."""
    for number in range(80):
        path = root / "abc"[number % 3] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 160, SIZE[1:], dtype=np.uint8)
        Image.fromarray(pixels + np.uint8(20 * (number % 3))).save(path)
    return root


def shorten_base(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the base that `glimpse train dasnet` trains for itself have few steps."""
    monkeypatch.setattr(train_dasnet, "BaseConfig", partial(BaseConfig, steps=4, batch=16))


def weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


def assert_near(one: Path, other: Path) -> None:
    """Expect the same policy and the same metrics, to the rounding of floats."""
    first, second = (load_file(folder / "weights.safetensors") for folder in (one, other))
    assert first.keys() == second.keys()
    for name, wanted in second.items():
        torch.testing.assert_close(first[name], wanted, rtol=1e-4, atol=1e-5)
    rows, wanted_rows = (_table(folder) for folder in (one, other))
    assert rows.shape == wanted_rows.shape
    torch.testing.assert_close(rows, wanted_rows, rtol=1e-4, atol=1e-5, equal_nan=True)


def _table(folder: Path) -> Tensor:
    head, *rows = (folder / "metrics.csv").read_text().splitlines()
    assert head.startswith("step,fitness centre,fitness best,fitness mean,search std,train error %")
    return torch.tensor(
        [[float(cell or "nan") for cell in row.split(",")] for row in rows], dtype=torch.float64
    )
