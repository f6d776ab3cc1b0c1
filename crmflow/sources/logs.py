"""Opening a log, knowing it again, and cutting it into pieces of whole lines.

A log is known by its content: the fingerprint of its first `length` bytes, counted after unpacking, stays the same when
the log is appended to, renamed, moved or compressed. The name plays no part in it. An object behind a URL is known by
what its server tells of it instead: it changes as a whole.

Lines end at a line feed and nowhere else. Memory is bounded by the size of a piece, whatever the length of a line.
"""

import hashlib
import io
import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from crmflow.core.errors import SourceError
from crmflow.sources.inputs import STANDARD_INPUT, UTF16_BOMS, Input, open_input
from crmflow.sources.mailboxes import headers_at, runs_of_mbox, whole_mail
from crmflow.sources.readings import MIB, Prefix, Reading
from crmflow.sources.remote import is_url

PIECE_SIZE = 2 * MIB
MOST_LINES = 100_000
"""A piece holds no more lines: a megabyte of tiny lines would become a hundred megabytes of rejects."""
MAX_LINE_BYTES = MIB
MOST_WHOLE_BYTES = 32 * MIB
"""A log that only means something as a whole can be no longer: what it says becomes twenty times as much memory."""
KEPT_BYTES = 64 * 1024
"""What is kept of a line that can't be understood, or is longer than `MAX_LINE_BYTES`."""

_UTF16_WITHOUT_MARK = re.compile(rb"\{\0[^\0]\0|\0\{\0[^\0]")
SQLITE_MAGIC = b"SQLite format 3\0"
_Run = tuple[bytes, int | None]
_Any = TypeVar("_Any")

Layout = Literal["lines", "whole", "mails", "mail"]
"""How a log is cut: each line means something by itself, each mail of an mbox, the file as a whole, or as one mail."""


class Piece(msgspec.Struct, frozen=True):
    """Whole lines of a log, from the unpacked byte `offset`, which lies in line `line` (from 1).

    Only the last piece of a log may end without a newline: that line is unfinished. Where `oversized` is a number, the
    piece is one line longer than `MAX_LINE_BYTES`: `oversized` is its true length with the newline, and `data` only its
    beginning, followed by the newline if the line is finished. A mail that is too large is oversized, too; newlines in
    what is not in `data` are the `lines_left_out`.
    """

    data: bytes
    offset: int
    line: int
    is_last: bool
    oversized: int | None = None
    lines_left_out: int = 0

    @property
    def end_line(self) -> int:
        """Return the number of the line that follows the piece."""
        return self.line + self.data.count(b"\n") + self.lines_left_out

    @property
    def end_offset(self) -> int:
        """Return the offset of the byte after the piece."""
        return self.offset + (len(self.data) if self.oversized is None else self.oversized)


