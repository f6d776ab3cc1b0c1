"""Counts for reports, each from one grouped query: who came how far, what exits there were, what logs held.

A count is about a *span*: the enrollments that began in it, the exits that lie in it, the runs that were in it.
"""

from datetime import datetime
from typing import NamedTuple

from crmflow.core.times import stored
from crmflow.store.connection import Store


class Span(NamedTuple):
    """Which time is counted (from `since` on, before `until`; None: no bound) and in which workflow (None: all)."""

    since: datetime | None = None
    until: datetime | None = None
    workflow: str | None = None


class Reached(NamedTuple):
    """How many enrollments of a workflow are alike in state and last completed step (`position` from 0)."""

    workflow: str
    state: str
    step: str | None
    position: int | None
    number: int


class Ended(NamedTuple):
    """How many exits that stand a workflow had by the same cause (`by`) on the same day (UTC, `2026-03-01`)."""

    workflow: str
    by: str
    day: str
    number: int


class Stayed(NamedTuple):
    """How many exits by the same cause came so many whole hours after the enrollment began."""

    workflow: str
    by: str
    hours: int
    number: int


class Read(NamedTuple):
    """What became of the lines of logs that the ingests of one day read; the rest had no effect or was considered."""

    day: str
    lines: int
    rejected: int
    unmatched: int


_FIRST, _LAST = "", "~"
"""What sorts before and behind every stored time."""

_IN_SPAN = ">= ? AND {0} < ? AND ? IN ('', workflow.name)"
_EXITS = (
    " FROM enrollment JOIN exit ON exit.id = exit_id JOIN workflow ON workflow.id = workflow_id"
    f" WHERE exited_at {_IN_SPAN.format('exited_at')} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
)
_BY = "coalesce(trigger, cause)"


def reached(store: Store, span: Span) -> list[Reached]:
    """Return how far the enrollments that began in the span have come."""
    rows = store.rows(
        "SELECT workflow.name, state, step, step_position, count(*)"
        " FROM enrollment JOIN workflow ON workflow.id = workflow_id"
        f" WHERE enrolled_at {_IN_SPAN.format('enrolled_at')} GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 4, 3",
        [*_bounds(span), span.workflow or ""],
    )
    return [Reached(*row) for row in rows]


def ended(store: Store, span: Span) -> list[Ended]:
    """Return the exits that stand and lie in the span, by cause and day."""
    rows = store.rows(
        f"SELECT workflow.name, {_BY}, substr(exited_at, 1, 10), count(*){_EXITS}",
        [*_bounds(span), span.workflow or ""],
    )
    return [Ended(*row) for row in rows]


def stayed(store: Store, span: Span) -> list[Stayed]:
    """Return the same exits by cause and by the whole hours from the enrollment to them."""
    rows = store.rows(
        f"SELECT workflow.name, {_BY},"
        f" ({_microseconds('exited_at')} - {_microseconds('enrolled_at')}) / 3600000000, count(*){_EXITS}",
        [*_bounds(span), span.workflow or ""],
    )
    return [Stayed(*row) for row in rows]


def read(store: Store, span: Span) -> list[Read]:
    """Return what the ingests of the span read, by their day; lines belong to no workflow."""
    rows = store.rows(
        f"SELECT substr(at, 1, 10), {_summed('lines')}, {_summed('rejected')}, {_summed('unmatched')}"
        " FROM run WHERE command = 'ingest' AND json_valid(summary) AND at >= ? AND at < ? GROUP BY 1 ORDER BY 1",
        _bounds(span),
    )
    return [Read(*row) for row in rows]


def _bounds(span: Span) -> list[str]:
    since, until = (None if each is None else stored(each) for each in (span.since, span.until))
    return [since or _FIRST, until or _LAST]


def _microseconds(column: str) -> str:
    """Return the SQL of a stored time as microseconds: exact, where SQLite's own times are rounded to milliseconds."""
    return f"(strftime('%s', substr({column}, 1, 19)) * 1000000 + substr({column}, 21, 6))"


def _summed(name: str) -> str:
    return f"coalesce(sum(json_extract(summary, '$.{name}')), 0)"
