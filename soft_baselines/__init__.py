"""Differentiable soft attention, the baselines of hard attention."""

from .bottleneck_attention import BottleneckAttention
from .convolutional_block_attention import ChannelGate, ConvolutionalBlockAttention, SpatialGate
from .coordinate_attention import CoordinateAttention
from .criss_cross import CrissCross, RCCAHead
from .draw import DrawAttention
from .dual_attention import ChannelAttention, DANetHead, DualAttentionOutput, PositionAttention
from .efficient_channel_attention import EfficientChannelAttention
from .global_context import GlobalContext
from .insertion import After, insert
from .interaction_aware import InteractionAware, InteractionTerms
from .non_local import NonLocal
from .object_context import (
    AtrousObjectContext,
    BaseObjectContext,
    ObjectContext,
    PyramidObjectContext,
)
from .registry import ATTENTION, Entry, make
from .residual_attention import ResidualAttention
from .residual_attention_network import ResidualAttentionNetwork, ran_56, ran_92
from .resnet import ResNet
from .selective_kernel import SelectiveKernel
from .spatial_transformer import SpatialTransformer
from .squeeze_excitation import SqueezeExcitation

__all__ = [
    "ATTENTION",
    "After",
    "AtrousObjectContext",
    "BaseObjectContext",
    "BottleneckAttention",
    "ChannelAttention",
    "ChannelGate",
    "ConvolutionalBlockAttention",
    "CoordinateAttention",
    "CrissCross",
    "DANetHead",
    "DrawAttention",
    "DualAttentionOutput",
    "EfficientChannelAttention",
    "Entry",
    "GlobalContext",
    "InteractionAware",
    "InteractionTerms",
    "NonLocal",
    "ObjectContext",
    "PositionAttention",
    "PyramidObjectContext",
    "RCCAHead",
    "ResNet",
    "ResidualAttention",
    "ResidualAttentionNetwork",
    "SelectiveKernel",
    "SpatialGate",
    "SpatialTransformer",
    "SqueezeExcitation",
    "insert",
    "make",
    "ran_56",
    "ran_92",
]
