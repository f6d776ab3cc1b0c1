"""What stands of an enrollment: every exit that could end it, every step that it is told to have completed.

It comes from three places. What people did is kept in the store. What events did is read again in the logs, by the
rules in force now. Of logs that are gone, and of lines that were mended by hand, what was decided by them is all there
is, and counts as it was decided.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple, TypeVar

from crmflow.core.identity import identity_of_id
from crmflow.core.model import Completion, Enrollment, Exit
from crmflow.core.settlement import completion_exit
from crmflow.core.triggers import Rules
from crmflow.operations.recall import Recalled, called
from crmflow.store import retractions, standing
from crmflow.store.connection import Store
from crmflow.store.standing import KeptExit

_Item = TypeVar("_Item")


class Offer(NamedTuple):
    """An exit that may end an enrollment: one that is kept already, or what is read again in a reading."""

    exit: Exit
    kept: KeptExit | None = None
    reading: int | None = None


class Told(NamedTuple):
    """A completed step: kept already, or read again by that reading of that run."""

    completion: Completion
    reading: int | None = None
    run: int | None = None


class Grounds(NamedTuple):
    """All that stands of one enrollment; `kept` are its exits that stand on runs that do, also those that moved."""

    offers: list[Offer]
    completions: list[Told]
    kept: Sequence[KeptExit]


def gather(
    store: Store, rules: Rules, concerned: Sequence[Enrollment], recalled: Iterable[Recalled], gone: Collection[str]
) -> dict[int, Grounds]:
    """Return what stands of each of these enrollments, by its number; `gone` are the logs that are not there."""
    numbers = [each.id for each in concerned]
    exits = standing.exits(store, numbers)
    steps = standing.completions(store, numbers)
    retracted = _retracted(store, (one for its in exits.values() for one in its))
    by_hand = _by(lambda each: each[0], standing.updates_by_hand(store, {each.record_id for each in concerned}))
    told = _by(lambda each: each.record, recalled)
    found = {}
    for each in concerned:
        grounds = Grounds([], [], exits.get(each.id, ()))
        grounds.offers.extend(
            Offer(one.exit, one) for one in grounds.kept if _is_sole(one, gone) and one.exit.event_id not in retracted
        )
        grounds.completions.extend(
            Told(one.completion) for one in steps.get(each.id, ()) if one.path is None or called(one.path) in gone
        )
        for _, event in by_hand.get(each.record_id, ()):
            if exit_ := rules.exit_from(each.workflow, event):
                grounds.offers.append(Offer(exit_))
        for one in told.get(each.record_id, ()):
            _hear(rules, each.workflow, grounds, one)
        _offer_completion(rules, each.workflow, grounds)
        found[each.id] = grounds
    return found


def _retracted(store: Store, exits: Iterable[KeptExit]) -> set[str]:
    """Return the ids of events that are retracted, among those that decided these exits."""
    ids = {one.exit.event_id for one in exits if one.exit.event_id}
    in_force = retractions.in_force(store, map(identity_of_id, ids))
    return {each for each in ids if identity_of_id(each) in in_force}


def _is_sole(one: KeptExit, gone: Collection[str]) -> bool:
    """Tell whether an exit that is kept is all there is of what decided it: else it is found again elsewhere."""
    if one.exit.cause == "manual":
        return True
    return one.exit.event_type is not None and (not one.is_in_log or called(one.path or "") in gone)


def _hear(rules: Rules, workflow: str, grounds: Grounds, one: Recalled) -> None:
    if exit_ := rules.exit_from(workflow, one.event):
        grounds.offers.append(Offer(exit_, reading=one.reading))
    completed = rules.completion(one.event)
    if completed and completed[0] == workflow:
        grounds.completions.append(Told(completed[1], one.reading, one.run))


def _offer_completion(rules: Rules, workflow: str, grounds: Grounds) -> None:
    """Offer the exits that completed steps bring, so that it is known where each was read."""
    steps = rules.workflows[workflow].steps if workflow in rules.workflows else ()
    for each in grounds.completions:
        if exit_ := completion_exit(steps, each.completion):
            grounds.offers.append(Offer(exit_, reading=each.reading))


def _by(key: Callable[[_Item], int], items: Iterable[_Item]) -> dict[int, list[_Item]]:
    found: dict[int, list[_Item]] = {}
    for each in items:
        found.setdefault(key(each), []).append(each)
    return found
