"""Entering workflows and going through them: `enroll`, `bulk-enroll`, `due`, `advance`, `enrollment list`."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Crm

AT = ("--at", "2026-03-02T00:00:00Z")
BOUNCE = {"type": "hard_bounced", "time": "2026-03-02T00:00:00Z", "prospect": "ben@acme.example"}


@pytest.fixture
def bounced(crm: "Crm") -> "Crm":
    """Return the small CRM in which an email to p-2 has hard-bounced."""
    crm("ingest", crm.log("bounce.jsonl", BOUNCE))
    return crm


def test_enroll_begins_at_the_time_given(crm: "Crm") -> None:
    """`enroll` starts an enrollment that is active and at no step, at `--at`."""
    said = crm("enroll", "prospect:p-4", "--workflow", "welcome", *AT)
    assert said.stdout == "prospect:p-4 is in welcome since 2026-03-02T00:00:00Z\n"
    [enrolled] = crm.json("enrollment", "list", "--record", "prospect:p-4")
    assert (enrolled["state"], enrolled["enrolled_at"], enrolled["step"]) == ("active", "2026-03-02T00:00:00Z", None)


def test_enroll_tells_what_it_made(crm: "Crm") -> None:
    """`enroll --json` gives run, record, workflow and time; the record by its key, however it was named."""
    assert crm.json("enroll", "DEE@acme.example", "--workflow", "welcome", *AT) == {
        "run": 9,
        "record": "p-4",
        "type": "prospect",
        "workflow": "welcome",
        "enrolled_at": "2026-03-02T00:00:00Z",
    }


@pytest.mark.parametrize(
    ("ref", "workflow", "said"),
    [
        ("p-1", "welcome", "error: prospect:p-1 can't be enrolled in welcome: it is active in it since 2026-03-01"),
        ("deal:D-1", "welcome", "error: deal:D-1 is no prospect\nhint: this workflow is for records of type prospect"),
        ("D-1", "welcome", "error: there is no prospect 'D-1'\nhint: did you mean deal:D-1?"),
        ("p-11", "welcome", "error: there is no prospect 'p-11'\nhint: did you mean p-1"),
        ("dea@acme.example", "welcome", "error: there is no prospect 'dea@acme.example'\nhint: did you mean dee@"),
        ("zzz", "welcome", "error: there is no prospect 'zzz'\nhint: add it with: crmflow record add prospect:zzz"),
        ("p-4", "welcom", "error: there is no workflow 'welcom'\nhint: did you mean welcome?"),
        ("p-4", "zzz", "error: there is no workflow 'zzz'\nhint: see crmflow workflow list"),
    ],
)
def test_who_can_not_be_enrolled(crm: "Crm", ref: str, workflow: str, said: str) -> None:
    """A second enrollment, another type, an unknown record or workflow: refused, with what may have been meant."""
    assert crm.refused("enroll", ref, "--workflow", workflow).startswith(said)


def test_a_record_may_come_back(crm: "Crm") -> None:
    """At or after its exit a record may be enrolled again: a new enrollment; the old one stays in the history."""
    crm("disenroll", "p-1", "--workflow", "welcome", *AT)
    said = crm.refused("enroll", "p-1", "--workflow", "welcome", "--at", "2026-03-01T23:59:59Z")
    assert "it left it only at 2026-03-02T00:00:00Z, after 2026-03-01T23:59:59Z" in said
    crm("enroll", "p-1", "--workflow", "welcome", *AT)
    listed = crm.json("enrollment", "list", "--record", "p-1", "--workflow", "welcome")
    assert [(each["enrolled_at"], each["state"]) for each in listed] == [
        ("2026-03-01T00:00:00Z", "disenrolled"),
        ("2026-03-02T00:00:00Z", "active"),
    ]


def test_an_event_ends_the_enrollment_of_its_time(crm: "Crm") -> None:
    """An event counts for the enrollment that it falls into, not for a later one of the same record."""
    crm("disenroll", "p-1", "--workflow", "welcome", "--at", "2026-03-03T00:00:00Z")
    crm("enroll", "p-1", "--workflow", "welcome", "--at", "2026-03-05T00:00:00Z")
    crm.log("events.jsonl", {"type": "conversation_started", "time": AT[1], "prospect": "p-1"})
    assert crm.json("ingest", "events.jsonl")["moved"] == 1
    listed = crm.json("enrollment", "list", "--record", "p-1", "--workflow", "welcome")
    assert [each["exited_at"] for each in listed] == ["2026-03-02T00:00:00Z", None]


def test_a_bounced_prospect_can_not_be_enrolled_anywhere(bounced: "Crm") -> None:
    """After a hard bounce no workflow takes the prospect; the error says why and what to do."""
    for workflow in ("welcome", "nurture"):
        assert bounced.refused("enroll", "p-2", "--workflow", workflow) == (
            f"error: prospect:p-2 can't be enrolled in {workflow}: its email hard-bounced (ben@acme.example)\n"
            "hint: change it first: crmflow record set prospect:p-2 email=ADDRESS\n"
        )
    assert bounced.json("record", "show", "prospect:p-2")["bounced"]


def test_another_email_ends_the_bounce(bounced: "Crm") -> None:
    """With its email changed, a prospect can be enrolled again; with the old one back, it can't."""
    bounced("record", "set", "prospect:p-2", "email=benjamin@acme.example")
    bounced("enroll", "p-2", "--workflow", "nurture", "--dry-run")
    bounced("record", "set", "prospect:p-2", "email=BEN@acme.example")
    assert "its email hard-bounced" in bounced.refused("enroll", "p-2", "--workflow", "nurture")


