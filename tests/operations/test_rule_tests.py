"""Scenarios run without a store, and say what the triggers of a workflow do and which of them they never see."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import crmflow
from crmflow.core.errors import DefinitionsError
from crmflow.operations import rule_tests
from crmflow.operations.rule_tests import Findings

SAMPLES = Path(crmflow.__file__).parents[1] / "sample_data" / "workflows"
Try = Callable[[str, str], Findings]

WELCOME = """\
workflow: welcome
type: prospect
steps: [{name: intro, kind: email, after: 0d}, {name: call, kind: task, after: 3d}]
disenrollment_triggers:
  - trigger: field_updated
    field: status
  - trigger: replied
  - trigger: page_visited
    url: acme.example/pricing*
  - {trigger: field_updated, field: owner}
"""


@pytest.fixture
def run(tmp_path: Path) -> Try:
    """Return a function that runs scenarios, written as YAML without their beginning, on a workflow."""

    def run_(workflow: str, scenarios: str) -> Findings:
        (tmp_path / "w.yaml").write_text(workflow)
        (tmp_path / "w.scenarios.yaml").write_text(f"scenarios:\n{scenarios}")
        [tested] = rule_tests.run([str(tmp_path / "w.yaml")])
        return tested

    return run_


def _scenario(events: str, expected: str, name: str = "s") -> str:
    return f"- name: {name}\n  enrolled: 2026-03-01T08:00:00Z\n  events: [{events}]\n  {expected}\n"


def _found(tested: Findings) -> list[Any]:
    return [each.as_json()["found"] for each in tested.verdicts]


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.scenarios.yaml")), ids=lambda path: path.name)
def test_the_sample_workflows_do_what_their_scenarios_say(path: Path) -> None:
    """Every scenario of the sample workflows comes as expected, and they exercise every trigger."""
    [tested] = rule_tests.run([str(path)])
    assert tested.verdicts
    assert (tested.failures, tested.unexercised, tested.shadowed) == ([], [], [])


def test_every_sample_workflow_has_scenarios() -> None:
    """Beside each sample workflow stand its scenarios."""
    assert len(rule_tests.run([str(path) for path in SAMPLES.glob("*.yaml")])) == 4


def test_the_earliest_exit_is_found_whatever_the_order(run: Try) -> None:
    """What is found names the moment, the trigger and its line, and the line of the event that decided."""
    events = (
        "\n    {type: replied, time: 2026-03-03T00:00:00Z, prospect: a},"
        "\n    {type: field_updated, time: 2026-03-02T00:00:00Z, prospect: a, field: owner, value: e},"
        "\n    {type: replied, time: 2026-03-01T00:00:00Z, prospect: a},"
    )
    tested = run(WELCOME, _scenario(events, "stays: a"))
    assert _found(tested) == [
        {"at": "2026-03-02T00:00:00Z", "by": "field_updated", "event_line": 6, "trigger_line": 10}
    ]
    assert [each.name for each in tested.failures] == ["s"]


def test_events_on_one_line_are_told_apart(run: Try) -> None:
    """Of several events at the same moment and on the same line, the one that decides is known by its trigger."""
    at = "time: 2026-03-02T00:00:00Z, prospect: a"
    events = f"{{type: field_updated, {at}, field: owner, value: e}}, {{type: replied, {at}}}"
    tested = run(WELCOME, _scenario(events, "leaves: {a: {at: 2026-03-02T00:00:00Z, by: replied}}"))
    assert tested.failures == []
    assert [(each.trigger, each.line) for each in tested.unexercised] == [
        ("field_updated", 5),
        ("page_visited", 8),
        ("field_updated", 10),
    ]


def test_the_last_step_completes(run: Try) -> None:
    """Completing the last step is an exit by no trigger."""
    event = "{type: step_completed, time: 2026-03-02T00:00:00Z, prospect: a, workflow: welcome, step: call}"
    tested = run(WELCOME, _scenario(event, "leaves: {a: {at: 2026-03-02T00:00:00Z, by: completed}}"))
    assert tested.failures == []
    assert _found(tested)[0]["trigger_line"] is None


def test_records_do_not_concern_each_other(run: Try) -> None:
    """Each record of a scenario has its own events, and each scenario its own records."""
    reply = "{type: replied, time: 2026-03-02T00:00:00Z, prospect: a}"
    left = "leaves: {a: {at: 2026-03-02T00:00:00Z, by: replied}}\n  stays: b"
    tested = run(WELCOME, _scenario(reply, left) + _scenario("", "stays: a", name="nothing happens"))
    assert [(each.record, each.is_right) for each in tested.verdicts] == [("a", True), ("b", True), ("a", True)]


@pytest.mark.parametrize(
    "expected",
    [
        "stays: a",
        "leaves: {a: {at: 2026-03-02T00:00:01Z, by: replied}}",
        "leaves: {a: {at: 2026-03-02T00:00:00Z, by: completed}}",
    ],
)
def test_another_time_or_cause_is_a_failure(run: Try, expected: str) -> None:
    """A record that leaves at another time or by something else than expected, or at all, fails its scenario."""
    tested = run(WELCOME, _scenario("{type: replied, time: 2026-03-02T00:00:00Z, prospect: a}", expected))
    assert len(tested.failures) == 1


def test_a_trigger_that_never_decides_is_shadowed_not_unexercised(run: Try) -> None:
    """A trigger that can't be exercised is reported as that, with what always comes first."""
    tested = run(f"{WELCOME}  - trigger: replied\n", _scenario("", "stays: a"))
    assert [(each.trigger.line, [by.line for by in each.by]) for each in tested.shadowed] == [(11, [7])]
    assert 11 not in {each.line for each in tested.unexercised}


@pytest.mark.parametrize(
    ("event", "complaint"),
    [
        ("type: page_visited, prospect: a", "page_visited without 'url'"),
        ("type: link_clicked, prospect: a", "link_clicked without 'workflow'"),
        ("type: replied", "replied without a record: 'prospect', 'organization' or 'deal'"),
        ("type: deal_won, prospect: a", "deal_won is about a deal, not about a prospect"),
        ("type: replied, prospect: a, deal: a", "more than one record: 'prospect' and 'deal'"),
        ("type: deal_won, deal: a", "this happened to a deal, and welcome is for prospects"),
    ],
)
def test_what_a_log_would_reject_is_a_complaint(run: Try, event: str, complaint: str) -> None:
    """An event that would be a reject in a log, or is about another type of record, is a complaint at its place."""
    with pytest.raises(DefinitionsError) as caught:
        run(WELCOME, _scenario(f"{{time: 2026-03-02T00:00:00Z, {event}}}", "stays: a"))
    assert [(each.line, each.column, each.what) for each in caught.value.complaints] == [(4, 12, complaint)]


def test_scenarios_know_no_today(run: Try) -> None:
    """An event may lie in the future, however far."""
    event = "{type: replied, time: 9999-12-30T00:00:00Z, prospect: a}"
    assert run(WELCOME, _scenario(event, "leaves: {a: {at: 9999-12-30T00:00:00Z, by: replied}}")).failures == []
