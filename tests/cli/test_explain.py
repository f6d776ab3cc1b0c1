"""`crmflow explain`: the story in words, in a pipe and as JSON, and the exit status."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.conftest import Crm, Run


def _event(number: int, word: str, prospect: str = "p-1", **more: object) -> dict[str, object]:
    time = f"2026-03-0{number}T10:00:00Z"
    return {"id": f"e-{number}", "type": word, "time": time, "prospect": prospect, **more}


def _digest(crm: "Crm", workflow: str = "welcome") -> str:
    return str(crm.json("workflow", "show", workflow)["digest"])[:12]


def test_the_story_of_one_who_left(crm: "Crm") -> None:
    """The timeline says when, what and where from, as places that editors open; the exit status is 0."""
    crm("advance", "--workflow", "welcome", "--at", "2026-03-01T01:00:00Z")
    log = crm.log("events.jsonl", _event(2, "link_clicked", workflow="welcome"), _event(3, "replied"))
    crm("ingest", log)
    ran = crm("explain", "ana@acme.example", "--workflow", "welcome")
    assert ran.stderr == ""
    assert (
        ran.stdout
        == f"""\
prospect:p-1 in welcome: disenrolled, last step intro
  2026-03-01T00:00:00Z  enrolled
      run 5, bulk-enroll
  2026-03-01T01:00:00Z  step intro completed
      run 9, advance
  2026-03-02T10:00:00Z  left by link_clicked
      events.jsonl:1: link_clicked email of welcome (e-2)
      welcome.yaml:8: trigger link_clicked (digest {_digest(crm)})
      run 10, ingest
  2026-03-03T10:00:00Z  replied does not count
      it happened after the exit, 2026-03-02T10:00:00Z
      events.jsonl:2: replied (e-3)
      welcome.yaml:9: trigger replied (digest {_digest(crm)})
      run 10, ingest
"""
    )


def test_why_one_is_still_in(crm: "Crm") -> None:
    """Each trigger says what it waits for, and the nearest events why they were not taken; the others are counted."""
    visits = [_event(number, "page_visited", url=f"https://acme.example/{number}") for number in range(2, 7)]
    crm("ingest", crm.log("events.jsonl", *visits, _event(7, "link_clicked", workflow="nurture")))
    ran = crm("explain", "prospect:p-1", "--workflow", "welcome")
    assert (
        ran.stdout
        == f"""\
prospect:p-1 in welcome: active
  2026-03-01T00:00:00Z  enrolled
      run 5, bulk-enroll
  waits for one of these, by welcome.yaml (digest {_digest(crm)})
    line 8: a click on a link in an email of welcome
      2026-03-07T10:00:00Z  it is an email of nurture
          events.jsonl:6: link_clicked email of nurture (e-7)
    line 9: a reply to an email of any workflow
    line 10: a new email from it, in a new thread
    line 11: a visit to https://www.acme.example/pricing*
      2026-03-04T10:00:00Z  it is another page
          events.jsonl:3: page_visited https://acme.example/4 (e-4)
      2026-03-05T10:00:00Z  it is another page
          events.jsonl:4: page_visited https://acme.example/5 (e-5)
      2026-03-06T10:00:00Z  it is another page
          events.jsonl:5: page_visited https://acme.example/6 (e-6)
      and more: 2 of another page
    line 12: a hard bounce of an email to it
    line 13: an update of status to customer or lost
