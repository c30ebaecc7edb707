"""Averaged weights: steadier than the last ones."""

from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


def average(model: nn.Module, learned: nn.Module, ema: float, step: int) -> None:
    """Move a model's weights towards those of another like it, quickly in the first steps.

    w <- d w + (1 - d) w', d = min(ema, (1 + step) / (10 + step)). Buffers are copied.

    Args:
        model: What is moved.
        learned: Towards what.
        ema: How heavy the former weights are, in [0, 1).
        step: How often it was moved before.
    """
    decay = min(ema, (1 + step) / (10 + step))
    move = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    move(list(model.parameters()), list(learned.parameters()), None)
    for buffer, new in zip(model.buffers(), learned.buffers(), strict=True):
        buffer.copy_(new)
