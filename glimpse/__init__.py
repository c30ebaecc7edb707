"""Hard attention as reinforcement learning: agents that learn where to look."""

from .batch import GlimpseBatch
from .catalogue import find_images, register_images
from .eye import Eye
from .folder import load_folder
from .idx import load_idx
from .image_set import ImageSet
from .pyramid import ArrayPyramid, CachedPyramid
from .sensor import GlimpseSensor
from .slide_file import SlideFile
from .slides import SlideSet

__all__ = [
    "ArrayPyramid",
    "CachedPyramid",
    "Eye",
    "GlimpseBatch",
    "GlimpseSensor",
    "ImageSet",
    "SlideFile",
    "SlideSet",
    "find_images",
    "load_folder",
    "load_idx",
    "register_images",
]
