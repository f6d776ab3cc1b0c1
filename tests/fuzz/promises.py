"""What holds for any bytes whatever: a value or crmflow's own error, which says what and where, and nothing else.

Each promise takes the bytes and a folder for files; it fails by an exception, its own or one that crmflow let out.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from math import isfinite
from pathlib import Path

import msgspec
from msgspec import UNSET

from crmflow.cli.render import visible
from crmflow.core.addresses import compile_pattern
from crmflow.core.codec import decode as decode_workflow
from crmflow.core.codec import encode as encode_workflow
from crmflow.core.errors import CrmflowError, DefinitionsError
from crmflow.core.model import Definition, Event, Reject, Scalar
from crmflow.core.times import LONGEST_DURATION, TimeError, from_stored, parse_duration, parse_time, stored
from crmflow.core.triggers import Rules
from crmflow.definitions import load
from crmflow.sources import jsonl
from crmflow.sources.archives import packing_of
from crmflow.sources.batches import Batch, Outcome
from crmflow.sources.inputs import BOM
from crmflow.sources.jsonl import decode
from crmflow.sources.logs import PIECE_SIZE, Piece, open_log
from crmflow.sources.objects import LARGEST_INTEGER, SMALLEST_INTEGER, LineError
from crmflow.sources.tables import Row, Table, read_rows

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATEST = NOW + timedelta(days=1)
BLANK = b" \t\r"
LONGEST_REASON = 300
MOST_PARTS = 1000
TABLE_SUFFIXES = ("csv", "tsv", "jsonl")


def check_events(data: bytes, _: Path) -> None:
    """Every line is counted once, every reject says where and why, every event can be stored."""
    batch = decode(Piece(data, 0, 1, is_last=True), NOW)
    body = data.removeprefix(BOM)
    lines = body.split(b"\n")
    assert batch.lines == _classified(batch)
    assert batch.lines + batch.incomplete == sum(bool(line.strip(BLANK)) for line in lines)
    assert batch.end_offset == len(data) - (len(lines[-1]) if batch.incomplete else 0)
    for reject in batch.rejects:
        _check_reject(reject, data, lines)
    for event in batch.events:
        assert 1 <= (event.line or 0) <= len(lines)
        _check_event(event)
    for word in batch.unknown_types:
        _check_text(word)


def check_both_ways(data: bytes, _: Path) -> None:
    """Lines that are read the fast way say what the plain way says of each, to the type of each value."""
    fast = decode(Piece(data + b"\n", 0, 1, is_last=True), NOW)
    plain = Batch(0, 1)
    for number, line in enumerate(data.removeprefix(BOM).split(b"\n"), start=1):
        plain.take(_plainly(line, number))
    assert _summary([_without_places(fast)]) == _summary([_without_places(plain)])


def check_log(data: bytes, folder: Path) -> None:
    """A log says the same read at once and in small pieces, its pieces follow one another, and no byte is lost."""
    path = _written(data, folder / "events.jsonl")
    try:
        with open_log(str(path)) as log:
            whole = list(log.pieces(0, 1, PIECE_SIZE))
            length = _followed(whole)
            parts = list(log.pieces(0, 1, 1 + length // MOST_PARTS))
            assert length == _followed(parts)
            assert packing_of(data[:4]) or data == b"".join(each.data for each in whole)
            assert log.fault is None or 0 < len(log.fault) <= LONGEST_REASON
            assert log.fingerprint(length)
    except CrmflowError as error:
        _check_error(error, path)
        return
    assert _summary(decode(each, NOW) for each in whole) == _summary(decode(each, NOW) for each in parts)


def check_workflow(data: bytes, folder: Path) -> None:
    """A file is a workflow that can be stored and put in force, or every complaint has a place that is in the file."""
    path = _written(data, folder / "flow.yaml")
    try:
        [definition] = load([str(path)])
    except DefinitionsError as error:
        _check_complaints(error, path)
    else:
        _check_definition(definition)


def check_table(data: bytes, folder: Path) -> None:
    """Every row has a line of its own and either all its cells or a fault, under each suffix that a table may have."""
    for suffix in TABLE_SUFFIXES:
        path = _written(data, folder / f"records.{suffix}")
        try:
            with read_rows(str(path)) as table:
                _check_rows(table, data.count(b"\n") + 1)
        except CrmflowError as error:
            _check_error(error, path)


def check_time(data: bytes, _: Path) -> None:
    """Every line is a time in UTC that the store gives back, a duration within its limit, or an error with a reason."""
    for text in data.decode("utf-8", "surrogateescape").split("\n"):
        try:
            at = parse_time(text)
        except TimeError as error:
            _check_words(error.what, error.hint)
        else:
            assert at.tzinfo is UTC
            assert len(stored(at)) == len("2026-03-01T09:30:00.000000Z")
            assert from_stored(stored(at)) == at
        try:
            assert timedelta(0) <= parse_duration(text) <= LONGEST_DURATION
        except TimeError as error:
            _check_words(error.what, error.hint)


def check_address(data: bytes, _: Path) -> None:
    """The first line is a pattern: it judges every other, and matches itself with letters in place of its stars."""
    text, *addresses = data.decode("utf-8", "surrogateescape").split("\n")
    pattern = compile_pattern(text)
    for address in addresses:
        assert pattern.matches(address) in {True, False}
    for letters in ("a", "aZ"):
        assert pattern.matches(text.replace("*", letters)), letters


def check_visible(data: bytes, _: Path) -> None:
    """No character that does not print is left, however the bytes came to be text."""
    for text in (data.decode("utf-8", "surrogateescape"), data.decode("latin-1"), data.decode("utf-16-le", "replace")):
        assert all(each.isprintable() for each in visible(text))


def _written(data: bytes, path: Path) -> Path:
    """Write a new file in place of an old one: file systems flush one that is overwritten, which takes its time."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    return path


