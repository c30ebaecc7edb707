"""Differentiable soft attention, the baselines of hard attention."""

from .attention_maps import Attended, attend
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
from .small_resnet import SmallResNet
from .soft_baseline import SoftBaseline, load_soft, save_soft
from .soft_config import SoftConfig
from .spatial_transformer import SpatialTransformer
from .squeeze_excitation import SqueezeExcitation

__all__ = [
    "ATTENTION",
    "After",
    "Attended",
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
    "SmallResNet",
    "SoftBaseline",
    "SoftConfig",
    "SpatialGate",
    "SpatialTransformer",
    "SqueezeExcitation",
    "attend",
    "insert",
    "load_soft",
    "make",
    "ran_56",
    "ran_92",
    "save_soft",
]
