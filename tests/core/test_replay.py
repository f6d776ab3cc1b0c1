"""The plain replay, on the examples of SPEC and on random worlds."""

from datetime import UTC, datetime, timedelta
from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from crmflow.core.haste import Located
from crmflow.core.model import Completion, Enrollment, Event, Exit, Step, Trigger, Workflow
from crmflow.core.replay import attributed, replay, replay_fields
from crmflow.core.settlement import Decision, settle
from crmflow.core.triggers import Rules
from tests.operations.worlds import FIRST_VALUES, World, worlds

START = datetime(2026, 3, 1, tzinfo=UTC)
WELCOME = Workflow(
    workflow="welcome",
    type="prospect",
    steps=(Step("intro", "email", timedelta(0)), Step("follow-up", "email", timedelta(days=3))),
    disenrollment_triggers=(Trigger("link_clicked"), Trigger("replied")),
)
NURTURE = msgspec.structs.replace(WELCOME, workflow="nurture")
ANA = Enrollment(id=1, record_id=1, workflow="welcome", enrolled_at=START)


def _event(word: str, hours: float, event_id: str | None = None, **said: str) -> Located:
    at = START + timedelta(hours=hours)
    event = Event(type=word, at=at, record_type="prospect", name="ana", line=1, id=event_id)
    return 1, msgspec.structs.replace(event, **said)


def _exit(trigger: str, hours: float, event_id: str | None) -> Exit:
    at = START + timedelta(hours=hours)
    return Exit(at=at, cause="trigger", trigger=trigger, event_id=event_id, event_type=trigger, line=1)


def _replayed(*events: Located) -> Decision:
    [decision] = replay(Rules([WELCOME, NURTURE]), [ANA], events)
    return decision


# --- by example ---


def test_the_first_trigger_ends_the_enrollment() -> None:
    """A click after it is too late, one in another workflow's email is none; steps before the exit count."""
    exit_, last, _ = _replayed(
        _event("link_clicked", 30, "e-9", workflow="welcome"),
        _event("link_clicked", 10, "e-3", workflow="nurture"),
        _event("step_completed", 2, "e-2", workflow="nurture", step="follow-up"),
        _event("step_completed", 1, "e-1", workflow="welcome", step="intro"),
        _event("replied", 26, "e-7"),
        _event("step_completed", 72, "e-8", workflow="welcome", step="follow-up"),
    )
    assert exit_ == _exit("replied", 26, "e-7")
    assert last == Completion(step="intro", position=0, at=START + timedelta(hours=1), event_id="e-1", line=1)


def test_what_happened_before_the_enrollment_is_none_of_its_business() -> None:
    """A reply a microsecond before does nothing; one at the very moment does."""
    assert _replayed(_event("replied", -1)).exit is None
    assert _replayed(_event("replied", 0)).exit == _exit("replied", 0, None)


def test_an_event_ends_all_enrollments_in_which_it_falls() -> None:
    """Who comes back is in a new enrollment: an event counts for the one that was running, and for every workflow."""
    before = msgspec.structs.replace(ANA, exit=Exit(at=START + timedelta(hours=1), cause="manual"))
    again = msgspec.structs.replace(ANA, id=2, enrolled_at=START + timedelta(hours=2))
    nurtured = msgspec.structs.replace(ANA, id=3, workflow="nurture")
    bob = msgspec.structs.replace(ANA, id=4, record_id=2)
    decisions = replay(Rules([WELCOME, NURTURE]), [before, again, nurtured, bob], [_event("replied", 3, "e-1")])
    assert [each.exit for each in decisions] == [before.exit, *[_exit("replied", 3, "e-1")] * 2, None]


def test_a_click_has_the_workflow_of_its_mail() -> None:
    """Another event names it, before or after the click; a mail that is said to be of two is of both."""
    click = _event("link_clicked", 10, "e-1", message="m-1")
    delivered = _event("email_delivered", 11, "e-2", message="m-1", workflow="welcome")
    assert _replayed(click, delivered).exit == _replayed(delivered, click).exit == _exit("link_clicked", 10, "e-1")
    assert _replayed(click, _event("email_sent", 9, message="m-1", workflow="nurture"), delivered).exit
    assert _replayed(click).exit is None
    for other in ({"message": "m-2", "workflow": "welcome"}, {"workflow": "welcome"}, {"message": "m-1"}):
        assert _replayed(click, _event("email_delivered", 11, **other)).exit is None
    assert _replayed(click, _event("email_opened", 11, message="m-1", workflow="welcome")).exit is None


def test_a_removed_workflow_ends_nobody() -> None:
    """An enrollment in a workflow that is no longer in force stays as it is."""
    [decision] = replay(Rules([]), [ANA], [_event("replied", 1)])
    assert decision == (None, None, [])


def _set(hours: float, value: str | int, event_id: str | None = None) -> Located:
    number, event = _event("field_updated", hours, event_id, field="status")
    return number, msgspec.structs.replace(event, value=value)


def test_fields_follow_the_later_event() -> None:
    """A field has the value of the latest event about it, in whatever order they come; first values are the oldest."""
    first = {(1, "status"): "lead", (1, "zip"): "01234"}
    events = [_set(3, "customer"), _set(2, "trial"), _event("replied", 9)]
    assert replay_fields(first, events) == {(1, "status"): "customer", (1, "zip"): "01234"}


def test_of_one_moment_the_larger_id_decides() -> None:
    """Ids are compared as texts, none is the smallest; without a difference the larger value as JSON decides."""
    by_id = [_set(1, "b", "e-2"), _set(1, "a", "e-3"), _set(1, "c")]
    by_value = [_set(1, 9, "e-2"), _set(1, 10, "e-2")]
    assert replay_fields({}, by_id) == {(1, "status"): "a"}
    assert replay_fields({}, by_value) == replay_fields({}, by_value[::-1]) == {(1, "status"): 9}


# --- in random worlds ---


def _without_steps(decisions: list[Decision]) -> list[tuple[Exit | None, str | None, datetime | None]]:
    """Return what is decided: of two completions of one step at one moment it makes no difference which is named."""
    return [(exit_, last.step if last else None, last.at if last else None) for exit_, last, _ in decisions]


@settings(max_examples=60)
@given(worlds(), st.randoms(use_true_random=False))
def test_order_and_repetition_make_no_difference(world: World, random: Random) -> None:
    """The same events in any order, some repeated, give the same exits, steps and fields."""
    events, enrolled, rules = world.located, world.enrolled, Rules(world.workflows)
    shuffled = [*events, *events[:5]]
    random.shuffle(shuffled)
    assert _without_steps(replay(rules, enrolled, shuffled)) == _without_steps(replay(rules, enrolled, events))
    assert replay_fields(FIRST_VALUES, shuffled) == replay_fields(FIRST_VALUES, events)


@settings(max_examples=60)
@given(worlds())
def test_the_earliest_of_what_each_event_does_alone_stands(world: World) -> None:
    """What all do together is the first of what each would do by itself, once the workflows of mails are known."""
    events, enrolled, rules = attributed(world.located), world.enrolled, Rules(world.workflows)
    alone = [[each.exit for each in replay(rules, enrolled, [event])] for event in events]
    together = [each.exit for each in replay(rules, enrolled, events)]
    for number, enrollment in enumerate(enrolled):
        exits = [enrollment.exit, *(each[number] for each in alone)]
        assert together[number] == settle(enrollment.enrolled_at, [each for each in exits if each])
