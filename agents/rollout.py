"""One episode of a recurrent attention model: look, remember, choose, look again.

Convention:
    An episode has T glimpses and A chosen locations: A = T - 1, or T where the agent chooses the
    first too. Action a is chosen before glimpse T - A + a (both counted from 0), so the rewards of
    the last A glimpses are those that follow an action.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from glimpse.batch import GlimpseBatch
from glimpse.networks import RecurrentAttention

Choose = Callable[[Tensor], Tensor]


class Rollout(NamedTuple):
    """What happened in a batch of episodes.

    Attributes:
        scores: Of the classes, after each glimpse.
        means: Of the locations chosen.
        actions: The locations chosen, as they were drawn, unclipped.
        values: What the baseline expected before each of them.
        target: The classes.
    """

    scores: Float[Tensor, "B T n"]
    means: Float[Tensor, "B A 2"]
    actions: Float[Tensor, "B A 2"]
    values: Float[Tensor, "B A"]
    target: Int64[Tensor, "B"]


def roll_out(
    model: RecurrentAttention,
    batch: GlimpseBatch,
    observation: Mapping[str, Tensor],
    target: Int64[Tensor, "B"],
    choose: Choose,
) -> Rollout:
    """Play the episodes that `reset` or `sweep` began to their end.

    The gradient of the classes' loss reaches classifier, core and glimpse network; those of
    the location head and of the baseline end at the hidden state. No gradient passes through a
    location.

    Args:
        model: Who looks.
        batch: Where, with `predict="external"`.
        observation: What `reset` returned.
        target: The classes of the images.
        choose: Turns the means (B, 2) into locations (B, 2).

    Raises:
        ValueError: The batch judges answers itself.
    """
    if batch.predict != "external":
        raise ValueError(
            f"`predict` must be 'external' for this agent, got {batch.predict!r}: it judges itself"
        )
    glimpses, choices = batch.eye.glimpses, batch.eye.actions
    state = model.initial(observation)
    hidden, means, actions = [], [], []
    for _ in range(choices):
        state = model(observation, state)
        mean = model.locator(state[0].detach()).float()
        action = choose(mean).detach()
        hidden.append(state[0])
        means.append(mean)
        actions.append(action)
        observation = batch.step(action)[0]
    hidden.append(model(observation, state)[0])
    seen = torch.stack(hidden, dim=1)  # (B, A + 1, D)
    empty = seen.new_zeros(len(target), 0, 2, dtype=torch.float32)
    return Rollout(
        scores=model.classifier(seen[:, -glimpses:]).float(),
        means=torch.stack(means, dim=1) if means else empty,
        actions=torch.stack(actions, dim=1) if actions else empty,
        values=model.baseline(seen[:, :choices].detach())[..., 0].float(),
        target=target,
    )
