"""Where to compute: the name of a device, checked."""

import platform
import re

import torch


def find_device(name: str) -> torch.device:
    """Return the device of a name: cpu, cuda, cuda:N, or auto, which is cuda where there is one.

    Raises:
        ValueError: There is no such device here.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if count else "cpu"
    found = re.fullmatch(r"cpu|cuda(?::(0|[1-9][0-9]*))?", name)
    if found is None or (name != "cpu" and int(found[1] or 0) >= count):
        numbers = "".join(f", cuda:{number}" for number in range(count))
        known = f"auto, cpu, cuda{numbers}" if count else "auto or cpu (no CUDA here)"
        raise ValueError(f"`device` must be {known}, got {name!r}: choose one")
    return torch.device(name)


def device_name(device: torch.device) -> str:
    """Return what the device is, for people: "NVIDIA H100 80GB HBM3", or "x86_64, 1 thread"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{platform.machine()}, {threads} thread{'s' if threads > 1 else ''}"
