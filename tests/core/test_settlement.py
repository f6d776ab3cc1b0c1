"""The one rule: among all exits that would end an enrollment, the earliest stands."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmflow.core.model import Completion, Enrollment, Exit, Step
from crmflow.core.settlement import decide, precedence, settle
from crmflow.core.triggers import TRIGGERS

START = datetime(2026, 3, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
STEPS = (Step("intro", "email", timedelta(0)), Step("call", "task", timedelta(days=3)))

times = st.integers(-2, 3).map(lambda count: START + count * MICROSECOND)
ids = st.none() | st.sampled_from(["10", "9", "e-1", "é"])
by_hand = st.builds(Exit, at=times, cause=st.just("manual"))
by_trigger = st.sampled_from(list(TRIGGERS)).flatmap(
    lambda word: st.builds(
        Exit,
        at=times,
        cause=st.just("trigger"),
        trigger=st.just(word),
        event_id=ids,
        event_type=st.sampled_from([word, "field_updated"]),
    )
)
by_completion = st.builds(
    Exit, at=times, cause=st.just("completed"), event_id=ids, event_type=st.just("step_completed"), line=st.just(1)
)
exits = by_hand | by_trigger | by_completion
many_exits = st.lists(exits, max_size=8)
completions = st.builds(
    Completion, step=st.sampled_from(["intro", "call"]), position=st.just(0), at=times, event_id=ids, line=st.just(1)
)


def _at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def _enrolled(exit_: Exit | None = None) -> Enrollment:
    return Enrollment(id=1, record_id=1, workflow="welcome", enrolled_at=START, exit=exit_)


# --- settle ---


def test_the_earliest_exit_stands() -> None:
    """A reply at two o'clock ends what was ended by hand at three."""
    hand = Exit(at=_at(3), cause="manual")
    reply = Exit(at=_at(2), cause="trigger", trigger="replied", event_id="e-7", event_type="replied")
    assert settle(START, [hand, reply]) == reply


def test_without_exits_an_enrollment_is_active() -> None:
    """Where nothing would end it, it goes on."""
    assert settle(START, []) is None


def test_an_exit_counts_from_the_moment_of_enrollment_on() -> None:
    """What happens with the enrollment ends it; what happened a microsecond before does not."""
    at_once = Exit(at=START, cause="manual")
    assert settle(START, [at_once]) == at_once
    assert settle(START, [Exit(at=START - MICROSECOND, cause="manual")]) is None


def _in_order_of_the_table() -> list[Exit]:
    triggers = (
        *("link_clicked", "replied", "conversation_started", "page_visited", "hard_bounced"),
        *("deal_won", "deal_lost", "field_updated"),
    )
    return [
        Exit(at=START, cause="manual"),
        *(Exit(at=START, cause="trigger", trigger=word, event_id="z", event_type=word) for word in triggers),
        Exit(at=START, cause="completed", event_id="a", event_type="step_completed", line=1),
    ]


@pytest.mark.parametrize(("first", "second"), [*pairwise(_in_order_of_the_table())])
def test_ties_go_by_hand_then_by_the_table_then_by_completion(first: Exit, second: Exit) -> None:
    """At the same moment the cause decides, whatever the ids and the order."""
    smaller_id = second if second.cause == "manual" else msgspec.structs.replace(second, event_id="")
    assert settle(START, [second, first]) == settle(START, [first, smaller_id]) == first


@pytest.mark.parametrize(("first", "second"), [*pairwise(["", "10", "9", "E", "e", "é", None])])
def test_at_last_the_smaller_event_id_decides(first: str, second: str | None) -> None:
    """Ids are compared as texts, character by character; an event without one comes last."""
    replies = [Exit(at=START, cause="trigger", trigger="replied", event_id=each) for each in (second, first)]
    assert settle(START, replies) == replies[1]


def test_two_tellings_of_one_thing_have_an_order_too() -> None:
    """A deal that was won twice at one moment, in both ways to say so, is ended by the same one in any order."""
    won = [
        Exit(at=START, cause="trigger", trigger="deal_won", event_id="e-1", event_type=word)
        for word in ("field_updated", "deal_won")
    ]
    assert settle(START, won) == settle(START, won[::-1])


@given(many_exits, st.randoms(use_true_random=False))
def test_order_and_repetition_make_no_difference(offered: list[Exit], random: Random) -> None:
    """Exits in any order, some of them repeated, settle to the same one."""
    shuffled = [*offered, *offered[:3]]
    random.shuffle(shuffled)
    assert settle(START, shuffled) == settle(START, offered)


@given(many_exits, st.integers(0, 8))
def test_exits_can_be_settled_in_parts(offered: list[Exit], cut: int) -> None:
    """What stands after some exits, settled with the rest, is what stands after all; settling again changes nothing."""
    so_far = settle(START, offered[:cut])
    standing = settle(START, [*([so_far] if so_far else []), *offered[cut:]])
    assert standing == settle(START, offered)
    assert settle(START, [standing] if standing else []) is standing


@given(many_exits, exits)
def test_a_later_exit_changes_nothing(offered: list[Exit], later: Exit) -> None:
    """Only an exit before the one that stands can take its place, and it always does."""
    standing, with_later = settle(START, offered), settle(START, [*offered, later])
    is_earlier = later.at >= START and (standing is None or precedence(later) < precedence(standing))
    assert with_later == (later if is_earlier else standing)


