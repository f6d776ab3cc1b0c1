"""Measures what crmflow costs beside other ways to the same result, and prints one table.

Everything is made from a seed and kept in a folder; each measurement checks that all its contestants came to the same
result. A measurement of full size takes most of an hour and 4 GB of disk; with a repeat of 1 a quarter of that.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from tests.benchmarks import elsewhere, other_commands, providers, reading_logs
from tests.benchmarks.data import SCALES, Data
from tests.benchmarks.table import Row, as_text, environment

MEASUREMENTS: dict[str, Callable[[Data, int], Iterator[list[Row]]]] = {
    "ingest": reading_logs.ingest,
    "tenfold": reading_logs.tenfold,
    "append": reading_logs.append,
    "providers": providers.providers,
    "elsewhere": elsewhere.elsewhere,
    "growth": elsewhere.growth,
    "startup": other_commands.startup,
    "disenroll": other_commands.disenroll,
    "bulk-disenroll": other_commands.bulk_disenroll,
    "record-import": other_commands.record_import,
}


def main() -> None:
    """Do what the command line asks for."""
    options = _options()
    data = Data(options.data, SCALES[options.size])
    names = [name for name in options.only or MEASUREMENTS if name not in options.without]
    rows = list(measured(data, names, options.repeat))
    sys.stdout.write(as_text(rows))
    if options.json:
        document = {"size": options.size, "repeat": options.repeat, **environment()}
        document["rows"] = [row.as_json() for row in rows]
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def measured(data: Data, names: Iterable[str], repeat: int) -> Iterator[Row]:
    """Yield the rows of these measurements, saying on standard error which one is under way."""
    for name in names:
        sys.stderr.write(f"measuring {name}\n")
        for rows in MEASUREMENTS[name](data, repeat):
            yield from rows


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--size", choices=SCALES, default="full", help="how much data (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=5, help="take the medians of so many runs (default: %(default)s)")
    parser.add_argument("--only", type=_names, metavar="NAME,...", help=f"of {', '.join(MEASUREMENTS)}")
    parser.add_argument("--without", type=_names, metavar="NAME,...", default=(), help="all but these")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON too")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        default=Path(tempfile.gettempdir()) / "crmflow-benchmarks",
        help="where data are kept for the next time (default: %(default)s)",
    )
    return parser.parse_args()


def _names(text: str) -> Sequence[str]:
    names = text.split(",")
    if unknown := sorted(set(names) - MEASUREMENTS.keys()):
        raise argparse.ArgumentTypeError(f"no such measurement: {', '.join(unknown)}")
    return names


if __name__ == "__main__":
    main()
