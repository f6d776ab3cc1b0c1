"""Runs the scenarios beside workflow files, without a store, by the settlement that decides over logs."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from crmflow import definitions
from crmflow.core.errors import Complaint, DefinitionsError
from crmflow.core.model import Enrollment, Event, Exit, Reject, Trigger, Workflow
from crmflow.core.replay import replay
from crmflow.core.shadowing import Shadow, shadows
from crmflow.core.times import FUTURE_TOLERANCE, shown
from crmflow.core.triggers import Rules
from crmflow.definitions import RuleTests
from crmflow.definitions.scenarios import Leaving, Scenario, ScenarioEvent
from crmflow.sources.jsonl import decode_line

_LATEST = datetime.max.replace(tzinfo=UTC) - FUTURE_TOLERANCE
"""No time in a scenario is too far in the future: what a rule means does not depend on the day of the test."""


class Left(NamedTuple):
    """That a record left: when, by a trigger's word or `completed`, through the event in line `event_line`.

    `trigger` is the one that decided, None where it completed its last step.
    """

    at: datetime
    by: str
    event_line: int
    trigger: Trigger | None


class Verdict(NamedTuple):
    """What was expected of a record in a scenario, and what became of it; None: it stays."""

    scenario: Scenario
    record: str
    expected: Leaving | None
    found: Left | None

    @property
    def is_right(self) -> bool:
        """Tell whether it came as expected."""
        expected = self.expected and (self.expected.at, self.expected.by)
        return expected == (self.found and (self.found.at, self.found.by))

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as plain values."""
        expected, found = self.expected, self.found
        return {
            "record": self.record,
            "passed": self.is_right,
            "expected": expected and {"at": shown(expected.at), "by": expected.by},
            "found": found
            and {
                "at": shown(found.at),
                "by": found.by,
                "event_line": found.event_line,
                "trigger_line": found.trigger and found.trigger.line,
            },
        }


class Findings(NamedTuple):
    """What the scenarios say of one workflow.

    `unexercised` are the triggers that decided in no scenario though they could, `shadowed` those that never can.
    """

    tests: RuleTests
    verdicts: list[Verdict]
    unexercised: list[Trigger]
    shadowed: list[Shadow]

    @property
    def failures(self) -> list[Scenario]:
        """Return the scenarios in which something came otherwise than expected."""
        return [each for each in self.tests.scenarios if not all(verdict.is_right for verdict in self.of(each))]

    def of(self, scenario: Scenario) -> list[Verdict]:
        """Return the verdicts of one scenario."""
        return [each for each in self.verdicts if each.scenario is scenario]

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        failures = self.failures
        return {
            "workflow": self.tests.definition.workflow.workflow,
            "path": self.tests.definition.path,
            "scenarios_path": self.tests.path,
            "scenarios": [
                {
                    "name": each.name,
                    "line": each.line,
                    "passed": each not in failures,
                    "records": [verdict.as_json() for verdict in self.of(each)],
                }
                for each in self.tests.scenarios
            ],
            "unexercised": list(map(_named, self.unexercised)),
            "shadowed": [{**_named(each.trigger), "by": list(map(_named, each.by))} for each in self.shadowed],
        }


def run(paths: Sequence[str]) -> list[Findings]:
    """Return what the scenarios of these files say, given workflow files, the scenario files beside them, or both.

    Raises `DefinitionsError` with every fault of all of them, events that a log would reject among them.
    """
    loaded = definitions.load_rule_tests(paths)
    complaints = tuple(each for tests in loaded for each in _complaints(tests))
    if complaints:
        raise DefinitionsError(complaints)
    return [_tested(tests) for tests in loaded]


def schema() -> dict[str, object]:
    """Return the JSON Schema of a scenario file."""
    return definitions.scenario_schema()


def _named(trigger: Trigger) -> dict[str, Any]:
    return {"trigger": trigger.trigger, "line": trigger.line}


def _complaints(tests: RuleTests) -> list[Complaint]:
    """Return what is wrong with events, each at its place."""
    workflow = tests.definition.workflow
    found = []
    for told in (each for scenario in tests.scenarios for each in scenario.events):
        outcome = decode_line(told.log_line, line=told.line, offset=0, now=_LATEST)
        if isinstance(outcome, Reject):
            found.append(Complaint(tests.path, told.line, told.column, outcome.reason, "as in the line of a log"))
        elif isinstance(outcome, Event) and outcome.record_type != workflow.type:
            what = f"this happened to a {outcome.record_type}, and {workflow.workflow} is for {workflow.type}s"
            found.append(Complaint(tests.path, told.line, told.column, what, f"write {workflow.type}: ..."))
    return found


def _tested(tests: RuleTests) -> Findings:
    workflow = tests.definition.workflow
    verdicts = [each for scenario in tests.scenarios for each in _verdicts(workflow, scenario)]
    deciding = {each.found.trigger for each in verdicts if each.found}
    shadowed = shadows(workflow)
    never = {each.trigger for each in shadowed}
    unexercised = [each for each in workflow.disenrollment_triggers if each not in deciding | never]
    return Findings(tests, verdicts, unexercised, shadowed)


def _verdicts(workflow: Workflow, scenario: Scenario) -> list[Verdict]:
    """Let a scenario happen."""
    expected = {**scenario.leaves, **dict.fromkeys(scenario.stays)}
    numbers = {record: number for number, record in enumerate(expected)}
    happened = _happened(scenario)
    enrolled = [
        Enrollment(id=number, record_id=number, workflow=workflow.workflow, enrolled_at=scenario.enrolled)
        for number in numbers.values()
    ]
    decisions = replay(Rules([workflow]), enrolled, [(numbers[event.name], event) for _, event in happened])
    return [
        Verdict(scenario, record, leaving, _left(workflow, happened, decision.exit))
        for (record, leaving), decision in zip(expected.items(), decisions, strict=True)
    ]


def _happened(scenario: Scenario) -> list[tuple[ScenarioEvent, Event]]:
    """Return the events of a scenario, each with the number, as its line, by which it is told from all others."""
    decoded = [
        (told, decode_line(told.log_line, line=number, offset=0, now=_LATEST))
        for number, told in enumerate(scenario.events)
    ]
    return [(told, event) for told, event in decoded if isinstance(event, Event)]


def _left(workflow: Workflow, happened: Sequence[tuple[ScenarioEvent, Event]], exit_: Exit | None) -> Left | None:
    if exit_ is None:
        return None
    told, event = next(each for each in happened if each[1].line == exit_.line)
    trigger = next((each for each in _of_word(workflow, exit_.trigger) if _takes(workflow, each, event)), None)
    return Left(exit_.at, exit_.trigger or exit_.cause, told.line, trigger)


def _of_word(workflow: Workflow, word: str | None) -> list[Trigger]:
    return [each for each in workflow.disenrollment_triggers if each.trigger == word]


def _takes(workflow: Workflow, trigger: Trigger, event: Event) -> bool:
    """Tell whether a trigger, alone, would be one that the event pulls."""
    alone = Workflow(workflow.workflow, workflow.type, disenrollment_triggers=(trigger,))
    return Rules([alone]).exit_from(workflow.workflow, event) is not None
