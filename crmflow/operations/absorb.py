"""Takes a batch of events into the store: what they say of records is kept, and the enrollments they concern settled.

Names are looked up by set. An event that gives a prospect a new email splits the batch where a later event of the batch
goes by that email, so that a log has the same effect in one batch or in many.
"""

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

from crmflow.core.haste import Located, with_suspects
from crmflow.core.model import EMAIL_FIELD, Bounce, Event, FieldChange
from crmflow.core.triggers import Rules, field_change
from crmflow.operations.attribution import keep_mail, settle_by_mail
from crmflow.operations.haste import moments_of, overtaken
from crmflow.operations.locating import by_mail, by_name
from crmflow.operations.settling import Settled, settle_events
from crmflow.store import fields, records, retractions
from crmflow.store.connection import Store
from crmflow.store.enrollments import Origin

EVENTS_AT_ONCE = 20_000
"""How many events are settled at once: more save nothing."""


class Absorbed(NamedTuple):
    """What became of events that are wanted: SPEC 5's two classes of them, and the enrollments that changed.

    Of those considered `retracted` are events that count no more, and `hasty` clicks that no person makes. `overtaken`
    are the enrollments that an earlier click had ended of which that is known only now: the caller has them
    reconsidered, once it is written down how far the log was read.
    """

    unmatched: int
    considered: int
    exits: int
    moved: int
    retracted: int = 0
    hasty: int = 0
    overtaken: frozenset[int] = frozenset()


def absorb(
    store: Store, origin: Origin, rules: Rules, events: Sequence[Event], *, at_once: int = EVENTS_AT_ONCE
) -> Absorbed:
    """Take events in, so many `at_once`, inside a change; the state that results does not depend on their order."""
    considered = exits = moved = ignored = hasty = 0
    reconsidering: set[int] = set()
    for part in _parts(events):
        named, strangers = by_name(store, [event for event in part if rules.has_workflow_of(event)])
        standing = _standing(store, named)
        known = moments_of(store, standing)
        for some in _in_turn(standing, at_once):
            keep_facts(store, origin, some)
        replies = by_mail(store, strangers)
        considered += len(named) + len(replies)
        standing += _standing(store, replies)
        ignored += len(named) + len(replies) - len(standing)
        moments = moments_of(store, standing)
        reconsidering |= overtaken(store, rules, known, moments)
        judged = with_suspects(standing, moments)
        hasty += _suspects(judged) - _suspects(standing)
        settling = [settle_events(store, origin, rules, some) for some in _in_turn(judged, at_once)]
        for settled in (*settling, settle_by_mail(store, origin, rules, judged)):
            exits += settled.exits
            moved += settled.moved
    unmatched = len(events) - considered
    return Absorbed(unmatched, considered, exits, moved, ignored, hasty, frozenset(reconsidering))


def _in_turn(events: Iterable[Located], at_once: int) -> Iterator[list[Located]]:
    """Yield events in the order of their records' numbers, at least so many at once, all about a record together.

    So the store's pages are each visited once, and the memory does not hold what all of them bring.
    """
    some: list[Located] = []
    for each in sorted(events, key=itemgetter(0)):
        if len(some) >= at_once and each[0] != some[-1][0]:
            yield some
            some = []
        some.append(each)
    if some:
        yield some


def _suspects(events: Sequence[Located]) -> int:
    return sum(event.is_suspect for _, event in events)


def _standing(store: Store, located: Sequence[Located]) -> list[Located]:
    """Return those of the events that were not retracted."""
    retracted = retractions.among(store, [event for _, event in located])
    return [each for number, each in enumerate(located) if number not in retracted]


def keep_facts(store: Store, origin: Origin, located: Sequence[tuple[int, Event]], *, is_by_hand: bool = False) -> None:
    """Keep what events say of their records: the values of fields, hard bounces, and mails."""
    changes, bounces = [], []
    for record, event in located:
        change = field_change(event)
        if change is not None:
            field, value = change
            changes.append(FieldChange(record, field, event.at, value, event.id or "", is_by_hand))
        elif event.type == "hard_bounced":
            bounces.append(Bounce(record, event.at, event.name.casefold(), event.id or ""))
    fields.save(store, origin.run, changes)
    records.save_bounces(store, origin.run, bounces)
    keep_mail(store, origin, located)


def settle_by_hand(store: Store, origin: Origin, rules: Rules, located: Sequence[tuple[int, Event]]) -> Settled:
    """Take in updates that a person made: they are events like those of a log, and decide over them at a tie."""
    keep_facts(store, origin, located, is_by_hand=True)
    return settle_events(store, origin, rules, located)


def _parts(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    """Yield events in parts, none of which gives a prospect an email that a later one of it goes by."""
    if not any(_new_email(each) for each in events if each.field == EMAIL_FIELD):
        yield events
        return
    names = {event.name.casefold() for event in events if event.record_type == "prospect"}
    part: list[Event] = []
    for event in events:
        part.append(event)
        if _new_email(event) in names:
            yield part
            part = []
    if part:
        yield part


def _new_email(event: Event) -> str | None:
    if event.record_type == "prospect" and event.field == EMAIL_FIELD and isinstance(event.value, str):
        return event.value.casefold()
    return None
