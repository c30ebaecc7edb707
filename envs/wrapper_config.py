"""The options of both wrappers, and which part of an observation they look at."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gymnasium import spaces

from glimpse.checks import check_at_least, check_count, check_name
from glimpse.sensor import GlimpseSensor


@dataclass(frozen=True, kw_only=True)
class WrapperConfig:
    """The options of `GlimpseWrapper` and `GlimpseVectorWrapper`, where they are explained."""

    sensor: GlimpseSensor
    image: Literal["observation", "render"] = "observation"
    key: str | None = None
    channels: Literal["first", "last"] | None = None
    view: Literal["glimpse", "mask"] = "glimpse"
    context: int | None = None
    first: Literal["centre", "random"] = "centre"
    stride: float | None = None
    reach: float | None = None
    actions: Literal["dict", "flat"] = "dict"
    grid: int = 5

    def __post_init__(self) -> None:
        """Refuse options that are unknown, too small or do not go together."""
        check_name("image", self.image, ("observation", "render"))
        check_name("view", self.view, ("glimpse", "mask"))
        check_name("first", self.first, ("centre", "random"))
        check_name("actions", self.actions, ("dict", "flat"))
        if self.channels is not None:
            check_name("channels", self.channels, ("first", "last"))
        check_count(1, grid=self.grid)
        if self.context is not None:
            check_count(1, context=self.context)
        if self.reach is not None:
            check_at_least(0, reach=self.reach)
        if self.image == "render" and self.key is not None:
            raise ValueError(
                f'`key` must be left out with image="render", got {self.key!r}: look at one of both'
            )
        if self.stride is not None:
            check_at_least(0, stride=self.stride)
            if self.stride == 0 or self.reach == 0:
                raise ValueError(
                    "`stride` and `reach` must be above 0 for looks to move, got "
                    f"stride={self.stride} and reach={self.reach}: choose others"
                )

    @property
    def rendered(self) -> bool:
        """Whether the image is what the environment renders."""
        return self.image == "render"

    def image_space(self, observation: spaces.Space[Any]) -> spaces.Space[Any]:
        """Return the space of the image in that of the observation.

        Raises:
            ValueError: There is no such key, or one must be named.
        """
        if isinstance(observation, spaces.Dict):
            names = list(observation.spaces)
            if self.key not in names:
                raise ValueError(
                    f"`key` must be one of {', '.join(names)} of the observation, got "
                    f"{self.key!r}: name the image"
                )
            return observation.spaces[self.key]
        if self.key is not None:
            raise ValueError(
                f"`key` must be left out, got {self.key!r} for an observation without keys, "
                f"{observation}: the observation is the image"
            )
        return observation

    def beside(self, observation: Any) -> dict[str, Any]:
        """Return what stays of an observation beside the image, or of its space."""
        if isinstance(observation, Mapping):
            return {name: part for name, part in observation.items() if name != self.key}
        return {"observation": observation} if self.rendered else {}

    def shown(self, observation: Any) -> Any:
        """Return the image in an observation."""
        return observation if self.key is None else observation[self.key]


def join_spaces(
    beside: Mapping[str, spaces.Space[Any]], added: Mapping[str, spaces.Space[Any]]
) -> spaces.Dict:
    """Return the space of observations with parts added.

    Raises:
        ValueError: A name is taken.
    """
    taken = [name for name in beside if name in added]
    if taken:
        raise ValueError(
            f"keys of the observation must not be among {', '.join(added)}, got "
            f"{', '.join(taken)}: rename them with gymnasium.wrappers.TransformObservation"
        )
    return spaces.Dict({**beside, **added})


def as_sensor(sensor: GlimpseSensor | Mapping[str, Any]) -> GlimpseSensor:
    """Return a sensor; one that comes from a spec of an environment is given by its numbers.

    Raises:
        ValueError: It is none.
    """
    if isinstance(sensor, Mapping):
        try:
            return GlimpseSensor(**sensor)
        except TypeError as error:
            raise ValueError(
                f"`sensor` must hold options of GlimpseSensor, got {dict(sensor)} ({error}): use "
                "size, scales, factor and outside"
            ) from None
    if not isinstance(sensor, GlimpseSensor):
        raise ValueError(
            f"`sensor` must be a GlimpseSensor, got {sensor!r}: use GlimpseSensor(size=8, scales=3)"
        )
    return sensor
