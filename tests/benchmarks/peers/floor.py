"""The floor: every line of the log is decoded with msgspec, and nothing is done. No reader in Python can be faster."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from tests.benchmarks.peers.contest import enter


class Event(msgspec.Struct, gc=False):
    """What a line may say."""

    id: str
    type: str
    time: str
    prospect: str | None = None
    deal: str | None = None
    workflow: str | None = None
    step: str | None = None
    url: str | None = None
    field: str | None = None
    value: str | None = None
    old: str | None = None


def prepare(_folder: Path, database: Path) -> None:
    """Make an empty file: there is nothing to keep."""
    database.touch()


def ingest(log: Path, _database: Path) -> None:
    """Decode the log."""
    decode = msgspec.json.Decoder(Event).decode
    with log.open("rb") as lines:
        for line in lines:
            decode(line)


def outcome(_database: Path) -> Iterable[Iterable[str]]:
    """Return nothing, for nothing came of it."""
    return ()


if __name__ == "__main__":
    enter(prepare, ingest, outcome)