class Log:
    """An open log: `path` as the user gave it, `absolute_path`, its beginning (`head`), and what makes it known again.

    What can be read again `has_identity`: a `first_line` (SHA-256, hex, of its first line without the newline, of a
    mail's headers, of 64 KiB at most, or what an object is known by; None for an empty log) and fingerprints; a regular
    file has a `file_id` (device and inode), too. A stream has none of them. `total_bytes` is the size as stored, None
    for a stream.
    """

    def __init__(self, opened: Input) -> None:
        """Look at the beginning; raises `SourceError` where that already shows that it is no log."""
        self.path = opened.path
        self.absolute_path = _absolute(opened.path)
        self.file_id = opened.file_id
        self.has_identity = opened.size is not None
        self.total_bytes = opened.size
        self._input = opened
        self._reading = Reading(opened.source())
        self._prefix: Prefix | None = None
        self.head = self._reading.peek()
        _refuse_what_is_no_log(self.path, self.head)
        self.first_line = self._name() if self.head and self.has_identity else None

    @property
    def is_packed(self) -> bool:
        """Tell whether the log is an archive: no part of it can be read by itself."""
        return self._reading.is_packed

    def _name(self) -> str:
        beginning = headers_at(self.head) or self.head.partition(b"\n")[0]
        return self._input.identity or hashlib.sha256(beginning).hexdigest()

    @property
    def bytes_read(self) -> int:
        """Return how many bytes of the log as stored the pieces have come to."""
        return self._reading.stored_position

    @property
    def fault(self) -> str | None:
        """Return what is wrong with the archive, once the pieces have come to it; None for a sound one."""
        return self._reading.fault

    def fingerprint(self, length: int) -> str | None:
        """Return a digest (hex) of the first `length` unpacked bytes; None where there are fewer, or for a stream.

        That of an object is always what it is known by.

        It costs little for a plain file, an unpacking for an archive; asked again for a greater length it goes on from
        where it was. What was appended since the opening counts: another run may have read that already.
        """
        if not self.has_identity:
            return None
        if self._input.identity is not None:
            return self._input.identity
        if self._prefix is None or not self._prefix.can_reach(length):
            self._prefix = Prefix(Reading(self._input.present_source()))
        return self._prefix.digest(length)

    def pieces(self, offset: int, line: int, size: int = PIECE_SIZE, end: int | None = None) -> Iterator[Piece]:
        """Yield the log from the unpacked byte `offset` on, which lies in line `line`, in pieces of about `size` bytes.

        A regular file is read up to the size that it had at opening, or to `end` where that is given and it is no
        archive; a stream once. At a fault of an archive the lines that are whole are delivered and the pieces end.
        Raises `SourceError` where reading fails.
        """
        self._reading = reading = self._new_reading(end)
        reading.pass_over(offset)
        for (data, oversized), is_last in _with_last(_without_broken_line(reading, _runs(reading.reader, size))):
            piece = Piece(data, offset, line, is_last, oversized)
            yield piece
            offset, line = piece.end_offset, piece.end_line

    def cut(
        self, layout: Layout, offset: int, line: int, size: int = PIECE_SIZE, *, end: int | None = None
    ) -> Iterator[Piece]:
        """Yield the log from the unpacked byte `offset` on, in pieces as its layout has them; raises `SourceError`."""
        match layout:
            case "lines":
                return self.pieces(offset, line, size, end)
            case "mails":
                return self.mails(offset, line, size)
            case "mail":
                return self.mail(offset, line)
            case "whole":
                return self.whole(offset, line)

    def mails(self, offset: int, line: int, size: int = PIECE_SIZE) -> Iterator[Piece]:
        """Yield an mbox from the unpacked byte `offset` on, in pieces of whole mails of about `size` bytes.

        Raises `SourceError` where reading fails.
        """
        self._reading = reading = self._new_reading()
        reading.pass_over(offset)
        for run, is_last in _with_last(runs_of_mbox(reading.reader, size)):
            piece = Piece(run.data, offset, line, is_last, run.oversized, run.lines_left_out)
            yield piece
            offset, line = piece.end_offset, piece.end_line

    def mail(self, offset: int, line: int) -> Iterator[Piece]:
        """Yield all from the unpacked byte `offset` on as the one mail that it is, if any.

        Raises `SourceError` where reading fails.
        """
        self._reading = reading = self._new_reading()
        reading.pass_over(offset)
        if (run := whole_mail(reading.reader, PIECE_SIZE)) is not None:
            yield Piece(
                run.data, offset, line, is_last=True, oversized=run.oversized, lines_left_out=run.lines_left_out
            )

    def whole(self, offset: int, line: int) -> Iterator[Piece]:
        """Yield all from the unpacked byte `offset` on, which lies in line `line`, as one piece, if any.

        Raises `SourceError` where it is more than `MOST_WHOLE_BYTES`, or reading fails.
        """
        self._reading = reading = self._new_reading()
        reading.pass_over(offset)
        data = reading.reader.read(MOST_WHOLE_BYTES + 1)
        if len(data) > MOST_WHOLE_BYTES:
            raise SourceError(
                f"{self.path} is one JSON document of more than {MOST_WHOLE_BYTES // MIB} MiB",
                hint="write one event per line: jq -c '.[]' OLD > NEW",
            )
        if data:
            yield Piece(data, offset, line, is_last=True)

    def line_start(self, offset: int) -> int:
        """Return where the first line begins at or after a byte of a plain log, or the log's end."""
        if offset == 0:
            return 0
        place = offset - 1
        reader = Reading(self._input.source()).reader
        reader.seek(place)
        while found := reader.readline(MAX_LINE_BYTES):
            place += len(found)
            if found.endswith(b"\n"):
                break
        return place

    def _new_reading(self, end: int | None = None) -> Reading:
        """Return a reading from the start; a stream has only its one."""
        return Reading(self._input.source(end)) if self.has_identity else self._reading


