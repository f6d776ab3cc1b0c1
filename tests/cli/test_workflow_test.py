"""`crmflow workflow test`: the scenarios beside workflow files."""

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Crm

CLOSING = """\
workflow: closing
type: deal
disenrollment_triggers:
  - trigger: deal_won
  - trigger: deal_lost
  - {trigger: field_updated, field: status, to: won}
"""
SCENARIOS = """\
scenarios:
  - name: a deal that is won is out
    enrolled: 2026-03-01T08:00:00Z
    events:
      - {type: deal_won, time: 2026-03-02T10:00:00Z, deal: D-1}
    leaves:
      D-1: {at: 2026-03-02T10:00:00Z, by: deal_won}
    stays: D-2
"""


@pytest.fixture
def closing(bare: "Crm") -> "Crm":
    """Return crmflow in a directory with a workflow and its scenarios, without a store."""
    bare.write("closing.yaml", CLOSING)
    bare.write("closing.scenarios.yaml", SCENARIOS)
    return bare


def test_scenarios_that_pass_print_nothing(closing: "Crm") -> None:
    """Where all comes as expected the status is 0; triggers that are never seen deciding are warnings."""
    ran = closing("workflow", "test", "closing.yaml")
    assert ran.stdout == ""
    assert ran.stderr.splitlines() == [
        "warning: closing.yaml:6: field_updated can never decide: deal_won in line 4 always comes first",
        "warning: closing.yaml:5: no scenario exercises deal_lost",
        "1 scenarios (closing): all as expected",
    ]
    assert not closing.store.exists()


def test_a_failure_is_a_difference(closing: "Crm") -> None:
    """A scenario that fails is printed with its place, what was expected and what was found; the status is 1."""
    closing.write("closing.scenarios.yaml", SCENARIOS.replace("D-1: {", "D-2: {").replace("stays: D-2", "stays: D-1"))
    ran = closing("workflow", "test", "closing.scenarios.yaml", "--quiet", status=1)
    assert ran.stdout.splitlines() == [
        "closing.scenarios.yaml:2: a deal that is won is out",
        "- D-2 leaves at 2026-03-02T10:00:00Z by deal_won",
        "+ D-2 stays",
        "- D-1 stays",
        "+ D-1 leaves at 2026-03-02T10:00:00Z by deal_won (event in line 5, trigger in line 4 of closing.yaml)",
    ]
    assert "failed" not in ran.stderr


def test_strict_lets_warnings_fail(closing: "Crm") -> None:
    """With `--strict` a trigger that is not exercised or never decides is a failure; without such, all is well."""
    closing("workflow", "test", "--strict", "closing.yaml", status=1)
    closing.write("closing.yaml", "\n".join(CLOSING.splitlines()[:4]))
    assert closing("workflow", "test", "--strict", "closing.yaml", "--quiet").stderr == ""


def test_json_is_one_document(closing: "Crm") -> None:
    """`--json` says of every scenario and record what was expected and found, and names the triggers."""
    document = closing.json("workflow", "test", "closing.yaml")
    assert (document["scenarios"], document["failed"]) == (1, 0)
    [workflow] = document["workflows"]
    assert (workflow["workflow"], workflow["path"]) == ("closing", "closing.yaml")
    assert workflow["scenarios_path"] == "closing.scenarios.yaml"
    assert workflow["unexercised"] == [{"trigger": "deal_lost", "line": 5}]
    assert workflow["shadowed"] == [{"trigger": "field_updated", "line": 6, "by": [{"trigger": "deal_won", "line": 4}]}]
    [scenario] = workflow["scenarios"]
    assert scenario["records"] == [
        {
            "record": "D-1",
            "passed": True,
            "expected": {"at": "2026-03-02T10:00:00Z", "by": "deal_won"},
            "found": {"at": "2026-03-02T10:00:00Z", "by": "deal_won", "event_line": 5, "trigger_line": 4},
        },
        {"record": "D-2", "passed": True, "expected": None, "found": None},
    ]


def test_faults_are_complaints(closing: "Crm") -> None:
    """A fault of a scenario file is shown as `workflow check` shows faults, also to `check` and `apply`."""
    closing.write("closing.scenarios.yaml", SCENARIOS.replace("stays", "stay"))
    complaint = "closing.scenarios.yaml:8:5: a scenario has no key 'stay' (did you mean stays?)"
    assert complaint in closing.refused("workflow", "test", "closing.yaml")
    assert complaint in closing.refused("workflow", "check", "closing.yaml", "closing.scenarios.yaml")


def test_scenario_files_may_stand_among_workflow_files(closing: "Crm") -> None:
    """`check` and `apply` take what `*.yaml` names: `check` says which files are scenarios, `apply` leaves them out."""
    files = ("closing.scenarios.yaml", "closing.yaml")
    checked = closing("workflow", "check", *files)
    assert checked.stdout == "closing.yaml: closing is sound\n"
    assert checked.stderr == "closing.scenarios.yaml: sound scenarios (crmflow workflow test runs them)\n"
    closing("init")
    assert [each["workflow"] for each in closing.json("workflow", "apply", *files)["changes"]] == ["closing"]


def test_without_files_it_is_wrong_usage(closing: "Crm") -> None:
    """Nothing to test is wrong usage, and a workflow without scenarios says how to make some."""
    closing("workflow", "test", status=2)
    closing.write("other.yaml", "workflow: other\ntype: deal\n")
    said = closing.refused("workflow", "test", "other.yaml")
    assert "other.scenarios.yaml:1:1: can't be read: No such file or directory (make it: {scenarios: " in said


def test_the_schema_of_scenarios_is_for_editors(bare: "Crm") -> None:
    """`workflow schema --scenarios` prints the JSON Schema of scenario files."""
    assert set(json.loads(bare("workflow", "schema", "--scenarios").stdout)["properties"]) == {"scenarios"}
