"""The recurrent attention model and its parts.

Convention:
    Glimpses are `(B, K, C, s, s)` in [0, 1]; where they were is `(B, w)`: the location in units of
    actions and, where there is a choice, the level of zoom; features and the hidden state are
    `(B, D)`.

Source: V. Mnih et al., "Recurrent Models of Visual Attention", NeurIPS 2014, section 4: sizes 128
for what and where, 256 for the glimpse's features and for the core.
"""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from .checks import check_name

State = tuple[Tensor, ...]


class GlimpseNetwork(nn.Module):
    """Turn what was seen and where into features: g = ReLU(W_what h_what + W_where h_where).

    Args:
        shape: Of one glimpse, (K, C, s, s).
        features: D.
        hidden: Width of the layer that sees what, and of the one that sees where.
        where: How many numbers w say where.
    """

    def __init__(
        self,
        shape: tuple[int, int, int, int],
        *,
        features: int = 256,
        hidden: int = 128,
        where: int = 2,
    ) -> None:
        super().__init__()
        scales, channels, height, width = shape
        self.see_what = nn.Linear(scales * channels * height * width, hidden)
        self.see_where = nn.Linear(where, hidden)
        self.what = nn.Linear(hidden, features)
        self.where = nn.Linear(hidden, features)

    def forward(
        self, glimpse: Float[Tensor, "B K C s s"], where: Float[Tensor, "B w"]
    ) -> Float[Tensor, "B D"]:
        """Return the features of a glimpse."""
        saw_what = F.relu(self.see_what(glimpse.flatten(1)))
        saw_where = F.relu(self.see_where(where))
        return F.relu(self.what(saw_what) + self.where(saw_where))


class ReluCore(nn.Module):
    """The paper's core for classification: h_t = ReLU(W h_{t-1} + V g_t)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.cell = nn.RNNCell(features, hidden, nonlinearity="relu")

    def initial(self, hidden: Float[Tensor, "B D"]) -> State:
        """Return the state that holds nothing but `hidden`."""
        return (hidden,)

    def forward(self, features: Float[Tensor, "B D"], state: State) -> State:
        """Return the next state: the hidden state alone."""
        return (self.cell(features, *state),)


class LSTMCore(nn.Module):
    """The paper's core for games: a long short-term memory cell."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(features, hidden)

    def initial(self, hidden: Float[Tensor, "B D"]) -> State:
        """Return the state that holds nothing but `hidden`."""
        return hidden, torch.zeros_like(hidden)

    def forward(self, features: Float[Tensor, "B D"], state: State) -> State:
        """Return the next state: hidden state and cell."""
        hidden, cell = self.cell(features, state)
        return hidden, cell


CORES: Mapping[str, type[ReluCore] | type[LSTMCore]] = {"relu": ReluCore, "lstm": LSTMCore}


class LocationHead(nn.Module):
    """Say where to look next: the mean of the action.

    Args:
        hidden: Width D of the hidden state.
        size: How many numbers a an action has.
    """

    def __init__(self, hidden: int, size: int = 2) -> None:
        super().__init__()
        self.mean = nn.Linear(hidden, size)

    def forward(self, hidden: Float[Tensor, "... D"]) -> Float[Tensor, "... a"]:
        """Return the mean action, in [-1, 1]."""
        return torch.tanh(self.mean(hidden))


def baseline_head(hidden: int) -> nn.Module:
    """Return what says what to expect: one linear layer."""
    return nn.Linear(hidden, 1)


class RecurrentAttention(nn.Module):
    """Look, remember, and say what was seen and where to look next.

    Args:
        shape: Of one glimpse, (K, C, s, s).
        scores: How many numbers n an answer has.
        context: Height and width c of the whole image seen beside the glimpses, in pixels; it makes
            the first hidden state. None: there is none.
        core: `relu` or `lstm`, one of `CORES`.
        hidden: Width D of the hidden state.
        glimpse_network: What turns a glimpse and where it was into `features` numbers; by default
            `GlimpseNetwork`.
        features: How many those are.
        where: How many numbers w say where a glimpse was.
        locator: Makes what says where to look next, (…, D) to (…, a), from D.
        baseline: Makes what says what to expect, (…, D) to (…, 1), from D.
    """

    def __init__(
        self,
        shape: tuple[int, int, int, int],
        scores: int,
        *,
        context: int | None = None,
        core: str = "relu",
        hidden: int = 256,
        glimpse_network: nn.Module | None = None,
        features: int = 256,
        where: int = 2,
        locator: Callable[[int], nn.Module] = LocationHead,
        baseline: Callable[[int], nn.Module] = baseline_head,
    ) -> None:
        super().__init__()
        check_name("core", core, CORES)
        self.hidden = hidden
        self.context = nn.Linear(shape[1] * context**2, hidden) if context else None
        self.glimpse = glimpse_network or GlimpseNetwork(shape, features=features, where=where)
        self.core = CORES[core](features, hidden)
        self.locator = locator(hidden)
        self.baseline = baseline(hidden)
        self.classifier = nn.Linear(hidden, scores)

    def initial(self, observation: Mapping[str, Tensor]) -> State:
        """Return the state before the first glimpse: zero, or what the context says."""
        if self.context is None:
            location = observation["location"]
            return self.core.initial(location.new_zeros(len(location), self.hidden))
        return self.core.initial(F.relu(self.context(observation["context"].flatten(1))))

    def forward(self, observation: Mapping[str, Tensor], state: State) -> State:
        """Return the state after one more glimpse; the first of it is the hidden state (B, D)."""
        where = observation["location"]
        if "zoom" in observation:
            where = torch.cat([where, observation["zoom"]], dim=1)
        features = self.glimpse(observation["glimpse"], where)
        next_state: State = self.core(features, state)
        return next_state
