"""Cutting a piece into lines, and what every source does with a line before it looks into it."""

from collections.abc import Callable, Iterable

from crmflow.core.model import Reject
from crmflow.sources.batches import Batch, Outcome
from crmflow.sources.inputs import BOM
from crmflow.sources.logs import KEPT_BYTES, MAX_LINE_BYTES, Piece
from crmflow.sources.objects import LineError

BLANK = b" \t\r"
TOO_LONG = "line longer than 1 MiB"

Understand = Callable[[bytes, int, int], Iterable[Outcome]]
"""Returns what a line says, given without its newline, with its number and offset; raises `LineError`."""


def decode_lines(
    piece: Piece,
    understand: Understand,
    take_finished: Callable[[Batch, bytes], None] | None = None,
    *,
    needs_end: bool = False,
) -> Batch:
    """Return what the lines of a piece say.

    An unfinished last line is left where it can't be understood yet or, because its beginning may be understood too,
    `needs_end`. `take_finished` is a faster way to take many finished lines in, given without the newline of the last
    one.
    """
    batch = Batch(piece.offset, piece.line)
    if piece.oversized is not None:
        _take_oversized(batch, piece)
        return batch
    data = piece.data.removeprefix(BOM) if piece.offset == 0 else piece.data
    batch.end_offset += len(piece.data) - len(data)
    end = data.rfind(b"\n") + 1
    if end and take_finished:
        take_finished(batch, data[: end - 1])
    elif end:
        _take_finished(batch, data[: end - 1], understand)
    unfinished = data[end:]
    outcomes, fault = _understood(unfinished, batch.end_line, batch.end_offset, understand)
    if fault is not None or (needs_end and unfinished):
        batch.incomplete = 1
    else:
        batch.take_all(outcomes)
        batch.end_offset += len(unfinished)
    return batch


def outcomes_of(data: bytes, line: int, offset: int, understand: Understand) -> list[Outcome]:
    """Return what one line says, without its newline: the line of number `line`, which begins at byte `offset`."""
    outcomes, fault = _understood(data, line, offset, understand)
    return outcomes if fault is None else [fault]


def rejected(line: int, offset: int, reason: str, data: bytes) -> Reject:
    """Return the reject of a line or body, as much of it as is kept."""
    return Reject(line, offset, reason, data[:KEPT_BYTES])


def _take_finished(batch: Batch, data: bytes, understand: Understand) -> None:
    for text in data.split(b"\n"):
        outcomes, fault = _understood(text, batch.end_line, batch.end_offset, understand)
        batch.take_all(outcomes if fault is None else [fault])
        batch.end_line += 1
        batch.end_offset += len(text) + 1


def _understood(data: bytes, line: int, offset: int, understand: Understand) -> tuple[list[Outcome], Reject | None]:
    """Return what a line says, or why it can't be understood."""
    if len(data) > MAX_LINE_BYTES:
        return [], rejected(line, offset, TOO_LONG, data)
    if not data.strip(BLANK):
        return [], None
    try:
        return list(understand(data, line, offset)), None
    except LineError as fault:
        return [], rejected(line, offset, str(fault), data.removesuffix(b"\r"))


def _take_oversized(batch: Batch, piece: Piece) -> None:
    if not piece.data.endswith(b"\n"):
        batch.incomplete = 1
        return
    batch.take(rejected(piece.line, piece.offset, TOO_LONG, piece.data))
    batch.end_offset = piece.end_offset
    batch.end_line += 1
