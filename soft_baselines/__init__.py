"""Differentiable soft attention, the baselines of hard attention."""

from .attention_maps import Attended, observe
from .augmented_convolution import AugmentedConvolution
from .bottleneck_attention import BottleneckAttention
from .compact_non_local import CompactNonLocal
from .context_cells import ObjectContext
from .convolutional_block_attention import ChannelGate, ConvolutionalBlockAttention, SpatialGate
from .coordinate_attention import CoordinateAttention
from .criss_cross import CrissCross, RCCAHead
from .deformable_convolution import DeformableConvolution
from .draw import DrawAttention
from .dual_attention import ChannelAttention, DANetHead, DualAttentionOutput, PositionAttention
from .dynamic_convolution import DynamicConvolution
from .efficient_channel_attention import EfficientChannelAttention
from .generalised_attention import GeneralisedAttention
from .global_context import GlobalContext
from .insertion import After, insert
from .interaction_aware import InteractionAware, InteractionTerms
from .multi_head_attention import MultiHeadAttention
from .non_local import NonLocal
from .object_context import (
    AtrousObjectContext,
    BaseObjectContext,
    PyramidObjectContext,
)
from .pyramid_attention import FeaturePyramidAttention, GlobalAttentionUpsample
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
    "AtrousObjectContext",
    "Attended",
    "AugmentedConvolution",
    "BaseObjectContext",
    "BottleneckAttention",
    "ChannelAttention",
    "ChannelGate",
    "CompactNonLocal",
    "ConvolutionalBlockAttention",
    "CoordinateAttention",
    "CrissCross",
    "DANetHead",
    "DeformableConvolution",
    "DrawAttention",
    "DualAttentionOutput",
    "DynamicConvolution",
    "EfficientChannelAttention",
    "Entry",
    "FeaturePyramidAttention",
    "GeneralisedAttention",
    "GlobalAttentionUpsample",
    "GlobalContext",
    "InteractionAware",
    "InteractionTerms",
    "MultiHeadAttention",
    "NonLocal",
    "ObjectContext",
    "PositionAttention",
    "PyramidObjectContext",
    "RCCAHead",
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
    "insert",
    "load_soft",
    "make",
    "observe",
    "ran_56",
    "ran_92",
    "save_soft",
]