"""
    )
    assert all(len(line) <= 80 for line in ran.stdout.splitlines())


def test_moves_notes_and_runs_that_were_undone(crm: "Crm") -> None:
    """An exit that stands no more says what superseded it; many events that do not count are counted."""
    crm("disenroll", "p-2", "--workflow", "welcome", "--at", "2026-03-08T00:00:00Z", "--note", "by phone")
    crm("ingest", crm.log("late.jsonl", *(_event(number, "replied", "p-2") for number in range(2, 8))))
    text = crm("explain", "prospect:p-2").stdout
    assert (
        "  2026-03-08T00:00:00Z  left by hand, no longer\n      note: by phone\n      run 9, disenroll\n"
        "      superseded by run 10, ingest\n"
    ) in text
    assert text.count("replied does not count") == 3
    assert "  and 2 more events that do not count\n" in text


def test_what_was_taken_back(crm: "Crm") -> None:
    """Runs that were undone, exits that were restored, events that were retracted and enrollments say who did it."""
    crm("ingest", crm.log("events.jsonl", _event(2, "replied")))
    with closing(sqlite3.connect(crm.store)) as connection, connection:
        connection.executescript("""
            UPDATE run SET undone_by_run_id = 8 WHERE id = 9;
            UPDATE exit SET restored_run_id = 7;
            INSERT INTO retraction (identity, because, run_id) VALUES ('id:e-2', 'a robot', 8);
        """)
    text = crm("explain", "p-1", "-w", "welcome").stdout
    assert (
        "      run 9, ingest, undone by run 8\n      restored by run 7, enroll\n"
        "      the event is retracted by run 8, enroll: a robot\n"
    ) in text
    with closing(sqlite3.connect(crm.store)) as connection, connection:
        connection.executescript("""
            INSERT INTO withdrawn_enrollment
            SELECT 100, record.id, workflow.id, '2026-03-01T00:00:00.000000Z', 5, 8 FROM record, workflow
            WHERE key = 'p-4' AND name = 'welcome';
        """)
    assert crm("explain", "p-4", "-w", "welcome").stdout == (
        "prospect:p-4 is not in welcome\n  2026-03-01T00:00:00Z  enrolled, and withdrawn\n"
        "      run 5, bulk-enroll\n      withdrawn by run 8, enroll\n"
    )


def test_every_workflow_of_a_record(crm: "Crm") -> None:
    """Without a workflow every story is told, a blank line between them; a record without any says so."""
    text = crm("explain", "prospect:p-1").stdout
    assert [line for line in text.splitlines() if not line.startswith(" ")] == [
        "prospect:p-1 in nurture: active",
        "",
        "prospect:p-1 in welcome: active",
    ]
    assert crm("explain", "prospect:p-4").stdout == "prospect:p-4 was never in any workflow\n"
    assert crm("explain", "p-4", "-w", "welcome").stdout == "prospect:p-4 was never in welcome\n"
    assert crm.json("explain", "prospect:p-4") == []


def test_a_workflow_without_triggers_and_one_that_was_removed(busy_crm: "Crm") -> None:
    """Nothing is awaited where no trigger is declared; a workflow that was removed says that it is."""
    busy_crm("workflow", "apply", "changed.yaml")
    assert busy_crm("explain", "p-1", "-w", "nurture").stdout.endswith("waits for nothing: no trigger is declared\n")
    busy_crm("workflow", "remove", "nurture", "--disenroll")
    assert busy_crm("explain", "p-1", "-w", "nurture").stdout.startswith(
        "prospect:p-1 in nurture (not in force any more): disenrolled\n"
    )


def test_logs_that_are_gone(crm: "Crm") -> None:
    """Logs that can't be read again are warnings, whatever is quiet, and the exit status is 3; the story is told."""
    crm("ingest", crm.log("events.jsonl", _event(2, "replied")))
    crm("ingest", "-", stdin='{"type": "replied", "time": "2026-03-03T00:00:00Z", "prospect": "p-3"}\n')
    crm("ingest", "-", stdin='{"type": "replied", "time": "2026-03-04T00:00:00Z", "prospect": "p-3"}\n')
    Path(crm.directory / "events.jsonl").rename(crm.directory / "moved.log")
    ran = crm("explain", "p-1", "-w", "welcome", status=3)
    assert "left by replied\n      events.jsonl:1: replied (e-2)\n" in ran.stdout
    piped = "warning: standard input, read by runs 10, 11: what came through a pipe can't be read again\n"
    path = crm.directory.resolve() / "events.jsonl"
    nowhere = f"warning: {path}, read by run 9: it is not there any more, nor beside its place under another name\n"
    words = "what they told is missing here; a log that lies elsewhere is found if --events names it\n"
    assert ran.stderr == piped + nowhere + words
    assert crm("explain", "p-1", "-w", "welcome", "--quiet", status=3).stderr == piped + nowhere
    assert crm("explain", "p-1", "-w", "welcome", "--events", "moved.log", status=3).stderr == piped + words
    assert crm("explain", "p-4", "-w", "welcome").stderr == ""


