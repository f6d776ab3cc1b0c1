"""Why a trigger does not take an event: the table of conditions, and that it says what the rules decide."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given

from crmflow.core.hindrances import REASONS, Case, Hindrance, awaited, hindrance, told
from crmflow.core.model import Enrollment, Event, Exit, RecordType, Trigger, Workflow
from crmflow.core.replay import replay
from crmflow.core.settlement import settle
from crmflow.core.triggers import TRIGGERS, Rules
from tests.operations.worlds import World, worlds

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
PRICING = Trigger("page_visited", url=("https://www.acme.example/pricing*", "acme.example/demo"))
CUSTOMER = Trigger("field_updated", field="status", to=("customer", None))


def _event(word: str, kind: RecordType = "prospect", **said: Any) -> Event:  # noqa: ANN401 - what an event may say
    return Event(type=word, at=START + HOUR, record_type=kind, name="x", **said)


def _hindrance(trigger: Trigger, event: Event, *, exit_: Exit | None = None) -> Hindrance | None:
    workflow = Workflow("w", event.record_type, disenrollment_triggers=(trigger,))
    rules = Rules([workflow, Workflow("other", "prospect")])
    enrollment = Enrollment(id=1, record_id=1, workflow="w", enrolled_at=START, exit=exit_)
    return hindrance(Case(rules, enrollment, trigger, event))


@given(worlds())
def test_it_says_none_exactly_where_the_trigger_takes_the_event(world: World) -> None:
    """An event fails no condition exactly where the trigger, alone, makes an exit of it that stands."""
    rules = Rules(world.workflows)
    decided = replay(rules, world.enrolled, world.located)
    settled = [msgspec.structs.replace(e, exit=each.exit) for e, each in zip(world.enrolled, decided, strict=True)]
    for enrollment in (*world.enrolled, *settled):
        for event in world.events:
            found = [
                _agrees(rules, enrollment, trigger, event)
                for trigger in rules.workflows[enrollment.workflow].disenrollment_triggers
            ]
            assert any(found) is _stands(enrollment, rules.exit_from(enrollment.workflow, event))


def _agrees(rules: Rules, enrollment: Enrollment, trigger: Trigger, event: Event) -> bool:
    """Hold the conditions against the rules with this trigger alone, and return what both say."""
    alone = [
        msgspec.structs.replace(each, disenrollment_triggers=(trigger,)) if name == enrollment.workflow else each
        for name, each in rules.workflows.items()
    ]
    takes = _stands(enrollment, Rules(alone).exit_from(enrollment.workflow, event))
    assert (hindrance(Case(rules, enrollment, trigger, event)) is None) is takes
    return takes


def _stands(enrollment: Enrollment, exit_: Exit | None) -> bool:
    if exit_ is None:
        return False
    so_far = [enrollment.exit] if enrollment.exit else []
    return settle(enrollment.enrolled_at, [exit_, *so_far]) is exit_


@pytest.mark.parametrize(
    ("trigger", "event", "reason", "sentence"),
    [
        (Trigger("replied"), _event("hard_bounced"), "type", "it is a hard_bounced"),
        (CUSTOMER, _event("field_updated", field="owner", value="x"), "field", "it updates owner, not status"),
        (
            CUSTOMER,
            _event("field_updated", field="status", value="customer", old="customer"),
            "unchanged",
            "status was customer before",
        ),
        (CUSTOMER, _event("field_updated", field="status"), "no_value", "it does not say which value status took"),
        (
            CUSTOMER,
            _event("field_updated", field="status", value="lead"),
            "value",
            "status became lead, not customer or nothing",
        ),
        (
            Trigger("deal_won"),
            _event("field_updated", "deal", field="status", value="open"),
            "value",
            "status became open, not won",
        ),
        (
            Trigger("field_updated", field="status", to=("lost",)),
            _event("deal_won", "deal"),
            "value",
            "status became won, not lost",
        ),
        (Trigger("deal_won"), _event("deal_lost", "deal"), "type", "it is a deal_lost"),
        (PRICING, _event("page_visited", url="http://a.example/"), "page", "it is another page"),
        (
            Trigger("link_clicked"),
            _event("link_clicked", workflow="gone"),
            "unknown_workflow",
            "it is an email of gone, which is no workflow in force",
        ),
        (Trigger("link_clicked"), _event("link_clicked", workflow="other"), "workflow", "it is an email of other"),
        (
            Trigger("link_clicked"),
            _event("link_clicked", message="m-1"),
            "unknown_workflow",
            "nothing says of which workflow its email is",
        ),
        (
            Trigger("link_clicked"),
            _event("link_clicked", workflow="w", is_suspect=True),
            "suspect",
            "a machine likely caused it",
        ),
        (
            Trigger("replied"),
            msgspec.structs.replace(_event("replied"), at=START - HOUR),
            "before",
            "it happened before the enrollment, 2026-03-01T00:00:00Z",
        ),
    ],
)
def test_the_first_condition_that_fails(trigger: Trigger, event: Event, reason: str, sentence: str) -> None:
    """What an event says comes before when it happened; the sentence names what was found and what was wanted."""
    assert _hindrance(trigger, event) == Hindrance(reason, sentence)


def test_an_event_after_the_exit() -> None:
    """An event after the exit that stands is too late; so is one of its moment that comes after it by the order."""
    later = Exit(at=START, cause="manual")
    assert _hindrance(Trigger("replied"), _event("replied"), exit_=later) == Hindrance(
        "after", "it happened after the exit, 2026-03-01T00:00:00Z"
    )
    at_once = Exit(at=START + HOUR, cause="trigger", trigger="link_clicked", event_type="link_clicked")
    assert _hindrance(Trigger("replied"), _event("replied"), exit_=at_once) == Hindrance(
        "after", "at the same moment, 2026-03-01T01:00:00Z, the exit by link_clicked comes first"
    )


def test_the_event_that_made_the_exit_is_taken() -> None:
    """The exit that stands does not hinder its own event."""
    own = Exit(at=START + HOUR, cause="trigger", trigger="replied", event_type="replied")
    assert _hindrance(Trigger("replied"), _event("replied"), exit_=own) is None


def test_a_workflow_that_is_not_in_force() -> None:
    """A workflow that was removed takes no event."""
    enrollment = Enrollment(id=1, record_id=1, workflow="w", enrolled_at=START)
    found = hindrance(Case(Rules([]), enrollment, Trigger("replied"), _event("replied")))
    assert found == Hindrance("not_in_force", "w is not in force any more")
    assert REASONS[0] == "not_in_force"


@pytest.mark.parametrize(
    ("trigger", "phrase"),
    [
        (PRICING, "a visit to https://www.acme.example/pricing* or acme.example/demo"),
        (CUSTOMER, "an update of status to customer or nothing"),
        (Trigger("field_updated"), "an update of any field"),
        (Trigger("field_updated", to=(5.0, True)), "an update of any field to 5 or true"),
        (Trigger("link_clicked"), "a click on a link in an email of w"),
    ],
)
def test_what_a_trigger_waits_for(trigger: Trigger, phrase: str) -> None:
    """The phrase names the field, the values, the pages and the workflow."""
    assert awaited(trigger, "w") == phrase


def test_every_trigger_waits_for_something() -> None:
    """There is a phrase for each trigger of the table."""
    assert all(awaited(Trigger(word, url=("a",)), "w") for word in TRIGGERS)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (_event("replied"), ""),
        (_event("page_visited", url="http://a.example/"), "http://a.example/"),
        (_event("link_clicked", workflow="w"), "email of w"),
        (_event("link_clicked", message="m-1"), "email m-1"),
        (_event("step_completed", workflow="w", step="intro"), "intro of w"),
        (_event("field_updated", field="status"), "status"),
        (_event("field_updated", field="status", value=None), "status="),
        (_event("field_updated", field="amount", value=5.0), "amount=5"),
    ],
)
def test_what_an_event_says(event: Event, words: str) -> None:
    """A few words tell what an event says beyond its type."""
    assert told(event) == words
