"""`crmflow rejects ...`: the lines that were not understood, kept with their place and reason."""

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Crm

AT = "2026-03-02T10:00:00Z"
LINES = [
    json.dumps({"type": "replied", "time": AT, "prospect": "p-3"}),
    "no json",
    json.dumps({"type": "replied", "time": "2026-03-02T10:00:00", "prospect": "p-1"}),
    json.dumps({"type": "replied", "time": "2999-01-01T00:00:00Z", "prospect": "p-1"}),
    json.dumps({"type": "page_visited", "time": AT, "prospect": "p-1"}),
    json.dumps({"type": "replied", "time": AT, "prospect": "p-1", "deal": "D-1"}),
    '{"type": "replied", "type": "replied"}',
]


@pytest.fixture
def rejecting(crm: "Crm") -> "Crm":
    """Return the small CRM with a log in which only the first line is understood."""
    crm("ingest", crm.write("events.jsonl", "\n".join(LINES) + "\n"), status=3)
    return crm


def test_a_reject_keeps_its_place_reason_and_text(rejecting: "Crm") -> None:
    """`rejects list --json` gives source, line, byte offset, reason and the line itself."""
    listed = rejecting.json("rejects", "list")
    assert listed[0] == {
        "reject": 1,
        "run": 9,
        "source": "events.jsonl",
        "line": 2,
        "offset": len(LINES[0]) + 1,
        "reason": "not JSON: Expecting value at character 1",
        "text": "no json",
    }
    assert [each["text"] for each in listed] == LINES[1:]
    assert [each["reason"] for each in listed[1:]] == [
        "time without an offset: '2026-03-02T10:00:00'",
        "time more than a day in the future: '2999-01-01T00:00:00Z'",
        "page_visited without 'url'",
        "more than one record: 'prospect' and 'deal'",
        "duplicate key 'type'",
    ]


def test_a_reject_is_a_line(rejecting: "Crm") -> None:
    """`rejects list` prints source, line, reason and text, one reject a line."""
    first = rejecting("rejects", "list").stdout.splitlines()[0]
    assert first == "events.jsonl\t2\tnot JSON: Expecting value at character 1\tno json"


def test_rejects_can_be_json_lines(rejecting: "Crm") -> None:
    """`rejects list --jsonl` prints one JSON object for each reject."""
    lines = rejecting("rejects", "list", "--jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == rejecting.json("rejects", "list")


def test_the_rest_of_the_log_is_read(rejecting: "Crm") -> None:
    """A line that is not understood does not stop the run."""
    assert rejecting.left() == {"p-3": (AT, "replied")}


def test_a_line_is_kept_once(rejecting: "Crm") -> None:
    """Reading the log again does not keep its rejects twice."""
    assert rejecting.json("ingest", "--from-start", "events.jsonl", status=3)["rejected"] == 6
    assert len(rejecting.json("rejects", "list")) == 6


def test_what_is_no_text_is_shown_harmlessly(crm: "Crm") -> None:
    """Bytes that are no UTF-8 and control characters of a reject are shown as escapes."""
    crm("ingest", crm.write("events.jsonl", b"\xff\x1b[2J\x00\n"), status=3)
    shown = crm("rejects", "list").stdout
    assert shown.startswith("events.jsonl\t1\tinvalid UTF-8 at byte 1 of the line\t")
    assert shown.rstrip("\n").replace("\t", "").isprintable()


def test_a_long_line_is_kept_in_part(crm: "Crm") -> None:
    """Of a line that is longer than 1 MiB the first 64 KiB are kept, and the line after it is read."""
    event = json.dumps({"type": "replied", "time": AT, "prospect": "p-2"})
    crm("ingest", crm.write("events.jsonl", "x" * 1_100_000 + f"\n{event}\n"), status=3)
    [reject] = crm.json("rejects", "list")
    assert (reject["reason"], len(reject["text"])) == ("line longer than 1 MiB", 65_536)
    assert crm.left() == {"p-2": (AT, "replied")}


def test_retry_keeps_what_is_still_not_understood(rejecting: "Crm") -> None:
    """`rejects retry` changes nothing where no line is understood now, and ends with 3."""
    before = rejecting.tables()
    ran = rejecting("rejects", "retry", status=3)
    assert ran.stdout == "0 understood now, 6 still not; 0 enrollments ended, 0 exits moved\n"
    assert rejecting.tables() == before


def test_retry_takes_what_is_understood_now(rejecting: "Crm") -> None:
    """A line that is understood now has its effect, names its place in the log, and is kept no longer."""
    _teach(rejecting, line=3, text=json.dumps({"type": "replied", "time": AT, "prospect": "p-1"}))
    assert rejecting.json("rejects", "retry", status=3) == {
        "run": 10,
        "understood": 1,
        "rejected": 5,
        "exits": 2,
        "moved": 0,
    }
    assert [each["line"] for each in rejecting.json("rejects", "list")] == [2, 4, 5, 6, 7]
    [left] = rejecting.json("enrollment", "list", "--record", "prospect:p-1", "--workflow", "welcome")
    assert (left["exit"]["event"]["source"], left["exit"]["event"]["line"]) == ("events.jsonl", 3)


def _teach(crm: "Crm", line: int, text: str) -> None:
    """Make a kept line one that this version understands, as a newer version would find an older one's rejects."""
    with closing(sqlite3.connect(crm.store)) as connection, connection:
        connection.execute("UPDATE reject SET text = ? WHERE line = ?", [text.encode(), line])


def test_clear_forgets_them(rejecting: "Crm") -> None:
    """`rejects clear` takes them out of the store, text and all; the second time there is nothing to do."""
    assert rejecting("rejects", "clear").stdout == "6 rejects are gone\n"
    assert rejecting("rejects", "list").stdout == ""
    assert b"no json" not in rejecting.store.read_bytes()
    again = rejecting.json("rejects", "clear")
    assert (again["run"], again["cleared"]) == (None, 0)


def test_without_rejects_there_is_nothing_to_do(crm: "Crm") -> None:
    """With no rejects kept, list is empty and retry ends with 0."""
    assert crm.json("rejects", "list") == []
    assert crm.json("rejects", "retry") == {"run": None, "understood": 0, "rejected": 0, "exits": 0, "moved": 0}
