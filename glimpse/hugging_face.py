"""Image sets from data sets of Hugging Face, with the extra `huggingface`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .datasets import read_parts
from .image_set import ImageSet
from .mixed_set import Indices, MixedSet, image_set_of
from .pictures import Size

# What `datasets` writes beside a data set that it saves, and beside one for each split.
_SAVED = ("state.json", "dataset_dict.json")


def load_hugging_face(
    source: Any,
    *,
    image: str | None = None,
    label: str | None = None,
    subset: str | None = None,
    splits: Mapping[str, Indices] | None = None,
    size: Size | None = None,
) -> ImageSet | MixedSet:
    """Read every image of a data set once, whatever format was set for its rows.

    Nothing that comes with a data set is run. Images of different sizes make a `MixedSet`.

    Args:
        source: A `datasets.Dataset` or `DatasetDict`, the path of one that was saved with
            `save_to_disk`, or what `datasets.load_dataset` takes: the name of one on the hub, or a
            folder. A `DatasetDict` may have `train`, `validation` and `test`; where it has no
            validation, 10 % of train are drawn for it, always the same.
        image: The column of the images; None: the only one of the type `Image`.
        label: The column of the classes; None: the only one of the type `ClassLabel`.
        subset: Which part of a data set on the hub, where it has several configurations.
        splits: Indices of `train`, `validation`, `test` of a single `Dataset`; by default
            `random_splits`.
        size: Height and width to which every image is resized, in pixels; None: they stay as large
            as they are.

    Raises:
        ValueError: `datasets` is not installed, there is no such data set, a column is not found,
            is of another type or one of several, or an item is not what it should be.
    """
    found = _open(source, subset) if isinstance(source, str | Path) else source
    parts = found if isinstance(found, Mapping) else {"": found}
    if splits is not None and isinstance(found, Mapping):
        raise ValueError(
            f"`splits` must be left out of a data set that comes as {', '.join(parts)}, got "
            f"{', '.join(splits)}: choose one part with source[{next(iter(parts))!r}]"
        )
    names: dict[str, list[str] | None] = {}
    pairs = {}
    for split, part in parts.items():
        features = _features(part)
        columns = (
            _column("image", image, "Image", features),
            _column("label", label, "ClassLabel", features),
        )
        names[split] = getattr(features[columns[1]], "names", None)
        pairs[split] = _rows(part, *columns), len(part)
    images, targets, divided = read_parts(pairs, size)
    if len({tuple(named or ()) for named in names.values()}) > 1:
        raise ValueError(
            f"classes must be the same in every split, got {names}: cast one to the other's"
        )
    return image_set_of(
        images,
        targets,
        classes=next(iter(names.values())),
        splits=divided if isinstance(found, Mapping) else splits,
    )


def _open(source: str | Path, subset: str | None) -> Any:
    """Return the data set of a path or name."""
    datasets = _datasets()
    try:
        if any((Path(source) / name).is_file() for name in _SAVED):
            return datasets.load_from_disk(str(source))
        return datasets.load_dataset(str(source), subset)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise ValueError(
            f"`source` must be a data set on disk or on the hub, got {str(source)!r} "
            f"({_line(error)}): check the name"
        ) from error


def _datasets() -> Any:
    try:
        import datasets  # type: ignore[import-untyped]
    except ImportError:
        raise ValueError(
            "data sets of Hugging Face need the package datasets, which is not installed: run "
            'pip install "glimpse-rl[huggingface]"'
        ) from None
    return datasets


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _features(part: Any) -> Mapping[str, Any]:
    """Return the types of the columns of a data set in memory or on disk."""
    features = getattr(part, "features", None)
    if not isinstance(features, Mapping) or not hasattr(part, "with_format"):
        raise ValueError(
            f"`source` must be a Dataset, a DatasetDict, a path or a name, got "
            f"{type(part).__name__}: for others there is load_dataset"
        )
    if not hasattr(part, "__len__"):
        raise ValueError(
            f"`source` must have a length, got {type(part).__name__}: load it without streaming"
        )
    return features


def _column(what: str, name: str | None, kind: str, features: Mapping[str, Any]) -> str:
    """Return the column that was named, or the only one of a type."""
    kinds = ", ".join(f"{column} ({type(of).__name__})" for column, of in features.items())
    if name is None:
        fitting = [column for column, of in features.items() if type(of).__name__ == kind]
        if len(fitting) != 1:
            raise ValueError(
                f"`{what}` must name a column unless exactly one is of type {kind}, got "
                f"{', '.join(fitting) or 'none'} of {kinds}: pass {what}=..."
            )
        return fitting[0]
    if name not in features:
        raise ValueError(f"`{what}` must be one of the columns {kinds}, got {name!r}: choose one")
    return name


def _rows(part: Any, image: str, label: str) -> Iterator[tuple[Any, Any]]:
    """Return the pairs of image and label, images as pictures of Pillow.

    Formats such as "torch" would only turn them into something else first; a transform that was
    set (`set_transform`) is kept, it may change the images.
    """
    if part.format["type"] != "custom":
        part = part.select_columns([image, label]).with_format(None)
    for row in part:
        yield row[image], row[label]
