"""The options of PPO, and the networks that it teaches.

Source: J. Schulman et al., "Proximal Policy Optimization Algorithms", 2017
(https://arxiv.org/abs/1707.06347).
"""

from dataclasses import dataclass
from math import sqrt

from torch import nn

from glimpse.checks import check_at_least, check_count

from .training import GaussianConfig


@dataclass(frozen=True, kw_only=True)
class PpoConfig(GaussianConfig):
    """The options of PPO; those of `GaussianConfig` and these.

    A step is one batch of episodes. `learning_rate`, `early` and `clip` are the perceiver's.

    Attributes:
        minibatches: Into how many parts at most a batch is split, one improvement each, for the
            perceiver and in every epoch of PPO.
        epochs: How often PPO goes through a batch.
        policy_rate: The learning rate of policy and value at its highest; it falls as the other.
        discount: Of the rewards that follow (gamma).
        trace: How far advantages rest on rewards, 1, rather than on expected values, 0 (lambda).
        clip_range: How much more or less probable a choice may become before PPO stops pushing.
        policy_clip: The Euclidean norm of PPO's gradient is cut to this.
        layers: Widths of the hidden layers of policy and value network; none: both are linear.
    """

    steps: int = 500
    batch: int = 1024
    std: float = 0.1
    last_std: float | None = None
    minibatches: int = 4
    epochs: int = 2
    policy_rate: float = 1e-3
    discount: float = 1.0
    trace: float = 1.0
    clip_range: float = 0.2
    policy_clip: float = 0.5
    layers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse options that cannot be meant."""
        super().__post_init__()
        check_count(1, minibatches=self.minibatches, epochs=self.epochs)
        if not isinstance(self.layers, tuple):
            raise ValueError(
                f"`layers` must be a tuple of widths, got {self.layers!r}: write (64,) for one"
            )
        check_count(1, **{f"layers[{number}]": width for number, width in enumerate(self.layers)})
        check_at_least(
            0,
            policy_rate=self.policy_rate,
            discount=self.discount,
            trace=self.trace,
            clip_range=self.clip_range,
            policy_clip=self.policy_clip,
        )
        if self.policy_clip == 0:
            raise ValueError(
                "`policy_clip` must be above 0, got 0: it cuts every gradient to nothing"
            )
        for name, value in (("discount", self.discount), ("trace", self.trace)):
            if value > 1:
                raise ValueError(f"`{name}` must be at most 1, got {value}: choose it in [0, 1]")

    def make_locator(self, hidden: int, size: int) -> nn.Module:
        """Return stable-baselines3's policy network; actions are clipped, not squashed."""
        return _mlp(hidden, self.layers, size, gain=0.01)

    def make_baseline(self, hidden: int) -> nn.Module:
        """Return stable-baselines3's value network."""
        return _mlp(hidden, self.layers, 1, gain=1.0)


def _mlp(inputs: int, layers: tuple[int, ...], outputs: int, gain: float) -> nn.Sequential:
    """Return a network as stable-baselines3 makes and initialises them."""
    parts: list[nn.Module] = []
    for width in layers:
        parts += [_linear(inputs, width, sqrt(2)), nn.Tanh()]
        inputs = width
    return nn.Sequential(*parts, _linear(inputs, outputs, gain))


def _linear(inputs: int, outputs: int, gain: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer
