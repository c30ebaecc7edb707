"""How an image is looked at: through what, how often, from where on, how far, and until when."""

from dataclasses import dataclass, replace
from typing import Literal

from .checks import check_at_least, check_count, check_name
from .sensor import GlimpseSensor


@dataclass(frozen=True, kw_only=True)
class Eye:
    """How an image is looked at.

    Attributes:
        sensor: What one look sees.
        glimpses: How many looks T the sensor takes at most.
        first: Where the first glimpse lies: at random, in the centre, or where the agent says.
        reach: How many pixels an action of 1 goes from the image's centre; None: to its edge.
        stride: How many pixels an action of 1 moves from where the eye is; it stays within its
            reach. None: actions are locations.
        zoom: How many levels of zoom an action chooses from; each level's windows are `factor`
            times as wide as those of the one before. 1: there is nothing to choose.
        stop: Whether an action may end the episode in the place of a look.
        context: Height and width c of the area-averaged whole image that is seen beside every
            glimpse, in pixels; None: it is not seen.
    """

    sensor: GlimpseSensor
    glimpses: int = 6
    first: Literal["random", "centre", "agent"] = "random"
    reach: float | None = None
    stride: float | None = None
    zoom: int = 1
    stop: bool = False
    context: int | None = None

    def __post_init__(self) -> None:
        """Refuse an eye that cannot look."""
        check_count(1, glimpses=self.glimpses, zoom=self.zoom)
        check_name("first", self.first, ("random", "centre", "agent"))
        if self.reach is not None:
            check_at_least(0, reach=self.reach)
        if self.stride is not None:
            check_at_least(0, stride=self.stride)
        if self.context is not None:
            check_count(1, context=self.context)
        if self.zoom > 1 and self.sensor.factor == 1:
            raise ValueError(
                f"`zoom` must be 1 with factor=1, got {self.zoom}: choose a factor of 2"
            )
        if self.reach == 0 and self.stride is not None:
            raise ValueError("`reach` must be above 0 with stride, got 0: there is nowhere to move")
        if self.stop and self.first == "agent":
            raise ValueError(
                "`first` must be 'random' or 'centre' with stop, got 'agent': an episode could end "
                "before anything was seen"
            )
        _ = self.all_levels  # refuses windows that are too wide

    @property
    def actions(self) -> int:
        """How many of the looks an agent chooses."""
        return self.glimpses if self.first == "agent" else self.glimpses - 1

    @property
    def action_size(self) -> int:
        """How many numbers a an action has: x, y, and those for zoom and stop, if any."""
        return 2 + (self.zoom > 1) + self.stop

    @property
    def all_levels(self) -> GlimpseSensor:
        """The sensor whose windows are those of all levels of zoom; level z has K from z on."""
        return replace(self.sensor, scales=self.sensor.scales + self.zoom - 1)

    def at_level(self, level: int) -> GlimpseSensor:
        """Return the sensor whose windows are those of one level of zoom."""
        return replace(self.sensor, size=self.sensor.size * self.sensor.factor**level)
