"""Diagnoses against closed forms, NumPy, windows painted pixel by pixel, and policies made up."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from expect import anywhere, generator, random_pixels, refused
from torch import Tensor

from glimpse import diagnosis
from glimpse.diagnosis import Diagnosis, describe, diagnose
from glimpse.information import mutual_information
from glimpse.sensor import GlimpseSensor
from glimpse.windows import Windows

SHAPE = (1, 20, 30)
WINDOWS = Windows(4, (1, 3), "zero")
HEALTHY = Diagnosis((0.5, 0.3, 0.1), 0.25, 0.2, (0.0, 0.4, 0.8), 2, 1000)


def blobs(count: int) -> tuple[Tensor, Tensor]:
    """Return images of one bright blob each, and where in [-1, 1] its centroid lies."""
    middle = anywhere(count, seed=5) * 0.8
    _, height, width = SHAPE
    y = (torch.arange(height) + 0.5) / height * 2 - 1
    x = (torch.arange(width) + 0.5) / width * 2 - 1
    across = (x - middle[:, :1]) ** 2
    down = (y - middle[:, 1:]) ** 2
    images = torch.exp(-(down[:, :, None] + across[:, None]) / (2 * 0.2**2))
    total = images.sum(dim=(1, 2))
    at_x, at_y = (images.sum(dim=1) @ x) / total, (images.sum(dim=2) @ y) / total
    return images[:, None], torch.stack([at_x, at_y], dim=1)


def look(locations: Tensor, images: Tensor | None = None, chosen: int | None = None) -> Diagnosis:
    """Diagnose locations, of images of noise if of no others."""
    if images is None:
        images = torch.rand(len(locations), 6, generator=generator(9))
    chosen = locations.shape[1] if chosen is None else chosen
    return diagnose(
        locations, images, windows=WINDOWS, shape=SHAPE, sensed=locations, chosen=chosen
    )


def painted(sensed: Tensor, windows: Windows, height: int, width: int) -> float:
    """Return the unique area as the convention of `windows` has it, pixel by pixel."""
    shares = []
    for episode in sensed.tolist():
        seen = set()
        for x, y in episode:
            side = windows.size * windows.steps[0]
            left, top = (
                math.floor((Fraction(at) + 1) / 2 * length - Fraction(side, 2) + Fraction(1, 2))
                for at, length in ((x, width), (y, height))
            )
            seen |= {
                (row, column)
                for row in range(height)
                for column in range(width)
                if top <= row < top + side and left <= column < left + side
            }
        shares.append(len(seen) / (height * width))
    return float(np.mean(shares))


def test_information_may_be_below_0_but_not_in_a_diagnosis() -> None:
    images = torch.rand(100, 2, generator=generator(1))
    locations = torch.stack([anywhere(100, seed=seed) for seed in range(8)], dim=1)
    known = diagnosis._components(images)
    raw = [mutual_information(locations[:, t], known) for t in range(8)]
    assert min(raw) < 0 < max(raw)
    wanted = tuple(max(nats, 0.0) for nats in raw)
    assert look(locations, images).information == pytest.approx(wanted, abs=1e-9)


def test_only_so_many_images_are_asked_for_information(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second image knows the location, and of a half, evenly spaced, all are such."""
    monkeypatch.setattr(diagnosis, "_MOST", 200)
    images = torch.rand(400, 2, generator=generator(1))
    locations = images[:, None] * 2 - 1
    locations[1::2] = anywhere(200, 1)
    alone = look(locations[::2], images[::2])
    both = look(locations, images)
    assert both.information == alone.information
    assert both.information[0] > 1
    assert both.images == 400
    assert both.spread != alone.spread


def test_images_that_do_not_differ_say_nothing() -> None:
    alike = torch.rand(1, 64, generator=generator()).expand(300, 64)
    assert look(anywhere(300, 2), alike).information == (0, 0)
    rounding = alike + 1e-8 * torch.randn(300, 64, generator=generator())
    assert look(anywhere(300, 2), rounding).information == (0, 0)


def test_components_are_those_of_the_covariance() -> None:
    """Their variances are its eigenvalues; fewer where it has fewer."""
    images = torch.randn(200, 8, generator=generator()) * torch.arange(1, 9) + 3
    found = diagnosis._components(images)
    wanted = np.linalg.eigvalsh(np.cov(images.double().numpy(), rowvar=False))[::-1][:4]
    assert torch.cov(found.T).numpy() == pytest.approx(np.diag(wanted), abs=1e-9)
    assert diagnosis._components(images[:, :3]).shape == (200, 3)
    assert diagnosis._components(images[:, :1].expand(200, 8)).shape == (200, 1)


def test_spread_is_numpys() -> None:
    locations = anywhere(40, 3) * torch.tensor([[0.1, 0.7], [1.0, 1.0], [0.0, 0.2]])
    variances = locations.double().numpy().var(axis=0)
    assert look(locations).spread == pytest.approx(np.sqrt(variances.mean(axis=1)), abs=1e-12)
    assert look(locations[:1]).spread == (0, 0, 0)


