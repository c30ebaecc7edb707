"""What several modules refuse alike: reductions, heads, groups and batches that do not fit."""

from collections.abc import Mapping

from torch import Tensor

from glimpse.checks import check_count


def reduced(channels: int, reduction: int) -> int:
    """Return how many channels or units a bottleneck has: channels / reduction, rounded down.

    Raises:
        ValueError: Nothing would be left.
    """
    check_count(1, channels=channels, reduction=reduction)
    if reduction > channels:
        raise ValueError(
            f"`reduction` must be in [1, {channels}], got {reduction}: of {channels} channels "
            "at least one must be left"
        )
    return channels // reduction


def check_divides(name: str, parts: int, whole: int) -> None:
    """Refuse a number of heads or groups into which the channels do not fall evenly.

    Raises:
        ValueError: `parts` is no divisor of `whole`.
    """
    check_count(1, **{name: parts})
    if whole % parts:
        known = ", ".join(str(part) for part in range(1, whole + 1) if whole % part == 0)
        raise ValueError(
            f"`{name}` must be a divisor of {whole}, got {parts}: choose one of {known}"
        )


def check_dimensions(dimensions: int, known: Mapping[int, str]) -> None:
    """Refuse a number of axes of maps that is not among those known.

    Raises:
        ValueError: It is not.
    """
    if isinstance(dimensions, bool) or dimensions not in list(known):
        wanted = " or ".join(str(number) for number in known)
        raise ValueError(
            f"`dimensions` must be {wanted}, got {dimensions!r}: sequences have 1, images 2, "
            "videos 3"
        )


def check_training_batch(maps: Tensor, name: str = "maps") -> None:
    """Refuse a single image where one value per image and channel is normalised over the batch.

    Raises:
        ValueError: There are fewer than two images.
    """
    if len(maps) < 2:
        raise ValueError(
            f"`{name}` must be at least 2 images in training, got {len(maps)}: batch normalisation "
            "of one value is not defined; give more images or call .eval()"
        )


def check_training_pixels(maps: Tensor) -> None:
    """Refuse a single pixel where channels are normalised over images and positions.

    Raises:
        ValueError: There is one only.
    """
    if maps[:, 0].numel() == 1:
        raise ValueError(
            f"`maps` must be more than one pixel in training, got {tuple(maps.shape)}: "
            "give more images or call .eval()"
        )
