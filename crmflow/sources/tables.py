"""Tables of records: CSV or TSV with a header, or one JSON object per line.

A fault that stays within its row makes that row invalid, and the rest is read. A fault after which nobody knows where
rows begin (a quote that is not closed) ends the reading with an error: which rows the user meant can't be told then.
Text is taken as text: `01234` stays what it is, and only JSON lines carry types.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import PurePath
from types import TracebackType
from typing import Self

import msgspec

from crmflow.core.errors import CrmflowError
from crmflow.core.model import Scalar
from crmflow.sources.inputs import BUFFER_SIZE, UTF16_BOMS, open_input
from crmflow.sources.objects import LineError, is_encodable, read_object, read_scalar, read_text, shortened

MAX_ROW_CHARACTERS = 1024 * 1024
_BLOCK_CHARACTERS = 256 * 1024
_UNUSUAL = ('"', "'", "\0")
_JSON_SUFFIXES = frozenset({".jsonl", ".ndjson"})
_TAB_SUFFIXES = frozenset({".tsv", ".tab"})
_DELIMITERS = ",;\t"
_GUARDED = tuple("=+-@\t\r")
_QUOTED = re.compile(r'"[^"]*"?')
_TOO_LONG = "longer than 1 MiB"


class Row(msgspec.Struct, frozen=True):
    """One row, which begins in line `line` (from 1) of the file; `fault` says why it is invalid.

    An invalid row has those cells that could be read.
    """

    line: int
    cells: dict[str, Scalar]
    fault: str | None = None


class Table:
    """An open table, which gives its rows once and is closed by that; a `with` block closes it in any case.

    `columns` are those of the header; JSON lines have none, but types (`is_typed`). A header without rows is a table of
    no rows: what that means is for the caller to judge. `total_bytes` is the size of the file, None for a stream.
    """

    def __init__(self, path: str) -> None:
        """Open a table and read its header; raises what `read_rows` says."""
        self.path = path
        with ExitStack() as stack:
            opened = stack.enter_context(open_input(path))
            self.total_bytes = opened.size
            self._source = opened.source()
            lines = _Lines(path, io.BufferedReader(self._source, BUFFER_SIZE))
            first = lines.first()
            self.is_typed = PurePath(path).suffix.lower() in _JSON_SUFFIXES or first.lstrip().startswith("{")
            self.columns: tuple[str, ...] = ()
            if self.is_typed:
                self._rows = _json_rows(lines, first)
            else:
                reader = _CsvReader(lines, first)
                self.columns = reader.header()
                self._rows = reader.rows(self.columns)
            self._stack = stack.pop_all()

    @property
    def bytes_read(self) -> int:
        """Return how many bytes of the file have been read."""
        return self._source.position

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows; raises `CrmflowError` where reading fails or a quote is not closed."""
        with self:
            yield from self._rows

    def __enter__(self) -> Self:
        """Return the table."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the file."""
        self._stack.close()


def read_rows(path: str) -> Table:
    """Open a table: comma, semicolon or tab as the header has them, UTF-8 or UTF-16 with a mark; or JSON lines.

    Cells are stripped of white space around them and of the apostrophe that guards a formula. Raises `UsageError` for a
    directory, `CrmflowError` for what can't be read, is empty, or has no proper header.
    """
    return Table(path)


