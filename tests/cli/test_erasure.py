"""Personal data can go: nothing of a removed person is left in any table, nor in the bytes of the files."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]

WORKFLOW = """
workflow: welcome
type: prospect
steps:
  - {name: intro, kind: email, after: 0d}
disenrollment_triggers:
  - trigger: replied
"""
AT = "2026-03-01T08:00:00Z"
MARKS = (
    "qmarkkey",
    "qmarkold",
    "qmarknew",
    "qmarkfield",
    "qmarkvalue",
    "qmarknote",
    "qmarkevent",
    "qmarkmail",
    "qmarkbroken",
)


@pytest.fixture
def crm(tmp_path: Path, run: Run) -> Callable[..., CompletedProcess[str]]:
    """Return how to call crmflow on a store in which one person has left traces everywhere."""
    store = tmp_path / "crm.db"
    (tmp_path / "welcome.yaml").write_text(WORKFLOW)
    log = [
        {"id": "qmarkevent-1", "type": "replied", "time": "2026-03-02T08:00:00Z", "prospect": "qmarkold@acme.example"},
        {"id": "e-2", "type": "field_updated", "time": AT, "prospect": "qmarkkey", "field": "f", "value": "qmarkvalue"},
        {"id": "qmarkevent-3", "type": "hard_bounced", "time": "2026-03-02T09:00:00Z", "prospect": "qmarkkey"},
    ]
    mail = {"time": AT, "prospect": "qmarkkey", "message": "qmarkmail-1"}
    log += [
        {"type": "email_sent", "workflow": "welcome", **mail},
        {"type": "link_clicked", **mail, "message": "qmarkmail-2"},
    ]
    broken = '{"type": "replied", "prospect": "QMARKOLD@acme.example", "qmarkbroken": \n'
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log) + broken)

    def call(*arguments: str) -> CompletedProcess[str]:
        return run("-m", "crmflow", "--db", str(store), *arguments)

    call("init")
    call("workflow", "apply", str(tmp_path / "welcome.yaml"))
    call("record", "add", "prospect:qmarkkey", "email=qmarkold@acme.example", "status=qmarkfield")
    call("record", "add", "prospect:bo", "email=bo@acme.example")
    call("enroll", "qmarkkey", "--workflow", "welcome", "--at", AT)
    call("enroll", "bo", "--workflow", "welcome", "--at", AT)
    call("disenroll", "qmarkkey", "--workflow", "welcome", "--at", "2026-03-03T08:00:00Z", "--note", "qmarknote")
    call("ingest", str(tmp_path / "events.jsonl"))
    call("record", "set", "prospect:qmarkkey", "email=qmarknew@acme.example")
    return call


def _bytes(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(directory.glob("crm.db*"))).lower()


def test_nothing_of_a_removed_person_is_left(crm: Run, tmp_path: Path) -> None:
    """After `record remove` no table and no byte of the store holds the person; the counts are as before."""
    assert all(mark.encode() in _bytes(tmp_path) for mark in MARKS)
    before = json.loads(crm("status", "--json").stdout)["workflows"]
    removed = crm("record", "remove", "prospect:qmarkkey", "--json")
    assert (removed.returncode, json.loads(removed.stdout)["rejects"]) == (0, 1)
    assert [mark for mark in MARKS if mark.encode() in _bytes(tmp_path)] == []
    assert json.loads(crm("status", "--json").stdout)["workflows"] == before
    assert crm("doctor").returncode == 0
    assert crm("record", "show", "prospect:qmarkkey").returncode == 1


def test_cleared_rejects_leave_no_bytes(crm: Run, tmp_path: Path) -> None:
    """After `rejects clear` the lines are gone from the file and the write-ahead log too."""
    assert b"qmarkbroken" in _bytes(tmp_path)
    assert json.loads(crm("rejects", "clear", "--json").stdout)["cleared"] == 1
    assert b"qmarkbroken" not in _bytes(tmp_path)


def test_the_same_person_can_be_added_again(crm: Run) -> None:
    """A removed key and email are free: adding them makes a new record without a history."""
    crm("record", "remove", "prospect:qmarkkey")
    assert crm("record", "add", "prospect:qmarkkey", "email=qmarkold@acme.example").returncode == 0
    assert json.loads(crm("record", "show", "prospect:qmarkkey", "--json").stdout)["enrollments"] == []


def test_a_reader_that_stays_is_named(crm: Run, tmp_path: Path) -> None:
    """Where another program keeps the old pages from being overwritten, that is said, and the removal stands."""
    reader = sqlite3.connect(tmp_path / "crm.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM record").fetchall()
    removed = crm("record", "remove", "prospect:qmarkkey", "--wait", "0.2")
    reader.close()
    assert removed.returncode == 3
    assert "another program is reading the store" in removed.stderr
    assert crm("record", "show", "prospect:qmarkkey").returncode == 1
    assert b"qmark" not in _bytes(tmp_path)
