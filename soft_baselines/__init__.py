"""Differentiable soft attention, the baselines of hard attention."""

from .bottleneck_attention import BottleneckAttention
from .convolutional_block_attention import ChannelGate, ConvolutionalBlockAttention, SpatialGate
from .coordinate_attention import CoordinateAttention
from .draw import DrawAttention
from .efficient_channel_attention import EfficientChannelAttention
from .global_context import GlobalContext
from .insertion import After, insert
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
    "BottleneckAttention",
    "ChannelGate",
    "ConvolutionalBlockAttention",
    "CoordinateAttention",
    "DrawAttention",
    "EfficientChannelAttention",
    "Entry",
    "GlobalContext",
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
