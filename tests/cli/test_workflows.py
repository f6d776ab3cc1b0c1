"""`crmflow workflow ...`: checking files, putting them in force, looking at them, taking one out of force."""

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Crm

AT = ("--at", "2026-03-02T00:00:00Z")
NURTURE = "workflow: nurture\ntype: prospect\nsteps:\n  - {name: call, kind: task, after: 0d}\n"


def test_check_needs_no_store(bare: "Crm") -> None:
    """`workflow check` says which files are sound, what they declare, and needs no store."""
    bare.write("a.yaml", "workflow: a\ntype: deal\ndisenrollment_triggers: [{trigger: deal_won}]\n")
    bare.write("b.yaml", NURTURE)
    assert bare("workflow", "check", "a.yaml", "b.yaml").stdout == "a.yaml: a is sound\nb.yaml: nurture is sound\n"
    a, b = bare.json("workflow", "check", "a.yaml", "b.yaml")
    assert list(a) == ["path", "workflow", "type", "steps", "triggers", "digest"]
    assert (a["type"], a["steps"], a["triggers"]) == ("deal", 0, 1)
    assert (b["workflow"], b["steps"], b["triggers"]) == ("nurture", 1, 0)


def test_check_names_every_fault_of_every_file(bare: "Crm") -> None:
    """All faults of all files come at once, each with file, line, column and what would be right."""
    bare.write(
        "a.yaml", "workflow: a\ntype: deal\ndisenrollment_triggers:\n  - trigger: replied\n  - trigger: deal_one\n"
    )
    bare.write("b.yaml", "workflow: b c\ntype: person\nstep: []\n")
    bare.write("c.yaml", "workflow: nurture\ntype: deal\n")
    bare.write("d.yaml", "workflow: nurture\ntype: deal\n")
    said = bare.refused("workflow", "check", "a.yaml", "b.yaml", "c.yaml", "d.yaml").splitlines()
    assert [line.split(": ")[0] for line in said] == [
        "a.yaml:4:14",
        "a.yaml:5:14",
        "b.yaml:1:11",
        "b.yaml:2:7",
        "b.yaml:3:1",
        "d.yaml:1:11",
        "error",
    ]
    assert "deal workflows have no trigger 'replied' (they have deal_won, deal_lost, field_updated)" in said[0]
    assert "did you mean deal_won?" in said[1]
    assert "did you mean steps?" in said[4]
    assert "declared in c.yaml:1:11 already" in said[5]
    assert said[-1] == "error: 6 faults in the workflow files"


def test_nothing_is_applied_where_one_file_is_wrong(crm: "Crm") -> None:
    """`workflow apply` takes all files or none."""
    crm.write("good.yaml", NURTURE)
    crm.write("bad.yaml", "workflow: other\n")
    assert "bad.yaml:1:1: a workflow needs the key type" in crm.refused("workflow", "apply", "good.yaml", "bad.yaml")


def test_apply_prints_the_difference(crm: "Crm") -> None:
    """`workflow apply` tells new, changed (with the lines) and unchanged files, and which workflows it left alone."""
    crm.write("nurture.yaml", NURTURE)
    crm.write("new.yaml", "workflow: new\ntype: deal\n")
    ran = crm("workflow", "apply", "welcome.yaml", "nurture.yaml", "new.yaml", *AT)
    assert ran.stdout.splitlines() == [
        "unchanged: welcome (welcome.yaml)",
        "changed: nurture (nurture.yaml)",
        "--- in force",
        "+++ file",
        "@@ -1,4 +1,4 @@",
        " workflow: nurture",
        " type: prospect",
        "-disenrollment_triggers:",
        "-  - trigger: replied",
        "+steps:",
        "+  - {name: call, kind: task, after: 0d}",
        "new: new (new.yaml)",
        "+workflow: new",
        "+type: deal",
    ]
    assert "left alone: closing, onboarding" in ran.stderr


def test_apply_twice_changes_nothing(crm: "Crm") -> None:
    """A file whose meaning is in force already makes no run, whatever its layout."""
    crm.write(
        "nurture.yaml", "# a word\ntype: 'prospect'\nworkflow: nurture\ndisenrollment_triggers: [trigger: replied]\n"
    )
    said = crm.json("workflow", "apply", "nurture.yaml")
    assert list(said) == ["run", "changes", "untouched"]
    assert (said["run"], said["changes"][0]["change"], said["changes"][0]["diff"]) == (None, "unchanged", [])


def test_a_changed_definition_acts_from_then_on(crm: "Crm") -> None:
    """The rules in force when a log is read decide; what was decided before stays, and so do old versions."""
    reply = {"type": "replied", "time": "2026-03-02T00:00:00Z", "prospect": "p-1"}
    crm.write("nurture.yaml", NURTURE)
    crm("workflow", "apply", "nurture.yaml", *AT)
    crm("ingest", crm.log("events.jsonl", reply))
    assert crm.left("nurture") == {}
    crm.write("nurture.yaml", f"{NURTURE}disenrollment_triggers:\n  - trigger: replied\n")
    crm("workflow", "apply", "nurture.yaml", *AT)
    assert crm.left("nurture") == {}
    crm("ingest", "events.jsonl", "--from-start")
    assert crm.left("nurture") == {"p-1": ("2026-03-02T00:00:00Z", "replied")}
    assert crm.json("workflow", "show", "nurture")["versions"] == 3


