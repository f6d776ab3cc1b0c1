"""The table of triggers: which event ends which workflow."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from crmflow.core.model import RECORD_TYPES, Completion, Event, RecordType, Scalar, Step, Trigger, Workflow
from crmflow.core.triggers import (
    EVENT_RECORD_TYPES,
    TELLING_WORKFLOW,
    TRIGGERS,
    WITHOUT_EFFECT_TYPES,
    Rules,
    facets,
    field_change,
    is_same,
    written,
)

AT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
ANY = Trigger("field_updated")
STATUS = Trigger("field_updated", field="status")
CUSTOMER = Trigger("field_updated", field="status", to=("customer", "lost"))
PRICING = Trigger("page_visited", url=("https://www.acme.example/pricing*", "acme.example/demo"))


def _event(word: str, kind: RecordType = "prospect", **said: Any) -> Event:  # noqa: ANN401 - what an event may say
    return Event(type=word, at=AT, record_type=kind, name="x", line=1, id="e-1", **said)


def _updated(kind: RecordType = "prospect", field: str = "status", **said: Scalar) -> Event:
    return _event("field_updated", kind, field=field, **said)


def _rules(kind: RecordType, *triggers: Trigger) -> Rules:
    steps = (Step("intro", "email", AT - AT), Step("call", "task", AT - AT))
    return Rules([Workflow(workflow="w", type=kind, steps=steps, disenrollment_triggers=triggers)])


def _ended_by(rules: Rules, event: Event) -> str | None:
    exit_ = rules.exit_from("w", event)
    if exit_ is None:
        return None
    assert (exit_.at, exit_.cause, exit_.event_id, exit_.event_type) == (AT, "trigger", event.id, event.type)
    return exit_.trigger


# --- the table ---


@pytest.mark.parametrize(
    ("trigger", "kind", "event"),
    [
        (Trigger("link_clicked"), "prospect", _event("link_clicked", workflow="w")),
        (Trigger("replied"), "prospect", _event("replied")),
        (Trigger("replied"), "prospect", _event("replied", workflow="another")),
        (Trigger("conversation_started"), "prospect", _event("conversation_started")),
        (PRICING, "prospect", _event("page_visited", url="https://www.acme.example/pricing/eu")),
        (PRICING, "prospect", _event("page_visited", url="http://acme.example/demo/")),
        (Trigger("hard_bounced"), "prospect", _event("hard_bounced")),
        (Trigger("deal_won"), "deal", _event("deal_won", "deal")),
        (Trigger("deal_won"), "deal", _updated("deal", value="won")),
        (Trigger("deal_lost"), "deal", _event("deal_lost", "deal")),
        (Trigger("deal_lost"), "deal", _updated("deal", value="lost", old="open")),
        (STATUS, "deal", _event("deal_won", "deal")),
        (CUSTOMER, "deal", _event("deal_lost", "deal")),
        (ANY, "deal", _event("deal_lost", "deal")),
        *((ANY, kind, _updated(kind, "colour")) for kind in RECORD_TYPES),
        *((STATUS, kind, _updated(kind, value=None)) for kind in RECORD_TYPES),
        *((CUSTOMER, kind, _updated(kind, value="customer", old="lead")) for kind in RECORD_TYPES),
    ],
)
def test_a_trigger_takes_its_events(trigger: Trigger, kind: RecordType, event: Event) -> None:
    """Each row of SPEC's table: the event ends the workflow, at its time, and is wanted."""
    assert _ended_by(_rules(kind, trigger), event) == trigger.trigger
    assert _rules(kind, trigger).is_wanted(event)


@pytest.mark.parametrize(
    ("trigger", "kind", "event"),
    [
        (Trigger("link_clicked"), "prospect", _event("link_clicked", workflow="W")),
        (Trigger("link_clicked"), "prospect", _event("replied", workflow="w")),
        (Trigger("replied"), "prospect", _event("auto_replied")),
        (Trigger("replied"), "prospect", _event("conversation_started")),
        (Trigger("conversation_started"), "prospect", _event("replied")),
        (PRICING, "prospect", _event("page_visited", url="http://www.acme.example/pricing/eu")),
        (PRICING, "prospect", _event("page_visited", url="https://acme.example/demos")),
        (Trigger("hard_bounced"), "prospect", _event("soft_bounced")),
        (Trigger("deal_won"), "deal", _event("deal_lost", "deal")),
        (Trigger("deal_won"), "deal", _updated("deal", value="Won")),
        (Trigger("deal_won"), "deal", _updated("deal", "stage", value="won")),
        (Trigger("deal_won"), "deal", _updated("deal")),
        (Trigger("deal_won"), "deal", _updated("deal", value="won", old="won")),
        (Trigger("deal_lost"), "deal", _updated("deal", value="won", old="lost")),
        (CUSTOMER, "deal", _event("deal_won", "deal")),
        (Trigger("field_updated", field="stage"), "deal", _event("deal_won", "deal")),
        (ANY, "prospect", _updated(value="lead", old="lead")),
        (ANY, "prospect", _updated("deal", value="lead")),
        (STATUS, "prospect", _updated(field="Status", value="lead")),
        (CUSTOMER, "prospect", _updated(value="lead")),
        (CUSTOMER, "prospect", _updated(old="customer")),
        (CUSTOMER, "prospect", _updated()),
    ],
)
def test_a_near_miss_is_a_miss(trigger: Trigger, kind: RecordType, event: Event) -> None:
    """An event that only resembles what a trigger takes ends nothing."""
    assert _ended_by(_rules(kind, trigger), event) is None


