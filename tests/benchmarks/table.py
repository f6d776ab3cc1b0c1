"""Measurements as a table for people and as JSON for programs.

Every measurement has one subject, its first row; the others are what it is compared with. A ratio says how many times
as much the subject takes.
"""

import platform
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from os import cpu_count
from typing import Any, Literal, NamedTuple

from tests.benchmarks.cost import Cost

Kind = Literal["wall", "cpu", "peak"]


class Target(NamedTuple):
    """What a ratio of two costs of a kind may be at most, and what it should be (None: no more than that is wished)."""

    kind: Kind
    at_most: float
    wish: float | None = None

    def __str__(self) -> str:
        """Return it as the table shows it."""
        return f"{self.kind} <= {self.at_most:g}" + (f" (wish {self.wish:g})" if self.wish is not None else "")


class Row(NamedTuple):
    """One contestant of a measurement: what it cost, and the ratios of the subject's costs to its own."""

    measurement: str
    name: str
    cost: Cost
    ratios: Cost | None = None
    target: Target | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the row as plain values: seconds, bytes, ratios."""
        return {
            "measurement": self.measurement,
            "name": self.name,
            **self.cost._asdict(),
            "ratios": self.ratios and self.ratios._asdict(),
            "target": self.target and self.target._asdict(),
            "is_met": self.is_met,
        }

    @property
    def is_met(self) -> bool | None:
        """Tell whether the ratio is within its target; None where there is none."""
        if self.ratios is None or self.target is None:
            return None
        return bool(getattr(self.ratios, self.target.kind) <= self.target.at_most)


def compare(measurement: str, costs: Mapping[str, Cost], targets: Mapping[str, Target] | None = None) -> list[Row]:
    """Return the rows of a measurement: the first cost is the subject's; targets and others go by their names."""
    (subject, its_cost), *others = costs.items()
    return [
        Row(measurement, subject, its_cost),
        *(Row(measurement, name, cost, _ratios(its_cost, cost), (targets or {}).get(name)) for name, cost in others),
    ]


def _ratios(subject: Cost, other: Cost) -> Cost:
    return Cost(*(one / another for one, another in zip(subject, other, strict=True)))


COLUMNS = ("", "wall s", "cpu s", "peak MB", "x wall", "x cpu", "x peak", "target", "")


def as_text(rows: Iterable[Row]) -> str:
    """Return the table: each measurement under its name, numbers to the right."""
    cells: list[Sequence[str]] = [COLUMNS]
    measurement = None
    for row in rows:
        if row.measurement != measurement:
            measurement = row.measurement
            cells.append([measurement])
        cells.append(_cells(row))
    widths = [max(len(line[column]) for line in cells if len(line) > 1) for column in range(len(COLUMNS))]
    return "\n".join(_line(line, widths) for line in cells) + "\n"


def _cells(row: Row) -> Sequence[str]:
    ratios = [f"{ratio:.2f}" for ratio in row.ratios] if row.ratios else [""] * len(Cost._fields)
    numbers = [f"{row.cost.wall:.3f}", f"{row.cost.cpu:.3f}", f"{row.cost.peak / 1e6:.0f}"]
    verdict = {None: "", True: "met", False: "MISSED"}[row.is_met]
    return [f"  {row.name}", *numbers, *ratios, str(row.target or ""), verdict]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    if len(cells) == 1:
        return f"\n{cells[0]}"
    is_text = {0, len(COLUMNS) - 2, len(COLUMNS) - 1}
    padded = [
        cell.ljust(width) if column in is_text else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()


def environment() -> dict[str, Any]:
    """Return what the figures depend on besides crmflow."""
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "system": platform.platform(),
        "processors": cpu_count(),
        **{name: version(name) for name in ("crmflow", "duckdb", "msgspec", "sqlite-utils")},
    }
