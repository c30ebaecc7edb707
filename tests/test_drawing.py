"""Pictures of fixations: every pixel of a window's frame is where the sensor's window is."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from glimpse.colours import RIGHT, WRONG
from glimpse.coordinates import to_pixels
from glimpse.drawing import (
    _PATH,
    _WINDOWS,
    Look,
    animation,
    contact_sheet,
    draw_fixations,
    draw_look,
    to_picture,
)
from glimpse.sensor import GlimpseSensor

GREY = 100
SIDE = 200


def _blank(height: int = 10, width: int = 20, channels: int = 1) -> Tensor:
    return torch.full((channels, height, width), GREY, dtype=torch.uint8)


def _pixels(picture: Image.Image) -> NDArray[np.uint8]:
    assert picture.mode == "RGB"
    return np.asarray(picture)


def _is(picture: Image.Image, colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = (_pixels(picture) == colour).all(axis=-1)
    return same


def _frame(
    shape: tuple[int, int], box: tuple[float, float, float, float], zoom: float, width: int
) -> NDArray[np.bool_]:
    """Return the pixels of a frame just inside the box (left, top, right, bottom), zoomed."""
    left, top, right, bottom = (round(edge * zoom) for edge in box)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    outer = (left <= columns) & (columns < right) & (top <= rows) & (rows < bottom)
    inner = (left + width <= columns) & (columns < right - width)
    frame: NDArray[np.bool_] = outer & ~(inner & (top + width <= rows) & (rows < bottom - width))
    return frame


def _boxes(
    sensor: GlimpseSensor, location: Tensor, height: int, width: int
) -> list[tuple[float, float, float, float]]:
    windows = sensor.windows
    left, top = windows.corners(to_pixels(location[None], height, width))[..., 0].tolist()
    return [(x, y, x + w, y + w) for x, y, w in zip(left, top, windows.widths, strict=True)]


def test_the_documented_window_is_drawn_where_it_is() -> None:
    """4 pixels wide in an image of 20 x 10, at (0.5, -0.2): p = (15, 4), pixels 13-16 and 2-5."""
    picture = draw_fixations(_blank(), torch.tensor([[0.5, -0.2]]), GlimpseSensor(4), side=SIDE)
    assert picture.size == (200, 100)
    orange = _is(picture, _WINDOWS[0])
    for inside in ((130, 20), (131, 40), (150, 20), (150, 21), (169, 59), (169, 20), (130, 59)):
        assert orange[inside[1], inside[0]], inside
    for outside in ((129, 40), (132, 40), (150, 19), (150, 22), (150, 40), (172, 40), (150, 62)):
        assert not orange[outside[1], outside[0]], outside


@pytest.mark.parametrize(
    "location", [(0.0, 0.0), (0.5, -0.2), (-0.33, 0.71), (1.0, 1.0), (-1.0, -1.0), (0.97, -0.4)]
)
@pytest.mark.parametrize(
    "sensor", [GlimpseSensor(4), GlimpseSensor(3), GlimpseSensor(2, scales=2, factor=3)]
)
def test_every_frame_is_just_inside_its_window(
    sensor: GlimpseSensor, location: tuple[float, float]
) -> None:
    """To the pixel: a frame that covers pixels of the image's next row says they were seen."""
    at = torch.tensor(location)
    picture = draw_fixations(_blank(), at[None], sensor, side=SIDE)
    for number, box in enumerate(_boxes(sensor, at, 10, 20)):
        wanted = _frame((100, 200), box, 10, 2)
        np.testing.assert_array_equal(_is(picture, _WINDOWS[number]), wanted, str(box))


@pytest.mark.parametrize("side", [200, 333])
def test_windows_of_many_scales_have_the_sensors_sizes(side: int) -> None:
    sensor = GlimpseSensor(2, scales=3)
    at = torch.tensor([0.0, 0.0])
    picture = draw_fixations(_blank(40, 40), at[None], sensor, side=side)
    zoom = picture.width // 40
    for number, (left, top, right, bottom) in enumerate(_boxes(sensor, at, 40, 40)):
        rows, columns = np.nonzero(_is(picture, _WINDOWS[number]))
        assert (columns.min(), rows.min()) == (left * zoom, top * zoom)
        for last, edge in ((columns.max(), right), (rows.max(), bottom)):
            assert abs(last - (edge * zoom - 1)) <= 1