@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize("kind", RECORD_TYPES)
def test_a_trigger_takes_events_of_its_name_alone(trigger: str, kind: RecordType) -> None:
    """Of all types of event, a trigger takes that of its name; an update also takes a deal that is won or lost."""
    url = ("*",) if trigger == "page_visited" else ()
    rules = _rules(kind, Trigger(trigger, url=url))
    words = [word for word, kinds in EVENT_RECORD_TYPES.items() if kind in kinds]
    events = [_event(word, kind, workflow="w", step="intro", url="http://a", field="f", value=1) for word in words]
    others = {"deal_won", "deal_lost"} if trigger == "field_updated" else set()
    assert {each.type for each in events if rules.exit_from("w", each)} == {trigger, *others} & {*words}


def test_of_several_triggers_the_first_in_the_table_is_named() -> None:
    """A deal that is won is an update of its status too; the exit names the trigger that comes first in the table."""
    for triggers in ((ANY, Trigger("deal_won"), STATUS), (Trigger("deal_won"), CUSTOMER, ANY)):
        assert _ended_by(_rules("deal", *triggers), _updated("deal", value="won")) == "deal_won"


# --- updates ---

scalars = st.sampled_from(["", "500", "true", "null", 0, 1, 500, True, False, None, 500.0, 0.5, -0.0, "500.0"])
deal_triggers = st.sampled_from(
    [Trigger("deal_won"), Trigger("deal_lost"), ANY, STATUS, CUSTOMER, Trigger("field_updated", to=("won",))]
)


@pytest.mark.parametrize(
    ("wanted", "value", "is_taken"),
    [
        (500, 500, True),
        (500, "500", True),
        ("500", 500, True),
        (500, 500.0, True),
        (0.5, "0.5", True),
        (True, "true", True),
        (None, "", True),
        (None, None, True),
        (True, 1, False),
        (1, True, False),
        (None, "null", False),
        (None, 0, False),
        ("customer", "Customer", False),
        ("500", "500.0", False),
        (500, "0500", False),
    ],
)
def test_values_are_compared_as_they_are_written(wanted: Scalar, value: Scalar, is_taken: bool) -> None:  # noqa: FBT001 - a column
    """What a CSV cell can't tell apart is the same to `to`: 500 and "500", null and nothing; but true is not 1."""
    trigger = Trigger("field_updated", field="status", to=("other", wanted))
    assert _ended_by(_rules("deal", trigger), _updated("deal", value=value)) == ("field_updated" if is_taken else None)


@given(scalars, scalars)
def test_to_takes_what_is_written_alike(wanted: Scalar, value: Scalar) -> None:
    """A value is one of `to` exactly if both are written the same."""
    rules = _rules("prospect", Trigger("field_updated", to=(wanted,)))
    assert bool(rules.exit_from("w", _updated(value=value))) == (written(wanted) == written(value))


@given(scalars, scalars)
def test_an_update_to_the_old_value_is_nothing(value: Scalar, old: Scalar) -> None:
    """With `old` equal to `value` no trigger takes it; 1 is 1.0 but not true. Without one of both it is an update."""
    is_update = not (value == old and (isinstance(value, bool) is isinstance(old, bool)))
    assert is_same(value, old) is is_same(old, value) is not is_update
    assert bool(_rules("prospect", ANY).exit_from("w", _updated(value=value, old=old))) is is_update
    for alone in (_updated(value=value), _updated(old=old), _updated()):
        assert _ended_by(_rules("prospect", ANY), alone) == "field_updated"


@given(st.sampled_from(["won", "lost"]), st.lists(deal_triggers, max_size=4))
def test_a_deal_is_won_and_lost_both_ways(status: str, triggers: list[Trigger]) -> None:
    """Whether the log says `deal_won` or that the status became `won`, the same workflows end by the same trigger."""
    one, other = _event(f"deal_{status}", "deal"), _updated("deal", value=status)
    rules = _rules("deal", *triggers)
    assert _ended_by(rules, one) == _ended_by(rules, other)
    assert rules.is_wanted(one)
    assert rules.is_wanted(other)
    assert field_change(one) == field_change(other) == ("status", status)


def test_a_prospect_can_not_be_won() -> None:
    """Only a deal's status is more than a field."""
    assert [each.type for each in facets(_updated("organization", value="won"))] == ["field_updated"]


