"""`crmflow undo` and `crmflow retract`: what a run did, and what an event said, taken back."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Crm

CLICKED = (
    '{"type": "link_clicked", "time": "2026-03-02T09:00:00Z", "prospect": "p-1", "workflow": "welcome", "id": "c"}'
)
WROTE = '{"type": "conversation_started", "time": "2026-03-03T09:00:00Z", "prospect": "p-1", "id": "w"}'
REPLIED = '{"type": "replied", "time": "2026-03-02T10:00:00Z", "prospect": "p-2"}'
AT = ("--at", "2026-03-02T00:00:00Z")
BOTH = ("--workflow", "welcome", "both.csv")


@pytest.fixture
def read(crm: "Crm") -> "Crm":
    """A small CRM, and a log that tells of a click, a new conversation and a reply without an id."""
    crm.write("log.jsonl", f"{CLICKED}\n{WROTE}\n{REPLIED}\n")
    crm.write("both.csv", "key\np-1\np-3\n")
    return crm


def _standing(crm: "Crm") -> list[dict[str, Any]]:
    standing: list[dict[str, Any]] = crm.json("enrollment", "list", "--workflow", "welcome")
    return standing


def _exits(crm: "Crm") -> dict[str, str | None]:
    return {each["record"]: each["exited_at"] for each in _standing(crm)}


# --- undo ---


def test_undoing_the_last_run_gives_the_store_before_it(read: "Crm") -> None:
    """Exits by hand are gone; the run says that it was undone, and undoing the undo brings all back."""
    before = _standing(read)
    run = read.json("bulk-disenroll", *BOTH, *AT)["run"]
    after = _standing(read)
    ran = read("undo", str(run))
    assert ran.stdout.splitlines() == [
        f"reopened\twelcome\t{record}\t2026-03-02T00:00:00Z by manual\tactive" for record in ("p-1", "p-3")
    ]
    assert f"run {run} (bulk-disenroll) is undone; enrollments: 2 reopened" in ran.stderr
    assert _standing(read) == before
    assert read.json("run", "show", str(run))["undone_by"] == run + 1
    assert f"undone by run {run + 1}" in read("run", "list").stdout
    read("undo", str(run + 1))
    assert _standing(read) == after


def test_what_a_later_run_read_counts_as_it_would_have(read: "Crm") -> None:
    """An event that the undone exit had hidden ends the enrollment now."""
    run = read.json("bulk-disenroll", *BOTH, *AT)["run"]
    read("ingest", "log.jsonl")
    assert _exits(read)["p-1"] == "2026-03-02T00:00:00Z"
    read("undo", str(run))
    assert _exits(read) == {"p-1": "2026-03-02T09:00:00Z", "p-2": "2026-03-02T10:00:00Z", "p-3": None}


def test_what_an_undone_ingest_read_stays_read(read: "Crm") -> None:
    """Tonight's run does not repeat the mistake; `--from-start` reads it again."""
    run = read.json("ingest", "log.jsonl")["run"]
    read("undo", str(run))
    assert set(_exits(read).values()) == {None}
    assert read.json("ingest", "log.jsonl")["run"] is None
    assert read.json("ingest", "log.jsonl", "--from-start")["exits"] == 2


def test_an_enrollment_goes_on_with_the_delay_that_was_left(crm: "Crm") -> None:
    """A step that was due a day after the wrong exit is due a day after it was taken back."""
    crm("advance", "--at", "2026-03-01T00:00:00Z", "--workflow", "welcome")
    crm.write("one.csv", "key\np-1\n")
    run = crm.json("bulk-disenroll", "--workflow", "welcome", "one.csv", "--at", "2026-03-03T00:00:00Z")["run"]
    crm("undo", str(run), "--at", "2026-03-10T00:00:00Z")
    due = crm.json("due", "--at", "2026-03-31T00:00:00Z")
    assert {each["due_at"] for each in due if each["record"] == "p-1"} == {"2026-03-11T00:00:00Z"}


def test_enrollments_of_an_undone_run_are_taken_away(read: "Crm") -> None:
    """Those that something has ended since are left alone, listed, and the exit status is 3."""
    read.write("more.csv", "key\np-4\np-2\n")
    before = read.json("enrollment", "list")
    run = read.json("bulk-enroll", "--workflow", "nurture", "more.csv", "--at", "2026-03-01T00:00:00Z")["run"]
    read("ingest", "log.jsonl")
    ran = read("undo", str(run), status=3)
    assert "left alone: p-2 in nurture: it was changed since" in ran.stderr
    assert "enrollments taken away: 1" in ran.stderr
    left = {each["record"] for each in read.json("enrollment", "list", "--workflow", "nurture")}
    assert left == {each["record"] for each in before if each["workflow"] == "nurture"} | {"p-2"}
    read("undo", str(run + 2))
    assert "p-4" in {each["record"] for each in read.json("enrollment", "list", "--workflow", "nurture")}


