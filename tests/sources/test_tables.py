"""Tables of records: CSV, TSV and JSON lines."""

import csv
import io
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmflow.core.errors import CrmflowError, UsageError
from crmflow.sources.tables import MAX_ROW_CHARACTERS, Row, read_rows

Write = Callable[..., str]


@pytest.fixture
def rows(write: Write) -> Callable[..., list[Row]]:
    """Return a function that writes a table and reads its rows."""

    def read(content: bytes | str, name: str = "table.csv") -> list[Row]:
        with read_rows(write(content if isinstance(content, bytes) else content.encode(), name)) as table:
            return list(table)

    return read


Rows = Callable[..., list[Row]]


@pytest.fixture
def complaint(rows: Rows, write: Write) -> Callable[..., str]:
    """Return a function that says why a table can't be read, without the folder."""

    def read(content: bytes | str, name: str = "table.csv") -> str:
        with pytest.raises(CrmflowError) as caught:
            rows(content, name)
        folder = os.path.dirname(write(b"", "other"))  # noqa: PTH120
        return caught.value.what.replace(f"{folder}/", "")

    return read


Complaint = Callable[..., str]

# --- CSV --------------------------------------------------------------------------------------------------------------


def test_a_csv_gives_its_rows_as_text_with_their_lines(rows: Rows) -> None:
    """Nothing is taken for a number; blank lines are no rows; a quoted cell may hold newlines."""
    assert rows('key,name\n01234,"Ana, ""A"""\n\n  \nD-2,"two\r\nlines"\r\n3,\n') == [
        Row(2, {"key": "01234", "name": 'Ana, "A"'}),
        Row(5, {"key": "D-2", "name": "two\r\nlines"}),
        Row(7, {"key": "3", "name": ""}),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_what_spreadsheets_write_is_read(rows: Rows, delimiter: str, encoding: str, line_end: str) -> None:
    """Any of three delimiters, a byte order mark, UTF-16 with one, and either line end."""
    text = line_end.join(["key;name", "p-1;Zoë", "p-2;x", ""]).replace(";", delimiter)
    assert rows(text.encode(encoding)) == [Row(2, {"key": "p-1", "name": "Zoë"}), Row(3, {"key": "p-2", "name": "x"})]


def test_the_delimiter_is_that_of_the_header_outside_of_quotes(rows: Rows) -> None:
    """A column by itself needs none, and a file that is called TSV has tabs."""
    assert rows('key;"a,b,c,d"\n1;2\n') == [Row(2, {"key": "1", "a,b,c,d": "2"})]
    assert rows("email\nana@acme.example\n") == [Row(2, {"email": "ana@acme.example"})]
    assert rows("name, first\tkey\nx\ty\n", "table.tsv") == [Row(2, {"name, first": "x", "key": "y"})]
    assert rows("key\na,b\n", "one.TSV") == [Row(2, {"key": "a,b"})]


def test_cells_lose_the_white_space_around_them_and_one_guard(rows: Rows) -> None:
    """The apostrophe goes only where it guards what a spreadsheet would take for a formula."""
    cells = [" a ", "'+33 1", "'-5", "'=x", "'@x", "'\tx", "''=x", "'tis", "'", "x'=y", "\u00a0b\u00a0"]
    found = rows("key,n\n" + "".join(f'"{cell}",\n' for cell in cells))
    plain = ["a", "+33 1", "-5", "=x", "@x", "\tx", "'=x", "'tis", "'", "x'=y", "b"]
    assert [row.cells["key"] for row in found] == plain
    assert rows(" key , 'name\n1,2\n") == [Row(2, {"key": "1", "'name": "2"})]


def test_a_faulty_row_is_invalid_and_the_others_are_read(rows: Rows) -> None:
    """Whatever stays within its row does not touch the rest."""
    long = b"x" * (MAX_ROW_CHARACTERS + 1)
    quoted = b'"' + long + b'"'
    bad = [b"a", b"a,b,c", b"a\0,b", b"a\xff,b", long + b",b", quoted + b",b", b'"a"x,b', b"a\rb,c", b"\xed\xa0\x80,b"]
    found = rows(b"key,name\n" + b"\nok,fine\n".join([*bad, b""]))
    assert [row.fault for row in found[::2]] == [
        "1 cells where the header has 2",
        "3 cells where the header has 2",
        "NUL character",
        "invalid UTF-8",
        "line longer than 1 MiB",
        "line longer than 1 MiB",
        "text behind a closing quote",
        "carriage return in a cell without quotes",
        "invalid UTF-8",
    ]
    assert found[1::2] == [Row(line, {"key": "ok", "name": "fine"}) for line in range(3, 21, 2)]
    assert [row.cells for row in found[::2]] == [{"key": "a"}, {"key": "a", "name": "b"}, *({} for _ in range(7))]


def test_a_cell_of_a_megabyte_is_read(rows: Rows) -> None:
    """Only beyond that a row is too long."""
    cell = "x" * (MAX_ROW_CHARACTERS - 2)
    assert rows(f"key,name\n{cell},y\n") == [Row(2, {"key": cell, "name": "y"})]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('key,name\n1,a\n2,"b\n3,c\n', 3),
        ('key,name\n1,"a\n2,"b"\n3,c\n', 2),
        ('key,name\n1,"a\n', 2),
        ('key,name\n1,"a', 2),
        ('key,name\n1,"a\nb","c\n3,d\n', 3),
        ('key,name\n1,"a\nb""c\n3,d\n', 2),
        ('key,"name\n1,a\n', 1),
        ('key,name\n1,"' + "x" * MAX_ROW_CHARACTERS + "\n2,b\n", 2),
        ('key,name\n1,"a\n' + "2,b\n" * 500_000, 2),
    ],
)
def test_a_quote_that_is_not_closed_stops_the_reading(complaint: Complaint, content: str, line: int) -> None:
    """The line where it was opened is named, however much comes behind it."""
    assert complaint(content) == f"table.csv:{line}: a quote is opened and not properly closed"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "table.csv is empty"),
        (b"\xef\xbb\xbf", "table.csv is empty"),
        (b"\n \r\n\n", "table.csv is empty"),
        (b"key,name,key\n1,2,3\n", "table.csv:1: the header has two columns 'key'"),
        (b"\nkey, key \n", "table.csv:2: the header has two columns 'key'"),
        (b"key,,name\n", "table.csv:1: column 2 of the header has no name"),
        (b"key,\n", "table.csv:1: column 2 of the header has no name"),
        (b"k\xffy,name\n", "table.csv:1: the header can't be read: invalid UTF-8"),
        (b"k\0ey,name\n", "table.csv:1: the header can't be read: NUL character"),
        (b"key\r1\r2\r", "table.csv:1: the header can't be read: carriage return in a cell without quotes"),
        (b"x" * (MAX_ROW_CHARACTERS + 1), "table.csv:1: the header can't be read: line longer than 1 MiB"),
        (b' [{"key": 1}]', "table.csv is one JSON array, not one object per line"),
        ("key\nx".encode("utf-16")[:-1], "table.csv:2: cut off in the middle of a character"),
    ],
)
def test_a_table_without_a_proper_header_is_refused(complaint: Complaint, content: bytes, expected: str) -> None:
    """Nothing is guessed from it."""
    assert complaint(content) == expected


