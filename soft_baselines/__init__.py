"""Differentiable soft attention, the baselines of hard attention."""

from .augmented_convolution import AugmentedConvolution
from .compact_non_local import CompactNonLocal
from .deformable_convolution import DeformableConvolution
from .dynamic_convolution import DynamicConvolution
from .generalised_attention import GeneralisedAttention
from .multi_head_attention import MultiHeadAttention
from .pyramid_attention import FeaturePyramidAttention, GlobalAttentionUpsample
from .registry import ATTENTION, Entry, make
from .squeeze_excitation import SqueezeExcitation

__all__ = [
    "ATTENTION",
    "AugmentedConvolution",
    "CompactNonLocal",
    "DeformableConvolution",
    "DynamicConvolution",
    "Entry",
    "FeaturePyramidAttention",
    "GeneralisedAttention",
    "GlobalAttentionUpsample",
    "MultiHeadAttention",
    "SqueezeExcitation",
    "make",
]
