"""In which numbers networks compute: bfloat16 where the hardware does, else float32."""

from contextlib import AbstractContextManager

import torch

from .checks import check_name

PRECISIONS = ("auto", "float32", "bfloat16")
# Instruction sets that multiply in bfloat16; without one it is emulated, slower than float32.
_BFLOAT16_CPUS = ("avx512_bf16", "amx_bf16", "sve_bf16")


def autocast(device: torch.device, precision: str = "auto") -> AbstractContextManager[None]:
    """Return a context in which layers compute in `precision`; weights stay float32.

    Raises:
        ValueError: There is no such precision.
    """
    check_name("precision", precision, PRECISIONS)
    wanted = precision == "bfloat16" or (precision == "auto" and _has_bfloat16(device))
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=wanted)


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in _BFLOAT16_CPUS)
