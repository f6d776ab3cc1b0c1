"""What a piece of a log says of some records: found without the store, in this process or in any other."""

from datetime import datetime
from typing import NamedTuple

import msgspec

from crmflow.core.model import Event
from crmflow.core.triggers import answered
from crmflow.sources import formats
from crmflow.sources.inputs import BOM
from crmflow.sources.logs import Piece
from crmflow.sources.terms import OURS, Terms

FEW_NAMES = 10
"""So many names are looked for in the text itself: most lines need not be decoded at all."""

MOST_NAMES = 20_000
"""More names cost more to hand over with each piece than they save."""

_AFTER_BOM = 1


class Search(NamedTuple):
    """A piece of a log, how it is read, the clock's time, and the names to look for without case; None for every name.

    `number` says for whom the piece is looked through: it comes back with what is found.
    """

    number: int
    piece: Piece
    terms: Terms
    now: datetime
    names: frozenset[str] | None


class Found(msgspec.Struct, frozen=True):
    """The events of a search's piece that are about a record of these names, or another one that is called alike.

    A reply to a mail that is called so is among them.
    """

    number: int
    events: list[Event]


def names_to_find(names: set[str]) -> frozenset[str] | None:
    """Return the names as a search takes them; None where there are so many that every event is to be found."""
    return frozenset(name.casefold() for name in names) if len(names) <= MOST_NAMES else None


def is_quick(names: frozenset[str] | None) -> bool:
    """Tell whether so few names are looked for that other processes would be of no help."""
    return names is not None and len(names) <= FEW_NAMES


def search(task: Search) -> Found:
    """Return the events that a piece tells about these names, with the numbers of the log's lines."""
    names = task.names
    if names is None:
        return Found(task.number, _decoded(task, task.piece))
    is_ours = task.terms.format == OURS and task.terms.layout == "lines"
    events = _quickly(task, names) if is_ours and is_quick(names) else _decoded(task, task.piece)
    return Found(task.number, [event for event in events if _is_about(event, names)])


def _is_about(event: Event, names: frozenset[str]) -> bool:
    return event.name.casefold() in names or any(each.casefold() in names for each in answered(event))


def _decoded(task: Search, piece: Piece) -> list[Event]:
    return formats.decode(piece, task.terms, task.now).events


def search_packed(task: Search) -> bytes:
    """Return the same as bytes."""
    return pack(search(task))


def _quickly(task: Search, names: frozenset[str]) -> list[Event]:
    if task.piece.oversized is not None:
        return []
    piece, lines = _narrowed(task.piece, names)
    events = _decoded(task, piece)
    return [msgspec.structs.replace(event, line=lines[(event.line or 0) - 1]) for event in events]


def _narrowed(piece: Piece, names: frozenset[str]) -> tuple[Piece, list[int]]:
    r"""Return the lines of a piece that may name one of these, as a piece of its own, and the numbers that they have.

    A name stands in its line as it is, but for case, in quotes unless it is a number, or a mail among others; that is,
    unless the line has escapes: `\u00e9`, `\/`.
    """
    written = [name if name.lstrip("-").isdigit() or "@" in name else f'"{name}"' for name in names]
    data = piece.data.removeprefix(BOM) if piece.offset == 0 else piece.data
    text = data.decode("utf-8", "replace").casefold()
    kept: list[tuple[int, bytes]] = []
    if "\\" in text or any(name in text for name in written):
        kept = [
            (number, line)
            for number, (line, folded) in enumerate(zip(data.split(b"\n"), text.split("\n"), strict=True), piece.line)
            if "\\" in folded or any(name in folded for name in written)
        ]
    narrowed = Piece(b"\n".join(line for _, line in kept), _AFTER_BOM, 1, piece.is_last)
    return narrowed, [number for number, _ in kept]


pack = msgspec.msgpack.Encoder().encode
"""Return what was found as bytes."""

unpack = msgspec.msgpack.Decoder(Found).decode
"""Return what `pack` wrote."""
