"""A run is a folder that anyone can read, and that an interrupted write cannot harm.

| file                  | what it holds                                                          |
| --------------------- | ---------------------------------------------------------------------- |
| `config.yaml`         | every option: `glimpse train AGENT --config RUN/config.yaml` repeats it |
| `agent.json`          | which agent, and what it takes to build its networks and its eye       |
| `weights.safetensors` | the networks' weights                                                  |
| `checkpoint.pt`       | all that a resumed run needs: tensors, numbers and dicts, no code      |
| `metrics.csv`         | what was logged, a row every so many steps                             |
| `versions.json`       | of Python and of the libraries                                         |
| `evaluation.json`     | the errors on test images, or on training ones where there are none    |
| `events.out.tfevents` | the same metrics for TensorBoard, and pictures of fixations or gains   |
"""

import json
import platform
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from .atomic import write_atomically
from .metrics_file import MetricsFile

_LIBRARIES = (
    "glimpse-rl",
    "torch",
    "numpy",
    "gymnasium",
    "stable-baselines3",
    "safetensors",
    "pillow",
)


@dataclass(frozen=True)
class RunFolder:
    """The files of one run.

    Attributes:
        path: The folder.
    """

    path: Path

    @classmethod
    def create(cls, path: str | Path) -> "RunFolder":
        """Make a new folder.

        Raises:
            ValueError: There is something at that path already.
        """
        path = Path(path)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ValueError(
                f"the run's folder must be new, got {path}, which is there: name another, or go on "
                f"with --resume {path}"
            )
        path.mkdir(parents=True, exist_ok=True)
        run = cls(path)
        run.write_json("versions.json", _versions())
        return run

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """Return the run in a folder.

        Raises:
            ValueError: There is none.
        """
        if not any((Path(path) / name).is_file() for name in ("config.yaml", "agent.json")):
            raise ValueError(
                f"{path} must be the folder of a run, got none (it has neither config.yaml nor "
                "agent.json): name the folder that training printed"
            )
        return cls(Path(path))

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write `config.yaml`."""
        text = yaml.safe_dump(dict(config), sort_keys=False)
        write_atomically(self.path / "config.yaml", text.encode())

    def read_config(self) -> dict[str, Any]:
        """Return what `config.yaml` holds.

        Raises:
            ValueError: It is missing or damaged.
        """
        return read_yaml(self.path / "config.yaml")

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file."""
        write_atomically(self.path / name, (json.dumps(content, indent=2) + "\n").encode())

    def read_json(self, name: str) -> dict[str, Any]:
        """Return what a JSON file holds.

        Raises:
            ValueError: It is missing or damaged.
        """
        text = self._read(name)
        try:
            content = json.loads(text)
        except ValueError as error:
            raise self._damaged(name) from error
        if not isinstance(content, dict):
            raise self._damaged(name)
        return content

    def write_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Write `weights.safetensors`."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
        write_atomically(self.path / "weights.safetensors", save_tensors(tensors))

    def read_weights(self) -> dict[str, Tensor]:
        """Return the networks' weights.

        Raises:
            ValueError: The file is missing or damaged.
        """
        content = self._read("weights.safetensors")
        try:
            return load_tensors(content)
        except SafetensorError as error:
            raise self._damaged("weights.safetensors") from error

    def write_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        """Write `checkpoint.pt`: only tensors, numbers, strings, lists and dicts."""
        buffer = BytesIO()
        torch.save(dict(checkpoint), buffer)
        write_atomically(self.path / "checkpoint.pt", buffer.getvalue())

    def read_checkpoint(self) -> dict[str, Any]:
        """Return the checkpoint; no code in the file is run.

        Raises:
            ValueError: The file is missing or damaged, or holds anything else than data.
        """
        content = BytesIO(self._read("checkpoint.pt"))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch wonders aloud about damaged files
                checkpoint = torch.load(content, weights_only=True, map_location="cpu")
        except Exception as error:  # torch names no common one
            raise self._damaged("checkpoint.pt") from error
        if not isinstance(checkpoint, dict):
            raise self._damaged("checkpoint.pt")
        return checkpoint

    @property
    def metrics(self) -> MetricsFile:
        """What was logged: `metrics.csv`."""
        return MetricsFile(self.path / "metrics.csv")

    def _read(self, name: str) -> bytes:
        return _read(self.path / name)

    def _damaged(self, name: str) -> ValueError:
        return _damaged(self.path / name)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the options in a YAML file.

    Raises:
        ValueError: It is missing, or holds anything else.
    """
    content = _read(path)
    try:
        options = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError) as error:
        raise _damaged(path) from error
    if not isinstance(options, dict):
        raise _damaged(path)
    return options


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"{path} must be there, got {error.strerror or error}: was the run interrupted before "
            "its first checkpoint, or the folder copied in part?"
        ) from error


def _damaged(path: Path) -> ValueError:
    return ValueError(
        f"{path} must be as it was written, got a damaged file: restore it or train anew"
    )


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:  # a bare clone
            found[library] = "not installed"
    return found