def test_a_header_by_itself_is_a_table_of_no_rows(write: Write) -> None:
    """Its columns are there for the caller to judge."""
    with read_rows(write(b"key,name", "table.csv")) as table:
        assert table.columns == ("key", "name")
        assert not table.is_typed
        assert list(table) == []


def test_damaged_utf_16_is_a_fault_of_its_row(rows: Rows) -> None:
    """Half a surrogate pair does not stop the others."""
    content = "key\na\nb\n".encode("utf-16-le").replace(b"a\0", b"\x00\xd8")
    assert rows(b"\xff\xfe" + content) == [Row(2, {}, "invalid UTF-16"), Row(3, {"key": "b"})]


cells = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=6)


@given(
    st.lists(st.tuples(cells, cells), max_size=6), st.sampled_from([",", ";", "\t"]), st.sampled_from(["\n", "\r\n"])
)
def test_what_the_csv_module_writes_is_what_is_read(
    write: Write, pairs: list[tuple[str, str]], delimiter: str, line_end: str
) -> None:
    """Any text, quoted as it must be, comes back but for white space around it and a guard."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL).writerows(
        [("key", "name"), *pairs]
    )
    with read_rows(write(text.getvalue().encode(), "table.csv")) as table:
        found = list(table)
    assert not any(row.fault for row in found)
    assert len(found) == len(pairs)
    for row, pair in zip(found, pairs, strict=True):
        for cell, original in zip(row.cells.values(), pair, strict=True):
            assert cell in (original.strip(), original.strip()[1:])


_PLAIN_PARTS = st.sampled_from(["a", "b c", " ", ",", ";", "\t", "\n", "\r\n", "\x0b", "\x1f", "=1", "-"])


@given(
    lines=st.lists(_PLAIN_PARTS, max_size=30).map("".join),
    header=st.sampled_from(["key", "key,name", "key;name", "key\tname"]),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_plain_lines_are_what_a_second_look_makes_of_them(
    tmp_path_factory: pytest.TempPathFactory, lines: str, header: str, newline: str
) -> None:
    """Where nothing is unusual lines are only split. One unusual row at the end has all of them looked at."""
    text = f"{header}{newline}{lines}{newline}"
    plain, looked_at = tmp_path_factory.mktemp("t") / "plain.csv", tmp_path_factory.mktemp("t") / "looked_at.csv"
    plain.write_text(text, newline="")
    looked_at.write_text(f"{text}'=1{newline}", newline="")
    with read_rows(str(plain)) as quickly, read_rows(str(looked_at)) as slowly:
        *expected, _ = slowly
        assert list(quickly) == expected


@given(st.lists(st.sampled_from([b'"', b",", b"\n", b"\r", b"a", b"'", b"=", b"\0", b"\xff", b"{}", b"\xc3\xa9"])))
def test_arbitrary_bytes_are_rows_or_an_error_for_the_user(write: Write, parts: list[bytes]) -> None:
    """No other exception leaves the reader; a sound row has all the columns and text that can be stored."""
    try:
        with read_rows(write(b"key,name\n" + b"".join(parts), "table.csv")) as table:
            found = list(table)
    except CrmflowError:
        found = []
    for row in found:
        assert row.fault or list(row.cells) == ["key", "name"]
        assert all("\0" not in str(cell) and str(cell).encode() is not None for cell in row.cells.values())


# --- JSON lines -------------------------------------------------------------------------------------------------------


def test_json_lines_keep_their_types(write: Write) -> None:
    """They have no header: each row has the columns that it says."""
    content = b'\xef\xbb\xbf\n{"key": "a", "n": 5}\n\n{"key": " b ", "x": null, "y": 1.5, "z": true}\r\n{"n": "\'=1"}'
    with read_rows(write(content, "table.txt")) as table:
        assert table.is_typed
        assert table.columns == ()
        assert list(table) == [
            Row(2, {"key": "a", "n": 5}),
            Row(4, {"key": " b ", "x": None, "y": 1.5, "z": True}),
            Row(5, {"n": "'=1"}),
        ]


def test_a_faulty_json_line_is_an_invalid_row(rows: Rows) -> None:
    """By its extension a file is JSON lines whatever its first line is."""
    bad = [
        b"nonsense",
        b'{"a": 1, "a": 2}',
        b'{"key": "k", "tags": ["x"]}',
        b'{"n": 9223372036854775808}',
        b'{"n": "\\u0000"}',
        b'{"\\ud800": 1}',
        b'{"n": NaN}',
        b'{"n": "\xff"}',
        b'{"n": "' + b'"' * MAX_ROW_CHARACTERS,
        b"12",
    ]
    found = rows(b'\n{"key": "ok"}\n'.join([*bad, b""]), "table.ndjson")
    assert [row.fault for row in found[::2]] == [
        "not JSON: Expecting value at character 1",
        "duplicate key 'a'",
        "'tags' must be text, a number, true, false or null, not an array",
        "'n' is beyond 64 bits: 9223372036854775808",
        "NUL character in 'n'",
        "half a surrogate pair in a key",
        "NaN is no JSON",
        "invalid UTF-8",
        "line longer than 1 MiB",
        "expected one JSON object per line",
    ]
    assert found[1::2] == [Row(line, {"key": "ok"}) for line in range(2, 22, 2)]
    assert found[4].cells == {"key": "k"}


# --- reading ----------------------------------------------------------------------------------------------------------


def test_a_table_says_how_far_it_was_read(write: Write) -> None:
    """So that a progress bar can be shown."""
    content = b"key\n" + b"x\n" * 200_000
    with read_rows(write(content, "table.csv")) as table:
        assert table.total_bytes == len(content)
        before = table.bytes_read
        assert sum(1 for _ in table) == 200_000
        assert before < table.bytes_read == len(content)


def test_a_large_table_is_streamed(write: Write) -> None:
    """Memory does not grow with the rows."""
    path = write(b"key,name\n" + b"p-1,some name or other\n" * 80_000, "table.csv")
    tracemalloc.start()
    with read_rows(path) as table:
        assert not any(row.fault for row in table)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000


def test_standard_input_is_a_table_of_unknown_size() -> None:
    """`-` reads it."""
    script = (
        "from crmflow.sources.tables import read_rows\n"
        "table = read_rows('-')\n"
        "print(table.path, table.total_bytes, table.columns, [row.cells for row in table], table.bytes_read)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], input=b"key\n1\n", capture_output=True, check=True)
    assert done.stdout == b"- None ('key',) [{'key': '1'}] 6\n"


def test_what_can_not_be_opened_is_an_error_that_names_it(tmp_path: Path) -> None:
    """A directory is wrong usage."""
    with pytest.raises(UsageError, match="is a directory"):
        read_rows(str(tmp_path))
    with pytest.raises(CrmflowError, match=r"cannot read .*/none: No such file or directory"):
        read_rows(f"{tmp_path}/none")
