"""IDX files written byte by byte, read back, and broken in every way."""

import gzip
import struct
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glimpse import load_idx

_TYPES: dict[str, tuple[int, str, list[Any]]] = {
    "uint8": (0x08, "B", [0, 1, 127, 128, 255]),
    "int8": (0x09, "b", [-128, -1, 0, 1, 127]),
    "int16": (0x0B, "h", [-32768, -2, 0, 258, 32767]),
    "int32": (0x0C, "i", [-(2**31), -3, 0, 16909060, 2**31 - 1]),
    "float32": (0x0D, "f", [-1.5, 0.0, 0.25, 3.0, 1e10]),
    "float64": (0x0E, "d", [-1.5, 0.0, 1 / 3, 3.0, 1e300]),
}
_SHAPES = [(), (5,), (2, 3), (2, 1, 4), (2, 3, 1, 2)]


def _content(name: str, shape: tuple[int, ...]) -> tuple[bytes, list[float]]:
    code, letter, samples = _TYPES[name]
    numbers: list[float] = [samples[k % 5] for k in range(prod(shape))]
    head = bytes([0, 0, code, len(shape)]) + b"".join(struct.pack(">I", n) for n in shape)
    if letter in "fd":
        return head + b"".join(struct.pack(">" + letter, float(n)) for n in numbers), numbers
    return head + b"".join(struct.pack(">" + letter, int(n)) for n in numbers), numbers


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("shape", _SHAPES, ids=str)
@pytest.mark.parametrize("name", _TYPES.keys())
def test_round_trip(tmp_path: Path, name: str, shape: tuple[int, ...], packed: bool) -> None:
    content, numbers = _content(name, shape)
    path = tmp_path / "numbers"
    path.write_bytes(gzip.compress(content) if packed else content)
    found = load_idx(path)
    assert found.shape == shape
    assert found.dtype == np.dtype(name)
    assert found.dtype.isnative
    assert found.flatten().astype(float).tolist() == np.array(numbers, name).tolist()


def test_a_path_may_be_text_and_the_name_of_a_packed_file_does_not_matter(tmp_path: Path) -> None:
    content, numbers = _content("uint8", (5,))
    path = tmp_path / "plain.gz"
    path.write_bytes(content)
    assert load_idx(str(path)).tolist() == numbers


def test_the_array_is_free_to_be_written(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    path.write_bytes(_content("uint8", (5,))[0])
    found = load_idx(path)
    found[0] = 7
    assert found[0] == 7


@pytest.mark.parametrize("shape", [(0,), (0, 28, 28), (3, 0)])
def test_an_axis_may_have_no_length(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "nothing"
    path.write_bytes(_content("int16", shape)[0])
    assert load_idx(path).shape == shape


@pytest.mark.parametrize("packed", [False, True])
def test_every_cut_is_refused_and_the_file_named(tmp_path: Path, packed: bool) -> None:
    content = _content("int16", (2, 3))[0]
    content = gzip.compress(content) if packed else content
    path = tmp_path / "cut-off"
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="cut-off must"):
            load_idx(path)


def test_a_truncated_header_says_so(tmp_path: Path) -> None:
    path = tmp_path / "header"
    path.write_bytes(_content("uint8", (2, 3))[0][:9])
    with pytest.raises(ValueError, match="header must hold 2 axes, got a cut-off file"):
        load_idx(path)


@pytest.mark.parametrize(("extra", "got"), [(b"", 17), (b"ab", 20)])
def test_a_wrong_length_says_both_numbers(tmp_path: Path, extra: bytes, got: int) -> None:
    content = _content("uint8", (2, 3))[0]
    path = tmp_path / "body"
    path.write_bytes(content + extra if extra else content[:-1])
    message = rf"body must hold 18 bytes for shape \(2, 3\), got {got}"
    with pytest.raises(ValueError, match=message):
        load_idx(path)


def test_an_absurd_length_is_not_allocated(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    path.write_bytes(bytes([0, 0, 8, 4]) + b"\xff" * 16 + b"\0")
    with pytest.raises(ValueError, match="huge must hold 3402823"):
        load_idx(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0\0\x08", b"\0\1\x08\1\0\0\0\0", b"\1\0\x08\1\0\0\0\0", b"\0\0\x0a\0\0", b"\x89PNG"],
)
def test_a_wrong_beginning_is_refused_and_shown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="other must be an IDX file, got one that begins with b"):
        load_idx(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no-such-file must be a readable file"):
        load_idx(tmp_path / "no-such-file")


def test_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{tmp_path.name} must be a readable file"):
        load_idx(tmp_path)


def test_damage_anywhere_in_a_packed_file_is_refused_and_the_file_named(tmp_path: Path) -> None:
    content = gzip.compress(_content("uint8", (50,))[0], mtime=0)
    path = tmp_path / "damaged.gz"
    refused = 0
    for place in range(10, len(content)):  # behind gzip's own header
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        with pytest.raises(ValueError, match=r"damaged\.gz must be a readable file"):
            load_idx(path)
        refused += 1
    assert refused > 20