def test_who_was_enrolled_anew_is_left_alone(read: "Crm") -> None:
    """What stands later is not overturned by what is taken back before it."""
    run = read.json("bulk-disenroll", *BOTH, *AT)["run"]
    read("enroll", "prospect:p-1", "--workflow", "welcome", "--at", "2026-03-04T00:00:00Z")
    ran = read("undo", str(run), status=3)
    assert "left alone: p-1 in welcome: it was enrolled anew at 2026-03-04T00:00:00Z" in ran.stderr
    assert _exits(read)["p-3"] is None


def test_a_record_that_was_set_is_as_before(crm: "Crm") -> None:
    """Fields, links and the exits that the change brought are taken back."""
    before = crm.json("record", "show", "prospect:p-1"), crm.json("record", "show", "deal:D-1")
    one = crm.json("record", "set", "prospect:p-1", "status=customer", "city=Graz", *AT)["run"]
    other = crm.json("record", "set", "deal:D-1", "prospects=p-3")["run"]
    crm("undo", str(one))
    crm("undo", str(other))
    assert (crm.json("record", "show", "prospect:p-1"), crm.json("record", "show", "deal:D-1")) == before


def test_steps_that_were_advanced_are_due_again(crm: "Crm") -> None:
    """Undoing `advance` forgets the completed steps, a completion by the last of them included."""
    at = ("--at", "2026-03-20T00:00:00Z", "--workflow", "welcome")
    crm("advance", "--at", "2026-03-05T00:00:00Z", "--workflow", "welcome")
    before, due = _standing(crm), crm.json("due", *at)
    run = crm.json("advance", *at)["run"]
    assert {each["state"] for each in _standing(crm)} == {"completed"}
    crm("undo", str(run), *at[:2])
    assert _standing(crm) == before
    assert crm.json("due", *at) == due


def test_definitions_of_before_are_in_force_again(crm: "Crm") -> None:
    """Undoing `workflow apply` and `workflow remove` puts the definitions back, and who left by the removal."""
    before = crm.json("workflow", "list"), _standing(crm)
    crm.write("changed.yaml", "workflow: welcome\ntype: prospect\n")
    applied = crm.json("workflow", "apply", "changed.yaml")["run"]
    removed = crm.json("workflow", "remove", "welcome", "--disenroll")["run"]
    crm("undo", str(removed))
    crm("undo", str(applied))
    assert (crm.json("workflow", "list"), _standing(crm)) == before


def test_a_dry_run_shows_what_it_would_do(read: "Crm") -> None:
    """Nothing is changed."""
    run = read.json("bulk-disenroll", *BOTH, *AT)["run"]
    before = _standing(read), read.json("run", "list")
    assert read("undo", str(run), "--dry-run").stdout.count("reopened") == 2
    assert (_standing(read), read.json("run", "list")) == before


def test_a_log_that_is_gone_is_named(read: "Crm") -> None:
    """What it leaves in doubt is counted and listed, the exit status is 3; given with `--events` it is read."""
    run = read.json("bulk-disenroll", *BOTH, *AT)["run"]
    read("ingest", "log.jsonl")
    (read.directory / "log.jsonl").rename(read.directory / "elsewhere")
    ran = read("undo", str(run), "--dry-run", status=3)
    assert "log.jsonl can't be read again" in ran.stderr
    assert "in doubt by that: 2 enrollments" in ran.stderr
    document = read.json("undo", str(run), "--events", "elsewhere")
    assert document["gone"] == []
    assert _exits(read)["p-1"] == "2026-03-02T09:00:00Z"


@pytest.mark.parametrize("command", ["record add prospect:p-9", "record remove prospect:p-3"])
def test_some_runs_can_not_be_undone(crm: "Crm", command: str) -> None:
    """The error says why, or what to do instead."""
    run = crm.json(*command.split())["run"]
    assert "can't be taken back" in crm.refused("undo", str(run))


def test_a_run_is_undone_once(read: "Crm") -> None:
    """The error names the run that undid it; a run that there is not is an error too."""
    run = read.json("bulk-disenroll", *BOTH, *AT)["run"]
    read("undo", str(run))
    assert f"run {run} was undone by run {run + 1}" in read.refused("undo", str(run))
    assert "there is no run 99" in read.refused("undo", "99")


# --- retract ---


