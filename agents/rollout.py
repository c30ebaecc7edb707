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
from glimpse.tasks import classification

Choose = Callable[[Tensor], Tensor]


class Rollout(NamedTuple):
    """What happened in a batch of episodes.

    Attributes:
        log_probs: Of the classes, after each glimpse.
        means: Of the locations chosen.
        actions: The locations chosen, as they were drawn, unclipped.
        values: What the baseline expected before each of them.
        target: The classes.
    """

    log_probs: Float[Tensor, "B T n"]
    means: Float[Tensor, "B A 2"]
    actions: Float[Tensor, "B A 2"]
    values: Float[Tensor, "B A"]
    target: Int64[Tensor, "B"]


def roll_out(
    model: RecurrentAttention,
    batch: GlimpseBatch,
    observation: Mapping[str, Tensor],
    choose: Choose,
    *,
    glimpses: int | None = None,
    joint: float = 0.0,
) -> Rollout:
    """Play the episodes that `reset`, `begin` or `sweep` began.

    The gradient of the classes' loss reaches classifier, core and glimpse network; those of the
    location head and of the baseline end at the hidden state, unless they are let through. No
    gradient passes through a location.

    Args:
        model: Who looks.
        batch: Where, with `predict="external"`.
        observation: What `reset` returned.
        choose: Turns the means (B, 2) into locations (B, 2).
        glimpses: How many glimpses to take; by default all that an episode has.
        joint: Weight with which the gradients of location head and baseline reach core and glimpse
            network: 0 detaches them, 1 lets them through as they are.

    Raises:
        ValueError: The batch judges answers itself.
    """
    if batch.predict != "external":
        raise ValueError(
            f"`predict` must be 'external' for this agent, got {batch.predict!r}: it judges itself"
        )
    glimpses = glimpses or batch.eye.glimpses
    choices = glimpses - batch.eye.glimpses + batch.eye.actions
    state = model.initial(observation)
    hidden, actions = [], []
    for _ in range(choices):
        state = model(observation, state)
        hidden.append(state[0])
        with torch.no_grad():
            actions.append(choose(_mean(model, state[0])))
        observation = batch.look(actions[-1])
    hidden.append(model(observation, state)[0])
    seen = torch.stack(hidden, dim=1)  # (B, A + 1, D)
    acting = seen[:, :choices].detach()
    if joint:
        acting = acting + joint * (seen[:, :choices] - acting)  # only the gradient differs
    return Rollout(
        log_probs=classification(batch.task).log_probs(
            model.classifier(seen[:, -glimpses:]).float()
        ),
        # Once more, for the gradient: one large product is faster than one for each glimpse.
        means=_mean(model, acting),
        actions=torch.stack(actions, dim=1)
        if actions
        else acting.new_zeros(len(seen), 0, 2).float(),
        values=model.baseline(acting)[..., 0].float(),
        target=batch.target,
    )


def _mean(model: RecurrentAttention, hidden: Float[Tensor, "... D"]) -> Float[Tensor, "... 2"]:
    """Return the mean location in full precision: bfloat16 would be pixels off on a large image."""
    with torch.autocast(hidden.device.type, enabled=False):
        mean: Tensor = model.locator(hidden.float())
    return mean