def test_only_the_last_locations_windows_are_drawn() -> None:
    locations = torch.tensor([[-0.8, -0.5], [0.5, 0.2]])
    both = draw_fixations(_blank(), locations, GlimpseSensor(4), side=SIDE)
    last = draw_fixations(_blank(), locations[1:], GlimpseSensor(4), side=SIDE)
    np.testing.assert_array_equal(_is(both, _WINDOWS[0]), _is(last, _WINDOWS[0]))
    assert _is(both, _WINDOWS[0]).any()


def test_the_path_goes_through_the_locations() -> None:
    locations = torch.tensor([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5]])
    path = _is(draw_fixations(_blank(20, 20), locations, GlimpseSensor(1), side=SIDE), _PATH)
    for x, y in ((50, 50), (100, 50), (150, 50), (150, 100)):
        assert path[y, x], (x, y)
    for x, y in ((100, 100), (50, 100), (50, 150), (20, 50), (150, 180)):
        assert not path[y, x], (x, y)


def test_what_has_not_been_looked_at_is_not_drawn() -> None:
    nan = float("nan")
    locations = torch.tensor([[-0.5, 0.5], [0.5, 0.5], [nan, nan], [nan, 0.0]])
    some = draw_fixations(_blank(), locations, GlimpseSensor(4), side=SIDE)
    two = draw_fixations(_blank(), locations[:2], GlimpseSensor(4), side=SIDE)
    np.testing.assert_array_equal(_pixels(some), _pixels(two))
    for none in (locations[2:], locations[:0]):
        picture = draw_fixations(_blank(), none, GlimpseSensor(4), side=SIDE)
        assert (_pixels(picture) == GREY).all()
        assert picture.size == (200, 100)


def test_beyond_the_frames_and_the_path_is_the_image() -> None:
    picture = draw_fixations(_blank(), torch.tensor([[0.0, 0.0]]), GlimpseSensor(4), side=SIDE)
    rest = ~_is(picture, _WINDOWS[0]) & ~_is(picture, _PATH)
    assert (_pixels(picture)[rest] == GREY).all()
    assert rest.mean() > 0.9


def test_small_images_grow_by_whole_factors() -> None:
    image = torch.arange(6, dtype=torch.uint8).view(1, 2, 3) * 40
    picture = draw_fixations(image, torch.zeros(0, 2), GlimpseSensor(1), side=31)
    assert picture.size == (30, 20)
    wanted = image[0].numpy().repeat(10, axis=0).repeat(10, axis=1)
    for channel in range(3):
        np.testing.assert_array_equal(_pixels(picture)[..., channel], wanted)


@pytest.mark.parametrize(("side", "size"), [(40, (40, 20)), (39, (39, 20)), (10, (10, 5))])
def test_the_longer_side_fits(side: int, size: tuple[int, int]) -> None:
    picture = draw_fixations(_blank(20, 40), torch.zeros(0, 2), GlimpseSensor(1), side=side)
    assert picture.size == size


def test_large_images_shrink_to_their_means() -> None:
    image = torch.zeros(1, 400, 1000, dtype=torch.uint8)
    image[:, ::2] = 200
    image[:, :, 500:] = 60
    at = torch.tensor([[0.0, 0.0]])
    plain = draw_fixations(image, torch.zeros(0, 2), GlimpseSensor(8), side=SIDE)
    assert plain.size == (200, 80)
    assert set(np.unique(_pixels(plain)[:, :99])) <= set(range(75, 125))
    assert (_pixels(plain)[:, 101:] == 60).all()
    picture = draw_fixations(image, at, GlimpseSensor(100, scales=2), side=SIDE)
    rows, columns = np.nonzero(_is(picture, _WINDOWS[0]))  # 450 … 550, 150 … 250 of the image
    assert (columns.min(), rows.min()) == (90, 30)
    assert columns.max() in (109, 110)
    assert rows.max() in (49, 50)
    rows, columns = np.nonzero(_is(picture, _WINDOWS[1]))
    assert (columns.min(), rows.min()) == (80, 20)


