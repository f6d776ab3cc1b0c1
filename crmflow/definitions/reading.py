"""From the bytes of a YAML file to plain data that knows its places, and nothing else.

What passes is what JSON could hold: mappings with text as keys, lists, and scalars. Plain scalars become numbers,
`true`, `false` and null exactly where JSON would read them so (null also as `~` or nothing); `NO`, `on`, `12:30`,
`0123`, `0x1F` and dates stay the text that they look like. Anchors, aliases, merge keys, tags, duplicate keys and
further documents are complaints.

PyYAML's events are read one by one, so that a file that explodes or nests without end stops early; nothing is resolved
or constructed by PyYAML, whose YAML 1.1 would change meanings.
"""

import codecs
import re
from collections.abc import Callable, Iterator
from math import isfinite
from pathlib import Path
from typing import NamedTuple, Protocol

import yaml

from crmflow.core.model import Scalar
from crmflow.definitions.nodes import START, Listing, Mapping, Node, Place, Refused, Report, Value, shown

MAX_BYTES = 1 << 20
MAX_DEPTH = 32

_LARGEST_INTEGER = (1 << 63) - 1
_INTEGER_LENGTH = len(str(-_LARGEST_INTEGER))
_WORDS: dict[str, Scalar] = {"true": True, "false": False, "null": None, "~": None, "": None}
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_UNHOLDABLE = re.compile("[\x00\ud800-\udfff]")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOT_UTF8 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

_SYNTAX_HINTS = {
    r"character '\t'": "that is a tab: YAML takes only spaces there",
    "that cannot start any token": "put the text in quotes",
    "mapping values are not allowed": "check the indentation, and put a text that contains ': ' in quotes",
    "could not find expected ':'": "write KEY: VALUE",
    "<block end>": "the indentation does not fit the lines above",
    "end of stream": "a quote is not closed",
    "<stream end>": "a bracket is not closed",
    "alphabetic or numeric": "put a text that begins with * or & in quotes",
    "escape": r"in double quotes write \\ for a backslash, or use single quotes",
    "undefined tag handle": "tags are not supported",
}
"""What to do about PyYAML's problems, by a part of its words."""


class Subject(NamedTuple):
    """What a file declares one of, how it begins, and what to say where there is no such file."""

    noun: str
    beginning: str
    missing: str | None = None

    @property
    def rule(self) -> str:
        """Return how many of it a file declares."""
        return f"one file declares one {self.noun}"


class _UnreadableError(Exception):
    """The file can't be read on from here."""

    def __init__(self, place: Place, what: str, hint: str | None = None) -> None:
        super().__init__(what)
        self.place, self.what, self.hint = place, what, hint


def read(path: str, report: Report, subject: Subject) -> tuple[str, Node | None]:
    """Return the file's text (without a byte order mark) and its data, None where it has none; complain of the rest."""
    text = ""
    builder = _Builder(report, subject)
    try:
        text = _text(_bytes(path, subject))
        for event in _events(text):
            builder.take(event)
        builder.check_filled()
    except _UnreadableError as error:
        report.add(error.place, error.what, error.hint)
        return text, builder.root
    return text, builder.root


def _bytes(path: str, subject: Subject) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except IsADirectoryError as error:
        raise _UnreadableError(START, "this is a directory", f"name the files in it: {path}/*.yaml") from error
    except OSError as error:
        hint = subject.missing if isinstance(error, FileNotFoundError) else None
        raise _UnreadableError(START, f"can't be read: {error.strerror}", hint) from error
    if len(data) > MAX_BYTES:
        raise _UnreadableError(START, f"larger than {MAX_BYTES:,} bytes", subject.rule)
    return data


def _text(data: bytes) -> str:
    if data.startswith(_NOT_UTF8) or b"\0" in data[:2]:
        raise _UnreadableError(START, "UTF-16 or UTF-32, not UTF-8", "convert it: iconv -f UTF-16 -t UTF-8")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        place = _place_after(data[: error.start].decode())
        raise _UnreadableError(
            place, f"byte 0x{data[error.start]:02x} is not UTF-8", "save the file as UTF-8"
        ) from error
    if found := _UNPRINTABLE.search(text):
        what = f"control character {found[0]!r}"
        raise _UnreadableError(
            _place_after(text[: found.start()]), what, "remove it, or write its escape in double quotes"
        )
    return text


def _place_after(text: str) -> Place:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return Place(len(lines), len(lines[-1]) + 1)


def _events(text: str) -> Iterator[yaml.Event]:
    loader = yaml.BaseLoader(text)
    next_event: Callable[[], yaml.Event] = loader.get_event
    try:
        while loader.check_event():
            yield next_event()
    except yaml.MarkedYAMLError as error:
        raise _unreadable_yaml(error) from error
    except (ValueError, OverflowError) as error:  # PyYAML's own slip on "\UFFFFFFFF" and %YAML 9{5000}
        raise _UnreadableError(
            _place(loader.get_mark()), "an escape or a version number that is out of range"
        ) from error
    finally:
        loader.dispose()