def test_what_a_retracted_event_had_hidden_counts(read: "Crm") -> None:
    """Who left by a click that does not count leaves by what they wrote a day later; taken back, it is as before."""
    read("ingest", "log.jsonl")
    before = _standing(read)
    ran = read("retract", "c", "--because", "a scanner")
    _, _, _, before_it, after_it = ran.stdout.rstrip("\n").split("\t")
    assert before_it == "2026-03-02T09:00:00Z by link_clicked (c)"
    assert after_it == "2026-03-03T09:00:00Z by conversation_started (w)"
    assert "events that count no more: 1; enrollments: 1 with another exit" in ran.stderr
    read("retract", "c", "--take-back")
    assert _standing(read) == before


def test_a_retracted_event_does_not_count_when_it_is_read_again(read: "Crm") -> None:
    """Neither in this log nor in another one, with an id or without; the summary says how many there were."""
    read("ingest", "log.jsonl")
    read("retract", "c", "log.jsonl:3", "--because", "tests")
    read.write("copy.jsonl", f"\n{REPLIED}\n{CLICKED}\n")
    said = read.json("ingest", "copy.jsonl", "log.jsonl", "--from-start")
    assert (said["exits"], said["retracted"]) == (0, 4)
    assert _exits(read)["p-2"] is None


def test_what_came_through_a_pipe_counts_as_it_was_decided(read: "Crm") -> None:
    """It can't be read again: an exit by it stands, unless its own event is retracted."""
    read("ingest", "-", stdin=f"{CLICKED}\n")
    read("ingest", read.write("other.jsonl", f"{WROTE}\n"))
    read("retract", "other.jsonl:1", "--because", "a test of ours", status=3)
    assert _exits(read)["p-1"] == "2026-03-02T09:00:00Z"
    read("retract", "c", "--because", "a test of ours", status=3)
    assert _exits(read)["p-1"] is None


def test_a_burst_is_retracted_at_once(read: "Crm") -> None:
    """Source, type, time and page select; all that is given must hold."""
    read("ingest", "log.jsonl")
    between = ("--between", "2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z")
    assert read.json("retract", "--source", "log.jsonl", *between, "--because", "a test", "--dry-run")["events"] == 2
    assert read.json("retract", "--type", "replied", *between, "--because", "a test")["events"] == 1
    assert _exits(read)["p-2"] is None
    assert read.json("retract", "--type", "replied", "--take-back")["events"] == 1
    assert _exits(read)["p-2"] == "2026-03-02T10:00:00Z"


def test_retractions_are_listed(read: "Crm") -> None:
    """Each with the reason, the record and the line, as far as they are known."""
    read("ingest", "log.jsonl")
    read("retract", "log.jsonl:1", "--because", "a scanner")
    read("retract", "unheard", "--because", "a rumor")
    known, unknown = read.json("retract", "list")
    assert (known["event"], known["record"], known["source"], known["line"]) == ("id:c", "prospect:p-1", "log.jsonl", 1)
    assert (unknown["event"], unknown["record"], unknown["because"]) == ("id:unheard", None, "a rumor")
    assert len(read("retract", "list").stdout.splitlines()) == 2


def test_an_undone_retraction_is_none(read: "Crm") -> None:
    """Undoing the run lets the event count, and undoing that does not."""
    read("ingest", "log.jsonl")
    before = _standing(read)
    run = read.json("retract", "c", "--because", "a scanner")["run"]
    after = _standing(read)
    read("undo", str(run))
    assert _standing(read) == before
    assert read.json("retract", "list") == []
    read("undo", str(run + 1))
    assert _standing(read) == after


def test_fields_that_a_retracted_event_set_are_as_before(read: "Crm") -> None:
    """The value of the change before stands again, and so does the exit that it brought."""
    update = '{"type": "field_updated", "time": "2026-03-02T00:00:00Z", "prospect": "p-4"'
    read.write("fields.jsonl", f'{update}, "field": "status", "value": "won"}}\n')
    read("ingest", "fields.jsonl")
    assert read.json("record", "show", "prospect:p-4")["fields"]["status"] == "won"
    read("retract", "fields.jsonl:1", "--because", "a slip")
    assert read.json("record", "show", "prospect:p-4")["fields"]["status"] == "lead"
    read("retract", "fields.jsonl:1", "--take-back")
    assert read.json("record", "show", "prospect:p-4")["fields"]["status"] == "won"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("c",), 2, "a retraction has a reason"),
        (("--because", "x"), 2, "no event is named"),
        (("log.jsonl:9", "--because", "x"), 1, "log.jsonl:9 holds no event"),
        (("--type", "replied", "--url", "no*", "--because", "x"), 1, "no event is selected"),
        (("nothing", "--take-back"), 1, "no retraction in force is meant"),
        (("--type", "replied", "--between", "a", "b", "--because", "x"), 2, "--between"),
    ],
)
def test_what_can_not_be_retracted(read: "Crm", arguments: tuple[str, ...], status: int, words: str) -> None:
    """One clear error, and nothing is changed."""
    read("ingest", "log.jsonl")
    assert words in read.refused("retract", *arguments, status=status)
