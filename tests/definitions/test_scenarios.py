"""Scenario files become scenarios beside their workflows, or all the complaints about all of them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from crmflow.core.errors import DefinitionsError
from crmflow.core.times import parse_time
from crmflow.core.triggers import EVENT_RECORD_TYPES
from crmflow.definitions import is_scenario_file, load, load_rule_tests, scenario_schema
from crmflow.definitions.scenarios import Leaving, Scenario, ScenarioEvent, beside
from tests.definitions.conftest import Write

WORKFLOW = "workflow: w\ntype: prospect\n"
SCENARIOS = """\
scenarios:
  - name: a reply ends it
    enrolled: 2026-03-01T09:00:00+01:00
    events:
      - {type: replied, time: 2026-03-02T10:00:00Z, prospect: ana, id: 7}
      - {"type": "field_updated", "time": "2026-03-02T10:00:00Z", "prospect": 17, "field": "zip", "old": null}
    leaves:
      ana: {at: 2026-03-02T10:00:00Z, by: replied}
    stays: [17]
"""
SCENARIO = "scenarios:\n- name: s\n  enrolled: 2026-03-01T08:00:00Z\n"
MOMENT = parse_time("2026-03-02T10:00:00Z")


@pytest.fixture
def complaints(write: Write) -> Callable[[str], list[str]]:
    """Return a function that gives the complaints about a scenario file's content, without its path."""

    def complaints_(content: str) -> list[str]:
        workflow, path = write(WORKFLOW, "w.yaml"), write(content, "w.scenarios.yaml")
        with pytest.raises(DefinitionsError) as caught:
            load_rule_tests([workflow])
        return [str(each).removeprefix(f"{path}:") for each in caught.value.complaints]

    return complaints_


def test_loads_what_a_file_declares(write: Write) -> None:
    """A scenario holds its records, when they were enrolled, and its events as lines of a log, with their places."""
    write(WORKFLOW, "w.yaml")
    [tests] = load_rule_tests([write(SCENARIOS, "w.scenarios.yaml")])
    [scenario] = tests.scenarios
    lines = [json.loads(each.log_line) for each in scenario.events]
    assert tests.definition.workflow.workflow == "w"
    assert scenario == Scenario(
        name="a reply ends it",
        line=2,
        enrolled=parse_time("2026-03-01T08:00:00Z"),
        events=tuple(ScenarioEvent(line, 9, scenario.events[line - 5].log_line) for line in (5, 6)),
        leaves={"ana": Leaving(MOMENT, "replied")},
        stays=("17",),
    )
    assert lines == [
        {"type": "replied", "time": "2026-03-02T10:00:00Z", "prospect": "ana", "id": "7"},
        {
            "type": "field_updated",
            "time": "2026-03-02T10:00:00Z",
            "prospect": "17",
            "field": "zip",
            "old": None,
        },
    ]


@pytest.mark.parametrize(
    ("given", "workflow", "scenarios"),
    [
        ("a.yaml", "a.yaml", "a.scenarios.yaml"),
        ("x.d/a.scenarios.yml", "x.d/a.yml", "x.d/a.scenarios.yml"),
        ("x.d/a", "x.d/a", "x.d/a.scenarios"),
        (".", ".", ".scenarios."),
    ],
)
def test_the_two_files_are_found_by_their_names(given: str, workflow: str, scenarios: str) -> None:
    """Each of the two files says the name of the other."""
    assert beside(given) == beside(workflow) == beside(scenarios) == (workflow, scenarios)
    assert (is_scenario_file(workflow), is_scenario_file(scenarios)) == (False, True)


def test_a_workflow_counts_once(write: Write) -> None:
    """A workflow file and the scenario file beside it, or one of them in two spellings, are one pair."""
    workflow, scenarios = write(WORKFLOW, "w.yaml"), write(SCENARIOS, "w.scenarios.yaml")
    spelled = str(Path(workflow).parent / "." / ".." / Path(workflow).parent.name / "w.yaml")
    [tests] = load_rule_tests([workflow, scenarios, spelled])
    assert (tests.definition.path, tests.path) == (workflow, scenarios)


def test_scenario_files_declare_no_workflows(write: Write) -> None:
    """Among workflow files, as `*.yaml` names them, scenario files are checked and declare nothing."""
    workflow, scenarios = write(WORKFLOW, "w.yaml"), write(SCENARIOS, "w.scenarios.yaml")
    assert [each.path for each in load([scenarios, workflow])] == [workflow]
    write(WORKFLOW, "w.scenarios.yaml")
    with pytest.raises(DefinitionsError):
        load([scenarios, workflow])


