"""`crmflow ingest`: which lines count as what, which bytes are read, and what a log that arrives late does."""

import gzip
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zstandard

if TYPE_CHECKING:
    from tests.cli.conftest import Crm

REPLY = {"id": "r-1", "type": "replied", "time": "2026-03-02T10:00:00Z", "prospect": "p-2"}
LATER = {"id": "r-2", "type": "replied", "time": "2026-03-03T10:00:00Z", "prospect": "p-3"}


def test_every_line_is_in_one_class(crm: "Crm") -> None:
    """Each line is rejected, of unknown type, without effect, unmatched or considered; blank lines are none."""
    at = "2026-03-02T10:00:00Z"
    crm.log(
        "events.jsonl",
        REPLY,
        {"type": "replied", "time": at, "prospect": "nobody@acme.example"},
        {"type": "email_opened", "time": at, "prospect": "p-1"},
        {"type": "page_visited", "time": at, "prospect": "p-1", "url": "https://elsewhere.example/"},
        {"type": "field_updated", "time": at, "prospect": "p-1", "field": "city"},
        {"type": "field_updated", "time": at, "prospect": "p-1", "field": "city", "value": "Rome"},
        {"type": "sms_sent", "time": at, "prospect": "p-1"},
        {"type": "call_made"},
        {"type": "sms_sent", "time": at},
        {"type": "replied", "prospect": "p-1"},
        {"type": "link_clicked", "time": at, "prospect": "p-1", "workflow": "no-such"},
        {"type": "replied", "time": at, "deal": "D-1"},
    )
    with (crm.directory / "events.jsonl").open("a") as file:
        file.write("\n   \nno json\n")
    said = crm.json("ingest", "events.jsonl", status=3)
    assert said == {
        "run": 9,
        "lines": 13,
        "rejected": 3,
        "unknown_types": {"sms_sent": 2, "call_made": 1},
        "without_effect": 3,
        "unmatched": 2,
        "considered": 2,
        "exits": 1,
        "moved": 0,
        "incomplete": 0,
        "sources": [{"path": "events.jsonl", "from_offset": 0, "to_offset": _size(crm, "events.jsonl"), "lines": 13}],
    }


def _size(crm: "Crm", name: str) -> int:
    return (crm.directory / name).stat().st_size


def test_the_counts_are_told_in_words(crm: "Crm") -> None:
    """Without `--json` one line of counts goes to standard output; rejects are a warning that `--quiet` leaves."""
    crm.log("events.jsonl", REPLY, {"type": "sms_sent"}, {"type": "replied"})
    ran = crm("ingest", "events.jsonl", "--dry-run", status=3)
    assert ran.stdout == "3 lines, 1 rejected, 1 considered, 1 exits, 1 of unknown type\n"
    ran = crm("ingest", "events.jsonl", "--quiet", status=3)
    assert (ran.stdout, ran.stderr) == ("", "warning: lines that were not understood: 1 (crmflow rejects list)\n")


@pytest.mark.parametrize(
    ("event", "workflow", "record", "trigger"),
    [
        ({"type": "link_clicked", "prospect": "p-1", "workflow": "welcome"}, "welcome", "p-1", "link_clicked"),
        ({"type": "link_clicked", "prospect": "p-1", "workflow": "nurture"}, "welcome", "p-1", None),
        ({"type": "replied", "prospect": "ANA@acme.example", "workflow": "nurture"}, "welcome", "p-1", "replied"),
        ({"type": "conversation_started", "prospect": "p-1"}, "welcome", "p-1", "conversation_started"),
        (
            {"type": "page_visited", "prospect": "p-1", "url": "http://WWW.acme.example/pricing"},
            "welcome",
            "p-1",
            None,
        ),
        (
            {"type": "page_visited", "prospect": "p-1", "url": "https://WWW.acme.example:443/pricing/x?y#z"},
            "welcome",
            "p-1",
            "page_visited",
        ),
        ({"type": "hard_bounced", "prospect": "p-1"}, "welcome", "p-1", "hard_bounced"),
        (
            {"type": "field_updated", "prospect": "p-1", "field": "status", "value": "lost"},
            "welcome",
            "p-1",
            "field_updated",
        ),
        ({"type": "field_updated", "prospect": "p-1", "field": "status", "value": "warm"}, "welcome", "p-1", None),
        (
            {"type": "field_updated", "prospect": "p-1", "field": "status", "value": "lost", "old": "lost"},
            "welcome",
            "p-1",
            None,
        ),
        ({"type": "deal_won", "deal": "D-1"}, "closing", "D-1", "deal_won"),
        ({"type": "deal_lost", "deal": "D-1"}, "closing", "D-1", "deal_lost"),
        ({"type": "field_updated", "deal": "D-1", "field": "status", "value": "won"}, "closing", "D-1", "deal_won"),
        ({"type": "field_updated", "organization": "o-1", "field": "owner"}, "onboarding", "o-1", "field_updated"),
    ],
)
def test_triggers(crm: "Crm", event: dict[str, str], workflow: str, record: str, trigger: str | None) -> None:
    """Each trigger of the table ends the enrollment at the time of the event, and only for what it waits for."""
    crm("ingest", crm.log("events.jsonl", {**event, "time": "2026-03-02T12:00:00+02:00"}))
    assert crm.left(workflow) == ({record: ("2026-03-02T10:00:00Z", trigger)} if trigger else {})


