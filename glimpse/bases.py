"""Networks that can look again with gains, by name: those a program registers, and trained bases.

A base is a network that was trained to classify, before anyone learns to set its gains. The folder
of its run holds `agent.json`, what it takes to build it and which images it was trained on, and
`weights.safetensors`. Reading them runs no code.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .checks import check_count, check_name
from .gated_maxout import GatedMaxout
from .gated_module import GatedModule
from .gating import Gated
from .maxout import Dense, MaxoutNetwork, Sizes, Stage
from .run_folder import RunFolder

# What says which images a base was trained on: these options of `find_images`.
IMAGE_OPTIONS = ("images", "canvas", "image_size", "data_root")


@dataclass(frozen=True, eq=False)
class Base:
    """A frozen network, before any of its layers has gains.

    Attributes:
        network: In evaluation; its weights take no gradients.
        layers: The names of the layers that shall have gains; none: all of a `MaxoutNetwork`.
        images: The images it was trained on, as options of `find_images`; empty if nobody said.
        shown: How many of their training images it was shown; None: all.
        classes: The names of the classes; empty if nobody said.
    """

    network: nn.Module
    layers: tuple[str, ...] = ()
    images: Mapping[str, Any] = field(default_factory=dict)
    shown: int | None = None
    classes: tuple[str, ...] = ()

    def gated(
        self, example: Float[Tensor, "B C H W"], layers: Sequence[str] | None = None
    ) -> Gated:
        """Return the network with gains, on the device of the example.

        A `MaxoutNetwork` of two stages or more shares work among individuals if all of its layers
        have gains; any other network is given its gains by hooks.

        Args:
            example: One image or more, as the network will see them.
            layers: Which layers have gains; None: those of the base.

        Raises:
            ValueError: There is no such layer, or it cannot have gains; the network does not take
                such images, or returns no logits for them.
        """
        layers = (layers,) if isinstance(layers, str) else layers
        network, names = _moved(self.network, example.device), tuple(layers or self.layers)
        if not isinstance(network, MaxoutNetwork):
            return GatedModule(network, names, example)
        if tuple(example.shape[1:]) != network.shape:
            raise ValueError(
                f"images must be {network.shape}, (C, H, W) of those the base was trained on, got "
                f"{tuple(example.shape[1:])}: choose those, or lay them on such a canvas"
            )
        names = names or tuple(network.layers)
        if names == tuple(network.layers) and len(network.convolutions) > 1:
            return GatedMaxout(network)
        return GatedModule(network, names, example)


_registered: dict[str, Base] = {}


def register_network(name: str, network: nn.Module, layers: Sequence[str] = ()) -> None:
    """Give a network a name in this process, for `base=name` of `glimpse/Feedback-v0`.

    What is registered is a frozen copy: the network may be trained on.

    Args:
        name: Free, or registered before: then the new network replaces the old.
        network: Takes images `(B, C, H, W)` of floats in [0, 1] and returns logits `(B, n)`.
        layers: The names of the layers whose maps get gains, as `network.named_modules()` has them;
            a `MaxoutNetwork` needs none.

    Raises:
        ValueError: The name could be a path, or the network is no module.
    """
    if not name or "/" in name or "\\" in name:
        raise ValueError(f"`name` must be a name without slashes, got {name!r}: choose another")
    if not isinstance(network, nn.Module):
        raise ValueError(
            f"`network` must be a torch.nn.Module, got {type(network).__name__}: wrap it in one"
        )
    if isinstance(layers, str):
        layers = (layers,)
    frozen = deepcopy(network).eval().requires_grad_(False)
    _registered[name] = Base(frozen, tuple(layers))


def network_names() -> tuple[str, ...]:
    """Return the names that were registered in this process."""
    return tuple(_registered)


def find_network(base: str | Path | None) -> Base:
    """Return the network of a registered name, or of the folder of a base's run.

    Raises:
        ValueError: There is neither, or the folder cannot be read; the file is named.
    """
    if not isinstance(base, str | Path):
        given = "none" if base is None else type(base).__name__
        raise ValueError(
            f"`base` must be a name or a path, got {given}: give the folder of a run of `glimpse "
            "train base`, or the name of a network of yours (register_network)"
        )
    if str(base) in _registered:
        return _registered[str(base)]
    if base and Path(base).is_dir():
        return load_base(base)
    known = ", ".join(_registered) or "none so far"
    raise ValueError(
        f"`base` must be the folder of a base's run or a registered name ({known}), got "
        f"{str(base)!r}: check the path, or call register_network in this process first"
    )


def save_base(
    run: RunFolder,
    network: MaxoutNetwork,
    images: Mapping[str, Any],
    shown: int | None = None,
    classes: Sequence[str] = (),
) -> None:
    """Write a base into a run's folder: `agent.json` and `weights.safetensors`.

    Args:
        run: The folder.
        network: The network.
        images: The images it was trained on: of the options of `find_images` those of
            `IMAGE_OPTIONS`.
        shown: How many of their training images it was shown; None: all.
        classes: The names of the classes, if they have names.

    Raises:
        ValueError: One of the options is another.
    """
    described = {
        "shape": network.shape,
        "classes": network.classifier.out_features,
        "sizes": network.sizes,
        "dropout": network.dropout.p,
        "input_dropout": network.convolutions[0].dropout.p,
    }
    content: dict[str, Any] = {
        "agent": "base",
        "network": described,
        "images": _checked_images(images),
        "shown": shown,
    }
    if classes:
        content["classes"] = list(classes)
    run.write_json("agent.json", content)
    run.write_weights(network.state_dict())


def load_base(path: str | Path) -> Base:
    """Return the base that was trained in a folder. No code in the folder is run.

    Raises:
        ValueError: The folder is none of a run, or of another agent's; a file is missing or
            damaged: it is named.
    """
    run = RunFolder.open(path)
    content = run.read_json("agent.json")
    try:
        check_name("agent", str(content["agent"]), ["base"])
        network = _built(**content["network"])
        images, shown = _checked_images(content["images"]), content["shown"]
        if shown is not None:
            check_count(1, shown=shown)
        classes = _checked_classes(content.get("classes", []), network)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{run.path / 'agent.json'} must describe a base, got {error}: name the folder of a "
            "run of `glimpse train base`, or restore the file"
        ) from error
    try:
        network.load_state_dict(run.read_weights())
    except RuntimeError as error:
        raise ValueError(
            f"{run.path / 'weights.safetensors'} must fit agent.json, got other weights "
            f"({str(error).splitlines()[-1].strip()}): restore both files"
        ) from error
    return Base(network.eval().requires_grad_(False), images=images, shown=shown, classes=classes)


def _built(
    *,
    shape: Sequence[int],
    classes: int,
    sizes: str | list[Any],
    dropout: float,
    input_dropout: float,
) -> MaxoutNetwork:
    """Return the network of a description, with weights that nobody trained."""
    channels, height, width = shape
    check_count(1, channels=channels, height=height, width=width, classes=classes)
    own = sizes if isinstance(sizes, str) else _sizes(*sizes)
    return MaxoutNetwork(
        (channels, height, width), classes, sizes=own, dropout=dropout, input_dropout=input_dropout
    )


def _sizes(stages: Sequence[Sequence[int]], dense: Sequence[int] | None) -> Sizes:
    return Sizes(tuple(Stage(*stage) for stage in stages), Dense(*dense) if dense else None)


def _checked_images(images: Mapping[str, Any]) -> dict[str, Any]:
    """Return options that `find_images` takes."""
    for name in images:
        check_name("images", name, IMAGE_OPTIONS)
    size = images.get("image_size")  # in JSON a list
    return {**images, "image_size": tuple(size)} if size else dict(images)


def _checked_classes(names: Sequence[object], network: MaxoutNetwork) -> tuple[str, ...]:
    """Return the names of the classes: none, or as many as there are logits."""
    if len(names) not in (0, network.classifier.out_features):
        raise ValueError(f"{len(names)} names of {network.classifier.out_features} classes")
    return tuple(map(str, names))


def _moved(network: nn.Module, device: torch.device) -> nn.Module:
    """Return the network on a device: itself if it is there, else a copy."""
    tensors = chain(network.parameters(), network.buffers())
    here = all(tensor.device == device for tensor in tensors)
    return network if here else deepcopy(network).to(device)