def test_a_missing_scenario_file_is_shown_how_to_make(write: Write) -> None:
    """Without a scenario file there is a complaint, whose hint is a scenario file that is sound."""
    workflow = write(WORKFLOW, "w.yaml")
    with pytest.raises(DefinitionsError) as caught:
        load_rule_tests([workflow])
    [complaint] = caught.value.complaints
    assert complaint.what == "can't be read: No such file or directory"
    write((complaint.hint or "").removeprefix("make it: "), "w.scenarios.yaml")
    assert len(load_rule_tests([workflow])[0].scenarios) == 1


def test_all_faults_of_both_files_come_at_once(write: Write) -> None:
    """Complaints about a workflow and about its scenarios come together."""
    workflow = write("workflow: w\n", "w.yaml")
    scenarios = write("scenarios: 5\n", "w.scenarios.yaml")
    with pytest.raises(DefinitionsError) as caught:
        load_rule_tests([workflow])
    assert [each.path for each in caught.value.complaints] == [workflow, scenarios]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "1:1: no list of scenarios in this file (begin with scenarios:)"),
        ("scenario: []", "1:1: a scenario file has no key 'scenario' (did you mean scenarios?)"),
        ("---\nscenarios: []\n---\n{}", "3:1: a second document begins here (one file declares one list of scenarios)"),
        (f"{SCENARIO}  stays: &a ana\n", "4:10: anchors are not supported: '&a' (leave it out; a text that begins"),
        (f"{SCENARIO}  stay: ana\n", "4:3: a scenario has no key 'stay' (did you mean stays?)"),
        (SCENARIO, "2:3: a scenario expects something (say who leaves, or who stays: stays: RECORD)"),
        (f"{SCENARIO}  stays: [a, a]\n", "4:14: a second expectation of 'a' (keep one)"),
        (
            f"{SCENARIO}  leaves: {{a: {{at: 2026-03-02T10:00:00Z, by: reply}}}}\n",
            "4:46: unknown cause 'reply' (did you mean replied?)",
        ),
        (
            f"{SCENARIO}  leaves: {{a: {{at: 2026-03-02, by: replied}}}}\n",
            "4:20: at can't be '2026-03-02' (write it like 2026-03-01T09:30:00Z or 2026-03-01T10:30:00+01:00)",
        ),
        (f"{SCENARIO}  leaves: [a]\n", "4:11: leaves can't be a list (write RECORD: {at: TIME, by: TRIGGER})"),
        (f"{SCENARIO}  stays: true\n", "4:10: a record that stays can't be true (write a text)"),
        (
            f"{SCENARIO}  stays: ana\n  events: [{{type: replied, time: 2026-03-02T10:00:00Z, prospect: anna}}]\n",
            "5:66: nothing is expected of 'anna' (did you mean ana?; or say: stays: ...)",
        ),
        (
            f"{SCENARIO}  stays: ana\n  events: [{{type: replid, time: 2026-03-02T10:00:00Z}}]\n",
            "5:19: unknown type of event 'replid' (did you mean replied?)",
        ),
        (
            f"{SCENARIO}  stays: ana\n  events: [{{type: replied, time: 2026-02-30T10:00:00Z}}]\n",
            "5:34: time can't be '2026-02-30T10:00:00Z' (no such time: '2026-02-30T10:00:00Z')",
        ),
        (
            f"{SCENARIO}  stays: a\n- name: s\n  enrolled: 2026-03-01T08:00:00Z\n  stays: a\n",
            "5:9: a second name 's' in scenarios, first in line 2 (give each its own name)",
        ),
    ],
)
def test_faults_are_named_with_their_places(
    complaints: Callable[[str], list[str]], content: str, complaint: str
) -> None:
    """Every fault is a complaint with line and column that says what would be right."""
    assert any(each.startswith(complaint) for each in complaints(content)), complaints(content)


def test_the_schema_takes_what_is_sound() -> None:
    """The JSON Schema is one, takes a sound file and refuses unknown keys, types of events and causes."""
    Draft7Validator.check_schema(scenario_schema())
    validator = Draft7Validator(json.loads(json.dumps(scenario_schema())))
    at = "2026-03-02T10:00:00Z"
    events = [{"type": word, "time": at, "prospect": "a"} for word in EVENT_RECORD_TYPES]
    scenario = {"name": "s", "enrolled": at, "events": events, "leaves": {"a": {"at": at, "by": "completed"}}}
    assert validator.is_valid({"scenarios": [scenario]})
    assert validator.is_valid({"scenarios": [{"name": "s", "enrolled": at, "stays": ["a", 17]}]})
    for wrong in (
        {"stay": "a"},
        {"events": [{"type": "replid", "time": at}]},
        {"leaves": {"a": {"at": at, "by": "reply"}}},
    ):
        assert not validator.is_valid({"scenarios": [{**scenario, **wrong}]})
    assert not validator.is_valid({"scenarios": [{"name": "s", "enrolled": at}]})