@pytest.mark.parametrize("size", [1, 8])
@pytest.mark.parametrize("location", [(0.0, 0.0), (0.313, -0.271), (1.0, 1.0), (-1.0, -1.0)])
def test_windows_narrower_than_a_pixel_of_the_picture_can_be_drawn(
    size: int, location: tuple[float, float]
) -> None:
    image = _blank(1, 1).expand(-1, 2500, 5000)
    sensor = GlimpseSensor(size, scales=2)
    picture = draw_fixations(image, torch.tensor([location]), sensor, side=SIDE)
    assert picture.size == (200, 100)
    assert (_pixels(picture) != GREY).any()


@pytest.mark.parametrize(("height", "width"), [(1, 1000), (1000, 1), (2, 3000)])
def test_a_long_thin_image_can_be_drawn(height: int, width: int) -> None:
    at = torch.zeros(1, 2)
    picture = draw_fixations(_blank(height, width), at, GlimpseSensor(2), side=SIDE)
    assert sorted(picture.size) == [1, SIDE]
    assert (_pixels(picture) != GREY).any()


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_colours_are_kept_and_other_channels_are_grey(channels: int) -> None:
    image = torch.arange(channels, dtype=torch.uint8)[:, None, None] * 50 + 10
    image = image.expand(-1, 4, 4)
    of_bytes = draw_fixations(image, torch.zeros(0, 2), GlimpseSensor(1), side=4)
    wanted = [10, 60, 110] if channels == 3 else [10, 10, 10]
    assert _pixels(of_bytes)[1, 2].tolist() == wanted
    of_floats = draw_fixations(image / 255, torch.zeros(0, 2), GlimpseSensor(1), side=4)
    np.testing.assert_array_equal(_pixels(of_floats), _pixels(of_bytes))


def test_the_image_is_left_as_it_was() -> None:
    image, at = _blank(), torch.zeros(1, 2)
    draw_fixations(image, at, GlimpseSensor(4), side=SIDE)
    assert torch.equal(image, _blank())
    assert torch.equal(at, torch.zeros(1, 2))


# Looks


def _look(glimpses: int = 3, **options: Any) -> Look:
    options = {
        "image": _blank(),
        "locations": torch.linspace(-0.5, 0.5, glimpses)[:, None].expand(-1, 2),
        "sensors": [SENSOR] * glimpses,
        "answers": ["yes"] * glimpses,
        "confidence": torch.linspace(0.5, 1, glimpses).tolist(),
        "right": [True] * glimpses,
        **options,
    }
    return Look(**options)


SENSOR = GlimpseSensor(4, scales=2)
PANEL = (SIDE + 2 * 10, SIDE + 2 * 10 + 2 * 22)  # margins of a 20th, two lines of a 9th


def test_a_look_shows_the_fixations_so_far() -> None:
    look = _look()
    for glimpse in (1, 2, 3):
        panel = draw_look(look, glimpse, side=SIDE)
        assert panel.size == PANEL
        wanted = draw_fixations(look.image, look.locations[:glimpse], SENSOR, side=SIDE)
        shown = panel.crop((10, 60, 210, 160))  # 200 x 100 in the middle of 200 x 200
        np.testing.assert_array_equal(_pixels(shown), _pixels(wanted))


@pytest.mark.parametrize(("right", "colour"), [(True, RIGHT), (False, WRONG), (None, (30, 30, 30))])
def test_the_answers_colour_says_whether_it_is_right(
    right: bool | None, colour: tuple[int, int, int]
) -> None:
    panel = draw_look(_look(right=None if right is None else [right] * 3), 3, side=SIDE)
    found = {c: bool(_is(panel, c).any()) for c in (RIGHT, WRONG, (30, 30, 30))}
    assert found == {c: c == colour for c in found}


