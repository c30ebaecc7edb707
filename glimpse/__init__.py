"""Hard attention as reinforcement learning: agents that learn where to look."""

from .bases import register_network
from .batch import GlimpseBatch
from .catalogue import find_images, register_images
from .datasets import load_dataset
from .drawn import draw_images
from .eye import Eye
from .folder import load_folder
from .hugging_face import load_hugging_face
from .idx import load_idx
from .image_set import ImageSet
from .mixed_set import MixedSet
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
    "MixedSet",
    "SlideFile",
    "SlideSet",
    "draw_images",
    "find_images",
    "load_dataset",
    "load_folder",
    "load_hugging_face",
    "load_idx",
    "register_images",
    "register_network",
]
