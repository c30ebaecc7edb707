"""The one check that every module makes of what it is given."""

from torch import Tensor

from glimpse.checks import check_shape


def check_maps(maps: Tensor, channels: int, *, axes: str = "H W", name: str = "maps") -> None:
    """Refuse anything but feature maps of so many channels: floats, a position or more.

    Args:
        maps: What came; the batch may be empty.
        channels: C.
        axes: Those after the channels.
        name: What the user called them.

    Raises:
        ValueError: The type, the rank or the number of channels is another, or there is no pixel.
    """
    if not isinstance(maps, Tensor) or not maps.is_floating_point():
        kind = maps.dtype if isinstance(maps, Tensor) else type(maps).__name__
        raise ValueError(f"`{name}` must be a tensor of floats, got {kind}: convert it")
    mend = "give the channels that it was made for"
    check_shape(name, maps, f"B {channels} {axes}", mend=mend)
    if 0 in maps.shape[2:]:
        raise ValueError(
            f"`{name}` must have a position or more, got {tuple(maps.shape)}: give larger ones"
        )