# --- what else events say ---


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (_updated(value="lead"), ("status", "lead")),
        (_updated(value=None), ("status", None)),
        (_updated(value="lead", old="lead"), ("status", "lead")),
        (_updated(old="lead"), None),
        (_event("deal_won", "deal"), ("status", "won")),
        (_event("replied", field="status", value="lead"), None),
    ],
)
def test_a_field_takes_a_value_that_is_said(event: Event, expected: tuple[str, Scalar] | None) -> None:
    """An update with a value sets the field, null included, even where it says that the old one was the same."""
    assert field_change(event) == expected


def test_a_completed_step_belongs_to_one_workflow() -> None:
    """The event names workflow and step; another type of record, an unknown workflow or step is no completion."""
    rules = _rules("deal")
    told = _event("step_completed", "deal", workflow="w", step="call")
    expected = Completion(step="call", position=1, at=AT, event_id="e-1", line=1)
    assert rules.completion(told) == ("w", expected)
    others: list[dict[str, Any]] = [
        {"step": "Call"},
        {"workflow": "W"},
        {"record_type": "prospect"},
        {"type": "replied"},
    ]
    assert [rules.completion(msgspec.structs.replace(told, **other)) for other in others] == [None] * 4


@pytest.mark.parametrize(
    ("event", "is_wanted"),
    [
        (_event("hard_bounced"), True),
        (_event("step_completed", workflow="w", step="intro"), True),
        (_event("deal_won", "deal"), True),
        (_updated(value="lead", old="lead"), True),
        (_updated(), False),
        (_updated(old="lead"), False),
        (_event("replied"), False),
        (_event("link_clicked", workflow="w"), False),
        (_event("page_visited", url="https://acme.example/"), False),
        *((_event(word), False) for word in sorted(WITHOUT_EFFECT_TYPES)),
    ],
)
def test_without_triggers_only_what_lasts_is_wanted(event: Event, is_wanted: bool) -> None:  # noqa: FBT001 - a column
    """Where no trigger takes it, an event still counts if it sets a field, says of a bounce or of a completed step."""
    assert _rules(event.record_type).is_wanted(event) is is_wanted


def test_a_click_is_wanted_wherever_clicks_are() -> None:
    """With any workflow that ends by clicks a click is wanted, whichever workflow it names; a page only if it fits."""
    rules = _rules("prospect", Trigger("link_clicked"), PRICING)
    assert rules.is_wanted(_event("link_clicked", workflow="another"))
    assert rules.is_wanted(_event("page_visited", url="acme.example/demo"))
    assert not rules.is_wanted(_event("page_visited", url="acme.example/"))


def test_a_suspect_click_counts_only_where_a_trigger_says_so() -> None:
    """Nothing else wants it; one that counts suspects takes clicks of people as well."""
    click = _event("link_clicked", workflow="w")
    suspect = msgspec.structs.replace(click, is_suspect=True)
    strict, lenient = Trigger("link_clicked"), Trigger("link_clicked", suspect="count")
    assert _ended_by(_rules("prospect", strict), suspect) is None
    assert not _rules("prospect", strict).is_wanted(suspect)
    assert _rules("prospect", strict).would_be_wanted(suspect)
    assert not _rules("prospect").would_be_wanted(suspect)
    for rules in (_rules("prospect", lenient), _rules("prospect", strict, lenient)):
        assert rules.is_wanted(suspect)
        assert _ended_by(rules, suspect) == _ended_by(rules, click) == "link_clicked"
    visit = _event("page_visited", url="acme.example/demo")
    assert not _rules("prospect", PRICING).is_wanted(msgspec.structs.replace(visit, is_suspect=True))


def test_a_suspect_bounce_is_still_a_fact() -> None:
    """It ends nothing, but what is known of the record changes."""
    bounce = msgspec.structs.replace(_event("hard_bounced"), is_suspect=True)
    rules = _rules("prospect", Trigger("hard_bounced"))
    assert rules.is_wanted(bounce)
    assert _ended_by(rules, bounce) is None


def test_what_tells_the_workflow_of_a_mail_is_wanted() -> None:
    """With both the mail and the workflow, whatever the triggers."""
    for word in TELLING_WORKFLOW:
        assert _rules("prospect").is_wanted(_event(word, workflow="w", message="m-1"))
        assert not _rules("prospect").is_wanted(_event(word, workflow="w"))
        assert not _rules("prospect").is_wanted(_event(word, message="m-1"))
    assert not _rules("prospect").is_wanted(_event("email_opened", workflow="w", message="m-1"))


def test_unset_is_no_value() -> None:
    """An update that says neither value nor old leaves the field alone and is taken by a trigger of any value."""
    event = _updated()
    assert (event.value, event.old) == (UNSET, UNSET)
    assert _ended_by(_rules("prospect", STATUS), event) == "field_updated"