def test_other_fields_do_not_end_the_bounce(bounced: "Crm") -> None:
    """Only the email matters: another field changed does not make the prospect reachable."""
    bounced("record", "set", "prospect:p-2", "status=warm")
    assert "its email hard-bounced" in bounced.refused("enroll", "p-2", "--workflow", "nurture")


def test_bulk_enroll_does_what_can_be_done(bounced: "Crm") -> None:
    """Every row has its outcome; those that can be enrolled are, in one run; the status says that some were not."""
    bounced.write("selection.csv", 'key\np-4\np-1\np-2\nzzz\nDEE@acme.example\n""\n')
    ran = bounced("bulk-enroll", "--workflow", "nurture", "selection.csv", *AT, status=3)
    assert ran.stdout == "1 done, 1 already in, 1 not enrolled, 1 unknown, 1 duplicate, 1 invalid\n"
    assert ran.stderr.splitlines() == [
        "selection.csv:3: p-1: already in",
        "warning: selection.csv:4: p-2: not enrolled (its email hard-bounced)",
        "warning: selection.csv:5: zzz: unknown",
        "selection.csv:6: DEE@acme.example: duplicate",
        "warning: selection.csv:7: invalid (key is empty)",
    ]
    [enrolled] = bounced.json("enrollment", "list", "--record", "prospect:p-4")
    assert enrolled["enrolled_at"] == "2026-03-02T00:00:00Z"


def test_bulk_enroll_all_or_nothing(crm: "Crm") -> None:
    """With `--all-or-nothing` one row that can't be done stops all; rows that need nothing do not."""
    command = ("bulk-enroll", "--workflow", "nurture", "--all-or-nothing", "-")
    said = crm.refused(*command, stdin="key\np-2\nzzz\np-3\n")
    assert said == (
        "error: -: 1 rows can't be done, the first in row 3 (zzz: unknown); nothing was changed\n"
        "hint: mend them, or leave --all-or-nothing out\n"
    )
    assert crm.json(*command, stdin="key\np-1\np-2\np-2\n")["done"] == 1


