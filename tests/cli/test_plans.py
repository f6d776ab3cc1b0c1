"""`crmflow workflow plan` and `crmflow workflow apply PLAN`: a changed definition, and what it makes of the past."""

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Crm

CHANGED = "workflow: welcome\ntype: prospect\ndisenrollment_triggers: [{trigger: conversation_started}]\n"
CLICKED = (
    '{"type": "link_clicked", "time": "2026-03-02T09:00:00Z", "prospect": "p-1", "workflow": "welcome", "id": "c"}'
)
WROTE = '{"type": "conversation_started", "time": "2026-03-03T09:00:00Z", "prospect": "p-1", "id": "w"}'
REPLIED = '{"type": "replied", "time": "2026-03-02T10:00:00Z", "prospect": "p-2", "id": "r"}'
MOVED = (
    "moved\twelcome\tp-1\t2026-03-02T09:00:00Z by link_clicked (c)\t2026-03-03T09:00:00Z by conversation_started (w)"
)
REOPENED = "reopened\twelcome\tp-2\t2026-03-02T10:00:00Z by replied (r)\tactive"


@pytest.fixture
def read(crm: "Crm") -> "Crm":
    """A small CRM whose log tells of three events, and a definition that would have wanted one of them."""
    crm.write("log.jsonl", f"{CLICKED}\n{WROTE}\n{REPLIED}\n")
    crm("ingest", "log.jsonl")
    crm.write("changed.yaml", CHANGED)
    return crm


def _standing(crm: "Crm") -> list[dict[str, Any]]:
    standing: list[dict[str, Any]] = crm.json("enrollment", "list", "--workflow", "welcome")
    return standing


def test_without_logs_a_plan_acts_from_now_on(read: "Crm") -> None:
    """The difference of the definitions is shown, and that the past stays as it is; applying it moves nobody."""
    before = _standing(read)
    ran = read("workflow", "plan", "changed.yaml", "--out", "plan.json")
    assert ran.stdout.startswith("changed: welcome (changed.yaml)\n--- in force\n")
    assert "what was read stays as it is (--past reconsiders it)" in ran.stderr
    assert read("workflow", "apply", "plan.json").stdout == ""
    assert _standing(read) == before
    assert read.json("workflow", "show", "welcome")["path"] == "changed.yaml"


def test_a_plan_changes_nothing(read: "Crm") -> None:
    """What is planned has not happened: the store and its runs are as before."""
    before = _standing(read), read.json("run", "list")
    ran = read("workflow", "plan", "changed.yaml", "--past")
    assert ran.stdout.splitlines()[-2:] == [MOVED, REOPENED]
    assert "enrollments: 1 reopened, 1 with another exit" in ran.stderr
    assert (_standing(read), read.json("run", "list")) == before


def test_applying_does_what_the_plan_says_and_reopens_nobody(read: "Crm") -> None:
    """Exits move as planned; those that the new rules no longer support stay, and it is said that they do."""
    read("workflow", "plan", "changed.yaml", "--past", "--out", "plan.json")
    ran = read("workflow", "apply", "plan.json")
    assert ran.stdout == f"{MOVED}\n"
    assert "1 that the new rules would reopen stay as they are (--reopen)" in ran.stderr
    exits = {each["record"]: each["exited_at"] for each in _standing(read)}
    assert exits == {"p-1": "2026-03-03T09:00:00Z", "p-2": "2026-03-02T10:00:00Z", "p-3": None}


def test_what_is_no_longer_supported_is_reopened_only_when_asked_for(read: "Crm") -> None:
    """With `--reopen` the record is active again."""
    read("workflow", "plan", "changed.yaml", "--past", "--out", "plan.json")
    done = read.json("workflow", "apply", "plan.json", "--reopen")
    assert list(done) == ["run", "workflows", "changes", "left"]
    assert [each["what"] for each in done["changes"]] == ["moved", "reopened"]
    assert {each["record"]: each["state"] for each in _standing(read)}["p-2"] == "active"


