"""Differentiable soft attention, the baselines of hard attention."""

from .bottleneck_attention import BottleneckAttention
from .convolutional_block_attention import ChannelGate, ConvolutionalBlockAttention, SpatialGate
from .coordinate_attention import CoordinateAttention
from .efficient_channel_attention import EfficientChannelAttention
from .global_context import GlobalContext
from .insertion import After, insert
from .registry import ATTENTION, Entry, make
from .resnet import ResNet
from .selective_kernel import SelectiveKernel
from .squeeze_excitation import SqueezeExcitation

__all__ = [
    "ATTENTION",
    "After",
    "BottleneckAttention",
    "ChannelGate",
    "ConvolutionalBlockAttention",
    "CoordinateAttention",
    "EfficientChannelAttention",
    "Entry",
    "GlobalContext",
    "ResNet",
    "SelectiveKernel",
    "SpatialGate",
    "SqueezeExcitation",
    "insert",
    "make",
]