class Held:
    """Pieces of what can be read only once, each held until it is released: so they can be gone through again."""

    def __init__(self, pieces: Iterator[Piece]) -> None:
        """Hold nothing yet."""
        self._pieces = pieces
        self._held: deque[Piece] = deque()

    def __iter__(self) -> Iterator[Piece]:
        """Yield the pieces that were not released, then those that follow; only one who goes through goes on."""
        yield from list(self._held)
        for piece in self._pieces:
            self._held.append(piece)
            yield piece

    def release(self, offset: int) -> None:
        """Let go of the pieces before an offset."""
        while self._held and self._held[0].end_offset <= offset:
            self._held.popleft()


@contextmanager
def open_log(path: str) -> Iterator[Log]:
    """Open a log for reading: a file, plain or gzip or Zstandard whatever its name, a pipe or, for `-`, standard input.

    Raises `UsageError` for a directory, and `SourceError` for a device, for what is missing or can't be read, and for
    UTF-16.
    """
    with open_input(path) as source:
        yield Log(source)


def _absolute(path: str) -> str:
    return path if path == STANDARD_INPUT or is_url(path) else str(Path(path).absolute())


def _refuse_what_is_no_log(path: str, head: bytes) -> None:
    if head.startswith(SQLITE_MAGIC):
        raise SourceError(f"{path} is a SQLite database, not a log", hint="name the log")
    if head.startswith(UTF16_BOMS) or _UTF16_WITHOUT_MARK.match(head):
        raise SourceError(
            f"{path} is UTF-16, not UTF-8", hint="convert it with iconv: iconv -f UTF-16 -t UTF-8 OLD > NEW"
        )


def _runs(reader: io.BufferedReader, size: int) -> Iterator[_Run]:
    """Yield runs of whole lines (only the last may be unfinished), an oversized line by itself with its length."""
    while block := reader.read(size):
        if not block.endswith(b"\n"):
            block += reader.readline(MAX_LINE_BYTES)
        if block.endswith(b"\n") or not reader.peek(1):
            yield from _parts(block)
            continue
        start = block.rfind(b"\n") + 1
        if start:
            yield from _parts(block[:start])
        yield _long_line(reader, block[start:])


def _parts(block: bytes) -> Iterator[_Run]:
    """Halve a run until no part has more than `MOST_LINES` lines."""
    if block.count(b"\n") <= MOST_LINES:
        yield block, None
        return
    middle = len(block) // 2
    cut = (block.rfind(b"\n", 0, middle) + 1) or (block.find(b"\n", middle) + 1)
    yield from _parts(block[:cut])
    yield from _parts(block[cut:])


def _long_line(reader: io.BufferedReader, start: bytes) -> _Run:
    """Read to the end of the line that begins with `start`, keeping its beginning only."""
    length = len(start)
    while more := reader.readline(MAX_LINE_BYTES):
        length += len(more)
        if more.endswith(b"\n"):
            return start[:KEPT_BYTES] + b"\n", length
    return start[:KEPT_BYTES], length


def _without_broken_line(reading: Reading, runs: Iterator[_Run]) -> Iterator[_Run]:
    """Pass runs on, without the line in which a faulty archive breaks off."""
    for data, oversized in runs:
        whole = data[: data.rfind(b"\n") + 1] if reading.fault else data
        if whole:
            yield whole, oversized


def _with_last(runs: Iterator[_Any]) -> Iterator[tuple[_Any, bool]]:
    """Yield every run with whether it is the last one."""
    previous: _Any | None = None
    for run in runs:
        if previous is not None:
            yield previous, False
        previous = run
    if previous is not None:
        yield previous, True
