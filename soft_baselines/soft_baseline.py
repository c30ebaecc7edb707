"""A trained soft baseline: what it says of images, and the folder of a run that holds it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float32, Shaped
from torch import Tensor

from glimpse.batches import as_floats
from glimpse.checks import check_images, check_name, check_shape
from glimpse.run_folder import RunFolder

from .small_resnet import SmallResNet
from .soft_config import SoftConfig

_ROWS = 500  # images looked at at once


@dataclass(frozen=True, eq=False)
class SoftBaseline:
    """A network with soft attention that sees images whole.

    Attributes:
        config: How it was, or will be, trained.
        network: From images `(B, C, H, W)` in [0, 1] to logits.
        classes: The names of the classes.
    """

    config: SoftConfig
    network: SmallResNet
    classes: tuple[str, ...]

    @property
    def device(self) -> torch.device:
        """Where its weights lie."""
        return self.network.fc.weight.device

    @torch.no_grad()
    def predict(self, images: Shaped[Tensor, "B C H W"]) -> Float32[Tensor, "B n"]:
        """Return the probabilities of the classes.

        Args:
            images: uint8 or float in [0, 1], of the size that it was trained on.

        Raises:
            ValueError: They are others.
        """
        channels, height, width = self.network.shape
        check_shape(
            "images", images, f"B {channels} {height} {width}", mend="give those it was trained on"
        )
        check_images(images)
        self.network.eval()
        parts = torch.split(images, _ROWS)
        logits = [self.network(as_floats(part).to(self.device)) for part in parts]
        return torch.cat(logits).softmax(dim=1)


def save_soft(soft: SoftBaseline, run: RunFolder) -> None:
    """Write a soft baseline into a run's folder: `agent.json` and `weights.safetensors`."""
    content = {
        "agent": "soft",
        "config": asdict(soft.config),
        "shape": list(soft.network.shape),
        "classes": list(soft.classes),
    }
    run.write_json("agent.json", content)
    run.write_weights(soft.network.state_dict())


def load_soft(run: str | Path, *, device: torch.device | str = "cpu") -> SoftBaseline:
    """Return the soft baseline that was trained in a folder. No code in the folder is run.

    Raises:
        ValueError: The folder is none of a run, or of another agent's; a file is missing or
            damaged: it is named.
    """
    folder = RunFolder.open(run)
    content = folder.read_json("agent.json")
    try:
        check_name("agent", str(content["agent"]), ["soft"])
        soft = _built(content["config"], content["shape"], content["classes"])
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{folder.path / 'agent.json'} must describe a soft baseline, got {error}: name the "
            "folder of a run of `glimpse train soft`, or restore the file"
        ) from error
    try:
        soft.network.load_state_dict(folder.read_weights())
    except RuntimeError as error:
        raise ValueError(
            f"{folder.path / 'weights.safetensors'} must fit agent.json, got other weights "
            f"({str(error).splitlines()[-1].strip()}): restore both files"
        ) from error
    soft.network.eval().to(device)
    return soft


def _built(config: dict[str, Any], shape: Sequence[int], classes: Sequence[str]) -> SoftBaseline:
    """Return a soft baseline with weights that nobody trained."""
    made = SoftConfig(**config)
    channels, height, width = shape
    with torch.random.fork_rng(devices=[]):
        network = made.network((channels, height, width), len(classes))
    return SoftBaseline(made, network, tuple(map(str, classes)))
