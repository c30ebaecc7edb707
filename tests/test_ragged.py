"""Images of different sizes in one flat tensor."""

import pytest
import torch
from expect import random_pixels
from torch import Tensor

from glimpse.pixels import Pixels
from glimpse.ragged import Places, RaggedPixels, RaggedTables
from glimpse.sensor import Prepared
from glimpse.tables import SummedAreaTables

SIZES = [(2, 3), (1, 5), (4, 1)]  # height and width


def _images(floats: bool = False) -> list[Tensor]:
    images = [torch.from_numpy(random_pixels(2, *size, seed=size[0])) for size in SIZES]
    return [image.float() / 255 for image in images] if floats else images


def test_places_are_one_after_another() -> None:
    places = Places.of(2, torch.tensor([[3, 2], [5, 1], [1, 4]]))
    assert places.first.tolist() == [0, 12, 22]
    assert places.shape == (3, 2, 4, 5)
    assert Places.of(2, places.sizes, extra=1).first.tolist() == [0, 24, 48]


def test_stored_says_where_an_image_begins_and_how_large_it_is() -> None:
    first, height, width = RaggedPixels.of(_images()).places.stored(torch.tensor([2, 0, 2]))
    assert first.tolist() == [22, 0, 22]
    assert isinstance(height, Tensor)
    assert isinstance(width, Tensor)
    assert height.tolist() == [4, 2, 4]
    assert width.tolist() == [1, 3, 1]


def test_nothing_is_padded() -> None:
    images = _images()
    ragged = RaggedPixels.of(images)
    assert len(ragged.flat) == sum(image.numel() for image in images)
    for number, image in enumerate(images):
        assert torch.equal(ragged.image(number), image)
        assert ragged.image(number).untyped_storage().data_ptr() == ragged.flat.data_ptr()


@pytest.mark.parametrize("floats", [False, True])
def test_means_are_those_of_each_image(floats: bool) -> None:
    images = _images(floats)
    wanted = torch.stack([image.double().mean(dim=(1, 2)) for image in images])
    found = RaggedPixels.of(images).mean.double()
    torch.testing.assert_close(found, wanted / (1 if floats else 255), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.int64])
def test_tables_are_those_of_each_image_alone(dtype: torch.dtype) -> None:
    images = _images()
    tables = RaggedTables.of(RaggedPixels.of(images), dtype)
    memory = RaggedTables.memory(2, tables.sizes, dtype)
    assert tables.flat.numel() * tables.flat.itemsize == memory
    firsts = tables.stored(torch.arange(len(images))).first.tolist()
    for first, image in zip(firsts, images, strict=True):
        wanted = SummedAreaTables.of(image[None], dtype).table.flatten()
        assert torch.equal(tables.flat[first : first + len(wanted)], wanted)


def test_tables_of_floats_count_white_as_one() -> None:
    tables = RaggedTables.of(RaggedPixels.of(_images(floats=True)), torch.float64)
    assert tables.white == 1
    assert tables.flat.dtype == torch.float64


def test_all_that_can_be_looked_at_says_whether_sizes_differ() -> None:
    ragged = RaggedPixels.of(_images())
    tables = RaggedTables.of(ragged, torch.int16)
    same = torch.zeros(2, 1, 3, 4, dtype=torch.uint8)
    for prepared in (ragged, tables):
        assert isinstance(prepared, Prepared)
        assert prepared.shape == (3, 2, 4, 5)
        assert prepared.sizes is not None
        assert prepared.sizes.tolist() == [[3, 2], [5, 1], [1, 4]]
    for even in (Pixels.of(same), SummedAreaTables.of(same, torch.int16)):
        assert isinstance(even, Prepared)
        assert even.sizes is None
