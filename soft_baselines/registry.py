"""The table of soft attention modules, and how to make one by its name.

Every module of the table is `Module(channels, *, option=default)` and maps feature maps
`(B, C, H, W)` to feature maps of the same shape, of any height and width.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any, Literal

from torch import nn

from glimpse.checks import check_count, check_name, check_options

from .augmented_convolution import AugmentedConvolution
from .bottleneck_attention import BottleneckAttention
from .compact_non_local import CompactNonLocal
from .convolutional_block_attention import ConvolutionalBlockAttention
from .coordinate_attention import CoordinateAttention
from .criss_cross import CrissCross
from .deformable_convolution import DeformableConvolution
from .draw import DrawAttention
from .dual_attention import ChannelAttention, PositionAttention
from .dynamic_convolution import DynamicConvolution
from .efficient_channel_attention import EfficientChannelAttention
from .generalised_attention import GeneralisedAttention
from .global_context import GlobalContext
from .interaction_aware import InteractionAware
from .multi_head_attention import MultiHeadAttention
from .non_local import NonLocal
from .object_context import BaseObjectContext, PyramidObjectContext
from .places import Place
from .pyramid_attention import FeaturePyramidAttention
from .residual_attention import ResidualAttention
from .selective_kernel import SelectiveKernel
from .spatial_transformer import SpatialTransformer
from .squeeze_excitation import SqueezeExcitation

Domain = Literal["spatial", "channel", "mixed", "layer", "temporal", "self-attention"]


@dataclass(frozen=True)
class Entry:
    """A row of the table.

    Attributes:
        module: Makes the module: of the channels, then of options by name.
        domain: Over what it attends.
        paper: Who, what and where.
        year: Of publication.
        place: Where it stands in a residual network, there or as near to it as behind a layer: four
            are convolutions, which take the place of a 3 x 3 one there.
    """

    module: Callable[..., nn.Module]
    domain: Domain
    paper: str
    year: int
    place: Place


ATTENTION: Mapping[str, Entry] = {
    "aa_conv": Entry(
        AugmentedConvolution,
        "self-attention",
        "Bello et al., Attention augmented convolutional networks, ICCV",
        2019,
        "later",
    ),
    "bam": Entry(
        BottleneckAttention,
        "mixed",
        "Park, Woo, Lee, Kweon, BAM: bottleneck attention module, BMVC",
        2018,
        "stages",
    ),
    "base_object_context": Entry(
        BaseObjectContext, "self-attention", "Yuan, Wang, OCNet: object context, arXiv", 2018, "top"
    ),
    "cbam": Entry(
        ConvolutionalBlockAttention,
        "mixed",
        "Woo, Park, Lee, Kweon, CBAM: convolutional block attention module, ECCV",
        2018,
        "branches",
    ),
    "cgnl": Entry(
        CompactNonLocal,
        "self-attention",
        "Yue et al., Compact generalized non-local network, NeurIPS",
        2018,
        "block",
    ),
    "coordinate": Entry(
        CoordinateAttention,
        "mixed",
        "Hou, Zhou, Feng, Coordinate attention for efficient mobile network design, CVPR",
        2021,
        "branches",
    ),
    "criss_cross": Entry(
        CrissCross,
        "self-attention",
        "Huang et al., CCNet: criss-cross attention, ICCV",
        2019,
        "top",
    ),
    "danet_channel": Entry(
        ChannelAttention, "channel", "Fu et al., Dual attention network, CVPR", 2019, "top"
    ),
    "danet_position": Entry(
        PositionAttention, "self-attention", "Fu et al., Dual attention network, CVPR", 2019, "top"
    ),
    "deformable_conv": Entry(
        DeformableConvolution,
        "spatial",
        "Dai et al., Deformable convolutional networks, ICCV",
        2017,
        "later",
    ),
    "draw": Entry(
        DrawAttention,
        "spatial",
        "Gregor et al., DRAW: a recurrent neural network for image generation, ICML",
        2015,
        "input",
    ),
    "dynamic_conv": Entry(
        DynamicConvolution,
        "spatial",
        "Wu et al., Pay less attention with lightweight and dynamic convolutions, ICLR",
        2019,
        "branches",
    ),
    "eca": Entry(
        EfficientChannelAttention,
        "channel",
        "Wang et al., ECA-Net: efficient channel attention, CVPR",
        2020,
        "branches",
    ),
    "fpa": Entry(
        FeaturePyramidAttention,
        "layer",
        "Li et al., Pyramid attention network for semantic segmentation, BMVC",
        2018,
        "top",
    ),
    "gc": Entry(
        GlobalContext,
        "mixed",
        "Cao et al., GCNet: non-local networks meet squeeze-excitation networks, ICCV",
        2019,
        "later",
    ),
    "generalised": Entry(
        GeneralisedAttention,
        "spatial",
        "Zhu et al., An empirical study of spatial attention mechanisms in deep networks, ICCV",
        2019,
        "last",
    ),
    "interaction_aware": Entry(
        InteractionAware,
        "spatial",
        "Du et al., Interaction-aware pyramid attention, ECCV",
        2018,
        "top",
    ),
    "mhsa": Entry(
        MultiHeadAttention,
        "self-attention",
        "Vaswani et al., Attention is all you need, NeurIPS",
        2017,
        "block",
    ),
    "non_local": Entry(
        NonLocal, "self-attention", "Wang et al., Non-local neural networks, CVPR", 2018, "block"
    ),
    "pyramid_object_context": Entry(
        PyramidObjectContext,
        "self-attention",
        "Yuan, Wang, OCNet: object context, arXiv",
        2018,
        "top",
    ),
    "residual": Entry(
        ResidualAttention,
        "mixed",
        "Wang et al., Residual attention network for image classification, CVPR",
        2017,
        "stages",
    ),
    "se": Entry(
        SqueezeExcitation,
        "channel",
        "Hu, Shen, Sun, Squeeze-and-excitation networks, CVPR",
        2018,
        "branches",
    ),
    "sk": Entry(
        SelectiveKernel,
        "channel",
        "Li, Wang, Hu, Yang, Selective kernel networks, CVPR",
        2019,
        "branches",
    ),
    "spatial_transformer": Entry(
        SpatialTransformer,
        "spatial",
        "Jaderberg et al., Spatial transformer networks, NIPS",
        2015,
        "input",
    ),
}


def make(name: str, channels: int, **options: Any) -> nn.Module:
    """Return a module of the table.

    Args:
        name: One of `ATTENTION`.
        channels: Of the feature maps, C.
        options: Those of the module.

    Raises:
        ValueError: There is no such module or no such option, or an option does not fit.

    Example:
        >>> make("se", 64, reduction=8).excite.out_features
        64
    """
    check_name("name", name, ATTENTION)
    check_count(1, channels=channels)
    module = ATTENTION[name].module
    known = [option for option in signature(module).parameters if option != "channels"]
    check_options(repr(name), options, known)
    return module(channels, **options)