def test_bulk_enroll_takes_a_column(crm: "Crm") -> None:
    """`--column` names the column of the keys."""
    said = crm.json("bulk-enroll", "-w", "closing", "-", "--column", "deal", stdin="key,deal\nx,D-2\n")
    assert (said["done"], said["rows"]) == (1, [])


def test_bulk_enroll_before_the_last_exit(crm: "Crm") -> None:
    """A row whose record left the workflow only later is *not enrolled*, with the reason."""
    crm("disenroll", "p-1", "--workflow", "nurture", "--at", "2026-03-05T00:00:00Z")
    ran = crm("bulk-enroll", "--workflow", "nurture", "-", *AT, status=3, stdin="key\np-1\n")
    assert "not enrolled (it left it only at 2026-03-05T00:00:00Z, after 2026-03-02T00:00:00Z)" in ran.stderr


def test_due_lists_what_is_due(crm: "Crm") -> None:
    """`due` gives workflow, record, step, kind and the time since which it is due, and completes nothing."""
    assert crm("due", "--at", "2026-02-28T23:59:59Z").stdout == ""
    before = crm.tables()
    assert crm("due", *AT).stdout == (
        "welcome\tp-1\tintro\temail\t2026-03-01T00:00:00Z\n"
        "welcome\tp-2\tintro\temail\t2026-03-01T00:00:00Z\n"
        "welcome\tp-3\tintro\temail\t2026-03-01T00:00:00Z\n"
    )
    assert crm("due", "--workflow", "nurture", *AT).stdout == ""
    assert crm.tables() == before


def test_a_step_is_due_after_the_one_before_it(crm: "Crm") -> None:
    """The first step is due since the enrollment, each other one since the step before it was completed."""
    crm("advance", *AT)
    assert crm("due", "--at", "2026-03-04T23:59:59Z").stdout == ""
    due = crm.json("due", "--at", "2026-03-05T00:00:00Z")
    assert [(each["record"], each["step"], each["due_at"]) for each in due] == [
        (record, "follow-up", "2026-03-05T00:00:00Z") for record in ("p-1", "p-2", "p-3")
    ]
    assert list(due[0]) == ["workflow", "type", "record", "step", "kind", "due_at"]


def test_advance_prints_a_line_for_each_step(crm: "Crm") -> None:
    """`advance` completes what is due, once, and prints what a script needs to do it."""
    ran = crm("advance", *AT)
    assert ran.stdout.splitlines() == [
        f"welcome\t{record}\tintro\temail\t2026-03-01T00:00:00Z" for record in ("p-1", "p-2", "p-3")
    ]
    assert ran.stderr == "3 steps completed, 0 enrollments completed\n"
    assert crm("advance", *AT).stdout == ""
    assert {each["step"] for each in crm.json("enrollment", "list", "--workflow", "welcome")} == {"intro"}


def test_advance_goes_on_until_nothing_is_due(crm: "Crm") -> None:
    """Steps that become due by the one before are completed in the same run; the last one completes the enrollment."""
    crm.write(
        "fast.yaml",
        "workflow: fast\ntype: deal\nsteps:\n"
        "  - {name: one, kind: wait, after: 1h}\n"
        "  - {name: two, kind: task, after: 0s}\n"
        "  - {name: three, kind: email, after: 0s}\n",
    )
    crm("workflow", "apply", "fast.yaml")
    crm("enroll", "D-2", "--workflow", "fast", *AT)
    advanced = crm.json("advance", "--workflow", "fast", "--at", "2026-03-02T02:00:00Z")
    assert list(advanced) == ["run", "steps", "exits"]
    assert [each["step"] for each in advanced["steps"]] == ["one", "two", "three"]
    assert [each["due_at"] for each in advanced["steps"]] == ["2026-03-02T01:00:00Z", *["2026-03-02T02:00:00Z"] * 2]
    assert advanced["exits"] == 1
    [done] = crm.json("enrollment", "list", "--workflow", "fast")
    assert (done["state"], done["step"], done["exited_at"]) == ("completed", "three", "2026-03-02T02:00:00Z")
    assert done["exit"] == {"cause": "completed", "trigger": None, "event": None, "run": advanced["run"], "note": None}


