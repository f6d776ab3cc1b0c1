"""What matching makes of logs: for each the events that may change something, its counts, and its rejects.

A result is bytes: it is made on one host and merged and applied on another. Those of two parts of a log are merged into
one; a file of exits holds the results of whole logs, compressed, with the snapshot that they were matched against.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Self
from zlib import crc32

import msgspec

from crmflow.core.earliest import Candidate, Earliest, listed, offer
from crmflow.core.errors import CrmflowError
from crmflow.core.model import Event
from crmflow.sources.batches import Batch
from crmflow.sources.terms import Terms

FORMAT = 1
_MAGIC = b"crmflow exits\n"


class Matched(msgspec.Struct):
    """What a part of a log says of the records in a snapshot.

    The batch has as events those that tell something for good (a field, a bounce, a step, a mail); `earliest` are the
    others that may end an enrollment, reduced to the earliest for each enrollment and type. Of the events that are
    wanted `unmatched` and `retracted` are counts. `unmatched_names` and `passed_names` are checksums of names:
    of unknown records, and of known ones of whom not every event is among those that are kept.
    """

    batch: Batch
    earliest: list[Candidate]
    considered: int
    unmatched: int
    retracted: int
    unmatched_names: set[int]
    passed_names: set[int]
    dropped_rejects: int = 0

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """Return a batch that says nothing of any record yet."""
        return cls(batch, [], 0, 0, 0, set(), set())


class MatchedLog(msgspec.Struct, frozen=True):
    """A log, or what is new in it, and what it says.

    `log` is the store's number of it, None for one that it has not read; What is new in it begins at byte
    `from_offset`, in line `from_line`; `first_line` and `fingerprint` are as in `crmflow.store.logs.KnownLog`.
    """

    path: str
    absolute_path: str
    log: int | None
    first_line: str
    from_offset: int
    from_line: int
    fingerprint: str
    terms: Terms
    matched: Matched

    def saying(self, matched: Matched, fingerprint: str) -> Self:
        """Return the log with what was found in it, and what it looks like up to there."""
        return msgspec.structs.replace(self, matched=matched, fingerprint=fingerprint)


class Exits(msgspec.Struct, frozen=True):
    """What was matched: against which snapshot, of which store, when (by the clock), and what each log said."""

    snapshot: str
    store: str
    run: int
    definitions: tuple[str, ...]
    now: datetime
    logs: list[MatchedLog]
    format: int = FORMAT


def checksum(name: str) -> int:
    """Return what a name is remembered by, whatever its case."""
    return crc32(name.casefold().encode("utf-8", "surrogatepass"))


def merged(parts: Iterable[Matched], offset: int, line: int, most_rejects: int) -> Matched:
    """Return what parts of a log say that follow one another from a byte offset on, which lies in line `line`.

    The lines of each part are counted from 1, as if it were a log. Beyond `most_rejects` rejects are only counted.
    """
    whole = Matched.of(Batch(offset, line))
    earliest: Earliest = {}
    for part in parts:
        _add(whole, part, earliest)
        whole.dropped_rejects += max(0, len(whole.batch.rejects) - most_rejects)
        del whole.batch.rejects[most_rejects:]
    whole.earliest = listed(earliest)
    return whole


def _add(whole: Matched, part: Matched, earliest: Earliest) -> None:
    batch, its = whole.batch, part.batch
    lines_before = batch.end_line - 1
    batch.events += [_moved(each, lines_before) for each in its.events]
    candidates = (Candidate(each.enrollment, _moved(each.event, lines_before)) for each in part.earliest)
    whole.passed_names |= {checksum(event.name) for event in offer(earliest, candidates)}
    batch.rejects += [msgspec.structs.replace(each, line=each.line + lines_before) for each in its.rejects]
    batch.end_offset, batch.end_line = its.end_offset, its.end_line + lines_before
    batch.incomplete = its.incomplete
    for name in ("lines", "without_effect", "ambiguous", "suspect"):
        setattr(batch, name, getattr(batch, name) + getattr(its, name))
    for word, count in its.unknown_types.items():
        batch.unknown_types[word] = batch.unknown_types.get(word, 0) + count
    for name in ("considered", "unmatched", "retracted", "dropped_rejects"):
        setattr(whole, name, getattr(whole, name) + getattr(part, name))
    whole.unmatched_names |= part.unmatched_names
    whole.passed_names |= part.passed_names


def _moved(event: Event, lines: int) -> Event:
    """Return an event that stands so many lines further down."""
    return msgspec.structs.replace(event, line=event.line + lines) if lines and event.line else event


pack = msgspec.msgpack.Encoder().encode
"""Return what a part of a log says as bytes."""

unpack = msgspec.msgpack.Decoder(Matched).decode
"""Return what `pack` packed."""


def write_exits(path: Path, exits: Exits) -> None:
    """Write a file of exits; the caller sees to its place."""
    import zstandard

    path.write_bytes(_MAGIC + zstandard.compress(msgspec.msgpack.encode(exits), 3))


def read_exits(path: Path) -> Exits:
    """Read a file that `write_exits` wrote; raises `CrmflowError` for any other, and one of another version."""
    import zstandard

    try:
        data = path.read_bytes()
    except OSError as error:
        raise CrmflowError(f"cannot read {path}: {error.strerror}") from error
    if not data.startswith(_MAGIC):
        raise CrmflowError(f"{path} is no file of exits", hint="make one with: crmflow match --out FILE")
    try:
        packed = zstandard.decompress(data.removeprefix(_MAGIC))
        if (version := msgspec.msgpack.decode(packed, type=_Version).format) != FORMAT:
            raise CrmflowError(
                f"{path} was made by another version of crmflow (format {version}, not {FORMAT})",
                hint="have the same version of crmflow export, match and apply",
            )
        return msgspec.msgpack.decode(packed, type=Exits)
    except (zstandard.ZstdError, msgspec.MsgspecError) as error:
        raise CrmflowError(f"{path} is damaged: {error}", hint="match the logs again") from error


class _Version(msgspec.Struct):
    format: int
