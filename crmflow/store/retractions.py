"""Retractions: events that count no more, named by their identity, with the reason that a person gave."""

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from crmflow.core.identity import identity
from crmflow.core.model import Event
from crmflow.core.times import shorten, stored
from crmflow.store.connection import Store, array
from crmflow.store.runs import UNDONE

_IN_FORCE = f"taken_back_run_id IS NULL AND retraction.run_id NOT IN {UNDONE}"


class Retraction(NamedTuple):
    """Why an event counts no more, and the run that said so."""

    run: int
    because: str


class Target(NamedTuple):
    """What is to be retracted: an event's identity and, where the event is known, what it says and where it stands."""

    identity: str
    record: int | None = None
    event: Event | None = None
    source: str | None = None


def any_in_force(store: Store) -> bool:
    """Tell whether any event is retracted at all."""
    return store.row(f"SELECT 1 FROM retraction WHERE {_IN_FORCE} LIMIT 1") is not None


def in_force(store: Store, identities: Iterable[str]) -> dict[str, Retraction]:
    """Return the retractions in force of the events of these identities, by identity."""
    rows = store.rows(
        "SELECT identity, run_id, because FROM json_each(?) AS wanted CROSS JOIN retraction ON identity = wanted.value"
        f" WHERE {_IN_FORCE} ORDER BY retraction.id",
        [array(set(identities))],
    )
    return {name: Retraction(run, because) for name, run, because in rows}


def among(store: Store, events: Collection[Event]) -> set[int]:
    """Return which of these events are retracted, as the places (from 0) that they have."""
    if not events or not any_in_force(store):
        return set()
    names = [identity(event) for event in events]
    retracted = in_force(store, names)
    return {place for place, name in enumerate(names) if name in retracted}


def add(store: Store, run: int, because: str, retractions: Iterable[Target]) -> None:
    """Write down that events count no more."""
    store.insert(
        "retraction (identity, because, record_id, event_type, event_at, source, line, run_id)",
        (
            (
                each.identity,
                because,
                each.record,
                each.event.type if each.event else None,
                stored(each.event.at) if each.event else None,
                each.source,
                each.event.line if each.event else None,
                run,
            )
            for each in retractions
        ),
    )


def take_back(store: Store, run: int, numbers: Collection[int]) -> None:
    """Let retracted events count again."""
    store.execute(
        "UPDATE retraction SET taken_back_run_id = ? WHERE id IN (SELECT value FROM json_each(?))",
        [run, array(numbers)],
    )


def give_again(store: Store, run: int) -> None:
    """Put the retractions in force again that a run took back."""
    store.execute("UPDATE retraction SET taken_back_run_id = NULL WHERE taken_back_run_id = ?", [run])


def records_of(store: Store, numbers: Collection[int]) -> set[int]:
    """Return the records that the events of these retractions are about, as far as they are known."""
    rows = store.rows(
        "SELECT record_id FROM retraction WHERE id IN (SELECT value FROM json_each(?)) AND record_id IS NOT NULL",
        [array(numbers)],
    )
    return {number for (number,) in rows}


def listed(store: Store) -> list[dict[str, Any]]:
    """Return the retractions in force, the oldest first."""
    rows = store.rows(
        "SELECT retraction.id, identity, because, record.type, record.key, event_type, event_at, source, line,"
        " retraction.run_id FROM retraction LEFT JOIN record ON record.id = record_id"
        f" WHERE {_IN_FORCE} ORDER BY retraction.id"
    )
    return [
        {
            "retraction": number,
            "event": name,
            "record": None if key is None else f"{kind}:{key}",
            "type": event_type,
            "time": None if at is None else shorten(at),
            "source": source,
            "line": line,
            "because": because,
            "run": run,
        }
        for number, name, because, kind, key, event_type, at, source, line, run in rows
    ]
