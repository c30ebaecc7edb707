"""Whether a policy looks where the image says, or always at the same place.

Convention:
    Locations are in units of actions, `(x, y)` in [-1, 1], 1 the end of the eye's reach: looking
    anywhere at random has a spread of sqrt(1/3) = 0.58. Information is in nats: locations that tell
    apart two halves of the images, and no more, have ln 2 = 0.69.
"""

from dataclasses import dataclass
from statistics import fmean

import torch
from jaxtyping import Float, Float32, Float64, Shaped
from torch import Tensor
from torch.nn import functional as F

from .checks import check_count, check_images, check_shape
from .coordinates import to_pixels
from .information import mutual_information
from .windows import Windows

# From here on a location counts as at the end of the reach: clipped there, or as good as.
_BORDER = 0.99
# Below it a policy has collapsed: less than a tenth of looking at random, 0.7 pixels on MNIST.
_COLLAPSED = 0.05
# Below it, in nats, locations know nothing of the images: from _JUDGED of them the estimate of 0
# has a standard deviation of 0.03. Of _MOST it is made, as time grows with their square.
_KNOWING, _JUDGED, _MOST = 0.05, 500, 2000
# In 64 dimensions neighbours are too far apart for an estimate; the first components of a
# thumbnail of that many pixels a side say where things lie and roughly what they are.
_COMPONENTS, _THUMBNAIL = 4, 8
# Distances, or cells of images, held in memory at once.
_CHUNK = 2**20


@dataclass(frozen=True)
class Diagnosis:
    """Where a policy looked over many images.

    Attributes:
        spread: Of each glimpse's locations across images, the standard deviation in units of
            actions: the root of the mean of both axes' variances.
        border: Share of the chosen glimpses at the end of the eye's reach along x or y.
        unique_area: Share of an image that its episode's finest windows cover, mean over images;
            None where images, or windows, differ in size.
        information: Mutual information between each glimpse's location and the image, in nats;
            a tenth of a pixel can carry as much as the whole image.
        chosen: How many of the glimpses, the last ones, are the policy's doing.
        images: How many they were.
    """

    spread: tuple[float, ...]
    border: float
    unique_area: float | None
    information: tuple[float, ...]
    chosen: int
    images: int

    def metrics(self) -> dict[str, float]:
        """Return what to log, means over the chosen glimpses; nothing where none was chosen."""
        if self.chosen == 0:
            return {}
        area = {} if self.unique_area is None else {"unique area %": 100 * self.unique_area}
        return {
            "spread": fmean(self.spread[-self.chosen :]),
            "border share %": 100 * self.border,
            **area,
            "information nats": fmean(self.information[-self.chosen :]),
        }

    def warnings(self) -> tuple[str, ...]:
        """Return what is wrong and what to try, a line each; none of a single image."""
        if self.chosen == 0 or self.images == 1:
            return ()
        spread = max(self.spread[-self.chosen :])
        information = max(self.information[-self.chosen :])
        found = []
        if spread < _COLLAPSED:
            found.append(
                "the policy has collapsed: each glimpse looks at the same place whatever it sees "
                f"(spread {spread:.2g} of 1): try a larger `std`, a lower `locator_rate` (PPO's is "
                "`policy_rate`), more `copies` or reward='gain'"
            )
        elif self.images >= _JUDGED and information < _KNOWING:
            found.append(
                "the policy looks in many places, but not where the image says "
                f"(spread {spread:.2g} of 1, information {information:.2g} nats): train for "
                "longer, try more `copies`, another `std` or reward='gain'"
            )
        if self.border > 0.5:
            found.append(
                "more than half of the glimpses lie at the end of the eye's reach "
                f"({100 * self.border:.0f} %): try a lower `locator_rate` (PPO's is "
                "`policy_rate`) or `learning_rate`, a larger `reach` if what matters lies beyond "
                "it, a smaller one if nothing does"
            )
        return tuple(found)


def describe(images: Shaped[Tensor, "N C H W"]) -> Float32[Tensor, "N F"]:
    """Return thumbnails of images, uint8 or float in [0, 1]: 8 x 8 grey pixels, one image a row."""
    check_images(images)
    white = 255 if images.dtype == torch.uint8 else 1
    grey = (part.float().mean(dim=1) / white for part in torch.split(images, 256))
    return torch.cat([F.adaptive_avg_pool2d(part, _THUMBNAIL).flatten(1) for part in grey])


