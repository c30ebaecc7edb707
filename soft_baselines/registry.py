"""The table of soft attention modules, and how to make one by its name.

Every module of the table is `Module(channels, *, option=default)` and maps feature maps
`(B, C, H, W)` to feature maps of the same shape, of any height and width.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any, Literal

from torch import nn

from glimpse.checks import check_count, check_name

from .augmented_convolution import AugmentedConvolution
from .compact_non_local import CompactNonLocal
from .deformable_convolution import DeformableConvolution
from .dynamic_convolution import DynamicConvolution
from .generalised_attention import GeneralisedAttention
from .multi_head_attention import MultiHeadAttention
from .pyramid_attention import FeaturePyramidAttention
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
    """

    module: Callable[..., nn.Module]
    domain: Domain
    paper: str
    year: int


ATTENTION: Mapping[str, Entry] = {
    "aa_conv": Entry(
        AugmentedConvolution,
        "self-attention",
        "Bello et al., Attention augmented convolutional networks, ICCV",
        2019,
    ),
    "cgnl": Entry(
        CompactNonLocal,
        "self-attention",
        "Yue et al., Compact generalized non-local network, NeurIPS",
        2018,
    ),
    "deformable_conv": Entry(
        DeformableConvolution,
        "spatial",
        "Dai et al., Deformable convolutional networks, ICCV",
        2017,
    ),
    "dynamic_conv": Entry(
        DynamicConvolution,
        "spatial",
        "Wu et al., Pay less attention with lightweight and dynamic convolutions, ICLR",
        2019,
    ),
    "fpa": Entry(
        FeaturePyramidAttention,
        "layer",
        "Li et al., Pyramid attention network for semantic segmentation, BMVC",
        2018,
    ),
    "generalised": Entry(
        GeneralisedAttention,
        "spatial",
        "Zhu et al., An empirical study of spatial attention mechanisms in deep networks, ICCV",
        2019,
    ),
    "mhsa": Entry(
        MultiHeadAttention,
        "self-attention",
        "Vaswani et al., Attention is all you need, NeurIPS",
        2017,
    ),
    "se": Entry(
        SqueezeExcitation,
        "channel",
        "Hu, Shen, Sun, Squeeze-and-excitation networks, CVPR",
        2018,
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
    unknown = [option for option in options if option not in known]
    if unknown:
        raise ValueError(
            f"options of {name!r} must be among {', '.join(known) or 'none'}, got "
            f"{', '.join(unknown)}: check the spelling"
        )
    return module(channels, **options)