def test_a_deal_that_is_won_has_that_status(crm: "Crm") -> None:
    """A `deal_won` is an update of the deal's status, and a `field_updated` with a value sets the field."""
    at = "2026-03-02T10:00:00Z"
    crm.log(
        "events.jsonl",
        {"type": "deal_won", "time": at, "deal": "D-1"},
        {"type": "field_updated", "time": at, "deal": "D-1", "field": "amount", "value": 500},
    )
    crm("ingest", "events.jsonl")
    assert crm.json("record", "show", "deal:D-1")["fields"] == {"status": "won", "amount": 500, "organization": "o-1"}


def test_an_appended_log_is_read_once(crm: "Crm") -> None:
    """Only what was appended is read; with nothing new there is no run."""
    crm.log("events.jsonl", REPLY)
    middle = crm.json("ingest", "events.jsonl")["sources"][0]["to_offset"]
    nothing = crm.json("ingest", "events.jsonl")
    assert (nothing["run"], nothing["lines"], nothing["sources"]) == (None, 0, [])
    crm.log("events.jsonl", LATER)
    assert crm.json("ingest", "events.jsonl")["sources"] == [
        {"path": "events.jsonl", "from_offset": middle, "to_offset": _size(crm, "events.jsonl"), "lines": 1}
    ]
    [left] = crm.json("enrollment", "list", "--record", "prospect:p-3")
    assert (left["exit"]["event"]["source"], left["exit"]["event"]["line"]) == ("events.jsonl", 2)


def test_a_renamed_log_is_known_again(crm: "Crm") -> None:
    """A log that was renamed and one that was compressed since are the same log; a new one takes its old name."""
    crm("ingest", crm.log("events.jsonl", REPLY))
    (crm.directory / "events.jsonl").rename(crm.directory / "events.jsonl.1")
    crm.write("events.jsonl.1.gz", gzip.compress((crm.directory / "events.jsonl.1").read_bytes()))
    crm.log("events.jsonl", LATER)
    said = crm.json("ingest", "events.jsonl.1", "events.jsonl.1.gz", "events.jsonl")
    assert [source["path"] for source in said["sources"]] == ["events.jsonl"]
    assert said["lines"] == 1


def test_a_truncated_log_is_read_from_its_start(crm: "Crm") -> None:
    """A log that was truncated and written anew is read from its start, and that is said."""
    crm("ingest", crm.log("events.jsonl", REPLY))
    crm.write("events.jsonl", "")
    ran = crm("ingest", crm.log("events.jsonl", LATER))
    assert ran.stdout == "1 lines, 1 considered, 1 exits\n"
    assert "events.jsonl: new content since it was last read (rotated or replaced); read from its start" in ran.stderr


def test_from_start_reads_all_again(crm: "Crm") -> None:
    """`--from-start` reads everything, and changes nothing where nothing is new to the store."""
    crm("ingest", crm.log("events.jsonl", REPLY, LATER))
    before = crm.json("enrollment", "list")
    again = crm.json("ingest", "--from-start", "events.jsonl")
    assert (again["lines"], again["considered"], again["exits"], again["moved"]) == (2, 2, 0, 0)
    assert crm.json("enrollment", "list") == before


def test_from_start_reaches_later_enrollments(crm: "Crm") -> None:
    """An enrollment made after the log was read is settled by reading it again."""
    crm("ingest", crm.log("events.jsonl", {**REPLY, "prospect": "p-4"}))
    crm("enroll", "p-4", "--workflow", "welcome", "--at", "2026-03-01T00:00:00Z")
    assert crm.json("ingest", "events.jsonl")["exits"] == 0
    assert crm.json("ingest", "events.jsonl", "--from-start")["exits"] == 1