def _classified(batch: Batch) -> int:
    return len(batch.events) + len(batch.rejects) + batch.without_effect + sum(batch.unknown_types.values())


def _check_reject(reject: Reject, data: bytes, lines: list[bytes]) -> None:
    line = lines[reject.line - 1]
    assert line.startswith(reject.text)
    before = b"".join(each + b"\n" for each in lines[: reject.line - 1])
    assert reject.offset == len(before) + (len(BOM) if data.startswith(BOM) else 0)
    assert 0 < len(reject.reason) <= LONGEST_REASON
    _check_text(reject.reason)


def _plainly(line: bytes, number: int) -> Outcome:
    if not line.strip(BLANK):
        return None
    try:
        return jsonl._understand(line, number, LATEST)  # noqa: SLF001 - the plain way is private
    except LineError as fault:
        return Reject(number, 0, str(fault), line)


def _without_places(batch: Batch) -> Batch:
    rejects = [msgspec.structs.replace(each, offset=0, text=b"") for each in batch.rejects]
    return msgspec.structs.replace(batch, rejects=rejects)


def _check_event(event: Event) -> None:
    assert event.at <= LATEST
    for text in (event.name, event.id, event.workflow, event.step, event.url, event.field):
        _check_text(text or "")
    for value in (event.value, event.old):
        if value is not UNSET:
            _check_scalar(value)


def _followed(pieces: Iterable[Piece]) -> int:
    """Check that each piece begins where the one before it ended, and return how long they are together."""
    offset, line = 0, 1
    for piece in pieces:
        assert (piece.offset, piece.line) == (offset, line)
        offset = piece.end_offset
        line += piece.data.count(b"\n")
    return offset


def _summary(batches: Iterable[Batch]) -> list[object]:
    """Return what batches say together, as if they were one."""
    unknown_types: dict[str, int] = {}
    events: list[Event] = []
    rejects: list[Reject] = []
    counts = [0, 0, 0]
    for batch in batches:
        events += batch.events
        rejects += batch.rejects
        for word, count in batch.unknown_types.items():
            unknown_types[word] = unknown_types.get(word, 0) + count
        for at, count in enumerate((batch.lines, batch.without_effect, batch.incomplete)):
            counts[at] += count
    return [*counts, unknown_types, rejects, repr(events)]


def _check_complaints(error: DefinitionsError, path: Path) -> None:
    last_line = len(path.read_bytes().decode(errors="replace").splitlines()) + 1
    assert error.complaints
    for complaint in error.complaints:
        assert complaint.path == str(path)
        assert 1 <= complaint.line <= last_line
        assert complaint.column >= 1
        _check_words(complaint.what, complaint.hint)
        assert visible(str(complaint)).isprintable()


def _check_definition(definition: Definition) -> None:
    workflow = definition.workflow
    assert decode_workflow(encode_workflow(workflow)) == workflow
    assert definition.text.encode()
    Rules([workflow])
    for trigger in workflow.disenrollment_triggers:
        for text in (*trigger.url, trigger.field or ""):
            _check_text(text)
        for value in trigger.to or ():
            _check_scalar(value)


def _check_rows(table: Table, line_count: int) -> None:
    before = 0
    for row in table:
        assert before < row.line <= line_count
        before = row.line
        _check_row(row, table.columns)


def _check_row(row: Row, columns: tuple[str, ...]) -> None:
    assert row.fault is None or 0 < len(row.fault) <= LONGEST_REASON
    assert not columns or row.cells.keys() <= set(columns)
    assert row.fault or not columns or len(row.cells) == len(columns)
    for name, value in row.cells.items():
        _check_text(name)
        _check_scalar(value)


def _check_error(error: CrmflowError, path: Path) -> None:
    assert str(path) in error.what
    _check_words(error.what, error.hint)


def _check_words(what: str, hint: str | None) -> None:
    assert what
    assert hint is None or hint
    _check_text(what + (hint or ""))


def _check_scalar(value: Scalar) -> None:
    """Check that SQLite keeps a value as it is."""
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, float):
        assert isfinite(value)
    elif value is not None:
        assert SMALLEST_INTEGER <= value <= LARGEST_INTEGER
    msgspec.json.encode(value)


def _check_text(text: str) -> None:
    assert "\0" not in text
    assert text.encode().decode() == text
    assert visible(text).isprintable()