def test_the_bar_is_as_long_as_the_answer_is_sure() -> None:
    lengths = []
    for sure in (0.6, 0.8, 1.0):
        look = _look(1, confidence=[sure])
        panel = draw_look(look, 1, side=SIDE)
        below = _is(panel, RIGHT)[SIDE + 20 + 22 :]  # under the line of text
        lengths.append(int(below.any(axis=0).sum()))
    assert lengths == pytest.approx([120, 160, 200], abs=1)


def test_the_answer_and_how_sure_it_is_are_written() -> None:
    looks = [_look(1), _look(1, answers=["no"]), _look(1, confidence=[0.9])]
    pictures = [_pixels(draw_look(look, 1)) for look in looks]
    assert (pictures[0] != pictures[1]).any()
    assert (pictures[0] != pictures[2]).any()


def test_each_glimpse_has_the_windows_of_its_own_sensor() -> None:
    wide = GlimpseSensor(8, scales=2)
    look = _look(2, sensors=[SENSOR, wide])
    for glimpse, sensor in ((1, SENSOR), (2, wide)):
        wanted = draw_fixations(look.image, look.locations[:glimpse], sensor, side=SIDE)
        shown = draw_look(look, glimpse, side=SIDE).crop((10, 60, 210, 160))
        np.testing.assert_array_equal(_pixels(shown), _pixels(wanted))


def test_a_contact_sheet_has_a_row_a_look_and_a_column_a_glimpse() -> None:
    looks = [_look(3), _look(3, right=[False] * 3)]
    sheet = contact_sheet(looks, side=SIDE)
    assert sheet.size == (3 * PANEL[0], 2 * PANEL[1])
    for row, look in enumerate(looks):
        for t in range(3):
            left, top = t * PANEL[0], row * PANEL[1]
            cell = sheet.crop((left, top, left + PANEL[0], top + PANEL[1]))
            wanted = draw_look(look, t + 1, side=SIDE)
            np.testing.assert_array_equal(_pixels(cell), _pixels(wanted))


def test_a_shorter_look_leaves_the_paper_white() -> None:
    sheet = contact_sheet([_look(3), _look(1)], side=SIDE)
    assert sheet.size == (3 * PANEL[0], 2 * PANEL[1])
    assert (_pixels(sheet)[PANEL[1] :, PANEL[0] :] == 255).all()


@pytest.mark.parametrize(("columns", "shape"), [(2, (2, 2)), (4, (3, 1)), (1, (1, 3))])
def test_an_animation_has_a_frame_a_glimpse(columns: int, shape: tuple[int, int]) -> None:
    looks = [_look(3), _look(2, right=[False] * 2), _look(3, right=None)]
    frames = animation(looks, columns=columns, side=SIDE)
    assert len(frames) == 3
    for t, frame in enumerate(frames):
        assert frame.size == (shape[0] * PANEL[0], shape[1] * PANEL[1])
        for number, look in enumerate(looks):
            left = number % columns * PANEL[0]
            top = number // columns * PANEL[1]
            cell = frame.crop((left, top, left + PANEL[0], top + PANEL[1]))
            glimpse = min(t + 1, len(look.locations))  # the shorter one stays as it ended
            wanted = draw_look(look, glimpse, side=SIDE)
            np.testing.assert_array_equal(_pixels(cell), _pixels(wanted))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_look_on_cuda_is_drawn() -> None:
    on_cpu = _look()
    on_cuda = _look(image=_blank().cuda(), locations=on_cpu.locations.cuda())
    pictures = [_pixels(draw_look(look, 2)) for look in (on_cpu, on_cuda)]
    np.testing.assert_array_equal(*pictures)


@pytest.mark.parametrize(
    ("side", "size"),
    [(None, (20, 10)), (20, (20, 10)), (59, (40, 20)), (60, (60, 30)), (10, (10, 5)), (1, (1, 1))],
)
def test_a_picture_is_enlarged_by_a_whole_number(side: int | None, size: tuple[int, int]) -> None:
    picture = to_picture(_blank(), side)
    assert picture.size == size
    assert (_pixels(picture) == GREY).all()
