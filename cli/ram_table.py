"""The reproduced table of "Recurrent Models of Visual Attention", in Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from .ram import Cell, Published

_NOTES = """\
Test error in %, after the last glimpse, each of the 10,000 test images looked at once, at the mean
location, and read once. Interval: of one seed the 95 % Wilson interval of the test images, of
several the lowest and the highest. *10 looks*: the answers of ten looks averaged, their locations
drawn as in training. NeurIPS and arXiv are the paper's two sets of figures; *replication* is the
best known of others, with ten looks averaged in brackets. Figures in italics are recalled, not read
in the source."""


def markdown(results: Mapping[Cell, Sequence[Mapping[str, Any]]], budget: str, command: str) -> str:
    """Return the table.

    Args:
        results: What was measured of each cell, an entry a seed; cells without any are left out.
        budget: How long each was trained.
        command: What the user typed last.
    """
    head = f"# Recurrent Models of Visual Attention: {budget}\n\n"
    if budget == "smoke":
        head += "**This is no result: every cell learned for seconds only.**\n\n"
    columns = (
        "task",
        "model",
        "ours",
        "interval",
        "10 looks",
        "seeds",
        "NeurIPS",
        "arXiv",
        "replication",
        "beats the paper",
        "beats the replication",
        "CPU minutes",
        "minutes",
    )
    rows = [_row(cell, measured) for cell, measured in results.items() if measured]
    lines = [columns, ["---"] * len(columns), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    every = [one for measured in results.values() for one in measured]
    return f"{head}{table}\n\n{_NOTES}\n\n{_circumstances(command, every)}\n"


def _row(cell: Cell, measured: Sequence[Mapping[str, Any]]) -> list[str]:
    last = [result["errors"][-1]["mean"] for result in measured]
    errors = [entry["error"] for entry in last]
    ours = fmean(errors)
    low, high = last[0]["interval"] if len(last) == 1 else (min(errors), max(errors))
    published = cell.published
    return [
        cell.task,
        cell.model,
        f"**{ours:.2f}**",
        f"{low:.2f} to {high:.2f}",
        _averaged(measured),
        str(len(measured)),
        _figure(published, "nips"),
        _figure(published, "arxiv"),
        _replication(published),
        _verdict(cell, ours, published.nips, published.arxiv),
        _verdict(cell, ours, published.replication),
        *(
            f"{fmean(result['seconds'][clock] for result in measured) / 60:.1f}"
            for clock in ("processor", "wall")
        ),
    ]


def _averaged(measured: Sequence[Mapping[str, Any]]) -> str:
    errors = [result["averaged"]["error"] for result in measured if "averaged" in result]
    return f"{fmean(errors):.2f}" if errors else ""


def _figure(published: Published, name: str) -> str:
    figure = getattr(published, name)
    if figure is None:
        return ""
    return f"*{figure:.2f}*" if name in published.recalled else f"{figure:.2f}"


def _replication(published: Published) -> str:
    single, averaged = published.replication, published.averaged
    if averaged is None:
        return "" if single is None else f"{single:.2f}"
    return f"{'' if single is None else f'{single:.2f} '}({averaged:.2f})"


def _verdict(cell: Cell, ours: float, *figures: float | None) -> str:
    """Say whether we are ahead of the best figure; baselines and controls are in no race."""
    known = [figure for figure in figures if figure is not None]
    if cell.agent != "reinforce" or not known:
        return ""
    return "yes" if ours < min(known) else "no"


def _circumstances(command: str, measured: Sequence[Mapping[str, Any]]) -> str:
    """Return by what command, on what, when and with which versions."""

    def every(values: Iterable[str]) -> str:
        return " and ".join(sorted(set(values)))

    names = ("python", "torch", "numpy", "gymnasium")
    versions = every(", ".join(f"{n} {one['versions'][n]}" for n in names) for one in measured)
    return (
        f"`{command}`. Trained on {every(one['machine'] for one in measured)}, "
        f"{every(one['date'] for one in measured)}, with {versions}."
    )
