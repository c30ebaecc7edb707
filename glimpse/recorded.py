"""Work that is recorded on a GPU once and then played back, whole.

A training step of small networks is a thousand kernels, each shorter than its launch from Python. A
CUDA graph launches them all at once.
"""

from collections.abc import Callable

import torch
from torch import Tensor

# What is loaded or allocated at first use must be so before a recording: PyTorch asks for three.
_PLAIN_CALLS = 3


class Recorded:
    """A function that reads and changes tensors in place, and returns one.

    On CUDA the first calls run as they are, the next is recorded, and from then on the record is
    played back: it reads and writes the same tensors, so what differs from call to call must be
    written into these. On a CPU every call runs as it is.

    Args:
        work: The function. It may not wait for the device, and does the same kernels every time.
        device: Where its tensors lie.
        noise: The generator it draws from, if any.

    Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
    """

    def __init__(
        self,
        work: Callable[[], Tensor],
        device: torch.device,
        noise: torch.Generator | None = None,
    ) -> None:
        self._work, self._noise, self._device, self._calls = work, noise, device, 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result = torch.empty(0)

    def __call__(self) -> Tensor:
        """Do the work; return a tensor of its own.

        Raises:
            ValueError: The work waits for the device, so that it cannot be recorded.
        """
        if self._device.type != "cuda":
            return self._work()
        with torch.cuda.device(self._device):
            self._calls += 1
            if self._calls <= _PLAIN_CALLS:
                return self._aside()
            if self._graph is None:
                self._graph = self._record()
            self._graph.replay()
            return self._result.clone()

    def _aside(self) -> Tensor:
        """Work on another stream, as recordings do."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            result = self._work()
        torch.cuda.current_stream().wait_stream(stream)
        return result

    def _record(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        if self._noise is not None:
            graph.register_generator_state(self._noise)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # of this device
        try:
            with torch.cuda.graph(graph, stream=stream):
                self._result = self._work()
        except RuntimeError as error:
            raise ValueError(
                "a training step on CUDA must not wait for the device, got "
                f"{str(error).splitlines()[0]}: take .item(), .nonzero() and branches on values "
                "out of your networks and images, or train on the CPU"
            ) from error
        return graph
