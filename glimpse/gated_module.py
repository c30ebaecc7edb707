"""Any network with gains on the outputs of its named layers, by hooks.

Convention:
    The network takes images `(B, C, H, W)` and returns logits `(B, n)`. The output of a gated layer
    is `(B, M, ...)`: each of its M maps has a gain, whatever axes follow. A layer runs once in a
    pass, before or after any other.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches

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
        ValueError: There is no layer of a name; one does not run, or runs twice, or its output has
            no maps; or the network does not return logits.
    """

    def __init__(
        self, network: nn.Module, layers: Sequence[str], example: Float[Tensor, "B C H W"]
    ) -> None:
        known = dict(network.named_modules())
        if not layers:
            raise ValueError(
                f"`layers` must be at least one name, got none: choose of {_few(list(known)[1:])}"
            )
        for name in layers:
            if name not in known or not name:
                close = get_close_matches(name, known) or list(known)[1:]
                raise ValueError(
                    f"`layers` must be names of the network's layers, got {name!r}: did you mean "
                    f"{_few(close)}?"
                )
        self.network = network.eval().requires_grad_(False)
        self._gated = {name: known[name] for name in layers}
        self.layers = dict.fromkeys(layers, 0)
        self.layers, self.classes = self._probe(example)

    def chunk(self, images: Float[Tensor, "B C H W"], population: int) -> int:
        """Return how many of such images are best looked at at once by this many individuals."""
        return max(_ROWS // population, 1)

    def prepare(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the images: of a network we know nothing of, all may depend on gains."""
        return images

    @torch.no_grad()
    def look(self, prepared: Float[Tensor, "B C H W"], gains: Float[Tensor, "B P A"]) -> Pass:
        """Make one pass with these gains."""
        count, population, _ = gains.shape
        rows = torch.split(gains.flatten(0, 1), list(self.layers.values()), dim=1)
        images = prepared.repeat_interleave(population, dim=0)
        with self._hooked(dict(zip(self.layers, rows, strict=True))) as means:
            logits = self.network(images)
        seen = torch.cat([means[name] for name in self.layers], dim=1)
        log_probs = logits.float().log_softmax(dim=1)
        return Pass(seen.float().view(count, population, -1), log_probs.view(count, population, -1))

    def _probe(self, example: Tensor) -> tuple[dict[str, int], int]:
        """Return the layers' numbers of maps and the number of classes; find out what is wrong."""
        with torch.no_grad(), self._hooked({}) as means:
            logits = self.network(example)
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(example):
            shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise ValueError(
                f"the network must return logits ({len(example)}, n) for {len(example)} images, "
                f"got {shape}: wrap it so that it does"
            )
        silent = [name for name in self.layers if name not in means]
        if silent:
            raise ValueError(
                f"`layers` must run in every pass, got {silent[0]!r}, which did not: leave it out"
            )
        return {name: means[name].shape[1] for name in self.layers}, logits.shape[1]

    @contextmanager
    def _hooked(self, gains: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
        """Apply gains in here, and note the mean of every map, by the layer's name."""
        means: dict[str, Tensor] = {}

        def note(name: str, output: object) -> Tensor:
            if name in means:
                raise ValueError(
                    f"`layers` must run once in a pass, got {name!r}, which runs twice: choose one "
                    "around it"
                )
            if not isinstance(output, Tensor) or output.ndim < 2:
                raise ValueError(
                    f"the output of a layer must be (B, M, ...), got that of {name!r}, a "
                    f"{type(output).__name__}: choose another layer"
                )
            if name in gains:
                after = [1] * (output.ndim - 2)
                output = output * gains[name].to(output.dtype).view(*gains[name].shape, *after)
            means[name] = output.flatten(2).mean(dim=2) if output.ndim > 2 else output
            return output

        handles = [
            layer.register_forward_hook(lambda _, __, output, name=name: note(name, output))
            for name, layer in self._gated.items()
        ]
        try:
            yield means
        finally:
            for handle in handles:
                handle.remove()


def _few(names: Sequence[str]) -> str:
    """Return some names for an error message."""
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
