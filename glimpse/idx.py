"""IDX files: the format in which MNIST and its relatives are published.

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits": two zero bytes,
a type, the number of axes, their lengths and the numbers, all big-endian.
"""

import gzip
import zlib
from math import prod
from pathlib import Path

import numpy as np

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def load_idx(path: str | Path) -> np.ndarray:
    """Read an IDX file of any type and rank, plain or gzip, in the machine's own byte order.

    Raises:
        ValueError: The file is missing, cut off or no IDX file.
    """
    return parse_idx(read_plain_or_gzip(path), path)


def read_plain_or_gzip(path: str | Path) -> bytes:
    """Return what the file holds, unpacked if it is packed with gzip.

    Raises:
        ValueError: The file is missing or its packing is damaged.
    """
    try:
        content = Path(path).read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} must be a readable file: {error}: fetch it again") from error


def parse_idx(content: bytes, path: str | Path) -> np.ndarray:
    """Return the array that the content of an IDX file describes; `path` is for the message.

    Raises:
        ValueError: The content is cut off or no IDX file.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _TYPES:
        raise ValueError(
            f"{path} must be an IDX file, got one that begins with {content[:4]!r}: "
            "give a file such as train-images-idx3-ubyte.gz"
        )
    dtype, rank = np.dtype(_TYPES[content[2]]), content[3]
    start = 4 + 4 * rank
    if len(content) < start:
        raise ValueError(f"{path} must hold {rank} axes, got a cut-off file: fetch it again")
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4)]
    wanted = start + prod(shape) * dtype.itemsize
    if len(content) != wanted:
        raise ValueError(
            f"{path} must hold {wanted} bytes for shape {tuple(shape)}, got {len(content)}: "
            "fetch it again"
        )
    numbers = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return numbers.astype(dtype.newbyteorder("="))
