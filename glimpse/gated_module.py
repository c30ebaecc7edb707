"""Any network with gains on the outputs of its named layers, by hooks.

Convention:
    The network takes images `(B, C, H, W)` and returns logits `(B, n)`. The output of a gated layer
    is `(B, M, ...)`: each of its M maps has a gain, whatever axes follow. A layer runs once in a
    pass, before or after any other.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .gating import Pass

# Rows computed at once: five individuals on 128 images, which was faster on CPU than one individual
# after the other, and than fifty at once.
_ROWS = 640


class GatedModule:
    """A frozen network with gains on the outputs of some of its layers.

    Args:
        network: Frozen: it is put into evaluation, and its weights take no gradients.
        layers: The names of the layers, as `network.named_modules()` has them.
        example: One image or more to find out how many maps these have.

    Attributes:
        network: As given.
        layers: How many maps each layer has, by its name.
        classes: How many classes n.

    Raises:
        ValueError: There is no layer of a name, or it is named twice; one does not run, or runs
            twice, or its output has no maps; or the network does not take such images, or return
            logits.
    """

    def __init__(
        self, network: nn.Module, layers: Sequence[str], example: Float[Tensor, "B C H W"]
    ) -> None:
        self._gated = _named(network, layers)
        self.network = network.eval().requires_grad_(False)
        floats = [p.dtype for p in network.parameters() if p.is_floating_point()]
        self._dtype = floats[0] if floats else torch.float32
        self.layers, self.classes = self._probe(example.to(self._dtype))

    def chunk(self, images: Float[Tensor, "B C H W"], population: int) -> int:
        """Return how many of such images are best looked at at once by this many individuals."""
        return max(_ROWS // population, 1)

    def prepare(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the images: of a network we know nothing of, all may depend on gains."""
        return images.to(self._dtype)

    @torch.no_grad()
    def look(self, prepared: Float[Tensor, "B C H W"], gains: Float[Tensor, "B P A"]) -> Pass:
        """Make one pass with these gains."""
        count, population, _ = gains.shape
        rows = torch.split(gains.flatten(0, 1), list(self.layers.values()), dim=1)
        images = prepared.repeat_interleave(population, dim=0)
        with self._hooked(len(images), dict(zip(self.layers, rows, strict=True))) as means:
            logits = self.network(images)
        seen = torch.cat([_exact(means[name]) for name in self.layers], dim=1)
        log_probs = _exact(logits).log_softmax(dim=1)
        return Pass(seen.view(count, population, -1), log_probs.view(count, population, -1))

    def look_once(self, images: Float[Tensor, "B C H W"], gains: Float[Tensor, "B A"]) -> Pass:
        """Make one pass of one individual."""
        return self.look(self.prepare(images), gains[:, None])

    @torch.no_grad()
    def _probe(self, example: Tensor) -> tuple[dict[str, int], int]:
        """Return the layers' numbers of maps and the number of classes; find out what is wrong."""
        with self._hooked(len(example), {}) as means:
            try:
                logits = self.network(example)
            except (RuntimeError, TypeError) as error:
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise ValueError(
                    f"the network must take images, got {tuple(example.shape)}, which it does not "
                    f"({reason}): choose other images, or wrap it so that it does"
                ) from error
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(example):
            shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise ValueError(
                f"the network must return logits ({len(example)}, n) for {len(example)} images, "
                f"got {shape}: wrap it so that it does"
            )
        silent = [name for name in self._gated if name not in means]
        if silent:
            raise ValueError(
                f"`layers` must run in every pass, got {silent[0]!r}, which did not: leave it out"
            )
        return {name: means[name].shape[1] for name in self._gated}, logits.shape[1]

    @contextmanager
    def _hooked(self, rows: int, gains: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
        """Apply gains to so many rows in here; note the mean of every map, by the layer's name."""
        means: dict[str, Tensor] = {}

        def note(name: str, _: nn.Module, __: object, output: object) -> Tensor:
            if name in means:
                raise ValueError(
                    f"`layers` must run once in a pass, got {name!r}, which runs twice: choose one "
                    "around it"
                )
            gated = _checked_maps(name, output, rows)
            if name in gains:
                gain = gains[name].to(gated.dtype)
                gated = gated * gain.view(*gain.shape, *[1] * (gated.ndim - 2))
            means[name] = gated.flatten(2).mean(dim=2) if gated.ndim > 2 else gated.clone()
            return gated

        handles = [
            layer.register_forward_hook(partial(note, name)) for name, layer in self._gated.items()
        ]
        try:
            yield means
        finally:
            for handle in handles:
                handle.remove()


def _named(network: nn.Module, layers: Sequence[str]) -> dict[str, nn.Module]:
    """Return the layers of these names."""
    known = {name: layer for name, layer in network.named_modules() if name}
    if not layers:
        raise ValueError(
            f"`layers` must be at least one name, got none: choose of {_few(list(known))}"
        )
    for at, name in enumerate(layers):
        if name not in known:
            close = get_close_matches(name, known) or list(known)
            raise ValueError(
                f"`layers` must be names of the network's layers, got {name!r}: did you mean "
                f"{_few(close)}?"
            )
        if name in layers[:at]:
            raise ValueError(f"`layers` must be different names, got {name!r} twice: leave one out")
    return {name: known[name] for name in layers}


def _checked_maps(name: str, output: object, rows: int) -> Tensor:
    """Return the output of a layer, which has maps of every row."""
    if not isinstance(output, Tensor) or output.ndim < 2 or len(output) != rows:
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(
            f"the output of a layer must be (B, M, ...), B being {rows}, got {got} of {name!r}: "
            "choose another layer"
        )
    return output


def _exact(numbers: Tensor) -> Tensor:
    """Return numbers of half precision in single precision."""
    return numbers.to(torch.promote_types(numbers.dtype, torch.float32))


def _few(names: Sequence[str]) -> str:
    """Return some names for an error message."""
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
