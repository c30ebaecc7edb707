"""How the commands print what was measured."""

from typing import Any

from rich.console import Console
from rich.table import Table

from glimpse.agents import Evaluation


def print_evaluation(evaluation: Evaluation, split: str) -> dict[str, Any]:
    """Print the errors after each glimpse, and return them for a JSON file."""
    count = evaluation.mean[-1].count
    table = Table(title=f"error on {count:,} {split} images, in % [95 % interval]")
    for name in ("glimpse", "mean location", "sampled location"):
        table.add_column(name, justify="right")
    rows = []
    for number, (mean, sampled) in enumerate(zip(*evaluation, strict=True), start=1):
        table.add_row(str(number), _rate(mean), _rate(sampled))
        rows.append(
            {
                "glimpse": number,
                "mean": {"error": mean.percent, "interval": list(mean.interval())},
                "sampled": {"error": sampled.percent, "interval": list(sampled.interval())},
            }
        )
    Console(width=70).print(table)
    print(f"{split} error: {evaluation.mean[-1].percent:.2f} %")
    return {"split": split, "images": count, "errors": rows}


def _rate(rate: Any) -> str:
    low, high = rate.interval()
    return f"{rate.percent:5.2f} [{low:5.2f}, {high:5.2f}]"
