"""Image folders written with Pillow, read back, and broken."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from glimpse import Eye, GlimpseBatch, GlimpseSensor, ImageSet, MixedSet, find_images, load_folder
from glimpse.folder import load_image
from glimpse.image_set import SPLITS, random_splits
from glimpse.tasks import Classification


def _grey(seed: int, height: int = 5, width: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def _colour(seed: int, height: int = 5, width: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _write(path: Path, pixels: np.ndarray) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def _fill(root: Path, names: Sequence[str]) -> list[np.ndarray]:
    return [_write(root / name, _grey(seed)) for seed, name in enumerate(names)]


def _bright(images: ImageSet, split: str) -> list[int]:
    return images.images[images.splits[split], 0, 0, 0].tolist()


def test_grey_images_have_one_channel_and_are_read_unchanged(tmp_path: Path) -> None:
    written = _fill(tmp_path, ["cat/b.png", "cat/c.png", "dog/a.png"])
    found = load_folder(tmp_path)
    assert found.images.dtype == torch.uint8
    assert found.images.tolist() == [[pixels.tolist()] for pixels in written]
    assert found.task == Classification(("cat", "dog"))
    assert found.targets.tolist() == [0, 0, 1]


def test_coloured_images_have_three_channels_in_the_order_red_green_blue(tmp_path: Path) -> None:
    written = [_write(tmp_path / f"only/{seed}.png", _colour(seed)) for seed in range(2)]
    found = load_folder(tmp_path).images
    assert found.shape == (2, 3, 5, 7)
    assert torch.equal(found, torch.from_numpy(np.stack(written)).permute(0, 3, 1, 2))


def test_one_coloured_image_makes_all_coloured(tmp_path: Path) -> None:
    grey = _write(tmp_path / "a/1.png", _grey(0))
    colour = _write(tmp_path / "b/1.png", _colour(1))
    found = load_folder(tmp_path).images
    assert found[0].tolist() == [grey.tolist()] * 3
    assert torch.equal(found[1], torch.from_numpy(colour).permute(2, 0, 1))


def test_black_and_white_and_transparent_grey_are_grey(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Image.fromarray(_grey(0)).convert("1").save(tmp_path / "a/1.png")
    Image.fromarray(_grey(1)).convert("LA").save(tmp_path / "a/2.png")
    found = load_folder(tmp_path).images
    assert found.shape == (2, 1, 5, 7)
    assert set(found[0].unique().tolist()) == {0, 255}
    assert found[1, 0].tolist() == _grey(1).tolist()


@pytest.mark.parametrize("suffix", ["png", "tif", "big-endian.tif", "pgm"])
def test_grey_of_16_bits_is_scaled_to_8(tmp_path: Path, suffix: str) -> None:
    pixels = (np.arange(35, dtype=np.uint16) * 1927).reshape(5, 7)
    pixels[0, :2], pixels[4, 5:] = (255, 256), (65_279, 65_535)
    (tmp_path / "a").mkdir()
    order, mode = (">u2", "I;16B") if "big" in suffix else ("<u2", "I;16")
    image = Image.frombytes(mode, (7, 5), pixels.astype(order).tobytes())
    image.save(tmp_path / f"a/1.{suffix}")
    wanted = [[value // 256 for value in line] for line in pixels.tolist()]
    assert load_folder(tmp_path).images.tolist() == [[wanted]]
    _write(tmp_path / "a/2.png", _colour(0))
    assert load_folder(tmp_path).images[0].tolist() == [wanted] * 3


def test_a_truncated_image_of_16_bits_is_named(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 2**16, (64, 64), dtype=np.uint16)
    _write(tmp_path / "a/1.png", pixels)
    content = (tmp_path / "a/1.png").read_bytes()
    (tmp_path / "a/1.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"1\.png must be a readable image, got none .*truncated"):
        load_folder(tmp_path)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_numbers_without_a_fixed_white_are_refused(tmp_path: Path, dtype: type) -> None:
    _write(tmp_path / "a/1.tif", _grey(0).astype(dtype))
    message = r"1\.tif must be a readable image, got none \(mode [IF] has no fixed white"
    with pytest.raises(ValueError, match=message):
        load_folder(tmp_path)


@pytest.mark.parametrize("suffix", ["png", "PNG", "bmp", "ppm", "tif", "tiff", "webp", "gif"])
def test_formats_without_loss_are_read_unchanged(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a/1.{suffix}"
    path.parent.mkdir()
    pixels = np.stack([_grey(3)] * 3, axis=-1)
    Image.fromarray(pixels).save(path, lossless=True)  # which only WebP asks for
    assert load_folder(tmp_path).images[0, 0].tolist() == _grey(3).tolist()


def test_photographs_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("1.jpg", "2.jpeg"):
        Image.new("RGB", (7, 5), (200, 100, 50)).save(tmp_path / "a" / name, quality=95)
    found = load_folder(tmp_path).images
    assert found.shape == (2, 3, 5, 7)
    assert (found.float().mean(dim=(0, 2, 3)) - torch.tensor([200, 100, 50])).abs().max() < 3


def test_classes_and_files_come_in_alphabetical_order(tmp_path: Path) -> None:
    names = ["zebra/1.png", "ant/2.png", "ant/10.png", "Bee/1.png"]
    written = dict(zip(names, _fill(tmp_path, names), strict=True))
    found = load_folder(tmp_path)
    assert found.task == Classification(("Bee", "ant", "zebra"))
    order = ["Bee/1.png", "ant/10.png", "ant/2.png", "zebra/1.png"]
    assert found.images[:, 0].tolist() == [written[name].tolist() for name in order]
    assert found.targets.tolist() == [0, 1, 1, 2]


def test_without_split_folders_the_division_is_the_usual_one(tmp_path: Path) -> None:
    _fill(tmp_path, [f"{'ab'[k % 2]}/{k:02}.png" for k in range(20)])
    found, wanted = load_folder(tmp_path).splits, random_splits(20)
    assert [found[name].tolist() for name in SPLITS] == [wanted[name].tolist() for name in SPLITS]
    assert [len(found[name]) for name in SPLITS] == [16, 2, 2]


def test_split_folders_are_the_splits(tmp_path: Path) -> None:
    brightness = {
        "test/cat/1.png": 1,
        "train/cat/1.png": 2,
        "train/dog/1.png": 3,
        "train/dog/2.png": 4,
        "validation/dog/1.png": 5,
        "test/owl/1.png": 6,
    }
    for name, value in brightness.items():
        _write(tmp_path / name, np.full((2, 2), value, dtype=np.uint8))
    found = load_folder(tmp_path)
    assert found.task == Classification(("cat", "dog", "owl"))
    assert {split: _bright(found, split) for split in SPLITS} == {
        "train": [2, 3, 4],
        "validation": [5],
        "test": [1, 6],
    }
    of_split = {split: found.targets[found.splits[split]].tolist() for split in SPLITS}
    assert of_split == {"train": [0, 1, 1], "validation": [1], "test": [0, 2]}


def test_a_split_folder_that_is_not_there_is_an_empty_split(tmp_path: Path) -> None:
    _fill(tmp_path, ["train/a/1.png", "train/b/1.png", "test/b/1.png"])
    found = load_folder(tmp_path)
    assert [len(found.splits[name]) for name in SPLITS] == [2, 0, 1]


def test_nested_and_other_files_are_not_read(tmp_path: Path) -> None:
    _fill(tmp_path, ["a/1.png", "a/deeper/2.png", "top.png"])
    for name in ("a/notes.txt", "a/Thumbs.db", "README.md", "a/png"):
        (tmp_path / name).write_bytes(b"no image")
    found = load_folder(tmp_path)
    assert found.images[:, 0].tolist() == [_grey(0).tolist()]
    assert found.task == Classification(("a",))


@pytest.mark.parametrize("name", ["a/._1.png", ".cache/1.png", "a/.hidden.png"])
@pytest.mark.parametrize("content", [b"\0\5\x16\7", None], ids=["junk", "image"])
@pytest.mark.parametrize("split", ["", "train"])
def test_hidden_files_and_folders_are_not_read(
    tmp_path: Path, split: str, content: bytes | None, name: str
) -> None:
    """What macOS (`._1.png`) and other programs leave behind is neither an image nor a class."""
    root = tmp_path / ".data" / split  # what lies above the folder may be hidden
    _fill(root, ["a/1.png", name])
    if content is not None:
        (root / name).write_bytes(content)
    found = load_folder(tmp_path / ".data")
    assert found.task == Classification(("a",))
    assert found.images[:, 0].tolist() == [_grey(0).tolist()]


def test_a_folder_that_is_called_like_an_image_is_not_read(tmp_path: Path) -> None:
    _fill(tmp_path, ["a/1.png"])
    (tmp_path / "a/2.png").mkdir()
    assert len(load_folder(tmp_path).images) == 1


@pytest.mark.parametrize("folder", ["", "train", "no-such-folder"])
def test_a_folder_without_images_is_named(tmp_path: Path, folder: str) -> None:
    (tmp_path / "train/a").mkdir(parents=True)
    name = (tmp_path / folder).name
    with pytest.raises(ValueError, match=f"{name} must be a folder that holds images as CLASS/IMA"):
        load_folder(tmp_path / folder)


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n"])
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes) -> None:
    _fill(tmp_path, ["a/1.png", "a/3.png"])
    (tmp_path / "a/2.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"2\.png must be a readable image, got none"):
        load_folder(tmp_path)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow's own, before it gives up
@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "ppm", "tif", "webp", "gif"])
def test_a_file_cut_anywhere_is_named_or_still_an_image(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a/cut.{suffix}"
    _write(path, _colour(0, 24, 24))
    content = path.read_bytes()
    refused = 0
    for length in {0, 1, 10, 30, *range(0, len(content), max(len(content) // 20, 1))}:
        path.write_bytes(content[:length])
        try:
            assert load_folder(tmp_path).images.shape == (1, 3, 24, 24)
        except ValueError as error:
            assert f"cut.{suffix} must be a readable image, got none (" in str(error)  # noqa: PT017
            refused += 1
    assert refused >= 3


def test_a_truncated_png_is_named(tmp_path: Path) -> None:
    _fill(tmp_path, ["a/1.png"])
    _write(tmp_path / "a/2.png", _grey(1, 64, 64))
    content = (tmp_path / "a/2.png").read_bytes()
    (tmp_path / "a/2.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"2\.png must be a readable image, got none .*truncated"):
        load_folder(tmp_path, size=(5, 7))


def test_files_of_different_sizes_make_a_mixed_set(tmp_path: Path) -> None:
    written = _fill(tmp_path, ["train/a/1.png", "test/b/2.png"])
    written.insert(1, _write(tmp_path / "train/b/1.png", _grey(2, 4, 9)))
    found = load_folder(tmp_path)
    assert isinstance(found, MixedSet)
    assert found.sizes.tolist() == [[7, 5], [9, 4], [7, 5]]
    for number, pixels in enumerate(written):
        assert found.images.image(number)[0].tolist() == pixels.tolist()
    assert found.task == Classification(("a", "b"))
    assert found.targets.tolist() == [0, 1, 1]
    assert [found.splits[split].tolist() for split in SPLITS] == [[0, 1], [], [2]]


def test_a_mixed_folder_is_looked_at_by_name(tmp_path: Path) -> None:
    _fill(tmp_path, ["train/a/1.png", "train/b/2.png"])
    _write(tmp_path / "train/b/3.png", _colour(2, 40, 9))
    batch = GlimpseBatch(find_images(tmp_path), Eye(sensor=GlimpseSensor(3), context=4), 3)
    observation, _ = batch.reset(seed=0, options={"indices": [0, 1, 2]})
    assert observation["glimpse"].shape == (3, 1, 3, 3, 3)
    assert observation["context"].shape == (3, 3, 4, 4)
    assert [batch.pixels(row).shape for row in (0, 2)] == [(3, 5, 7), (3, 40, 9)]


def test_size_is_height_and_width_and_resizes_every_image(tmp_path: Path) -> None:
    dark, bright = np.zeros((6, 4), dtype=np.uint8), np.full((3, 9), 200, dtype=np.uint8)
    dark[:, 2:] = 100  # the right half
    _write(tmp_path / "a/1.png", dark)
    _write(tmp_path / "b/1.png", bright)
    found = load_folder(tmp_path, size=(3, 8)).images
    assert found.shape == (2, 1, 3, 8)
    assert found[0, 0, :, :3].tolist() == [[0] * 3] * 3
    assert found[0, 0, :, 5:].tolist() == [[100] * 3] * 3
    assert found[1].unique().tolist() == [200]


def test_size_leaves_images_of_that_size_alone(tmp_path: Path) -> None:
    written = _fill(tmp_path, ["a/1.png"])
    found = load_folder(tmp_path, size=(5, 7)).images
    assert found[:, 0].tolist() == [pixels.tolist() for pixels in written]


def test_the_root_may_be_text(tmp_path: Path) -> None:
    _fill(tmp_path, ["a/1.png"])
    assert len(load_folder(str(tmp_path)).images) == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_load_image_reads_one_file(tmp_path: Path, channels: int) -> None:
    pixels = _write(tmp_path / "1.png", _grey(0))
    found = load_image(tmp_path / "1.png", channels=channels)
    assert found.dtype == torch.uint8
    assert found.tolist() == [pixels.tolist()] * channels
    resized = load_image(tmp_path / "1.png", channels=channels, size=(2, 3))
    assert resized.shape == (channels, 2, 3)


def test_load_image_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing\.png must be a readable image, got none"):
        load_image(tmp_path / "nothing.png", channels=1)