# --- decide ---


def test_completing_the_last_step_completes_the_enrollment() -> None:
    """A workflow is completed at the time of its last step, and that step counts; the exit names the event."""
    told = Completion(step="call", position=1, at=_at(5), event_id="e-1", line=9)
    exit_, last, completed = decide(_enrolled(), STEPS, [], told=[told])
    assert exit_ == Exit(at=_at(5), cause="completed", event_id="e-1", event_type="step_completed", line=9)
    assert (last, completed) == (told, [told])


def test_a_step_by_advance_names_no_event() -> None:
    """Only a last step that an event told of, with an id or without, completes by an event."""
    told = Completion(step="call", position=1, at=_at(5))
    assert decide(_enrolled(), STEPS, [], told=[told]).exit == Exit(at=_at(5), cause="completed")
    without_id = msgspec.structs.replace(told, line=9)
    expected = Exit(at=_at(5), cause="completed", event_type="step_completed", line=9)
    assert decide(_enrolled(), STEPS, [], told=[without_id]).exit == expected


def test_without_steps_nothing_completes() -> None:
    """In a workflow that has no steps any more, a completed step is remembered and ends nothing."""
    told = Completion(step="call", position=1, at=_at(5))
    assert decide(_enrolled(), (), [], told=[told]) == (None, told, [told])


def test_a_step_counts_if_it_lies_before_the_exit() -> None:
    """One completed with the enrollment does; one at the moment of leaving, or later, or before, does not."""
    leaving = Exit(at=_at(2), cause="manual")
    before, at_once, *late = (Completion(step="intro", position=0, at=_at(hours)) for hours in (-1, 0, 2, 3))
    assert decide(_enrolled(leaving), STEPS, [], told=[before, *late]) == (leaving, None, [])
    assert decide(_enrolled(leaving), STEPS, [], told=[before, at_once, *late]) == (leaving, at_once, [at_once])


def test_an_exit_that_moves_takes_later_steps_back() -> None:
    """A late event that ends the enrollment before a step that was already known makes that step not count."""
    intro, call = (
        Completion(step=step.name, position=0, at=_at(hours)) for step, hours in zip(STEPS, (1, 4), strict=True)
    )
    completed = decide(_enrolled(), STEPS, [], told=[intro, call])
    reply = Exit(at=_at(2), cause="trigger", trigger="replied")
    moved = decide(_enrolled(completed.exit), STEPS, [reply], known=completed.completed)
    assert (moved.exit, moved.last_step) == (reply, intro)


def test_the_furthest_step_is_the_last_one() -> None:
    """Not the latest completion but that of the step furthest in the definition says how far an enrollment came."""
    steps = (*STEPS, Step("close", "task", timedelta(0)))
    call, intro = (Completion(step=name, position=0, at=_at(hours)) for name, hours in (("call", 1), ("intro", 2)))
    assert decide(_enrolled(), steps, [], told=[intro, call]).last_step == call


def test_a_step_that_the_definition_forgot_keeps_its_place() -> None:
    """A step that a changed definition no longer knows stands where it stood when it was completed."""
    gone, intro = (Completion(step=name, position=2, at=_at(1)) for name in ("gone", "intro"))
    assert decide(_enrolled(), STEPS, [], told=[intro, gone]).last_step == gone


@given(many_exits, st.lists(completions, max_size=6), st.randoms(use_true_random=False), st.integers(0, 6))
def test_an_enrollment_can_be_decided_in_parts(
    offered: list[Exit], told: list[Completion], random: Random, cut: int
) -> None:
    """Deciding as exits and steps come in, in any order, ends like deciding with all of them at once."""
    at_once = decide(_enrolled(), STEPS, offered, told=told)
    random.shuffle(offered)
    random.shuffle(told)
    exit_: Exit | None = None
    known: list[Completion] = []
    for some_exits, some_told in ((offered[:cut], told[cut:]), (offered[cut:], told[:cut]), ([], told[:2])):
        decision = decide(_enrolled(exit_), STEPS, some_exits, known, some_told)
        exit_, known = decision.exit, [*known, *decision.completed]
    assert (decision.exit, decision.last_step) == (at_once.exit, at_once.last_step)


@given(many_exits, st.lists(completions, max_size=6))
def test_a_standing_exit_stays_the_same_object(offered: list[Exit], told: list[Completion]) -> None:
    """What is told again leaves the very exit that stood, by which the store knows that it did not move."""
    first = decide(_enrolled(), STEPS, offered, told=told)
    again = decide(_enrolled(first.exit), STEPS, offered, first.completed, told)
    assert again.exit is first.exit
    assert again.last_step == first.last_step


@given(completions, many_exits)
def test_a_step_told_again_is_not_new(told: Completion, candidates: list[Exit]) -> None:
    """What is known already changes nothing, wherever in a log it is told once more."""
    first = decide(_enrolled(), STEPS, candidates, told=[told])
    again = msgspec.structs.replace(told, line=7, position=1)
    decision = decide(_enrolled(first.exit), STEPS, candidates, known=first.completed, told=[again])
    assert decision.exit is first.exit
    assert not decision.completed
