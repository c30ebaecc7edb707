"""The embedded image set: 1,797 real handwritten digits, enlarged from 8x8 to 28x28 pixels.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, 1998 (https://doi.org/10.24432/C50P49), licence CC BY 4.0, also named in the file.
"""

from importlib.resources import files

import torch
from safetensors.torch import load
from torch.nn import functional as F

from .image_set import SPLITS, ImageSet


def load_digits() -> ImageSet:
    """Return the digits, `(1797, 1, 28, 28)` uint8, split once for all: 1,257 / 180 / 360."""
    data = load((files("glimpse") / "digits.safetensors").read_bytes())
    grey = data["images"][:, None] * (255 / 16)
    images = F.interpolate(grey, size=(28, 28), mode="bilinear", align_corners=False)
    return ImageSet.from_arrays(
        images.round().to(torch.uint8),
        data["targets"],
        splits={name: (data["split"] == k).nonzero()[:, 0] for k, name in enumerate(SPLITS)},
    )
