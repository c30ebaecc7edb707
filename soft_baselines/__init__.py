"""Differentiable soft attention, the baselines of hard attention."""

from .registry import ATTENTION, Entry, make
from .residual_attention import ResidualAttention
from .residual_attention_network import ResidualAttentionNetwork, ran_56, ran_92
from .squeeze_excitation import SqueezeExcitation

__all__ = [
    "ATTENTION",
    "Entry",
    "ResidualAttention",
    "ResidualAttentionNetwork",
    "SqueezeExcitation",
    "make",
    "ran_56",
    "ran_92",
]
