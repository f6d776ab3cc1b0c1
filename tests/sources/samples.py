"""Payloads of every format, of our own making after the vendors' documents, each beside what it is expected to tell.

`payloads/FORMAT/NAME.*` is read as a log; `payloads/FORMAT/NAME.expected.json` says what came of it: the events as
lines of our own, the reasons of rejects with their lines, and the counts. Its `options`, if any, are what the user says
(`{"assume_tz": "Europe/Berlin"}`). `python -m tests.sources.samples` writes what came of payloads anew: read it.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from crmflow.core.triggers import EVERYTHING
from crmflow.operations.convert import as_line
from crmflow.sources import formats
from crmflow.sources.batches import Batch
from crmflow.sources.logs import Piece
from crmflow.sources.terms import Options, Terms

FOLDER = Path(__file__).parent / "payloads"
EXPECTED = ".expected.json"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
HEAD_SIZE = 64 * 1024

Json = dict[str, Any]


class Sample(NamedTuple):
    """One payload of a format."""

    format: str
    path: Path

    @property
    def data(self) -> bytes:
        """Return the payload."""
        return self.path.read_bytes()

    @property
    def expected_path(self) -> Path:
        """Return where stands what is expected."""
        return self.path.with_name(self.path.name.partition(".")[0] + EXPECTED)

    @property
    def expected(self) -> Json:
        """Return what is expected, nothing where that was never written."""
        found: Json = json.loads(self.expected_path.read_text()) if self.expected_path.exists() else {}
        return found

    @property
    def options(self) -> Options:
        """Return what the user says."""
        return msgspec.convert(self.expected.get("options", {}), Options)

    @property
    def is_json(self) -> bool:
        """Tell whether the payload is one JSON value."""
        return self.path.suffix == ".json"

    def __str__(self) -> str:
        """Return the format and the payload's name: what a test of it is called."""
        return f"{self.format}-{self.path.name}"


def samples() -> Iterator[Sample]:
    """Yield every payload of every format."""
    for folder in sorted(FOLDER.iterdir()):
        for path in sorted(folder.iterdir()):
            if not path.name.endswith(EXPECTED):
                yield Sample(folder.name, path)


def terms_of(data: bytes, options: Options = Options()) -> Terms:  # noqa: B008 - it is frozen
    """Return how a log is read that holds this, by looking at it."""
    return formats.terms_for(data[:HEAD_SIZE], options)


def read(data: bytes, terms: Terms) -> Batch:
    """Return what a log says that holds this."""
    piece = Piece(data, 0, 1, is_last=True)
    batch = formats.source(terms.format).decode(piece, terms, NOW, EVERYTHING)
    counted = len(batch.events) + len(batch.rejects) + batch.without_effect + sum(batch.unknown_types.values())
    assert batch.lines == counted, "each thing told is in one class"
    return batch


def told(batch: Batch) -> Json:
    """Return what came of a payload as an expected file has it."""
    return {
        "events": [as_line(each) for each in batch.events],
        "rejected": [f"line {each.line}: {each.reason}" for each in batch.rejects],
        "unknown_types": batch.unknown_types,
        "without_effect": batch.without_effect,
        "ambiguous": batch.ambiguous,
    }


def write_expected() -> None:
    """Write what came of every payload."""
    for each in samples():
        kept = {"options": each.expected["options"]} if "options" in each.expected else {}
        document = kept | told(read(each.data, terms_of(each.data, each.options)))
        each.expected_path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    write_expected()