def test_without_steps_nothing_completes(crm: "Crm") -> None:
    """A workflow without steps has nothing due and completes nobody."""
    assert crm.json("advance", "--workflow", "closing", "--at", "2036-01-01T00:00:00Z") == {
        "run": None,
        "steps": [],
        "exits": 0,
    }


def test_a_log_can_complete_steps(crm: "Crm") -> None:
    """A `step_completed` event does what `advance` does, at its own time."""
    event = {"type": "step_completed", "prospect": "p-1", "workflow": "welcome"}
    crm.log(
        "events.jsonl",
        {**event, "id": "s-1", "time": "2026-03-01T08:00:00Z", "step": "intro"},
        {**event, "id": "s-2", "time": "2026-03-04T09:00:00Z", "step": "follow-up"},
    )
    assert crm.json("ingest", "events.jsonl")["exits"] == 1
    [completed] = crm.json("enrollment", "list", "--state", "completed")
    assert (completed["record"], completed["step"], completed["exited_at"]) == (
        "p-1",
        "follow-up",
        "2026-03-04T09:00:00Z",
    )
    assert completed["exit"]["event"]["id"] == "s-2"
    assert {each["record"] for each in crm.json("due", "--at", "2026-03-05T00:00:00Z")} == {"p-2", "p-3"}


def test_a_late_reply_comes_before_the_completion(crm: "Crm") -> None:
    """A trigger's event before the completion moves the exit, and steps completed after it no longer count."""
    crm("advance", "--at", "2026-03-01T00:00:00Z")
    crm("advance", "--at", "2026-03-04T00:00:00Z")
    crm.log("late.jsonl", {"type": "replied", "time": "2026-03-02T10:00:00Z", "prospect": "p-2"})
    assert crm.json("ingest", "late.jsonl")["moved"] == 1
    [left] = crm.json("enrollment", "list", "--record", "prospect:p-2")
    assert (left["state"], left["step"], left["exited_at"]) == ("disenrolled", "intro", "2026-03-02T10:00:00Z")


def test_list_can_be_narrowed(crm: "Crm") -> None:
    """`enrollment list` takes a workflow, a record and a state; together they all must hold."""
    crm("disenroll", "p-1", "--workflow", "welcome", *AT)
    assert len(crm.json("enrollment", "list", "--workflow", "welcome")) == 3
    assert len(crm.json("enrollment", "list", "--record", "prospect:ana@acme.example")) == 2
    assert len(crm.json("enrollment", "list", "--record", "ana@acme.example", "--workflow", "welcome")) == 1
    assert crm("enrollment", "list", "--state", "disenrolled").stdout == (
        "welcome\tp-1\tdisenrolled\t2026-03-01T00:00:00Z\t-\t2026-03-02T00:00:00Z\tmanual\t-\t-\n"
    )
    assert crm("enrollment", "list", "--state", "completed").stdout == ""


@pytest.mark.parametrize(
    ("options", "status", "what"),
    [
        (("--state", "gone"), 2, "unknown state 'gone'\nhint: one of active, completed, disenrolled"),
        (("--workflow", "welcom"), 1, "there is no workflow 'welcom'\nhint: did you mean welcome?"),
        (("--record", "p-1"), 2, "'p-1' does not say which type of record it is\nhint: write TYPE:KEY"),
        (("--record", "deal:D-7"), 1, "there is no deal 'D-7'"),
        (("--record", "deal:D-1", "--workflow", "welcome"), 1, "deal:D-1 is no prospect"),
    ],
)
def test_list_does_not_take_an_error_for_nothing(crm: "Crm", options: tuple[str, ...], status: int, what: str) -> None:
    """What is misspelt is an error, never an empty list."""
    assert what in crm.refused("enrollment", "list", *options, status=status)
