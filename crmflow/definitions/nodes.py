"""Plain data that knows where in its file it stands, and the report of what is wrong with it."""

from typing import NamedTuple

import msgspec

from crmflow.core.errors import Complaint
from crmflow.core.model import Scalar

SHOWN_LENGTH = 60


class Place(NamedTuple):
    """A place in a file; line and column count from 1."""

    line: int
    column: int


START = Place(1, 1)


class Value(msgspec.Struct, frozen=True):
    """A scalar and the text that stands for it in the file."""

    place: Place
    value: Scalar
    text: str


class Refused(msgspec.Struct, frozen=True):
    """Something that was complained about already; nothing more is to be said about it."""

    place: Place


class Listing(msgspec.Struct, frozen=True):
    """A list."""

    place: Place
    items: list["Node"]


class Mapping(msgspec.Struct, frozen=True):
    """A mapping: each key with its place and what it is given."""

    place: Place
    entries: dict[str, tuple[Place, "Node"]]

    def get(self, key: str) -> "Node | None":
        """Return what a key is given, or None where the key is left out."""
        return self.entries[key][1] if key in self.entries else None

    def word(self, key: str) -> str | None:
        """Return the text that a key is given, or None where it is given none."""
        node = self.get(key)
        return node.value if isinstance(node, Value) and isinstance(node.value, str) else None


Node = Value | Listing | Mapping | Refused


class Report:
    """Collects what is wrong in one file."""

    def __init__(self, path: str) -> None:
        """Take the path under which the user knows the file."""
        self.path = path
        self._complaints: list[Complaint] = []

    def add(self, place: Place, what: str, hint: str | None = None) -> None:
        """Note one complaint: what is wrong at a place and what would be right."""
        self._complaints.append(Complaint(self.path, place.line, place.column, what, hint))

    @property
    def complaints(self) -> list[Complaint]:
        """Return the complaints in the order of their places."""
        return sorted(self._complaints, key=lambda each: (each.line, each.column))


def shown(text: str) -> str:
    """Return a text of the file as messages quote it: on one line, shortened where it is long."""
    return repr(text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 1] + "…")
