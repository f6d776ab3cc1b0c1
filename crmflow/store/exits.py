"""Exits as such: how many there are, of which kind."""

from collections.abc import Iterable
from typing import NamedTuple

from crmflow.store.connection import Store, array


class Ended(NamedTuple):
    """How many enrollments of a workflow were ended alike: `by` a trigger or cause, by events of a type and source."""

    workflow: str
    by: str
    event_type: str | None
    source: str | None
    number: int


def newest(store: Store) -> int:
    """Return the number of the exit that was written last, 0 where there is none."""
    [(number,)] = store.rows("SELECT coalesce(max(id), 0) FROM exit")
    return int(number)


def active(store: Store) -> dict[str, int]:
    """Return how many enrollments are active, by workflow; workflows without one are left out."""
    return dict(
        store.rows(
            "SELECT workflow.name, count(*) FROM enrollment JOIN workflow ON workflow.id = workflow_id"
            " WHERE state = 'active' GROUP BY workflow.name"
        )
    )


def ended_since(store: Store, number: int) -> list[Ended]:
    """Return what ended enrollments after the exit of this number was written; an exit that only moved is none."""
    return [
        Ended(*row)
        for row in store.rows(
            "SELECT workflow.name, coalesce(trigger, cause), event_type, reading.path, count(*) FROM exit"
            " JOIN enrollment ON enrollment.exit_id = exit.id JOIN workflow ON workflow.id = workflow_id"
            " LEFT JOIN reading ON reading.id = reading_id"
            " WHERE exit.id > ? AND NOT EXISTS (SELECT 1 FROM exit AS earlier"
            "  WHERE earlier.enrollment_id = enrollment.id AND earlier.id <= ?)"
            " GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
            [number, number],
        )
    ]


def sources(store: Store, numbers: Iterable[int]) -> dict[int, str]:
    """Return the source in which the event of each of these exits stands, by the exit's number."""
    return dict(
        store.rows(
            "SELECT exit.id, reading.path FROM json_each(?) AS wanted CROSS JOIN exit ON exit.id = wanted.value"
            " JOIN reading ON reading.id = reading_id",
            [array(numbers)],
        )
    )
