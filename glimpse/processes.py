"""Several processes that share a piece of work: who has which part, and what they tell each other.

Started by `torchrun`, a command finds its number and its fellows in the environment; alone it is
number 0 of 1 and exchanges nothing.

Source: `torch.distributed`; its environment variables are those of `torchrun`.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

# How long a process is waited for, in seconds: far longer than a step or the training
# of a small base takes.
_PATIENCE = 600


@dataclass(frozen=True)
class Processes:
    """Processes that work together.

    Attributes:
        rank: The number of this one, from 0.
        count: How many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes files and speaks to people."""
        return self.rank == 0

    def share(self, total: int) -> range:
        """Return which of `total` things this process has: consecutive ones, as many as others.

        Example:
            >>> Processes(1, 2).share(5)
            range(2, 5)
        """
        return range(total * self.rank // self.count, total * (self.rank + 1) // self.count)

    def gather(self, mine: Float[Tensor, "p"], total: int) -> Float[Tensor, "P"]:
        """Return the numbers of all `total` things, given those of this process's share.

        Raises:
            LostProcess: A process is lost.
        """
        if self.count == 1:
            return mine
        share = self.share(total)
        every = mine.new_zeros(total)
        every[share.start : share.stop] = mine
        return self.add(every)

    def add(self, mine: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the sum over all processes.

        Raises:
            LostProcess: A process is lost.
        """
        if self.count == 1:
            return mine
        # On CPU and densely packed, whatever each process has: what is told is small.
        whole = mine.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        try:
            dist.all_reduce(whole)
        except RuntimeError as error:
            raise LostProcess(
                f"all {self.count} processes must answer, got an error instead "
                f"({str(error).strip().splitlines()[0]}): a process is lost; go on with --resume"
            ) from error
        return whole.to(mine.device)

    def agree(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors, of the same shapes everywhere, with those of the process that leads.

        Raises:
            LostProcess: A process is lost.
        """
        for tensor in tensors:
            tensor.copy_(self.add(tensor if self.leads else torch.zeros_like(tensor)))


ALONE = Processes()


class LostProcess(ValueError):
    """Another process has ended or does not answer."""


@contextmanager
def joined(device: torch.device, patience: float = _PATIENCE) -> Iterator[Processes]:
    """Find the other processes, if `torchrun` started several; part from them at the end.

    Of several GPUs each process of a machine computes on its own, as far as there are enough.

    Args:
        device: Where this process computes.
        patience: Seconds after which a process that does not answer is lost.

    Raises:
        LostProcess: They do not all come.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE
        return
    if device.type == "cuda" and device.index is None:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    try:
        dist.init_process_group("gloo", timeout=timedelta(seconds=patience))
    except RuntimeError as error:
        raise LostProcess(
            f"all {count} processes must come, got an error instead "
            f"({str(error).strip().splitlines()[0]}): start them with torchrun"
        ) from error
    try:
        yield Processes(dist.get_rank(), count)
    finally:
        dist.destroy_process_group()
