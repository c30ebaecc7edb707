"""Hard attention as reinforcement learning: agents that learn where to look."""

from .batch import GlimpseBatch
from .catalogue import find_images, register_images
from .eye import Eye
from .folder import load_folder
from .idx import load_idx
from .image_set import ImageSet
from .sensor import GlimpseSensor

__all__ = [
    "Eye",
    "GlimpseBatch",
    "GlimpseSensor",
    "ImageSet",
    "find_images",
    "load_folder",
    "load_idx",
    "register_images",
]
