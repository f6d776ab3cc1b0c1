r"""What is seen: the only module that prints.

*Data* go to standard output, *words* and progress to standard error, all in UTF-8 whatever the locale. With `--json`
data are one JSON document. `--quiet` silences words and progress; what a reading command was asked for is printed all
the same (`data`), what a changing command did is not (`report`), unless `--json` asks for it. Warnings and errors are
always said.

With `--csv` a table is comma-separated values, made harmless for spreadsheets.

A table is drawn on a terminal; where it is too wide for it, every cell is a line, and a blank line stands between rows.
Anywhere else a row is a line, its cells separated by tabs, without header, never wrapped or cut: what `cut -f`,
`awk -F'\t'`, `sort` and `while IFS=$'\t' read` want. An empty cell is `-`, so that every row has every column.

What comes from outside becomes text in one place, `visible`: it can neither move the cursor nor break a line.
"""

import io
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

Cell = str | int | float | None

_SHADES = "█▒░·"
_ASCII_SHADES = "#=-."
_FORMULA_MARKS = ("=", "+", "-", "@", "\t", "\r")
_CLOSED_AS = ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY))


def visible(text: str) -> str:
    r"""Return the text with every character that does not print as its escape: `\x1b`, `\u202e`, `\n`."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


@dataclass(frozen=True)
class Table:
    """Rows for people, each with one cell for every column."""

    columns: Sequence[str]
    rows: Iterable[Sequence[Cell]]


class Progress:
    """How far a long piece of work has come, in bytes."""

    def __init__(self, show: Callable[[int], None]) -> None:
        """Take what shows the bytes done."""
        self._show = show
        self._done = 0

    def advance(self, count: int) -> None:
        """Add the bytes done since the last call."""
        self.update(self._done + count)

    def update(self, done: int) -> None:
        """Set the bytes done since the start."""
        self._done = done
        self._show(done)


@dataclass(frozen=True)
class Output:
    """How a command was asked to show its result: `--json`, `--quiet`, `--csv`."""

    json: bool = False
    quiet: bool = False
    csv: bool = False

    def data(self, document: object, shown: Table | Iterable[str]) -> None:
        """Print what a reading command was asked for: the document with `--json`, else the table or lines."""
        if self.json:
            self.document(document)
        elif isinstance(shown, Table) and self.csv:
            _put_csv(shown)
        elif isinstance(shown, Table):
            self.table(shown.columns, shown.rows)
        else:
            self.lines(shown)

    def figures(self, document: object, plain: Table, drawn: Iterable[tuple[str, Table]]) -> None:
        """Print a document of many figures: on a terminal each under its heading, else all of them as one table."""
        if self.json or self.csv or not sys.stdout.isatty():
            self.data(document, plain)
            return
        for number, (heading, table) in enumerate(drawn):
            self.lines(["", heading] if number else [heading])
            self.table(table.columns, table.rows)

    def report(self, document: object, shown: Table | Iterable[str]) -> None:
        """Print what a changing command did: as `data`, but with `--quiet` only the document that `--json` asks for."""
        if self.json or not self.quiet:
            self.data(document, shown)

    def document(self, value: object) -> None:
        """Print one JSON document; on a terminal, characters that do not print come as JSON escapes."""
        text = _json(value)
        _put(_json_for_terminal(text) if sys.stdout.isatty() else text)

    def json_lines(self, values: Iterable[object]) -> None:
        """Print JSON lines, one for each value."""
        _put("\n".join(_json(value, indent=None) for value in values))

    def lines(self, lines: Iterable[str]) -> None:
        """Print lines of data."""
        _put("\n".join(map(visible, lines)))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
        """Print rows of data: drawn with a header on a terminal, else separated by tabs; without rows nothing."""
        cells = [list(row) for row in rows]
        if cells and sys.stdout.isatty():
            _draw(columns, cells)
        else:
            _put("\n".join("\t".join(map(_text, row)) for row in cells))

    def say(self, words: str) -> None:
        """Say one line to the user, unless `--quiet`."""
        if not self.quiet:
            _tell(words)

    def warn(self, words: str) -> None:
        """Say one line that `--quiet` must not hide."""
        _tell(f"warning: {words}")

    def error(self, what: str, hint: str | None = None) -> None:
        """Say what could not be done and, where it is known, what to do."""
        _tell(f"error: {what}")
        if hint:
            _tell(f"hint: {hint}")

    def fault(self, error: BaseException) -> None:
        """Show where the program itself went wrong: the traceback, without values of variables."""
        for line in "".join(traceback.format_exception(error)).splitlines():
            _tell(line)
        self.error("this is a fault of crmflow", hint="please report it with the lines above")

    @contextmanager
    def progress(self, description: str, total: int | None) -> Iterator[Progress]:
        """Show bytes done and `total` (None: unknown), rate and time left, where standard error is a terminal."""
        if self.quiet or not sys.stderr.isatty() or _is_dumb():
            yield Progress(lambda _done: None)
        else:
            with _drawn_progress(description, total) as progress:
                yield progress


def bar(parts: Sequence[int], *, width: int = 24) -> str:
    """Return the parts of a whole as a bar of `width` characters, each in its shade; a part above zero always shows.

    Blocks where the output can show them, ASCII where it can't. The bar of nothing is blank; it is never narrower than
    the number of its parts.
    """
    if not any(parts):
        return " " * max(width, len(parts))
    shades = _shades()
    return "".join(shades[at % len(shades)] * length for at, length in enumerate(_shares(parts, width)))


def legend(words: Sequence[str]) -> str:
    """Return what the shades of a `bar` mean, in the order of its parts."""
    shades = _shades()
    return "  ".join(f"{shades[at % len(shades)]} {word}" for at, word in enumerate(words))


class Stream(io.TextIOWrapper):
    """Standard output or error in UTF-8, whose failure is remembered and told at the end.

    A pipe that was closed or a disk that is full must not stop a command between a change and its commit. After the
    first failure everything goes to the null device.
    """

    def __init__(self, descriptor: int) -> None:
        """Write to an open descriptor, which stays open."""
        self.failure: OSError | None = None
        raw = io.FileIO(descriptor, "w", closefd=False)
        is_terminal = raw.isatty()
        super().__init__(
            io.BufferedWriter(raw), "utf-8", errors="backslashreplace", newline="\n", line_buffering=is_terminal
        )

    def write(self, text: str) -> int:
        """Write the text, or remember why it could not be."""
        try:
            return super().write(text)
        except OSError as error:
            self._fail(error)
            return len(text)

    def flush(self) -> None:
        """Hand on what was written, or remember why it could not be."""
        try:
            super().flush()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        self.failure = self.failure or error
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)


def prepare_streams() -> None:
    """Make the standard streams of this process fit for use: UTF-8, and none of them missing.

    A stream that the caller closed gets the null device, opened so that using it fails: otherwise the next file to be
    opened, the store, would take its number.
    """
    for descriptor, way in _CLOSED_AS:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, way)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8")
    sys.stdout = Stream(1)
    sys.stderr = Stream(2)


def take_failure() -> OSError | None:
    """Return why standard output could not be written, or None, and forget it."""
    sys.stdout.flush()
    if not isinstance(sys.stdout, Stream):
        return None
    failure, sys.stdout.failure = sys.stdout.failure, None
    return failure


def _put(text: str) -> None:
    if text:
        sys.stdout.write(f"{text}\n")


def _put_csv(table: Table) -> None:
    """Print comma-separated values (RFC 4180) in which a spreadsheet finds no formula."""
    import csv

    clean = visible if sys.stdout.isatty() else str
    writer = csv.writer(sys.stdout)
    for row in (table.columns, *table.rows):
        writer.writerow(["" if cell is None else clean(_defused(cell)) for cell in row])


def _defused(cell: str | float) -> str:
    """Guard what a spreadsheet would take for a formula by an apostrophe, which our own reader takes off again.

    The characters are those that OWASP names under CSV injection; a text that has the guard already gets another.
    """
    text = str(cell)
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA_MARKS) and isinstance(cell, str) else text


def _tell(words: str) -> None:
    sys.stdout.flush()  # what was printed before comes before, where both go to one place
    sys.stderr.write(f"{visible(words)}\n")
    sys.stderr.flush()


def _text(value: Cell) -> str:
    return "-" if value is None or value == "" else visible(str(value))


def _json(value: object, *, indent: int | None = 2) -> str:
    import json

    text = json.dumps(value, indent=indent, ensure_ascii=False)
    has_bytes = any("\ud800" <= each <= "\udfff" for each in text)  # of a file name that is not UTF-8
    return json.dumps(value, indent=indent) if has_bytes else text


def _json_for_terminal(text: str) -> str:
    import json

    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)


def _draw(columns: Sequence[str], rows: list[list[Cell]]) -> None:
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    console = Console(
        file=sys.stdout, color_system=None if _is_dumb() else "auto", markup=False, emoji=False, highlight=False
    )
    if _natural_width(columns, rows) > console.width:
        _put("\n\n".join(_as_card(columns, row) for row in rows))
        return
    grid = Grid(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for at, column in enumerate(columns):
        is_count = all(isinstance(row[at], int) for row in rows)
        grid.add_column(Text(visible(column)), overflow="fold", justify="right" if is_count else "left")
    for row in rows:
        grid.add_row(*(Text(_text(cell)) for cell in row))
    console.print(grid)


def _natural_width(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> int:
    from rich.cells import cell_len

    widths = [max(map(cell_len, cells)) for cells in zip(columns, *(map(_text, row) for row in rows), strict=True)]
    return sum(widths) + 2 * (len(widths) - 1)


def _as_card(columns: Sequence[str], row: Sequence[Cell]) -> str:
    """Return a row that is too wide for the terminal as lines, one for each cell that is not empty."""
    width = max(map(len, columns))
    told = ((column, cell) for column, cell in zip(columns, row, strict=True) if cell is not None and cell != "")
    return "\n".join(f"{column:<{width}}  {_text(cell)}" for column, cell in told)


@contextmanager
def _drawn_progress(description: str, total: int | None) -> Iterator[Progress]:
    from rich import progress as rich_progress
    from rich.console import Console

    shown = rich_progress.Progress(
        rich_progress.TextColumn("{task.description}", markup=False),
        rich_progress.BarColumn(),
        rich_progress.DownloadColumn(),
        rich_progress.TransferSpeedColumn(),
        rich_progress.TimeRemainingColumn(),
        console=Console(file=sys.stderr, markup=False, emoji=False, highlight=False),
        transient=True,
        redirect_stdout=False,  # data stay on standard output; words are put above the bar
    )
    with shown:
        task = shown.add_task(visible(description), total=total)
        yield Progress(lambda done: shown.update(task, completed=done))


def _is_dumb() -> bool:
    return os.environ.get("TERM", "dumb") == "dumb"


def _shades() -> str:
    has_blocks = sys.stdout.encoding.lower().startswith("utf") and not (sys.stdout.isatty() and _is_dumb())
    return _SHADES if has_blocks else _ASCII_SHADES


def _shares(parts: Sequence[int], width: int) -> list[int]:
    """Cut a width in proportion to the parts, each part above zero getting one at least."""
    exact = [part * max(width, len(parts)) / sum(parts) for part in parts]
    shares = [max(1, int(each)) if each else 0 for each in exact]
    while rest := round(sum(exact)) - sum(shares):
        gaps = [(want - have, at) for at, (want, have) in enumerate(zip(exact, shares, strict=True))]
        if rest > 0:
            shares[max(gaps)[1]] += 1
        else:
            shares[min(gap for gap in gaps if shares[gap[1]] > 1)[1]] -= 1
    return shares