def test_an_exit_remembers_the_version_that_decided_it(crm: "Crm") -> None:
    """A later version does not change by which one an exit was decided."""
    crm("disenroll", "p-1", "--workflow", "nurture")
    crm.write("nurture.yaml", NURTURE)
    crm("workflow", "apply", "nurture.yaml")
    with closing(sqlite3.connect(crm.store)) as connection:
        [(decided, current)] = connection.execute(
            "SELECT exit.definition_id, workflow.definition_id FROM exit"
            " JOIN enrollment ON enrollment.id = enrollment_id JOIN workflow ON workflow.id = workflow_id"
        ).fetchall()
    assert decided < current


def test_a_workflow_keeps_its_type(crm: "Crm") -> None:
    """A workflow that has enrolled records can't become one for another type."""
    crm.write("closing.yaml", "workflow: closing\ntype: organization\n")
    said = crm.refused("workflow", "apply", "closing.yaml")
    assert "workflow closing is for records of type deal, and has enrolled some" in said


def test_list_is_a_line_for_each_workflow(crm: "Crm") -> None:
    """`workflow list` gives name, type, counts of steps, triggers and active records, time and description."""
    assert crm("workflow", "list").stdout.splitlines() == [
        "closing\tdeal\t0\t2\t1\t2026-02-28T00:00:00Z\t-",
        "nurture\tprospect\t0\t1\t1\t2026-02-28T00:00:00Z\t-",
        "onboarding\torganization\t0\t1\t1\t2026-02-28T00:00:00Z\t-",
        "welcome\tprospect\t2\t6\t3\t2026-02-28T00:00:00Z\tGreets new sign-ups",
    ]
    assert list(crm.json("workflow", "list")[0]) == [
        "workflow",
        "type",
        "description",
        "steps",
        "triggers",
        "active",
        "digest",
        "applied_at",
        "path",
    ]


def test_show_gives_back_the_file(crm: "Crm") -> None:
    """`workflow show` prints the file that declared the workflow, and says its version on standard error."""
    ran = crm("workflow", "show", "nurture")
    assert ran.stdout == (crm.directory / "nurture.yaml").read_text()
    assert ran.stderr.startswith("version 1, digest ")
    assert ran.stderr.endswith("in force since 2026-02-28T00:00:00Z, from nurture.yaml; 1 active\n")


def test_remove_is_refused_while_records_are_active(crm: "Crm") -> None:
    """A workflow is not taken out of force from under its records."""
    assert crm.refused("workflow", "remove", "welcome") == (
        "error: 3 records are active in welcome\nhint: take them out with it: --disenroll\n"
    )


def test_remove_keeps_the_history(crm: "Crm") -> None:
    """With `--disenroll` the records leave by hand at `--at`; the history can still be listed by the name."""
    assert crm("workflow", "remove", "welcome", "--disenroll", *AT).stdout == "removed welcome; 3 records left it\n"
    listed = crm.json("enrollment", "list", "--workflow", "welcome")
    assert {(each["exited_at"], each["exit"]["cause"], each["exit"]["note"]) for each in listed} == {
        ("2026-03-02T00:00:00Z", "manual", "workflow welcome was removed")
    }
    assert [each["workflow"] for each in crm.json("workflow", "list")] == ["closing", "nurture", "onboarding"]
    assert "there is no workflow 'welcome'" in crm.refused("enroll", "p-4", "--workflow", "welcome")


def test_remove_does_not_reach_into_the_future(crm: "Crm") -> None:
    """Records that entered after `--at` can't be taken out at that time; then nothing is removed."""
    said = crm.refused("workflow", "remove", "closing", "--disenroll", "--at", "2026-02-28T12:00:00Z")
    assert "some were enrolled after --at: give a later one" in said


def test_a_removed_workflow_can_come_back(crm: "Crm") -> None:
    """Applying the file of a removed workflow puts it in force again, with its history."""
    crm("workflow", "remove", "closing", "--disenroll", *AT)
    assert crm.json("workflow", "apply", "closing.yaml")["changes"][0]["change"] == "new"
    crm("enroll", "D-1", "--workflow", "closing")
    assert len(crm.json("enrollment", "list", "--workflow", "closing")) == 2


@pytest.mark.parametrize("verb", ["show", "remove"])
def test_an_unknown_workflow_is_named_with_near_matches(crm: "Crm", verb: str) -> None:
    """A workflow that is not there is an error that says which one may have been meant."""
    assert crm.refused("workflow", verb, "Wellcome") == (
        "error: there is no workflow 'Wellcome'\nhint: did you mean welcome?\n"
    )


def test_the_schema_is_for_editors(bare: "Crm") -> None:
    """`workflow schema` prints a JSON Schema, without a store and with or without `--json`."""
    schema = json.loads(bare("workflow", "schema").stdout)
    assert schema["$schema"].startswith("http://json-schema.org/")
    keys = {"workflow", "type", "description", "steps", "disenrollment_triggers", "max_exits_per_run"}
    assert set(schema["properties"]) == keys
    assert bare.json("workflow", "schema") == schema