def test_anywhere_has_the_documented_spread() -> None:
    assert look(anywhere(5000, 1)).spread[0] == pytest.approx(3**-0.5, abs=0.01)


def test_border_is_the_share_of_chosen_glimpses_at_an_end() -> None:
    corners = [[1.0, 1.0], [0.0, 0.0]], [[0.0, -0.995], [0.5, 0.98]], [[0.1, 0.2], [-1.0, 0.3]]
    locations = torch.tensor(corners)
    assert look(locations).border == pytest.approx(3 / 6)
    assert look(locations, chosen=1).border == pytest.approx(1 / 3)
    assert look(locations, chosen=0).border == 0


@pytest.mark.parametrize("size", [1, 2, 5, 40])
@pytest.mark.parametrize("steps", [(1, 2), (3, 6)])
def test_unique_area_is_that_of_windows_painted(
    size: int, steps: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of windows that overlap, hang over, or lie beyond the image; only the finest counts."""
    sensed = anywhere(9, 4) * 1.6
    windows = Windows(size, steps, "edge")
    wanted = painted(sensed, windows, 7, 11)
    assert 0 < wanted <= 1
    for chunk in (2**20, 4 * 8**2):  # at once, and in chunks of which the last is short
        monkeypatch.setattr(diagnosis, "_CHUNK", chunk)
        found = diagnose(
            sensed.clamp(-1, 1),
            torch.rand(9, 3),
            windows=windows,
            shape=(3, 7, 11),
            sensed=sensed,
            chosen=4,
        )
        assert found.unique_area == pytest.approx(wanted, abs=1e-12)


def test_unique_area_is_what_a_sensor_sees() -> None:
    """Show it one bright pixel after another: those it sees any light of are the area."""
    sensed = anywhere(1, 3)
    sensor = GlimpseSensor(4, scales=1)
    light = torch.eye(7 * 11).view(7 * 11, 1, 7, 11)
    seen = [sensor(light, sensed[0, t].expand(77, 2)).flatten(1).sum(dim=1) > 0 for t in range(3)]
    found = diagnose(
        sensed, torch.rand(1, 3), windows=sensor.windows, shape=(1, 7, 11), sensed=sensed, chosen=3
    )
    assert found.unique_area == pytest.approx(
        float(torch.stack(seen).any(dim=0).float().mean()), abs=1e-6
    )


def test_windows_beyond_the_image_cover_nothing_and_wide_ones_all() -> None:
    far = torch.full((2, 3, 2), 9.0)
    near = torch.zeros(2, 3, 2)
    images = torch.rand(2, 3)
    for sensed, windows, area in (
        (far, WINDOWS, 0.0),
        (-far, WINDOWS, 0.0),
        (near, Windows(30, (1,), "zero"), 1.0),
        (near, WINDOWS, 16 / 600),
    ):
        found = diagnose(near, images, windows=windows, shape=SHAPE, sensed=sensed, chosen=3)
        assert found.unique_area == pytest.approx(area, abs=1e-12)


def test_the_size_of_an_image_costs_no_memory() -> None:
    near = torch.zeros(2, 3, 2)
    found = diagnose(
        near, torch.rand(2, 3), windows=WINDOWS, shape=(3, 10**6, 10**6), sensed=near, chosen=3
    )
    assert found.unique_area == pytest.approx(16e-12, rel=1e-9)


def test_thumbnails_are_grey_means_of_equal_parts() -> None:
    images = random_pixels(300, 3, 16, 24)
    wanted = images.mean(axis=1).reshape(300, 8, 2, 8, 3).mean(axis=(2, 4)).reshape(300, 64) / 255
    found = describe(torch.from_numpy(images))
    assert found.dtype == torch.float32
    assert found.numpy() == pytest.approx(wanted, abs=1e-6)


def test_thumbnails_of_bytes_and_floats_agree() -> None:
    images = torch.from_numpy(random_pixels(5, 3, 20, 30))
    assert torch.allclose(describe(images), describe(images.double() / 255), atol=1e-6)
    assert describe(images[:, :, :3, :5]).shape == (5, 64)


def test_metrics_are_means_over_what_was_chosen() -> None:
    assert HEALTHY.metrics() == pytest.approx(
        {
            "spread": 0.2,
            "border share %": 25.0,
            "unique area %": 20.0,
            "information nats": 0.6,
        }
    )
    assert HEALTHY.warnings() == ()


def test_a_policy_that_goes_to_the_blob_is_healthy() -> None:
    images, centroid = blobs(600)
    first = anywhere(600)
    found = look(torch.stack([first, centroid, centroid], dim=1), describe(images), chosen=2)
    assert found.warnings() == ()
    random, *informed = found.information
    assert random < 0.1
    assert min(informed) > random + 1
    assert found.spread[1] > 0.3
    assert found.chosen == 2
    assert found.images == 600


def test_a_policy_that_goes_anywhere_is_told() -> None:
    images, centroid = blobs(600)
    locations = torch.stack([centroid, anywhere(600, seed=3)], dim=1)
    (warning,) = look(locations, describe(images), chosen=1).warnings()
    assert warning.startswith("the policy looks in many places, but not where the image says")
    assert "reward='gain'" in warning
    # Too few images to tell, or one glimpse that knows.
    assert look(locations[:400], describe(images[:400]), chosen=1).warnings() == ()
    assert look(locations, describe(images), chosen=2).warnings() == ()


def test_a_collapsed_policy_is_told() -> None:
    """However well its last hundredth of a pixel knows the image; its first is not its doing."""
    images, centroid = blobs(600)
    always = torch.tensor([0.3, -0.6]) + 0.01 * centroid
    found = look(torch.stack([anywhere(600), always], dim=1), describe(images), chosen=1)
    (warning,) = found.warnings()
    assert warning.startswith("the policy has collapsed: each glimpse looks at the same place")
    assert f"(spread {found.spread[1]:.2g} of 1)" in warning
    assert "try a larger `std`" in warning
    assert found.spread[1] < 0.01


def test_one_glimpse_that_moves_is_no_collapse() -> None:
    images, centroid = blobs(600)
    locations = torch.stack([centroid * 0, centroid], dim=1)
    assert look(locations, describe(images)).warnings() == ()


def test_a_policy_in_the_corner_is_told_both() -> None:
    collapsed, border = look(torch.ones(50, 2, 2)).warnings()
    assert collapsed.startswith("the policy has collapsed")
    assert border.startswith("more than half of the glimpses lie at the end of the eye's reach")
    assert "(100 %)" in border
    assert "`reach`" in border


def test_a_policy_that_is_clipped_where_the_image_says_is_told_of_the_border() -> None:
    images, centroid = blobs(600)
    (warning,) = look((centroid * 9).clamp(-1, 1)[:, None], describe(images)).warnings()
    assert warning.startswith("more than half of the glimpses lie at the end of the eye's reach")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"spread": (0.5, 0.049, 0.049)}, 1),
        ({"spread": (0.5, 0.049, 0.051)}, 0),
        ({"information": (0.9, 0.049, 0.0)}, 1),
        ({"information": (0.9, 0.051, 0.0)}, 0),
        ({"information": (0.0, 0.0, 0.0), "images": 500}, 1),
        ({"information": (0.0, 0.0, 0.0), "images": 499}, 0),
        ({"border": 0.51}, 1),
        ({"border": 0.5}, 0),
        ({"spread": (0.0, 0.0, 0.0), "information": (0.0, 0.0, 0.0), "border": 1.0}, 2),
        ({"spread": (0.0, 0.0, 0.0), "border": 1.0, "images": 1}, 0),
    ],
)
def test_warnings_begin_where_they_say(changes: dict[str, object], told: int) -> None:
    found = Diagnosis(**{**vars(HEALTHY), **changes}).warnings()
    assert len(found) == told
    assert all("\n" not in warning and ": t" in warning for warning in found)


def test_a_policy_that_chose_nothing_is_not_blamed() -> None:
    found = look(torch.ones(600, 2, 2), chosen=0)
    assert found.warnings() == ()
    assert found.metrics() == {}
    assert found.spread == found.information == (0, 0)


def test_what_does_not_belong_together_is_refused() -> None:
    with refused("`chosen` must be at most 2, got 3: count the actions"):
        look(anywhere(5, 2), chosen=3)
    with refused("`chosen` must be a whole number from 0, got -1: choose another"):
        look(anywhere(5, 2), chosen=-1)
    with refused("`images` must be a whole number from 1, got 0: choose another"):
        look(anywhere(0, 2), torch.rand(0, 6))
    with refused("`glimpses` must be a whole number from 1, got 0: choose another"):
        look(anywhere(5, 0))
    with refused("`location` must be finite"):
        look(anywhere(5, 2) * torch.tensor([1.0, torch.nan]))


@pytest.mark.plain
def test_other_shapes_are_refused() -> None:
    with refused("`locations` must be (N, T, 2), got (5, 2): give (x, y) of every glimpse"):
        look(anywhere(5), chosen=1)
    with refused("`images` must be (5, F), got (4, 6): use describe(images), a row an episode"):
        look(anywhere(5, 2), torch.rand(4, 6))
    with refused("`sensed` must be (5, 2, 2), got (5, 1, 2): give as many as locations"):
        diagnose(
            anywhere(5, 2),
            torch.rand(5, 6),
            windows=WINDOWS,
            shape=SHAPE,
            sensed=anywhere(5, 1),
            chosen=1,
        )
    with refused("`images` must be (N, C, H, W), got (5, 6, 6): use images[:, None]"):
        describe(torch.rand(5, 6, 6))
