"""Lets events count no more, now and in later replays: a scanner's click, an out-of-office taken for a reply.

An event is named by its id or by where it stands, a whole burst by what its events have in common. Every enrollment of
the records that they are about is reconsidered, because what they had hidden may count now.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from crmflow.core.errors import CrmflowError, UsageError
from crmflow.core.identity import ID_MARK, identity, identity_of_id
from crmflow.core.model import Moment
from crmflow.operations.find_events import Found, Selection, find_at, find_selected, split_place
from crmflow.operations.locating import located
from crmflow.operations.reconsider import Reconsidered, as_json, reconsider, restore_facts
from crmflow.store import enrollments, retractions, runs, standing
from crmflow.store.connection import Store
from crmflow.store.retractions import Target


class Retracted(NamedTuple):
    """What was retracted or given back: how many events, and all that came of it."""

    run: int | None
    events: int
    reconsidered: dict[str, Any]

    @property
    def is_partial(self) -> bool:
        """Tell whether anything was left alone, or is in doubt."""
        return bool(self.reconsidered["left_alone"] or self.reconsidered["gone"])

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return {"run": self.run, "events": self.events, **self.reconsidered}


_NOTHING: dict[str, Any] = {"changes": [], "left_alone": [], "gone": [], "doubtful": []}


class Request(NamedTuple):
    """Which events: named one by one, selected by what they have in common; logs that stand in for those gone."""

    names: Sequence[str] = ()
    selection: Selection | None = None
    given: Sequence[str] = ()


def retract(store: Store, request: Request, because: str, moment: Moment) -> Retracted:
    """Let events count no more; those that count no more already are passed over.

    Raises `CrmflowError` where nothing stands at a place that was named, or nothing is selected.
    """
    _require_any(request)
    with store.change():
        named = _by_name(store, request.names, moment)
        if request.selection is not None:
            named += _located(store, _selected(store, request, moment))
        named += _others(store, named)
        known = retractions.in_force(store, {each.identity for each in named})
        new = list({(each.identity, each.record): each for each in named if each.identity not in known}.values())
        if not new:
            return Retracted(None, 0, _NOTHING)
        run = runs.begin(store, "retract", moment)
        retractions.add(store, run, because, new)
        known_records = [(each.record, each) for each in new if each.record is not None]
        forgotten = [
            field
            for record, each in known_records
            for field in standing.forget(store, record, each.identity, each.event)
        ]
        restore_facts(store, {record for record, _ in known_records}, request.given, forgotten)
        found = _reconsidered(store, run, moment, {record for record, _ in known_records}, request)
        count = len({each.identity for each in new})
        runs.note(store, run, {"events": count, "because": because, **_counts(found)})
        return Retracted(store.shown(run), count, as_json(store, found))


def take_back(store: Store, request: Request, moment: Moment) -> Retracted:
    """Let retracted events count again; raises `CrmflowError` where none of the retractions in force is meant."""
    _require_any(request)
    with store.change():
        in_force = retractions.listed(store)
        names = {each["event"] for each in in_force if _is_meant(each, request)}
        meant = [each for each in in_force if each["event"] in names]
        if not meant:
            raise CrmflowError("no retraction in force is meant by that", hint="see crmflow retract list")
        numbers = [each["retraction"] for each in meant]
        run = runs.begin(store, "retract --take-back", moment)
        touched = retractions.records_of(store, numbers)
        retractions.take_back(store, run, numbers)
        restore_facts(store, touched, request.given)
        found = _reconsidered(store, run, moment, touched, request)
        count = len({each["event"] for each in meant})
        runs.note(store, run, {"events": count, **_counts(found)})
        return Retracted(store.shown(run), count, as_json(store, found))


def listed(store: Store) -> list[dict[str, Any]]:
    """Return the retractions in force, the oldest first."""
    return retractions.listed(store)


def _require_any(request: Request) -> None:
    if not request.names and request.selection is None:
        raise UsageError("no event is named", hint="name it by its id or as SOURCE:LINE, or select with --source")


def _reconsidered(store: Store, run: int, moment: Moment, touched: set[int], request: Request) -> Reconsidered:
    concerned = {each.id for each in enrollments.of_records(store, touched)}
    return reconsider(store, run, moment, concerned, request.given)


def _counts(found: Reconsidered) -> dict[str, int]:
    counts = {what: sum(each.what == what for each in found.changes) for what in ("reopened", "ended", "moved", "step")}
    return {**counts, "left_alone": len(found.left_alone), "doubtful": len(found.doubtful)}


def _by_name(store: Store, names: Iterable[str], moment: Moment) -> list[Target]:
    named = []
    for name in names:
        place = split_place(store, name)
        if place is not None:
            named += _located(store, [find_at(store, *place, moment)])
            continue
        about: list[int | None] = [*standing.records_of_event(store, name)]
        named += [Target(identity_of_id(name), record) for record in about or [None]]
    return named


def _selected(store: Store, request: Request, moment: Moment) -> list[Found]:
    if request.selection is None:
        return []
    found = find_selected(store, request.selection, request.given, moment)
    if not found:
        raise CrmflowError("no event is selected", hint="look at the logs: the sources, types and times must be theirs")
    return found


def _located(store: Store, found: Sequence[Found]) -> list[Target]:
    numbers = {id(event): number for number, event in located(store, [each.event for each in found])}
    return [Target(identity(each.event), numbers.get(id(each.event)), each.event, each.source) for each in found]


def _others(store: Store, named: Sequence[Target]) -> list[Target]:
    """Return the same events for all other records that they told of: an id may have been used twice."""
    ids = {each.identity for each in named if each.identity.startswith(ID_MARK)}
    return [
        Target(name, record)
        for name in sorted(ids)
        for record in standing.records_of_event(store, name.removeprefix(ID_MARK))
        if not any((each.identity, each.record) == (name, record) for each in named)
    ]


def _is_meant(each: dict[str, Any], request: Request) -> bool:
    if each["event"] in map(identity_of_id, request.names) or f"{each['source']}:{each['line']}" in request.names:
        return True
    return request.selection is not None and request.selection.takes_listed(each)