def test_standard_input_is_a_log(crm: "Crm") -> None:
    """`-` is standard input, read whole every time."""
    events = json.dumps(REPLY) + "\n"
    said = crm.json("ingest", "-", stdin=events)
    assert said["sources"] == [{"path": "-", "from_offset": 0, "to_offset": len(events), "lines": 1}]
    assert crm.json("ingest", "-", stdin=events)["considered"] == 1
    [left] = crm.json("enrollment", "list", "--record", "prospect:p-2")
    assert left["exit"]["event"] == {
        "id": "r-1",
        "type": "replied",
        "time": "2026-03-02T10:00:00Z",
        "source": "-",
        "line": 1,
    }


@pytest.mark.parametrize("name", ["events.jsonl.gz", "events.jsonl.zst", "any"])
def test_archives_are_read_as_they_are(crm: "Crm", name: str) -> None:
    """`.gz` and `.zst` are unpacked on the way, known by their first bytes; offsets are those of the text."""
    text = (json.dumps(REPLY) + "\n").encode()
    crm.write(name, zstandard.compress(text) if name.endswith("zst") else gzip.compress(text))
    said = crm.json("ingest", name)
    assert (said["exits"], said["sources"][0]["to_offset"]) == (1, len(text))
    assert crm.json("ingest", name)["run"] is None


def test_an_archive_that_breaks_off(crm: "Crm") -> None:
    """Of an archive that was cut off the whole lines are read; the fault is told, and the exit status is 3."""
    text = "".join(json.dumps({**REPLY, "id": os.urandom(20).hex()}) + "\n" for _ in range(500)).encode()
    crm.write("events.jsonl.gz", gzip.compress(text)[:-5000])
    assert crm.json("ingest", "events.jsonl.gz", "--dry-run", status=3)["exits"] == 1
    ran = crm("ingest", "events.jsonl.gz", status=3)
    assert ran.stderr == "warning: events.jsonl.gz: truncated archive\n"
    assert crm.left() == {"p-2": ("2026-03-02T10:00:00Z", "replied")}


def test_an_unfinished_last_line_waits(crm: "Crm") -> None:
    """A last line that is no whole event is left for the next run, and said; finished, it is read once."""
    line = json.dumps(REPLY)
    crm.write("events.jsonl", line[:40])
    ran = crm("ingest", "events.jsonl")
    assert ran.stdout == "0 lines, 0 exits, 1 incomplete\n"
    assert ran.stderr == "events.jsonl: the last line is not complete; left for the next run\n"
    crm.write("events.jsonl", line + "\n")
    assert crm.json("ingest", "events.jsonl")["exits"] == 1


def test_a_whole_last_line_needs_no_newline(crm: "Crm") -> None:
    """A last line that is a complete event is read without its newline, and not again with it."""
    crm.write("events.jsonl", json.dumps(REPLY))
    assert crm.json("ingest", "events.jsonl")["exits"] == 1
    crm.write("events.jsonl", json.dumps(REPLY) + "\n")
    assert crm.json("ingest", "events.jsonl")["lines"] == 0


def test_a_missing_log_does_not_stop_the_others(crm: "Crm") -> None:
    """Of several logs those that are there are read; the missing one is named, and the exit status is 3."""
    ran = crm("ingest", "missing.jsonl", crm.log("events.jsonl", REPLY), status=3)
    assert ran.stdout == "1 lines, 1 considered, 1 exits\n"
    assert ran.stderr == "warning: cannot read missing.jsonl: No such file or directory\n"
    assert crm.left() == {"p-2": ("2026-03-02T10:00:00Z", "replied")}


def test_no_log_at_all_is_an_error(crm: "Crm") -> None:
    """Where none of the logs can be read, nothing is changed and the exit status is 1."""
    said = crm.refused("ingest", "missing.jsonl", "gone.jsonl")
    assert said.endswith("error: none of the logs could be read; nothing was changed\n")


def test_a_directory_stops_before_anything_is_read(crm: "Crm") -> None:
    """A directory among the logs is wrong usage: not even the logs before it are read."""
    said = crm.refused("ingest", crm.log("events.jsonl", REPLY), ".", status=2)
    assert said.startswith("error: . is a directory")
    assert "hint: name the files in it, for example ./*.jsonl\n" in said