def diagnose(
    locations: Float[Tensor, "N T 2"],
    images: Float[Tensor, "N F"],
    *,
    windows: Windows,
    shape: tuple[int, int, int] | None,
    sensed: Float[Tensor, "N T 2"],
    chosen: int,
) -> Diagnosis:
    """Say how a policy looked, one episode an image.

    Give it the locations that the policy chooses when it counts: drawn as in training they spread
    also where it has collapsed. Their information has no limit but the number of images: it tells
    whether there is any, and which of two policies has more.

    Args:
        locations: Of every glimpse, in units of actions: `GlimpseBatch.trail`.
        images: What tells them apart: `describe`.
        windows: Through which they were looked at.
        shape: Of an image, `(C, H, W)`; None where images, or windows, differ in size.
        sensed: The locations in [-1, 1] of the image: `GlimpseBatch.sensed`.
        chosen: How many of the glimpses, the last ones, the policy chose.

    Raises:
        ValueError: The shapes do not belong together, `sensed` holds NaN (an episode that ended
            early), there is no glimpse, or more were chosen than there are.
    """
    check_shape("locations", locations, "N T 2", mend="give (x, y) of every glimpse")
    count, glimpses, _ = locations.shape
    check_shape("sensed", sensed, f"{count} {glimpses} 2", mend="give as many as locations")
    check_shape("images", images, f"{count} F", mend="use describe(images), a row an episode")
    check_count(1, images=count, glimpses=glimpses)
    check_count(0, chosen=chosen)
    if chosen > glimpses:
        raise ValueError(f"`chosen` must be at most {glimpses}, got {chosen}: count the actions")
    ends = locations[:, glimpses - chosen :].abs().amax(dim=2) >= _BORDER  # (N, chosen)
    variance = locations.double().var(dim=0, correction=0).mean(dim=1)  # (T,)
    some = torch.arange(min(count, _MOST), device=images.device) * count // min(count, _MOST)
    known = _components(images[some])
    information = (mutual_information(locations[some, t], known) for t in range(glimpses))
    return Diagnosis(
        spread=tuple(variance.sqrt().tolist()),
        border=float(ends.double().mean()) if chosen else 0.0,
        unique_area=_unique_area(sensed, windows, *shape[1:]) if shape else None,
        information=tuple(max(nats, 0.0) for nats in information),
        chosen=chosen,
        images=count,
    )


def _components(images: Float[Tensor, "N F"]) -> Float64[Tensor, "N p"]:
    """Return the leading principal components; fewer, even none, where images do not differ."""
    images = images.double()
    left, scales, _ = torch.linalg.svd(images - images.mean(dim=0), full_matrices=False)
    real = scales[:_COMPONENTS] > 1e-6 * images.norm()  # the rest is float32's rounding
    found: Tensor = left * scales
    return found[:, : int(real.sum())]


def _unique_area(
    sensed: Float[Tensor, "N T 2"], windows: Windows, height: int, width: int
) -> float:
    """Return the share of an image that finest windows cover, exactly, the mean over images.

    The edges of its windows cut an image into few cells, each of them covered wholly or not at all.
    """
    total, glimpses = 0.0, sensed.shape[1]
    for part in torch.split(sensed, max(_CHUNK // (2 * glimpses) ** 2, 1)):
        centre = to_pixels(part.flatten(0, 1), height, width)
        first = windows.corners(centre)[:, 0].view(2, len(part), glimpses)  # x and y, (2, n, T)
        last = first + windows.widths[0]
        end = first.new_tensor([width, height])[:, None, None]
        edges = torch.cat([first, last], dim=2).clamp(min=0).minimum(end).sort(dim=2).values
        start, sides = edges[..., None, :-1], edges.diff(dim=2)  # of cells, (2, n, 1, 2T - 1)
        x, y = ((first[..., None] <= start) & (start < last[..., None])).double()  # (n, T, 2T - 1)
        covered = (y.mT @ x > 0).double()  # (n, 2T - 1, 2T - 1)
        total += float((sides[1][:, None] @ covered @ sides[0][..., None]).sum())
    return total / (len(sensed) * height * width)
