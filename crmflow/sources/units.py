"""Units: the JSON values of a log that are kept as a whole where a part of them can't be understood.

A unit is a value, or an element of an array that is one.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from crmflow.sources.batches import NOTHING, Batch, Outcome
from crmflow.sources.inputs import BOM
from crmflow.sources.lines import rejected
from crmflow.sources.logs import Piece
from crmflow.sources.objects import Element, LineError, after_space, elements_at, is_unclosed, read_utf8


class Unit(NamedTuple):
    """A JSON value, its text, and where that begins: line (from 1) and byte offset in the log."""

    value: object
    text: bytes
    line: int
    offset: int


Understand = Callable[[Unit], Iterable[Outcome]]
"""Returns what a unit says."""


class Cursor:
    """A place in a text that begins at a line and a byte offset of a log; it only goes on."""

    def __init__(self, text: str, line: int, offset: int) -> None:
        """Begin at the start of the text."""
        self.line = line
        self.offset = offset
        self._text = text
        self._at = 0

    def go_to(self, position: int) -> bytes:
        """Go on to a character of the text; returns what lies between as bytes."""
        passed = self._text[self._at : position].encode()
        self._at = position
        self.line += passed.count(b"\n")
        self.offset += len(passed)
        return passed

    def units(self, elements: Iterable[Element]) -> Iterator[Unit]:
        """Yield the units that elements of the text are, going over them."""
        for start, end, value in elements:
            self.go_to(start)
            line, offset = self.line, self.offset
            yield Unit(value, self.go_to(end), line, offset)


def decode_whole(piece: Piece, understand: Understand) -> Batch:
    """Return what a piece says that is all the rest of a log: JSON values, one behind the other.

    A last value that is not finished is left; what is no JSON is a reject, together with all behind it.
    """
    batch = Batch(piece.offset, piece.line)
    data = piece.data.removeprefix(BOM) if piece.offset == 0 else piece.data
    batch.end_offset += len(piece.data) - len(data)
    try:
        text = read_utf8(data)
    except LineError as fault:
        _give_up(batch, data, fault)
        return batch
    cursor, end = Cursor(text, batch.end_line, batch.end_offset), 0
    while (start := after_space(text, end)) < len(text):
        cursor.go_to(start)
        batch.end_line, batch.end_offset = cursor.line, cursor.offset
        try:
            elements, end = elements_at(text, start)
        except LineError as fault:
            _give_up(batch, text[start:].encode(), fault)
            return batch
        for unit in cursor.units(elements):
            batch.take_all(understand(unit))
        batch.take_all([] if elements else [NOTHING])
    cursor.go_to(len(text))
    batch.end_line, batch.end_offset = cursor.line, cursor.offset
    return batch


def _give_up(batch: Batch, rest: bytes, fault: LineError) -> None:
    """Leave the rest of a log for when it is finished, or reject it where that can't help."""
    if is_unclosed(rest):
        batch.incomplete = 1
        return
    batch.take(rejected(batch.end_line, batch.end_offset, str(fault), rest))
    batch.end_line += rest.count(b"\n")
    batch.end_offset += len(rest)
