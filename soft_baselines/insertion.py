"""Soft attention in any network: a module of the table after the layers one names.

Convention:
    Names are those of `network.named_modules()` before the first insertion, and stay so: after
    `insert(network, "se", where="layer1.0.bn2")`, `"layer1.0.bn2"` still names that place, and a
    further module there comes after the first. Parameters of a layer that got a module are named
    `layer1.0.bn2.layer.weight`, those of the module `layer1.0.bn2.attention.…`: load weights of
    the plain network before.
"""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from glimpse.checks import check_name

from .places import names_of
from .registry import ATTENTION, make
from .resnet import BasicBlock, Bottleneck, Input

Network = TypeVar("Network", bound=nn.Module)


class After(nn.Module):
    """A layer, and the attention to what it gives.

    Args:
        layer: Of any arguments, that gives feature maps.
        attention: Of feature maps.
    """

    def __init__(self, layer: nn.Module, attention: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.attention = attention

    def forward(self, *inputs: Any, **options: Any) -> Tensor:
        """Return the layer's maps, attended."""
        maps: Tensor = self.attention(self.layer(*inputs, **options))
        return maps


def insert(
    network: Network,
    name: str,
    *,
    where: str | Iterable[str] | None = None,
    images: Tensor | None = None,
    **options: Any,
) -> Network:
    """Put a module of its own after each of the layers, and return the network, which is altered.

    Each module gets the channels, the device, the dtype and the mode of its layer. After an error
    the network is as before.

    Args:
        network: Any; a `ResNet` or `SmallResNet` knows its `branches`, `blocks` and `stages`.
        name: One of `ATTENTION`.
        where: Names of layers, or patterns as of file names: `"layer3.*.bn2"`. By default, in a
            `ResNet` or `SmallResNet`, where the papers have it (`places.py`): gates at the end of
            every residual branch, before the addition; "gc", "aa_conv" and "deformable_conv" so in
            all stages but the first, "generalised" in the last two; "bam" and "residual" after
            every stage but the last; "non_local", "cgnl" and "mhsa" after the last but one block
            of the last stage but one; those that choose a part of the image before all layers;
            heads of segmentation networks and "interaction_aware" after the last stage.
        images: Such as the network takes; it is run on them, without gradients and in evaluation,
            to learn the channels of layers that do not tell.
        options: Of the module.

    Raises:
        ValueError: A layer, a module or an option is unknown, or the channels are.

    Example:
        >>> from glimpse.soft_baselines import ResNet
        >>> network = insert(ResNet(18, classes=10), "se", reduction=8)
        >>> network.layer1[0].bn2.attention.excite.out_features
        64
    """
    check_name("name", name, ATTENTION)
    places = dict(_places(network))
    chosen = _chosen(network, name, where, places)
    layers = {at: getattr(*places[at]) for at in chosen}
    seen = {}
    if images is not None:
        dimensions = options.get("dimensions", 2)  # what is none is refused by the module
        rank = 2 + dimensions if dimensions in [1, 2, 3] else 4
        seen = _channels_seen(network, layers, images, rank)
    modules = {
        at: _fitted(make(name, seen[at] if seen else _told(at, layer), **options), layer, network)
        for at, layer in layers.items()
    }
    for at, module in modules.items():
        setattr(*places[at], After(layers[at], module))
    return network


def _places(network: nn.Module, prefix: str = "") -> Iterator[tuple[str, tuple[nn.Module, str]]]:
    """Yield every name of every layer, and the module and the attribute that hold it."""
    for key, layer in network.named_modules(remove_duplicate=False):
        if not key or "." in key:
            continue
        yield f"{prefix}{key}", (network, key)
        while isinstance(layer, After):
            layer = layer.layer
        yield from _places(layer, f"{prefix}{key}.")


def _chosen(
    network: nn.Module, name: str, where: str | Iterable[str] | None, places: Mapping[str, Any]
) -> list[str]:
    if where is None:
        where = names_of(network, ATTENTION[name].place)
    patterns = [where] if isinstance(where, str) or not isinstance(where, Iterable) else list(where)
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise ValueError(f"`where` must be names of layers, got {pattern!r}: write 'layer1'")
    if not patterns:
        raise ValueError("`where` must be at least one layer's name, got none: name one")
    chosen: dict[str, None] = {}
    for pattern in patterns:
        found = [at for at in places if fnmatchcase(at, pattern)]
        if not found:
            close = get_close_matches(pattern, places, n=5) or list(places)[:5]
            raise ValueError(
                f"`where` must name layers of the {type(network).__name__}, got {pattern!r}: "
                f"there are {', '.join(close)}"
            )
        chosen.update(dict.fromkeys(found))
    return list(chosen)


def _told(at: str, layer: nn.Module) -> int:
    """Return the channels that a layer says it gives."""
    match layer:
        case After():
            return _told(at, layer.layer)
        case nn.Conv1d() | nn.Conv2d() | nn.Conv3d() | nn.ConvTranspose2d():
            return layer.out_channels
        case BasicBlock() | Bottleneck() | Input():
            return layer.out_channels
        case nn.BatchNorm1d() | nn.BatchNorm2d() | nn.BatchNorm3d():
            return layer.num_features
        case nn.GroupNorm():
            return layer.num_channels
        case nn.Sequential() if len(layer):
            return _told(at, layer[-1])
    raise ValueError(
        f"channels of {at!r} must be known, got a {type(layer).__name__}, which does not tell: "
        "give `images`, on which to run the network"
    )


def _channels_seen(
    network: nn.Module, layers: Mapping[str, nn.Module], images: Tensor, rank: int
) -> dict[str, int]:
    """Return the channels that layers give when the network is run."""
    shapes: dict[nn.Module, tuple[int, ...] | str] = {}

    def keep(layer: nn.Module, _: Any, out: Any) -> None:
        shapes[layer] = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__

    modes = {module: module.training for module in network.modules()}
    hooks = [layer.register_forward_hook(keep) for layer in layers.values()]
    try:
        with torch.no_grad():
            network.eval()(images)
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes.items():
            module.training = mode
    return {
        at: _channels_of(at, shapes.get(layer, "nothing"), rank) for at, layer in layers.items()
    }


def _channels_of(at: str, shape: tuple[int, ...] | str, rank: int) -> int:
    if not isinstance(shape, str) and len(shape) == rank:
        return shape[1]
    wanted = {3: "B, C, T", 4: "B, C, H, W", 5: "B, C, T, H, W"}[rank]
    raise ValueError(
        f"output of {at!r} must be ({wanted}), got {shape}: name a layer that gives feature maps"
    )


def _fitted(module: nn.Module, layer: nn.Module, network: nn.Module) -> nn.Module:
    """Return the module, as its layer is: on its device, of its dtype, training or not."""
    like = next(layer.parameters(), next(network.parameters(), None))
    if like is not None:
        module = module.to(like.device, like.dtype if like.is_floating_point() else None)
    return module.train(layer.training)