class _Lines(Iterator[str]):
    """The lines of a text, with their newlines; `number` is the last one's, and `fault` what is wrong with it.

    A line longer than `MAX_ROW_CHARACTERS` comes as an empty one; `has_odd_quotes` belongs to it. The text is read in
    blocks of whole lines.
    """

    def __init__(self, path: str, reader: io.BufferedReader) -> None:
        is_utf16 = reader.peek(2).startswith(UTF16_BOMS)
        encoding, errors = ("utf-16", "surrogatepass") if is_utf16 else ("utf-8-sig", "surrogateescape")
        self.path = path
        self.number = 0
        self.fault: str | None = None
        self.has_odd_quotes = False
        self._text = io.TextIOWrapper(reader, encoding, errors, newline="\n")
        self._block = ""
        self._position = 0
        self._is_plain = False
        self._read_block = self._read_line if is_utf16 else self._read_lines  # an error is that of its line

    def __next__(self) -> str:
        line = self._read()
        if not line:
            raise StopIteration
        self.number += 1
        self.fault = None
        self.has_odd_quotes = False
        if len(line.removesuffix("\n")) > MAX_ROW_CHARACTERS:
            self._pass_over(line)
            return "\n"
        if "\0" in line:
            self.fault = "NUL character"
        elif not line.isascii() and not is_encodable(line):
            self.fault = f"invalid {'UTF-16' if self._text.encoding == 'utf-16' else 'UTF-8'}"
        return line

    def first(self) -> str:
        """Return the first line that is not blank; raises `CrmflowError` where there is none that begins a table."""
        line = next((each for each in self if self.fault or not _is_blank(each)), None)
        if line is None:
            raise CrmflowError(f"{self.path} is empty", hint="nothing selected is never everything")
        if line.lstrip().startswith("["):
            raise CrmflowError(
                f"{self.path} is one JSON array, not one object per line",
                hint="write one object per line: jq -c '.[]' OLD > NEW.jsonl",
            )
        return line

    def plain(self) -> list[str]:
        """Return the next lines, without their newlines, if each is a row as it stands; else none.

        Nothing in them is quoted, guarded or otherwise unusual.
        """
        if self._position == len(self._block):
            self._fill()
        if not self._is_plain:
            return []
        lines = self._block[self._position :].removesuffix("\n").split("\n")
        self._position = len(self._block)
        self._is_plain = False
        self.number += len(lines)
        return lines

    def _read(self) -> str:
        """Return the next line, or the beginning of one that is too long; nothing at the end."""
        if self._position == len(self._block):
            self._fill()
        start = self._position
        self._position = self._block.find("\n", start) + 1 or len(self._block)
        return self._block[start : self._position]

    def _fill(self) -> None:
        block = self._read_block()
        is_usual = block.isascii() and not any(each in block for each in _UNUSUAL)
        if is_usual and "\r" in block:
            is_usual = block.count("\r") == block.count("\r\n")
            block = block.replace("\r\n", "\n") if is_usual else block
        self._block, self._position = block, 0
        self._is_plain = is_usual and block.endswith("\n") and len(block) <= MAX_ROW_CHARACTERS

    def _read_lines(self) -> str:
        block = self._text.read(_BLOCK_CHARACTERS)
        return block if not block or block.endswith("\n") else block + self._text.readline(MAX_ROW_CHARACTERS + 1)

    def _read_line(self) -> str:
        try:
            return self._text.readline(MAX_ROW_CHARACTERS + 1)
        except UnicodeDecodeError as error:
            raise CrmflowError(f"{self.path}:{self.number + 1}: cut off in the middle of a character") from error

    def _pass_over(self, line: str) -> None:
        quote_count = line.count('"')
        while line and not line.endswith("\n"):
            line = self._read()
            quote_count += line.count('"')
        self.fault = f"line {_TOO_LONG}"
        self.has_odd_quotes = bool(quote_count % 2)


def _json_rows(lines: _Lines, first: str) -> Iterator[Row]:
    for line in chain((first,), lines):
        if lines.fault:
            yield Row(lines.number, {}, lines.fault)
        elif not _is_blank(line):
            yield _json_row(lines.number, line)


def _json_row(number: int, line: str) -> Row:
    cells: dict[str, Scalar] = {}
    try:
        for name, value in read_object(line.encode()).items():
            cells[read_text("a key", name)] = read_scalar(shortened(repr(name)), value)
    except LineError as fault:
        return Row(number, cells, str(fault))
    return Row(number, cells)


