"""Several processes that run one script, as `torchrun` would start them, for several test files."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from command import Result

WAIT = 240  # seconds after which something hangs, even where other programs run


def start(
    *words: str | Path, cwd: Path, more: dict[str, str] | None = None
) -> "subprocess.Popen[str]":
    """Start Python with these words in a folder."""
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **(more or {})},
    )


def start_together(
    words: Sequence[str | Path], cwd: Path, count: int = 2
) -> "list[subprocess.Popen[str]]":
    """Start Python so often, with what tells each who it is in its environment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(count)}
    return [
        start(*words, cwd=cwd, more={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(count)
    ]


def ended(processes: "Sequence[subprocess.Popen[str]]") -> list[Result]:
    """Wait for the end of all; return what each left on the terminal."""
    results, until = [], time.monotonic() + WAIT
    try:
        for process in processes:
            out, err = process.communicate(timeout=max(until - time.monotonic(), 1))
            results.append(Result(process.returncode, out, err))
    finally:
        for process in processes:
            process.kill()
    return results


def errors(result: Result) -> list[str]:
    """Return the lines that the command printed as errors."""
    return [line for line in result.err.splitlines() if line.startswith("glimpse: ")]
