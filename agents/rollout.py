"""One episode of a recurrent attention model: look, remember, choose, look again.

Convention:
    An episode has T glimpses and A actions of a numbers each: A = T - 1, or T where the agent
    chooses the first glimpse too. Action number i is chosen before glimpse T - A + i (both counted
    from 0), so the rewards of the last A glimpses are those that follow an action. Of an episode
    that was stopped the last answer stands for all the glimpses that it did not have.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

from glimpse.episodes import EpisodeBatch
from glimpse.networks import RecurrentAttention
from glimpse.tasks import answered

Choose = Callable[[Tensor], Tensor]
Locate = Callable[[Tensor], Tensor]


class Rollout(NamedTuple):
    """What happened in a batch of episodes.

    Attributes:
        answers: After each glimpse, as the task has them.
        means: Of the actions.
        actions: What was chosen, as it was drawn, unclipped.
        values: What the baseline expected before each action.
        chosen: Whether an action counted: none does after the one that stopped the episode.
        glimpses: How many there were.
        target: What is right.
    """

    answers: Float[Tensor, "B T n"]
    means: Float[Tensor, "B A a"]
    actions: Float[Tensor, "B A a"]
    values: Float[Tensor, "B A"]
    chosen: Bool[Tensor, "B A"]
    glimpses: Int64[Tensor, "B"]
    target: Shaped[Tensor, "B ..."]


def roll_out(
    model: RecurrentAttention,
    batch: EpisodeBatch,
    observation: Mapping[str, Tensor],
    choose: Choose,
    *,
    glimpses: int | None = None,
    joint: float = 0.0,
    locate: Locate | None = None,
) -> Rollout:
    """Play the episodes that `reset`, `begin` or `sweep` began.

    The gradient of the answers' loss reaches classifier, core and glimpse network; those of the
    location head and of the baseline end at the hidden state, unless they are let through. No
    gradient passes through a location.

    Args:
        model: Who looks.
        batch: Where, with `predict="external"`.
        observation: What `reset` returned.
        choose: Turns the means (B, a) into actions (B, a).
        glimpses: How many glimpses to take; by default all that an episode has.
        joint: Weight with which the gradients of location head and baseline reach core and glimpse
            network: 0 detaches them, 1 lets them through as they are.
        locate: Says the mean actions (..., a) for hidden states (..., D), both with the rows first;
            by default the model's location head.

    Raises:
        ValueError: The batch judges answers itself, or its images are to be searched.
    """
    if batch.predict != "external":
        raise ValueError(
            f"`predict` must be 'external' for this agent, got {batch.predict!r}: it judges itself"
        )
    glimpses = glimpses or batch.eye.glimpses
    choices = glimpses - batch.eye.glimpses + batch.eye.actions
    locate = locate or model.locator
    state = model.initial(observation)
    hidden, actions = [], []
    for _ in range(choices):
        state = model(observation, state)
        hidden.append(state[0])
        with torch.no_grad():
            actions.append(choose(_mean(locate, state[0])))
        observation = batch.look(actions[-1])
    hidden.append(model(observation, state)[0])
    seen, count = torch.stack(hidden, dim=1), batch.count  # (B, A + 1, D)
    number = torch.arange(choices + 1, device=batch.device)
    last = (count + choices - glimpses)[:, None]  # of what was seen, from 0
    if batch.eye.stop:
        held = number.minimum(last)[..., None].expand_as(seen)
        seen = seen.gather(1, held)
    acting = seen[:, :choices].detach()
    if joint:
        acting = acting + joint * (seen[:, :choices] - acting)  # only the gradient differs
    return Rollout(
        answers=answered(batch.task).answers(model.classifier(seen[:, -glimpses:]).float()),
        # Once more, for the gradient: one large product is faster than one for each glimpse.
        means=_mean(locate, acting),
        actions=torch.stack(actions, dim=1)
        if actions
        else acting.new_zeros(len(seen), 0, batch.eye.action_size).float(),
        values=model.baseline(acting)[..., 0].float(),
        chosen=number[:choices] <= last,
        glimpses=count,
        target=batch.target,
    )


def costs(rollout: Rollout, cost: float) -> Float[Tensor, "B T"]:
    """Return what each glimpse cost: `cost` where an action chose it, else 0."""
    glimpses = rollout.answers.shape[1]
    number = torch.arange(glimpses, device=rollout.answers.device)
    chosen = number >= glimpses - rollout.actions.shape[1]
    return cost * (chosen & (number < rollout.glimpses[:, None])).float()


def _mean(locate: Locate, hidden: Float[Tensor, "... D"]) -> Float[Tensor, "... a"]:
    """Return the mean action in full precision: bfloat16 would be pixels off on a large image."""
    with torch.autocast(hidden.device.type, enabled=False):
        return locate(hidden.float())
