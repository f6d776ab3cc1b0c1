"""Why a trigger does not take an event for an enrollment: the first of its conditions that the event fails.

The conditions stand in a table. An event fails none of them exactly when the trigger, alone in its workflow, makes an
exit of it that stands: the rules and the settlement decide, and a test holds that the table says the same.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from msgspec import UNSET

from crmflow.core.addresses import PatternSet, compile_pattern
from crmflow.core.model import STATUS_FIELD, Enrollment, Event, Exit, Scalar, Trigger
from crmflow.core.settlement import precedence
from crmflow.core.times import shown
from crmflow.core.triggers import COUNT_SUSPECT, STATUS_EVENTS, Rules, is_same, written

BY_MACHINE = "a machine likely caused it"


class Case(NamedTuple):
    """A trigger of an enrollment's workflow, an event about the enrolled record, and the rules in force."""

    rules: Rules
    enrollment: Enrollment
    trigger: Trigger
    event: Event


class Hindrance(NamedTuple):
    """Why a trigger does not take an event: the `reason` in a word (one of `REASONS`), and in a sentence."""

    reason: str
    sentence: str


class _Condition(NamedTuple):
    """A condition that an event may fail, and what is to be said then."""

    reason: str
    is_failed: Callable[[Case], bool]
    says: Callable[[Case], str]


def hindrance(case: Case) -> Hindrance | None:
    """Return why the trigger does not take the event for the enrollment; None where it does."""
    failed = next((each for each in _CONDITIONS if each.is_failed(case)), None)
    return failed and Hindrance(failed.reason, failed.says(case))


def awaited(trigger: Trigger, workflow: str) -> str:
    """Return what a trigger of a workflow waits for, as a phrase that names field, values and pages."""
    match trigger.trigger:
        case "page_visited":
            return f"a visit to {_either(trigger.url)}"
        case "field_updated":
            values = "" if trigger.to is None else f" to {_either(list(map(_quoted, trigger.to)))}"
            return f"an update of {trigger.field or 'any field'}{values}"
        case word:
            return _AWAITED[word].format(workflow=workflow)


_AWAITED = {
    "link_clicked": "a click on a link in an email of {workflow}",
    "replied": "a reply to an email of any workflow",
    "conversation_started": "a new email from it, in a new thread",
    "hard_bounced": "a hard bounce of an email to it",
    "unsubscribed": "it to unsubscribe from emails",
    "spam_reported": "it to report an email as spam",
    "meeting_booked": "it to book a meeting",
    "deal_won": "the deal to be won, or its status to be set to won",
    "deal_lost": "the deal to be lost, or its status to be set to lost",
}


def told(event: Event) -> str:
    """Return what an event says beyond its type, in a few words; empty where that is nothing."""
    match event.type:
        case "page_visited":
            return event.url or ""
        case "link_clicked":
            return f"email of {event.workflow}" if event.workflow else f"email {event.message}"
        case "step_completed":
            return f"{event.step} of {event.workflow}"
        case "field_updated":
            return event.field or "" if event.value is UNSET else f"{event.field}={written(event.value)}"
        case _:
            return ""


def _either(words: Sequence[str]) -> str:
    return " or ".join(words)


def _quoted(value: Scalar) -> str:
    return written(value) or "nothing"


def _is_in_force(case: Case) -> bool:
    return case.enrollment.workflow in case.rules.workflows


def _is_of_kind(case: Case) -> bool:
    """Tell whether the event is of the trigger's kind, whatever else it says."""
    word, event = case.trigger.trigger, case.event
    if event.record_type != case.rules.workflows[case.enrollment.workflow].type:
        return False
    if word == "field_updated":
        return event.type == word or event.type in STATUS_EVENTS
    is_status = (event.type, event.record_type, event.field) == ("field_updated", "deal", STATUS_FIELD)
    return event.type == word or (word in STATUS_EVENTS and is_status)


def _field(event: Event) -> str | None:
    return STATUS_FIELD if event.type in STATUS_EVENTS else event.field


def _is_of_other_field(case: Case) -> bool:
    return case.trigger.field not in {None, _field(case.event)}


def _is_no_change(case: Case) -> bool:
    event = case.event
    if event.type != "field_updated" or event.old is UNSET or event.value is UNSET:
        return False
    return is_same(event.old, event.value)


