"""Differentiable soft attention, the baselines of hard attention."""

from .context_cells import ObjectContext
from .criss_cross import CrissCross, RCCAHead
from .dual_attention import ChannelAttention, DANetHead, DualAttentionOutput, PositionAttention
from .interaction_aware import InteractionAware, InteractionTerms
from .non_local import NonLocal
from .object_context import (
    AtrousObjectContext,
    BaseObjectContext,
    PyramidObjectContext,
)
from .registry import ATTENTION, Entry, make
from .squeeze_excitation import SqueezeExcitation

__all__ = [
    "ATTENTION",
    "AtrousObjectContext",
    "BaseObjectContext",
    "ChannelAttention",
    "CrissCross",
    "DANetHead",
    "DualAttentionOutput",
    "Entry",
    "InteractionAware",
    "InteractionTerms",
    "NonLocal",
    "ObjectContext",
    "PositionAttention",
    "PyramidObjectContext",
    "RCCAHead",
    "SqueezeExcitation",
    "make",
]
