import doctest
import math
import re

import numpy as np
import pytest
import torch

from glimpse.checks import check_at_least, check_count, check_images, check_name, check_shape


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((2, 3, 4, 5), "B C H W"), ((7, 2), "B 2"), ((0, 2), "B 2"), ((3,), "3"), ((), "")],
)
def test_wanted_shapes_pass(shape: tuple[int, ...], axes: str) -> None:
    check_shape("thing", torch.zeros(shape), axes, mend="no need")


@pytest.mark.parametrize(
    ("shape", "axes", "message"),
    [
        ((28, 28), "B C H W", "`thing` must be (B, C, H, W), got (28, 28): mend it"),
        ((2, 1, 4, 4, 4), "B C H W", "`thing` must be (B, C, H, W), got (2, 1, 4, 4, 4): mend it"),
        ((5, 3), "B 2", "`thing` must be (B, 2), got (5, 3): mend it"),
        ((2, 5), "B 2", "`thing` must be (B, 2), got (2, 5): mend it"),
        ((2,), "B 2", "`thing` must be (B, 2), got (2,): mend it"),
        ((), "B", "`thing` must be (B), got (): mend it"),
    ],
)
def test_other_shapes_are_refused(shape: tuple[int, ...], axes: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_shape("thing", torch.zeros(shape), axes, mend="mend it")


def test_the_example_of_check_shape_holds() -> None:
    source = check_shape.__doc__
    assert source is not None
    example = doctest.DocTestParser().get_doctest(
        source, {"check_shape": check_shape}, "check_shape", None, None
    )
    result = doctest.DocTestRunner(verbose=False).run(example)
    assert result.attempted == 2
    assert result.failed == 0


def test_large_enough_numbers_pass() -> None:
    check_at_least(1, size=1, scales=3, factor=1)
    check_at_least(0, reach=0.0)
    check_at_least(-2.5, depth=-2.5)


@pytest.mark.parametrize("value", [0, -3, 0.999])
def test_too_small_numbers_are_refused(value: float) -> None:
    message = f"`size` must be finite and at least 1, got {value}: choose another"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_at_least(1, size=value)


def test_the_number_that_is_too_small_is_named() -> None:
    with pytest.raises(
        ValueError, match=r"^`factor` must be finite and at least 1, got 0: choose another$"
    ):
        check_at_least(1, size=8, factor=0, scales=3)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused_as_such(value: float) -> None:
    message = f"`reach` must be finite and at least 0.0, got {value}: choose another"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_at_least(0.0, reach=value)


def test_whole_numbers_that_are_large_enough_pass() -> None:
    check_count(1, size=1, scales=3)
    check_count(0, seed=0, pieces=2**70)
    check_count(-2, depth=-2)


@pytest.mark.plain
def test_whole_numbers_of_numpy_pass() -> None:
    check_count(1, size=np.int64(1), scales=np.uint8(3))


@pytest.mark.parametrize(("least", "value"), [(1, 0), (1, -3), (0, -1), (5, 4)])
def test_whole_numbers_that_are_too_small_are_refused(least: int, value: int) -> None:
    message = f"`size` must be a whole number from {least}, got {value}: choose another"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_count(least, size=value)


def test_the_whole_number_that_is_too_small_is_named() -> None:
    with pytest.raises(ValueError, match=r"^`factor` must be a whole number from 1, got 0: "):
        check_count(1, size=8, factor=0, scales=3)


@pytest.mark.plain
@pytest.mark.parametrize("value", [2.5, 2.0, math.nan, math.inf, "3", None, True])
def test_what_is_no_whole_number_is_refused(value: object) -> None:
    message = f"`size` must be a whole number from 1, got {value!r}: choose another"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_count(1, size=value)


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64]
)
def test_images_of_bytes_and_of_floats_pass(dtype: torch.dtype, count: int) -> None:
    images = torch.zeros(count, 2, 4, 5, dtype=dtype)
    images[:, :, 0] = 1
    check_images(images)
    check_images(images.transpose(2, 3))


def test_bytes_of_any_brightness_pass() -> None:
    check_images(torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16))


@pytest.mark.parametrize("shape", [(), (28,), (28, 28), (3, 28, 28), (1, 1, 1, 28, 28)])
@pytest.mark.plain
def test_images_of_another_rank_are_refused(shape: tuple[int, ...]) -> None:
    message = f"`images` must be (N, C, H, W), got {shape}: use images[:, None] if they are grey"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_images(torch.zeros(shape))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("shape", [(2, 0, 4, 4), (2, 1, 0, 4), (2, 1, 4, 0)])
def test_images_without_pixels_are_refused(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    message = f"`images` must have at least one pixel each, got {shape}: give some"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_images(torch.zeros(shape, dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.bool, torch.complex64])
def test_images_of_another_type_are_refused(dtype: torch.dtype) -> None:
    message = f"`images` must be uint8 or float in [0, 1], got {dtype}: convert them"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_images(torch.zeros(1, 1, 4, 4, dtype=dtype))


@pytest.mark.parametrize(
    ("values", "given"),
    [
        ((0.0, 255.0), "0 to 255"),
        ((-0.5, 1.0), "-0.5 to 1"),
        ((0.0, 1.5), "0 to 1.5"),
    ],
)
def test_floats_out_of_range_are_refused(values: tuple[float, float], given: str) -> None:
    images = torch.full((2, 1, 2, 2), 0.25)
    images[1, 0, 0] = torch.tensor(values)
    message = f"`images` of floats must lie in [0, 1], got {given}: divide by 255?"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_images(images)


@pytest.mark.parametrize(
    "values", [(math.nan, 0.5), (math.inf, 0.5), (0.5, -math.inf), (math.inf, -math.inf)]
)
@pytest.mark.parametrize("other", [0.5, 7.0])
def test_images_that_are_not_finite_are_refused_and_the_first_is_named(
    values: tuple[float, float], other: float
) -> None:
    images = torch.zeros(5, 2, 3, 2)
    images[2:, 1, 2] = torch.tensor(values)
    images[1, 0, 0, 0] = other
    message = "`images` must be finite, got NaN or infinity in image 2: leave it out or mend it"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_images(images)


@pytest.mark.parametrize("known", [("zero", "edge"), ["edge", "zero"], {"zero": 1, "edge": 2}])
def test_known_names_pass(known: object) -> None:
    check_name("outside", "zero", known)
    check_name("outside", "edge", known)


@pytest.mark.parametrize("known", [("zero", "edge"), ["edge", "zero"], {"zero": 1, "edge": 2}])
def test_unknown_names_are_refused_with_the_known_ones(known: object) -> None:
    message = "`outside` must be one of edge, zero, got 'zeros': choose one"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_name("outside", "zeros", known)


def test_a_part_of_a_known_name_is_unknown() -> None:
    with pytest.raises(ValueError, match=r"got 'ed': choose one$"):
        check_name("outside", "ed", ("edge",))