def _is_judged_by_value(case: Case) -> bool:
    """Tell whether it is the value of an update that decides."""
    return case.trigger.to is not None or (case.event.type == "field_updated" and case.trigger.trigger in STATUS_EVENTS)


def _is_without_value(case: Case) -> bool:
    is_said = case.event.type in STATUS_EVENTS or case.event.value is not UNSET
    return _is_judged_by_value(case) and not is_said


def _has_other_value(case: Case) -> bool:
    event, trigger = case.event, case.trigger
    if not _is_judged_by_value(case):
        return False
    if trigger.to is None:
        return event.value != STATUS_EVENTS[trigger.trigger]
    return _value(event) not in {written(value) for value in trigger.to}


def _value(event: Event) -> str:
    """Return the value that an update sets, as it is written; nothing where it says none."""
    return STATUS_EVENTS.get(event.type, "" if event.value is UNSET else written(event.value))


def _wanted_values(trigger: Trigger) -> str:
    return STATUS_EVENTS[trigger.trigger] if trigger.to is None else _either(list(map(_quoted, trigger.to)))


def _is_other_page(case: Case) -> bool:
    is_visit = case.trigger.trigger == "page_visited"
    return is_visit and not _pages(case.trigger.url).matching(case.event.url or "")


@lru_cache(maxsize=100)
def _pages(patterns: tuple[str, ...]) -> PatternSet:
    return PatternSet([compile_pattern(each) for each in patterns])


def _is_of_unknown_workflow(case: Case) -> bool:
    return case.trigger.trigger == "link_clicked" and case.event.workflow not in case.rules.workflows


def _is_of_other_workflow(case: Case) -> bool:
    return case.trigger.trigger == "link_clicked" and case.event.workflow != case.enrollment.workflow


def _is_suspect(case: Case) -> bool:
    return case.event.is_suspect and case.trigger.suspect != COUNT_SUSPECT


def _is_before(case: Case) -> bool:
    return case.event.at < case.enrollment.enrolled_at


def _is_after(case: Case) -> bool:
    """Tell whether the exit that stands comes before the one that the trigger would make of the event."""
    standing, event = case.enrollment.exit, case.event
    own = Exit(at=event.at, cause="trigger", trigger=case.trigger.trigger, event_id=event.id, event_type=event.type)
    return standing is not None and precedence(standing) < precedence(own)


def _after(case: Case) -> str:
    standing = case.enrollment.exit
    if standing is not None and standing.at == case.event.at:
        return f"at the same moment, {shown(standing.at)}, the exit by {standing.trigger or standing.cause} comes first"
    return f"it happened after the exit, {shown(standing.at) if standing else ''}"


_CONDITIONS = (
    _Condition(
        "not_in_force",
        lambda case: not _is_in_force(case),
        lambda case: f"{case.enrollment.workflow} is not in force any more",
    ),
    _Condition("type", lambda case: not _is_of_kind(case), lambda case: f"it is a {case.event.type}"),
    _Condition("field", _is_of_other_field, lambda case: f"it updates {_field(case.event)}, not {case.trigger.field}"),
    _Condition(
        "unchanged", _is_no_change, lambda case: f"{case.event.field} was {_value(case.event) or 'nothing'} before"
    ),
    _Condition("no_value", _is_without_value, lambda case: f"it does not say which value {case.event.field} took"),
    _Condition(
        "value",
        _has_other_value,
        lambda case: (
            f"{_field(case.event)} became {_value(case.event) or 'nothing'}, not {_wanted_values(case.trigger)}"
        ),
    ),
    _Condition("page", _is_other_page, lambda _case: "it is another page"),
    _Condition(
        "unknown_workflow",
        _is_of_unknown_workflow,
        lambda case: (
            f"it is an email of {case.event.workflow}, which is no workflow in force"
            if case.event.workflow
            else "nothing says of which workflow its email is"
        ),
    ),
    _Condition("workflow", _is_of_other_workflow, lambda case: f"it is an email of {case.event.workflow}"),
    _Condition("suspect", _is_suspect, lambda _case: BY_MACHINE),
    _Condition(
        "before", _is_before, lambda case: f"it happened before the enrollment, {shown(case.enrollment.enrolled_at)}"
    ),
    _Condition("after", _is_after, _after),
)
"""The conditions in the order in which they are tried: what the event says, then when it happened.

Each is tried only where none before it failed.
"""

REASONS = tuple(each.reason for each in _CONDITIONS)
"""Every reason, the one that lies farthest from a match first."""