def _unreadable_yaml(error: yaml.MarkedYAMLError) -> _UnreadableError:
    place, begin = _place(error.problem_mark), _place(error.context_mark)
    what = f"not YAML: {error.problem or ''} {error.context or ''}".strip()
    if begin.line < place.line and error.context_mark:
        what += f" that begins in line {begin.line}"
    hint = next((hint for part, hint in _SYNTAX_HINTS.items() if part in what), None)
    return _UnreadableError(place, what, hint)


class _Mark(Protocol):
    """A place as PyYAML says it, from 0."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


def _place(mark: _Mark | None) -> Place:
    return Place(mark.line + 1, mark.column + 1) if mark else START


class _Open(NamedTuple):
    """A list or mapping whose end has not been read; a mapping's children are key, value, key, value."""

    place: Place
    children: list[Node]


class _Builder:
    """Builds the data from PyYAML's events, without recursion."""

    def __init__(self, report: Report, subject: Subject) -> None:
        self.root: Node | None = None
        self._report = report
        self._subject = subject
        self._open: list[_Open] = []

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.DocumentStartEvent() if self.root is not None:
                what = "a second document begins here"
                raise _UnreadableError(_place(event.start_mark), what, self._subject.rule)
            case yaml.NodeEvent():
                self._take_node(event)
            case yaml.SequenceEndEvent():
                place, children = self._open.pop()
                self._put(Listing(place, children))
            case yaml.MappingEndEvent():
                place, children = self._open.pop()
                self._put(self._mapping(place, children))

    def check_filled(self) -> None:
        if self.root is None or (isinstance(self.root, Value) and self.root.value is None):
            self.root = None
            raise _UnreadableError(
                START, f"no {self._subject.noun} in this file", f"begin with {self._subject.beginning}"
            )

    def _take_node(self, event: yaml.NodeEvent) -> None:
        place = _place(event.start_mark)
        self._refuse_cleverness(event, place)
        match event:
            case yaml.ScalarEvent():
                self._put(Refused(place) if event.tag else self._scalar(event, place))
            case yaml.CollectionStartEvent() if len(self._open) == MAX_DEPTH:
                raise _UnreadableError(place, f"nested deeper than {MAX_DEPTH} levels")
            case yaml.CollectionStartEvent():
                self._open.append(_Open(place, []))
            case _:
                self._put(Refused(place))

    def _refuse_cleverness(self, event: yaml.NodeEvent, place: Place) -> None:
        if isinstance(event, yaml.AliasEvent):
            hint = "write the value out; a text that begins with * needs quotes"
            self._report.add(place, f"aliases are not supported: {shown(f'*{event.anchor}')}", hint)
        elif event.anchor:
            hint = "leave it out; a text that begins with & needs quotes"
            self._report.add(place, f"anchors are not supported: {shown(f'&{event.anchor}')}", hint)
        if tag := getattr(event, "tag", None):
            hint = "leave it out; a text that begins with ! needs quotes"
            self._report.add(place, f"tags are not supported: {shown(tag)}", hint)

    def _scalar(self, event: yaml.ScalarEvent, place: Place) -> Node:
        text: str = event.value
        if found := _UNHOLDABLE.search(text):
            self._report.add(place, f"a text can't hold {found[0]!r}", "leave it out")
            return Refused(place)
        if event.style is not None:
            return Value(place, text, text)
        try:
            return Value(place, _plain(text), text)
        except OverflowError:
            self._report.add(place, f"a number out of range: {shown(text)}", "put it in quotes to make it text")
            return Refused(place)

    def _mapping(self, place: Place, children: list[Node]) -> Mapping:
        entries: dict[str, tuple[Place, Node]] = {}
        for key, node in zip(children[::2], children[1::2], strict=True):
            if not isinstance(key, Value):
                self._refuse_key(key)
            elif key.text == "<<":
                self._report.add(key.place, "merge keys are not supported", "write the keys out")
            elif key.text in entries:
                first = entries[key.text][0].line
                self._report.add(key.place, f"duplicate key {shown(key.text)}, first in line {first}", "keep one")
            else:
                entries[key.text] = key.place, node
        return Mapping(place, entries)

    def _refuse_key(self, key: Node) -> None:
        if not isinstance(key, Refused):
            self._report.add(key.place, "a list or mapping can't be a key", "write KEY: VALUE")

    def _put(self, node: Node) -> None:
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node


def _plain(text: str) -> Scalar:
    """Return what JSON would read in a plain scalar, else the text itself; raises OverflowError beyond 64 bits."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        if len(text) > _INTEGER_LENGTH or abs(int(text)) > _LARGEST_INTEGER:
            raise OverflowError
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if not isfinite(number):
            raise OverflowError
        return number
    return text