@pytest.mark.parametrize(
    "command",
    [
        ("workflow", "apply", "other.yaml"),
        ("disenroll", "prospect:p-1", "--workflow", "welcome", "--at", "2026-03-01T12:00:00Z"),
    ],
    ids=["another definition", "an earlier exit"],
)
def test_a_plan_is_refused_where_the_store_has_moved_on(read: "Crm", command: tuple[str, ...]) -> None:
    """Where it would come otherwise than the plan says, nothing is changed."""
    read("workflow", "plan", "changed.yaml", "--past", "--out", "plan.json")
    read.write("other.yaml", "workflow: welcome\ntype: prospect\n")
    read(*command)
    before = _standing(read)
    assert "the store has moved on since the plan was made" in read.refused("workflow", "apply", "plan.json")
    assert _standing(read) == before


def test_a_plan_is_not_in_the_way_of_what_it_does_not_touch(read: "Crm") -> None:
    """What happens to others between plan and apply is no reason to refuse it."""
    read("workflow", "plan", "changed.yaml", "--past", "--out", "plan.json")
    read("disenroll", "prospect:p-3", "--workflow", "welcome", "--at", "2026-03-05T00:00:00Z")
    assert read("workflow", "apply", "plan.json").stdout == f"{MOVED}\n"


def test_a_log_that_was_never_read_is_no_past(read: "Crm") -> None:
    """What it says has not happened yet; the error says how to read it."""
    read.write("new.jsonl", f"{WROTE}\n")
    said = read.refused("workflow", "plan", "changed.yaml", "--events", "new.jsonl")
    assert "new.jsonl was never read" in said
    assert "crmflow ingest new.jsonl" in said


def test_a_log_that_is_gone_is_named(read: "Crm") -> None:
    """The exit status is 3, and the enrollments that it leaves in doubt are counted; given elsewhere it is read."""
    (read.directory / "log.jsonl").rename(read.directory / "elsewhere")
    ran = read("workflow", "plan", "changed.yaml", "--past", status=3)
    assert "log.jsonl can't be read again (name it with --events)" in ran.stderr
    assert "in doubt by that: 3 enrollments" in ran.stderr
    ran = read("workflow", "plan", "changed.yaml", "--events", "elsewhere")
    assert ran.stdout.splitlines()[-2:] == [MOVED, REOPENED]


def test_a_plan_that_was_applied_can_be_undone(read: "Crm") -> None:
    """The definition and every exit are what they were."""
    before = _standing(read)
    read("workflow", "plan", "changed.yaml", "--past", "--out", "plan.json")
    run = read.json("workflow", "apply", "plan.json", "--reopen")["run"]
    read("undo", str(run))
    assert _standing(read) == before
    assert read.json("workflow", "show", "welcome")["path"] == "welcome.yaml"


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"crmflow_plan": 1}', "workflow: welcome\n"],
    ids=["empty", "array", "object", "part", "yaml"],
)
def test_what_is_no_plan_is_refused(crm: "Crm", text: str) -> None:
    """The error names the file and how a plan is made."""
    crm.write("plan.json", text)
    said = crm.refused("workflow", "apply", "plan.json")
    assert "plan.json is no plan" in said
    assert "crmflow workflow plan FILE... --out plan.json" in said


def test_a_plan_of_another_version_is_refused(read: "Crm") -> None:
    """A later crmflow may mean something else by it."""
    read("workflow", "plan", "changed.yaml", "--out", "plan.json")
    plan = json.loads((read.directory / "plan.json").read_text())
    read.write("plan.json", json.dumps({**plan, "crmflow_plan": 2}))
    assert "plan.json is a plan of version 2, not 1" in read.refused("workflow", "apply", "plan.json")


def test_a_plan_does_not_take_the_place_of_a_file(read: "Crm") -> None:
    """Nothing is overwritten unless that is asked for."""
    read.write("plan.json", "mine")
    assert "plan.json is there already" in read.refused("workflow", "plan", "changed.yaml", "--out", "plan.json")
    read("workflow", "plan", "changed.yaml", "--out", "plan.json", "--overwrite")
    assert json.loads((read.directory / "plan.json").read_text())["crmflow_plan"] == 1
