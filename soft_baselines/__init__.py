"""Differentiable soft attention, the baselines of hard attention."""

from .draw import DrawAttention
from .registry import ATTENTION, Entry, make
from .residual_attention import ResidualAttention
from .residual_attention_network import ResidualAttentionNetwork, ran_56, ran_92
from .spatial_transformer import SpatialTransformer
from .squeeze_excitation import SqueezeExcitation

__all__ = [
    "ATTENTION",
    "DrawAttention",
    "Entry",
    "ResidualAttention",
    "ResidualAttentionNetwork",
    "SpatialTransformer",
    "SqueezeExcitation",
    "make",
    "ran_56",
    "ran_92",
]