def test_the_same_file_twice_is_read_once(crm: "Crm") -> None:
    """A file that is named twice, under whatever name, is read once, and that is said."""
    crm.log("events.jsonl", REPLY)
    (crm.directory / "link").symlink_to("events.jsonl")
    ran = crm("ingest", "events.jsonl", "./events.jsonl", "link")
    assert ran.stdout == "1 lines, 1 considered, 1 exits\n"
    assert ran.stderr == (
        "./events.jsonl: the same file as one before it; read once\nlink: the same file as one before it; read once\n"
    )


def test_an_empty_log_is_no_fault(crm: "Crm") -> None:
    """A log without a line yet is read without a word and without a run."""
    crm.write("events.jsonl", "")
    ran = crm("ingest", "events.jsonl")
    assert (ran.stdout, ran.stderr) == ("0 lines, 0 exits\n", "")


def test_a_late_log_moves_the_exit(crm: "Crm") -> None:
    """An event that arrives late moves the exit to its earlier time; the history keeps both."""
    crm("ingest", crm.log("events.jsonl", {**REPLY, "time": "2026-03-05T00:00:00Z"}))
    late = crm.json("ingest", crm.log("late.jsonl", {**REPLY, "id": "r-0", "type": "conversation_started"}))
    assert (late["exits"], late["moved"]) == (0, 1)
    [left] = crm.json("enrollment", "list", "--record", "prospect:p-2")
    assert (left["exited_at"], left["exit"]["event"]["id"], left["exit"]["run"]) == (
        "2026-03-02T10:00:00Z",
        "r-0",
        late["run"],
    )
    assert crm.json("run", "show", str(late["run"] - 1))["wrote"]["exits"] == 1


def test_the_order_of_logs_makes_no_difference(crm: "Crm", small_crm: Path) -> None:
    """Whatever the order of the events and files, the enrollments end the same way."""
    events = [{**REPLY, "id": f"e-{day}", "time": f"2026-03-0{day}T00:00:00Z"} for day in (4, 2, 3)]
    crm("ingest", crm.log("a.jsonl", *events[:2]), crm.log("b.jsonl", *events[2:]))
    forwards = crm.left()
    (crm.directory / "crm.db").write_bytes((small_crm / "crm.db").read_bytes())
    crm("ingest", crm.log("c.jsonl", *reversed(events)))
    assert crm.left() == forwards == {"p-2": ("2026-03-02T00:00:00Z", "replied")}


def test_at_the_same_moment_the_table_decides(crm: "Crm") -> None:
    """Of triggers of one moment the first in the table stands, of events of one trigger the smaller id."""
    same = {"time": "2026-03-02T10:00:00Z", "prospect": "p-2"}
    crm.log(
        "events.jsonl",
        {**same, "id": "a", "type": "conversation_started"},
        {**same, "id": "c", "type": "replied"},
        {**same, "id": "b", "type": "replied"},
        {**same, "type": "replied"},
    )
    crm("ingest", "events.jsonl")
    [left] = crm.json("enrollment", "list", "--record", "prospect:p-2")
    assert (left["exit"]["trigger"], left["exit"]["event"]["id"]) == ("replied", "b")


def test_a_field_has_the_value_of_its_latest_event(crm: "Crm") -> None:
    """Fields follow the time of events, not the order in which they are read."""
    update = {"type": "field_updated", "deal": "D-1", "field": "amount"}
    crm("ingest", crm.log("new.jsonl", {**update, "time": "2026-03-05T00:00:00Z", "value": 5}))
    crm("ingest", crm.log("old.jsonl", {**update, "time": "2026-03-04T00:00:00Z", "value": 4}))
    assert crm.json("record", "show", "deal:D-1")["fields"]["amount"] == 5


def test_an_event_before_the_enrollment_ends_nothing(crm: "Crm") -> None:
    """An event dated before the enrollment is considered and ends nothing; one of the same moment does."""
    crm.log(
        "events.jsonl",
        {**REPLY, "time": "2026-02-28T23:59:59.999Z"},
        {**LATER, "time": "2026-03-01T00:00:00Z"},
    )
    said = crm.json("ingest", "events.jsonl")
    assert (said["considered"], said["exits"]) == (2, 1)
    assert crm.left() == {"p-3": ("2026-03-01T00:00:00Z", "replied")}


def test_the_format_must_be_known(crm: "Crm") -> None:
    """`--format` names one of the formats; another word is wrong usage."""
    crm.log("events.jsonl", REPLY)
    assert "unknown format 'xml'" in crm.refused("ingest", "--format", "xml", "events.jsonl", status=2)
    assert crm.json("ingest", "--format", "crmflow", "events.jsonl")["exits"] == 1
