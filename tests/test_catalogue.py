"""Image sets by name."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from glimpse import ImageSet, catalogue, find_images, register_images
from glimpse.canvas import CANVASES, OnCanvas
from glimpse.catalogue import image_names
from glimpse.tasks import Search


@pytest.fixture(autouse=True)
def _own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_registered", {})


@pytest.fixture
def images() -> ImageSet:
    return ImageSet.from_arrays(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), [0, 1, 0, 1])


def _folder(root: Path, height: int = 4) -> Path:
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        Image.fromarray(np.zeros((height, 6), dtype=np.uint8)).save(root / name / "1.png")
    return root


def test_a_registered_set_is_found_under_its_name(images: ImageSet) -> None:
    register_images("mine", images)
    assert find_images("mine") is images


def test_a_registered_function_is_called_once_and_only_when_asked(images: ImageSet) -> None:
    calls: list[int] = []

    def make() -> ImageSet:
        calls.append(len(calls))
        return images

    register_images("mine", make)
    assert calls == []
    assert find_images("mine") is images
    assert find_images("mine") is images
    assert calls == [0]


def test_a_function_that_failed_is_asked_again(images: ImageSet) -> None:
    answers: list[ImageSet] = []

    def make() -> ImageSet:
        if not answers:
            raise ValueError("the disk is not there yet")
        return answers[0]

    register_images("mine", make)
    with pytest.raises(ValueError, match="the disk is not there yet"):
        find_images("mine")
    answers.append(images)
    assert find_images("mine") is images


def test_registering_again_replaces(images: ImageSet) -> None:
    other = ImageSet.from_arrays(torch.ones(2, 1, 8, 8), [0, 1])
    register_images("mine", lambda: other)
    assert find_images("mine") is other
    register_images("mine", images)
    assert find_images("mine") is images


@pytest.mark.parametrize("name", ["digits", "haystack", "mnist", "", "a/b", "a\\b"])
def test_names_that_are_taken_or_could_be_paths_are_refused(images: ImageSet, name: str) -> None:
    with pytest.raises(ValueError, match="`name` must be a new name without slashes, got '"):
        register_images(name, images)
    assert name not in image_names() or name in ("digits", "haystack", "mnist")


def test_names_are_listed_with_a_description(images: ImageSet) -> None:
    register_images("mine", images)
    names = image_names()
    assert list(names) == ["digits", "haystack", "mnist", "mine"]
    assert "1,797" in names["digits"]
    assert "65,536" in names["haystack"]
    assert "registered" in names["mine"]
    names.clear()
    assert "mine" in image_names()


def test_an_unknown_name_lists_the_known_ones_and_says_what_to_do(images: ImageSet) -> None:
    register_images("mine", images)
    message = (
        "`images` must be the path of a folder or slide or one of digits, haystack, mnist, mine, "
        "got 'yours': check the path, or call register_images in this process first"
    )
    with pytest.raises(ValueError, match=f"^{message}$"):
        find_images("yours")


@pytest.mark.parametrize("path", ["no/such/folder", "", "file.png/slide.svs"])
def test_a_path_of_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(_folder(tmp_path))
    (tmp_path / "file.png").write_bytes(b"")
    with pytest.raises(ValueError, match=f"`images` must be the path of a folder .* got '{path}'"):
        find_images(path)


def test_a_file_that_is_no_slide_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.png"
    Image.fromarray(np.zeros((4, 6), dtype=np.uint8)).save(path)
    with pytest.raises(ValueError, match=r"file\.png must be a slide that OpenSlide reads, got "):
        find_images(path)


def test_a_folder_is_read_once_however_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = _folder(tmp_path / "pets")
    found = find_images(str(root))
    assert found.task.classes == ("cat", "dog")
    monkeypatch.chdir(tmp_path)
    assert find_images("pets") is found
    assert find_images("./pets/../pets") is found


def test_image_size_resizes_a_folder(tmp_path: Path) -> None:
    root = str(_folder(tmp_path / "pets"))
    assert find_images(root).shape == (1, 4, 6)
    assert find_images(root, image_size=(3, 5)).shape == (1, 3, 5)
    assert find_images(root, image_size=(3, 5)) is find_images(root, image_size=(3, 5))


@pytest.mark.plain
def test_image_size_may_be_a_list_as_in_json(tmp_path: Path) -> None:
    root = str(_folder(tmp_path / "pets"))
    found = find_images(root, image_size=[3, 5])  # type: ignore[arg-type]
    assert found is find_images(root, image_size=(3, 5))


def test_what_a_folder_does_not_hold_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{tmp_path.name} must be a folder that holds images"):
        find_images(str(tmp_path))


def test_the_digits_are_read_once() -> None:
    digits = find_images("digits")
    assert digits.shape == (1, 28, 28)
    assert len(digits.targets) == 1797
    assert find_images("digits") is digits


def test_the_haystacks_are_read_once() -> None:
    haystacks = find_images("haystack")
    assert haystacks.shape == (1, 65536, 65536)
    assert haystacks.task == Search()
    assert len(haystacks.targets) == 1000
    assert find_images("haystack") is haystacks


def test_a_slide_is_opened_once_however_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.zeros((64, 96, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "slide.tif", pixels, tile=(32, 32), photometric="rgb")
    place = {"type": "Point", "coordinates": [48, 16]}
    (tmp_path / "slide.geojson").write_text(json.dumps({"type": "Feature", "geometry": place}))
    found = find_images(str(tmp_path / "slide.tif"))
    assert found.shape == (3, 64, 96)
    assert found.targets.tolist() == [[0, -0.5]]
    monkeypatch.chdir(tmp_path)
    assert find_images("slide.tif") is found
    assert find_images(Path("./slide.tif")) is found


@pytest.mark.parametrize("images", ["haystack", "digits", "slide.tif"])
def test_only_a_folder_s_images_are_resized(images: str) -> None:
    message = f"`image_size` must be left out unless `images` is a folder, got '{images}': leave it"
    with pytest.raises(ValueError, match=message):
        find_images(images, image_size=(3, 5))


def test_mnist_asks_for_its_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GLIMPSE_DATA", raising=False)
    with pytest.raises(ValueError, match="MNIST must be on disk, got no folder"):
        find_images("mnist")
    with pytest.raises(ValueError, match=f"{tmp_path.name} must hold train-images"):
        find_images("mnist", data_root=tmp_path)
    monkeypatch.setenv("GLIMPSE_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=f"{tmp_path.name} must hold train-images"):
        find_images("mnist")


@pytest.mark.parametrize("canvas", CANVASES)
def test_a_canvas_is_laid_around_any_set(images: ImageSet, canvas: str) -> None:
    register_images("mine", images)
    found = find_images("mine", canvas=canvas)
    assert isinstance(found, OnCanvas)
    assert found.base is images
    assert found.canvas is CANVASES[canvas]
    assert found.shape == (1, CANVASES[canvas].height, CANVASES[canvas].width)


def test_an_unknown_canvas_lists_the_known_ones() -> None:
    message = (
        "`canvas` must be one of cluttered-100, cluttered-60, translated-100, translated-40, "
        "translated-60, got 'round'"
    )
    with pytest.raises(ValueError, match=message):
        find_images("digits", canvas="round")


def test_a_slide_s_places_lie_beside_the_path_that_was_given(tmp_path: Path) -> None:
    pixels = np.zeros((256, 256, 3), dtype=np.uint8)
    (tmp_path / "data").mkdir()
    tifffile.imwrite(tmp_path / "data" / "abc.tiff", pixels, tile=(256, 256), photometric="rgb")
    (tmp_path / "scan.tiff").symlink_to(tmp_path / "data" / "abc.tiff")
    point = {"geometry": {"type": "Point", "coordinates": [128, 64]}}
    (tmp_path / "scan.geojson").write_text(json.dumps([point]))
    assert find_images(tmp_path / "scan.tiff").targets.tolist() == [[0.0, -0.5]]