class _CsvReader:
    """Rows of cells from lines of text, each with the lines that it is made of."""

    def __init__(self, lines: _Lines, first: str) -> None:
        csv.field_size_limit(MAX_ROW_CHARACTERS)
        self._lines = lines
        self._row_lines: list[str] = []
        self._row_size = 0
        self._row_start = 0
        self._row_fault: str | None = None
        self._delimiter = _delimiter(lines.path, first)
        self._reader = csv.reader(self._feed(first), delimiter=self._delimiter, strict=True)

    def header(self) -> tuple[str, ...]:
        """Return the columns; raises `CrmflowError` for a header that does not name each one, once."""
        where = f"{self._lines.path}:{self._lines.number}"
        cells = self._next_cells() or []
        if self._row_fault:
            raise CrmflowError(f"{where}: the header can't be read: {self._row_fault}", hint="save it as UTF-8 CSV")
        columns = tuple(_unguarded(cell.strip()) for cell in cells)
        for position, column in enumerate(columns, start=1):
            if not column:
                raise CrmflowError(f"{where}: column {position} of the header has no name", hint="name it or remove it")
            if column in columns[: position - 1]:
                raise CrmflowError(f"{where}: the header has two columns {shortened(column)!r}", hint="rename one")
        return columns

    def rows(self, columns: tuple[str, ...]) -> Iterator[Row]:
        """Yield the rows below the header."""
        yield from self._plain_rows(columns)
        while (cells := self._next_cells()) is not None:
            if self._row_fault:
                yield Row(self._row_start, {}, self._row_fault)
            elif not _is_blank("".join(self._row_lines)):
                fault = None if len(cells) == len(columns) else _not_as_wide(cells, columns)
                plain = [cell.strip() for cell in cells]
                if any("'" in line for line in self._row_lines):
                    plain = [_unguarded(cell) for cell in plain]
                yield Row(self._row_start, dict(zip(columns, plain, strict=False)), fault)
            yield from self._plain_rows(columns)

    def _plain_rows(self, columns: tuple[str, ...]) -> Iterator[Row]:
        """Yield the next rows as long as nothing in them needs a second look."""
        while lines := self._lines.plain():
            for number, line in enumerate(lines, start=self._lines.number - len(lines) + 1):
                cells = [cell.strip() for cell in line.split(self._delimiter)]
                if cells[0] or not _is_blank(line):
                    fault = None if len(cells) == len(columns) else _not_as_wide(cells, columns)
                    yield Row(number, dict(zip(columns, cells, strict=False)), fault)

    def _next_cells(self) -> list[str] | None:
        """Return the next row, None at the end; sets what is known of it."""
        self._row_lines.clear()
        self._row_size = 0
        self._row_fault = None
        try:
            return next(self._reader, None)
        except csv.Error as error:
            is_confined = len(self._row_lines) == 1 and self._row_lines[0].count('"') % 2 == 0
            if str(error).startswith("unexpected end"):
                raise self._not_closed(self._row_lines) from error
            if not is_confined:
                raise self._not_closed(self._row_lines[:-1]) from error
            is_bare = str(error).startswith("new-line character")
            self._row_fault = "carriage return in a cell without quotes" if is_bare else "text behind a closing quote"
            return []

    def _feed(self, first: str) -> Iterator[str]:
        for line in chain((first,), self._lines):
            if not self._row_lines:
                self._row_start = self._lines.number
            self._row_lines.append(line)
            self._row_size += len(line)
            self._row_fault = self._row_fault or self._lines.fault
            if self._lines.has_odd_quotes or self._row_size > MAX_ROW_CHARACTERS + 1:
                raise self._not_closed(self._row_lines)
            yield line

    def _not_closed(self, lines: list[str]) -> CrmflowError:
        """Return the error for the quote that is open at the end of these lines of the row."""
        is_open, opened = False, self._row_start
        for number, line in enumerate(lines, start=self._row_start):
            quote_count = line.replace('""', "").count('"')
            is_open ^= bool(quote_count % 2)
            opened = number if is_open and quote_count else opened
        return CrmflowError(
            f"{self._lines.path}:{opened}: a quote is opened and not properly closed",
            hint='close it, or double it where it is part of the text: ""',
        )


def _not_as_wide(cells: Sequence[str], columns: Sequence[str]) -> str:
    return f"{len(cells)} cells where the header has {len(columns)}"


def _delimiter(path: str, header: str) -> str:
    """Return what separates the header's columns, a comma where there is only one."""
    if PurePath(path).suffix.lower() in _TAB_SUFFIXES:
        return "\t"
    bare = _QUOTED.sub("", header)
    return max(_DELIMITERS, key=bare.count)


def _unguarded(text: str) -> str:
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(_GUARDED) else text


def _is_blank(line: str) -> bool:
    return not line.strip(" \r\n")
