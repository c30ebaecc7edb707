"""Slides in files: every format that OpenSlide reads, pyramidal TIFF among them.

The part of the file that is read is decoded, nothing else. What a slide does not show (alpha 0) has
the background colour that its file names, by default white. OpenSlide places a piece to a whole
pixel of level 0 and blends neighbours where that is no whole pixel of the level read, so pieces are
exact where levels are smaller by whole numbers; elsewhere they are a fraction of a pixel off, and
the outermost row and column of a level are blended with the background.
"""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from .pyramid import check_length, check_piece


class SlideFile:
    """A slide file as a pyramid of RGB.

    Args:
        path: The file.

    Raises:
        ValueError: OpenSlide is not installed, or the file is not there or none that it reads.
    """

    def __init__(self, path: str | Path) -> None:
        openslide = _openslide()
        if not Path(path).is_file():
            raise ValueError(f"a slide must be a file, got {str(path)!r}: check the path")
        try:
            self._slide = openslide.OpenSlide(Path(path).absolute())
        except openslide.OpenSlideError as error:
            raise ValueError(
                f"{path} must be a slide that OpenSlide reads, got {error}: "
                "a tiled, pyramidal TIFF is one"
            ) from None
        self._path, self._bytes = Path(path).absolute(), Path(path).stat().st_size
        self._error, self._downsamples = openslide.OpenSlideError, self._slide.level_downsamples
        self._colour = "#" + self._slide.properties.get("openslide.background-color", "ffffff")
        self.levels = tuple((3, int(h), int(w)) for w, h in self._slide.level_dimensions)

    def read(self, level: int, x: int, y: int, w: int, h: int) -> UInt8[np.ndarray, "3 h w"]:
        """Return a piece of a level.

        Raises:
            ValueError: There is no such level, the piece does not lie within it, or the file is
                damaged there or has become shorter.
        """
        check_piece(self, level, x, y, w, h)
        check_length(self._path, self._bytes)
        downsample = self._downsamples[level]
        corner = round(x * downsample), round(y * downsample)
        try:
            region = self._slide.read_region(corner, level, (w, h))
        except self._error as error:
            raise ValueError(
                f"{self._path} must be readable at level {level}, ({x}, {y}), got {error}: "
                "it is damaged or was changed while open; open it anew"
            ) from None
        ground = Image.new("RGBA", region.size, self._colour)
        ground.alpha_composite(region)
        return np.array(np.moveaxis(np.asarray(ground)[..., :3], -1, 0), order="C")


def _openslide() -> Any:
    try:
        import openslide
    except ImportError:
        raise ValueError(
            'slide files need OpenSlide, which is not installed: run pip install "glimpse-rl[wsi]"'
        ) from None
    return openslide
