"""Image sets by name: those that come with Glimpse and those that a program registers."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

from .canvas import CANVASES, OnCanvas
from .checks import check_name
from .digits import load_digits
from .folder import load_folder
from .haystack import load_haystacks
from .image_set import ImageSource
from .mnist import load_mnist, mnist_root
from .scenes import SCENES
from .slides import SlideSet

_EMBEDDED: Mapping[str, str] = {
    "digits": "1,797 real handwritten digits of the UCI set, 28x28, shipped with Glimpse",
    "haystack": "1,000 generated slides of 65,536 x 65,536 with a needle to be found in each",
    "mnist": "70,000 handwritten digits, 28x28, from files on disk (data_root or GLIMPSE_DATA)",
}
_registered: dict[str, Callable[[], ImageSource]] = {}


def register_images(name: str, images: ImageSource | Callable[[], ImageSource]) -> None:
    """Give images a name in this process, for `gymnasium.make("glimpse/Images-v0", images=name)`.

    Args:
        name: Free, or registered before: then the new images replace the old.
        images: An image set, or a function that makes one when it is first asked for.

    Raises:
        ValueError: The name belongs to a set that comes with Glimpse, or could be a path.
    """
    if name in _EMBEDDED or not name or "/" in name or "\\" in name:
        raise ValueError(f"`name` must be a new name without slashes, got {name!r}: choose another")
    make = lru_cache(images) if callable(images) else lambda: images
    _registered[name] = make


def image_names() -> dict[str, str]:
    """Return the names of all image sets and what each is."""
    return {**_EMBEDDED, **dict.fromkeys(_registered, "registered in this process")}


def find_images(
    images: str | Path,
    *,
    data_root: str | Path | None = None,
    image_size: tuple[int, int] | None = None,
    canvas: str | None = None,
    task: str | None = None,
) -> ImageSource:
    """Return the image set of a name, of a folder of class folders, or of a slide.

    Args:
        images: A name (`image_names`) or the path of a folder (`load_folder`) or of a slide
            (`SlideSet.from_file`).
        data_root: Where MNIST lies; by default the environment variable GLIMPSE_DATA.
        image_size: Height and width to which a folder's images are resized, in pixels.
        canvas: One of `CANVASES` on which the images are laid, or None.
        task: One of `SCENES`, what is asked about a canvas, or None: the class of its image.

    Raises:
        ValueError: There is no such name or folder, or what it holds cannot be read.
    """
    if not isinstance(images, str | Path):
        raise ValueError(
            f"`images` must be a name or a path, got {type(images).__name__}: give arrays a name "
            "with register_images"
        )
    images = str(images)
    if image_size is not None and (images in image_names() or not Path(images).is_dir()):
        raise ValueError(
            f"`image_size` must be left out unless `images` is a folder, got {images!r}: "
            "leave it out"
        )
    if images == "digits":
        found: ImageSource = _digits()
    elif images == "mnist":
        found = _mnist(mnist_root(data_root))
    elif images == "haystack":
        found = _haystacks()
    elif images in _registered:
        found = _registered[images]()
    elif images and Path(images).is_dir():
        found = _folder(Path(images).resolve(), image_size and (image_size[0], image_size[1]))
    elif images and Path(images).is_file():
        found = _slide(Path(images).absolute(), _stamp(Path(images)))
    else:
        raise ValueError(
            f"`images` must be the path of a folder or slide or one of {', '.join(image_names())}, "
            f"got {images!r}: check the path, or call register_images in this process first"
        )
    return _laid(found, canvas, task)


def _laid(images: ImageSource, canvas: str | None, task: str | None) -> ImageSource:
    """Return images on a canvas, if there is one, asked about as the task has it."""
    if task is not None:
        check_name("task", task, SCENES)
        if canvas is None:
            raise ValueError(
                f"`canvas` must be given with task={task!r}, got none: choose one of "
                f"{', '.join(CANVASES)}"
            )
    if canvas is None:
        return images
    check_name("canvas", canvas, CANVASES)
    kind = OnCanvas if task is None else SCENES[task]
    return kind(images, CANVASES[canvas])


# Sets are read once a process: environments share the images and the tables made of them.
_digits = lru_cache(load_digits)
_mnist = lru_cache(load_mnist)
_haystacks = lru_cache(load_haystacks)
# A slide that was written anew is opened anew.
_slide = lru_cache(maxsize=8)(lambda path, stamp: SlideSet.from_file(path))
_folder = lru_cache(lambda root, size: load_folder(root, size=size))


def _stamp(path: Path) -> tuple[int, ...]:
    """Return the sizes and times of a slide and of what lies beside it."""
    files = [file for file in (path, path.with_suffix(".geojson")) if file.exists()]
    return tuple(number for s in map(Path.stat, files) for number in (s.st_size, s.st_mtime_ns))
