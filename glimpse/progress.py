"""A progress bar on the error output for whatever takes more than two seconds."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

_PATIENCE = 2.0  # seconds

Item = TypeVar("Item")


def tracked(items: Iterable[Item], doing: str, total: int) -> Iterator[Item]:
    """Return the items one by one; after two seconds a bar shows how many of `total` are done."""
    begun = time.monotonic()
    with Progress(console=Console(stderr=True), transient=True, disable=True) as bar:
        task = bar.add_task(doing, total=total)
        for item in items:
            if bar.disable and time.monotonic() - begun >= _PATIENCE:
                bar.disable = False
                bar.start()
            yield item
            bar.advance(task)
