"""Numbers by step in a CSV file that grows row by row and survives interruptions."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from .atomic import write_atomically

Row = dict[str, float]


@dataclass(frozen=True)
class MetricsFile:
    """A row for every so many steps, a column for every number; empty where there was none.

    Attributes:
        path: The file; it need not be there yet.
    """

    path: Path

    def append(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add a row; a name that is new adds a column.

        Raises:
            ValueError: The file is damaged.
        """
        text = self._text()
        columns = _columns(text)
        new = [name for name in metrics if name not in columns]
        if new or not text.endswith("\n"):
            columns = [*(columns or ["step"]), *new]
            self._write(columns, self.read())
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, columns).writerow({"step": step, **metrics})

    def read(self) -> list[Row]:
        """Return the rows; one that an interruption cut off is left out.

        Raises:
            ValueError: The file is damaged.
        """
        text = self._text()
        whole = StringIO(text[: text.rfind("\n") + 1])
        try:
            rows = [
                {name: float(value) for name, value in row.items() if value}
                for row in csv.DictReader(whole)
            ]
        except (csv.Error, TypeError, ValueError) as error:
            raise self._damaged() from error
        if any("step" not in row for row in rows):
            raise self._damaged()
        return rows

    def forget_after(self, step: int) -> None:
        """Take out what was logged after `step`, before a run goes on from there.

        Raises:
            ValueError: The file is damaged.
        """
        if columns := _columns(self._text()):
            self._write(columns, [row for row in self.read() if row["step"] <= step])

    def _text(self) -> str:
        if not self.path.is_file():
            return ""
        try:
            return self.path.read_bytes().decode()
        except UnicodeDecodeError as error:
            raise self._damaged() from error

    def _write(self, columns: list[str], rows: list[Row]) -> None:
        text = StringIO(newline="")
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows({**row, "step": int(row["step"])} for row in rows)
        write_atomically(self.path, text.getvalue().encode())

    def _damaged(self) -> ValueError:
        return ValueError(
            f"{self.path} must be as it was written, got a damaged file: restore it or take it away"
        )


def _columns(text: str) -> list[str]:
    return next(csv.reader(StringIO(text)), []) if "\n" in text else []
