"""How the commands print and write what was measured."""

from collections.abc import Iterator
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.table import Table

from glimpse.agents import Agent, Evaluation
from glimpse.atomic import write_atomically
from glimpse.diagnosis import Diagnosis
from glimpse.evaluation import ErrorRate
from glimpse.halting import Halt


def print_evaluation(agent: Agent, evaluation: Evaluation, split: str) -> None:
    """Print the errors after each glimpse, where these lay, and what is wrong with that."""
    count = evaluation.mean[-1].count
    table = Table(title=f"error on {count:,} {split} images, in % [95 % interval]")
    for name in ("glimpse", "mean location", "sampled location"):
        table.add_column(name, justify="right")
    for number, (mean, sampled) in enumerate(_by_glimpse(evaluation), start=1):
        table.add_row(str(number), rate(mean), rate(sampled))
    Console(width=70).print(table)
    print(f"{split} error: {evaluation.mean[-1].percent:.2f} %")
    if agent.eye.stop:
        print(f"glimpses: {evaluation.glimpses:.2f} of {agent.eye.glimpses}, until it stopped")
    print_halting(evaluation.halting)
    print_diagnosis(agent, evaluation.diagnosis)


def print_halting(halting: tuple[Halt, ...]) -> None:
    """Print what comes of stopping as soon as an answer is sure."""
    if not halting or halting[0].error.count == 0:
        return
    table = Table(title="stopped as soon as an answer is so sure")
    for name in ("threshold", "glimpses", "error %"):
        table.add_column(name, justify="right")
    for stop in halting:
        table.add_row(f"{stop.threshold:g}", f"{stop.glimpses:.2f}", rate(stop.error))
    Console(width=70).print(table)


def print_diagnosis(agent: Agent, diagnosis: Diagnosis) -> None:
    """Print where the glimpses lay, and what is wrong with that if an agent was to learn it."""
    if diagnosis.chosen:
        print("  ".join(f"{name} {value:.3g}" for name, value in diagnosis.metrics().items()))
    if agent.config.learns_where:
        for warning in diagnosis.warnings():
            Console(stderr=True, style="yellow", soft_wrap=True).print(f"warning: {warning}")


def to_json(evaluation: Evaluation, split: str) -> dict[str, Any]:
    """Return the same for a JSON file."""
    return {
        "split": split,
        "images": evaluation.mean[-1].count,
        "errors": [
            {
                "glimpse": number,
                "mean": {"error": mean.percent, "interval": list(mean.interval())},
                "sampled": {"error": sampled.percent, "interval": list(sampled.interval())},
            }
            for number, (mean, sampled) in enumerate(_by_glimpse(evaluation), start=1)
        ],
        "glimpses": evaluation.glimpses,
        "halting": [
            {
                "threshold": stop.threshold,
                "glimpses": stop.glimpses,
                "error": stop.error.percent,
                "interval": list(stop.error.interval()),
            }
            for stop in evaluation.halting
        ],
        "diagnosis": asdict(evaluation.diagnosis),
    }


def write_picture(picture: Image.Image, path: Path) -> None:
    """Write a PNG file, whole or not at all."""
    content = BytesIO()
    picture.save(content, "PNG")
    write_atomically(path, content.getvalue())


def _by_glimpse(evaluation: Evaluation) -> Iterator[tuple[ErrorRate, ErrorRate]]:
    return zip(evaluation.mean, evaluation.sampled, strict=True)


def rate(error: ErrorRate) -> str:
    """Return an error in percent with its interval, aligned."""
    low, high = error.interval()
    return f"{error.percent:5.2f} [{low:5.2f}, {high:5.2f}]"