def test_given_logs(crm: "Crm") -> None:
    """A log that was not read is looked through, standard input too; a missing one is a warning and exit status 3."""
    line = '{"id": "e-9", "type": "replied", "time": "2026-03-09T00:00:00Z", "prospect": "ana@acme.example"}\n'
    text = crm("explain", "p-1", "-w", "nurture", "--events", "-", stdin=line).stdout
    assert "  2026-03-09T00:00:00Z  replied does not count\n      it is not read yet: crmflow ingest -\n" in text
    ran = crm("explain", "p-1", "-w", "nurture", "--events", "none.jsonl", status=3)
    assert ran.stdout.startswith("prospect:p-1 in nurture: active\n")
    assert ran.stderr.startswith("warning: cannot read none.jsonl")


def test_json(crm: "Crm") -> None:
    """With --json the stories are one document, which holds everything that came near, and whole digests."""
    crm("ingest", crm.log("events.jsonl", *(_event(n, "link_clicked", workflow="gone") for n in range(2, 9))))
    [story] = crm.json("explain", "p-1", "--workflow", "welcome")
    [stay] = story["enrollments"]
    clicks = stay["waiting"][0]
    assert clicks["trigger"]["lines"] == [8]
    assert len(clicks["trigger"]["digest"]) == 64
    assert len(clicks["near"]) == 7
    assert clicks["near"][0] == {
        "event": {
            "id": "e-2",
            "type": "link_clicked",
            "time": "2026-03-02T10:00:00Z",
            "says": "email of gone",
            "source": "events.jsonl",
            "line": 1,
        },
        "run": {"run": 9, "command": "ingest", "undone_by": None},
        "reason": "unknown_workflow",
        "why": "it is an email of gone, which is no workflow in force",
    }


def test_what_is_not_there(crm: "Crm") -> None:
    """A record, a workflow or a type that is not there is one error."""
    assert "there is no prospect 'p-9'" in crm.refused("explain", "prospect:p-9")
    assert "there is no workflow 'welcom'" in crm.refused("explain", "p-1", "--workflow", "welcom")
    assert "is no prospect" in crm.refused("explain", "deal:D-1", "--workflow", "welcome")
    assert "is the store itself" in crm.refused("explain", "p-1", "-w", "welcome", "--events", "crm.db")


def test_what_comes_from_outside_is_shown(crm: "Crm", terminal: "Run") -> None:
    """Control characters in a log are shown on a terminal, not sent."""
    crm("ingest", crm.log("events.jsonl", _event(2, "page_visited", url="http://a.example/\x1b[2J")))
    text = terminal("-m", "crmflow", "--db", "crm.db", "explain", "p-1", "-w", "welcome").stdout
    assert "\x1b[2J" not in text
    assert r"http://a.example/\x1b[2J" in text


def test_the_store_stays_as_it_is(crm: "Crm") -> None:
    """To explain changes nothing."""
    crm("ingest", crm.log("events.jsonl", _event(2, "replied", "p-2")))
    before = crm.tables()
    crm("explain", "prospect:p-1", "--events", "events.jsonl")
    crm("explain", "prospect:p-2")
    assert crm.tables() == before
