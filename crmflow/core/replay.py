"""The plain replay: every event held against every enrollment, one after the other.

It is the truth: easy to read, slow, and without a store. Every faster way must give what it gives.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from crmflow.core.codec import encode_value
from crmflow.core.haste import Click, Located, Mail, hasty_moments, is_of_mail, with_suspects
from crmflow.core.model import Enrollment, Scalar
from crmflow.core.settlement import Decision, decide
from crmflow.core.triggers import Rules, field_change, lacks_workflow, of_workflows, tells_workflow


def replay(rules: Rules, enrolled: Sequence[Enrollment], events: Iterable[Located]) -> list[Decision]:
    """Return how each enrollment stands after these events, whatever their order."""
    events = attributed(_judged(rules, list(events)))
    return [_settled(rules, enrollment, events) for enrollment in enrolled]


def _judged(rules: Rules, events: Sequence[Located]) -> list[Located]:
    """Return events, clicks that came too soon after their mail, or too many at once, as suspect ones."""
    arrivals: dict[Mail, set[datetime]] = {}
    clicks: dict[Mail, set[Click]] = {}
    for record, event in events:
        mail = event.message or "", record
        if tells_workflow(event):
            arrivals.setdefault(mail, set()).add(event.at)
        elif is_of_mail(event) and rules.is_wanted(event) and rules.has_workflow_of(event):
            clicks.setdefault(mail, set()).add(Click(event.at, event.url or ""))
    return with_suspects(events, {mail: hasty_moments(arrivals.get(mail, ()), its) for mail, its in clicks.items()})


def attributed(events: Iterable[Located]) -> list[Located]:
    """Return events, each that names no workflow as one of each that others name for its mail."""
    events = list(events)
    told = {(event.message, event.workflow) for _, event in events if tells_workflow(event)}
    found: list[Located] = []
    for record, event in events:
        names = sorted(name or "" for message, name in told if message == event.message)
        found += [(record, each) for each in (of_workflows(event, names) if lacks_workflow(event) else [event])]
    return found


def _settled(rules: Rules, enrollment: Enrollment, events: Iterable[Located]) -> Decision:
    about = [event for record, event in events if record == enrollment.record_id]
    exits = [exit_ for event in about if (exit_ := rules.exit_from(enrollment.workflow, event))]
    told = [each for event in about if (each := rules.completion(event))]
    completed = [completion for workflow, completion in told if workflow == enrollment.workflow]
    workflow = rules.workflows.get(enrollment.workflow)
    return decide(enrollment, workflow.steps if workflow else (), exits, told=completed)


def replay_fields(first: Mapping[tuple[int, str], Scalar], events: Iterable[Located]) -> dict[tuple[int, str], Scalar]:
    """Return the fields (record number, name) after these events: each has the value of the latest one about it.

    Of the same moment the larger event id is the later one (none before any), then the larger value as JSON.
    """
    latest: dict[tuple[int, str], tuple[datetime, str, str]] = {}
    values = dict(first)
    for record, event in events:
        change = field_change(event)
        if change is None:
            continue
        field, value = change
        stamp = (event.at, event.id or "", encode_value(value))
        if (record, field) not in latest or stamp > latest[record, field]:
            latest[record, field] = stamp
            values[record, field] = value
    return values
