"""A file that every task needs, and how it gets to where there is no such file."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Cargo(NamedTuple):
    """The file at `path`, known by a `name` that its content alone has.

    `content` returns its bytes, `unfold` the path of a file of that name in a folder with these bytes, made if it is
    not there yet.
    """

    path: Path
    name: str
    content: Callable[[], bytes]
    unfold: Callable[[Path, str, bytes], Path]
