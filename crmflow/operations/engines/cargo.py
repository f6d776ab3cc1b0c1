"""A file that every task needs, and how it gets to where there is no such file, a piece at a time."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple


class Cargo(NamedTuple):
    """The file at `path`, known by a `name` that its content alone has.

    `pieces` yields its bytes in pieces. In a folder where it shall be, `received` returns the path of the file once it
    is whole (None before that), and `receive` adds the piece that belongs at an offset; the last piece is empty.
    """

    path: Path
    name: str
    pieces: Callable[[], Iterator[bytes]]
    received: Callable[[Path, str], Path | None]
    receive: Callable[[Path, str, int, bytes], None]
