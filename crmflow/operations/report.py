"""The report: how far enrollments came, what ended them and when, and what became of the lines of logs.

It holds counts and the names of workflows, steps and triggers: no keys, no emails, no fields. Each figure counts what
happened in the time asked for: enrollments that began in it, exits that lie in it, lines that runs of it read.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar

from crmflow.core.errors import CrmflowError, UsageError
from crmflow.core.times import shown
from crmflow.operations import lookup
from crmflow.operations.periods import Period, Unit, period_of, unit_for, width_for
from crmflow.store import files, statistics, workflows
from crmflow.store.connection import Store
from crmflow.store.statistics import Ended, Reached, Read, Span, Stayed

_Row = TypeVar("_Row", Reached, Ended, Stayed)


@dataclass(frozen=True)
class Stage:
    """A place on the way through a workflow: `step` was completed (None: the enrollment began).

    `reached` counts who came at least here. Of those who came no further, `active` are still here, `completed` and
    `disenrolled` ended here.
    """

    step: str | None
    reached: int
    active: int
    completed: int
    disenrolled: int


@dataclass(frozen=True)
class ByCause:
    """The exits by one cause: a trigger's word, `manual` or `completed`.

    Half of them came less than `half_within_hours` hours after the enrollment began, and not half in an hour less.
    """

    by: str
    count: int
    half_within_hours: int


@dataclass(frozen=True)
class Exits:
    """The exits by one cause in one period, whose days are in UTC and both included."""

    first_day: str
    last_day: str
    by: str
    count: int


@dataclass(frozen=True)
class Stay:
    """The exits that came `from_hours` or more and less than `to_hours` after the enrollment began."""

    from_hours: int
    to_hours: int
    count: int


@dataclass(frozen=True)
class WorkflowReport:
    """One workflow: how its enrollments stand, and its exits by cause, over time, and by the time to them."""

    workflow: str
    type: str
    in_force: bool
    enrolled: int
    active: int
    completed: int
    disenrolled: int
    funnel: tuple[Stage, ...]
    exits_by_cause: tuple[ByCause, ...]
    exits_over_time: tuple[Exits, ...]
    time_to_exit: tuple[Stay, ...]


@dataclass(frozen=True)
class Lines:
    """What became of the lines that logs were read for in one period; those not counted here were understood."""

    first_day: str
    last_day: str
    lines: int
    rejected: int
    unmatched: int


@dataclass(frozen=True)
class Report:
    """All figures, over the time from `since` on and before `until` (None: no bound).

    Periods without exits or without ingests are left out; they last an `exits_unit` and a `lines_unit`.
    """

    store: str
    made_at: str
    since: str | None
    until: str | None
    exits_unit: Unit
    lines_unit: Unit
    workflows: tuple[WorkflowReport, ...]
    lines: tuple[Lines, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values, the bounds by the names that the command has for them."""
        plain = asdict(self)
        bounds = {"from": plain.pop("since"), "to": plain.pop("until")}
        return {"store": plain.pop("store"), "made_at": plain.pop("made_at"), **bounds, **plain}


def make(
    store: Store,
    now: datetime,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    workflow: str | None = None,
) -> Report:
    """Return the report of a store as it stands: of what happened from `since` on and before `until`.

    Lines of logs belong to no workflow: one that is asked for does not narrow them. Raises `UsageError` for a time that
    ends before it begins, `CrmflowError` for a workflow that there never was.
    """
    if since and until and since >= until:
        raise UsageError(
            "--from is not before --to", hint="--from is the first moment that counts, --to the first after"
        )
    span = Span(since, until, workflow)
    with store.snapshot():
        if workflow is not None:
            lookup.require_known_workflow(store, workflow)
        ended, read = statistics.ended(store, span), statistics.read(store, span)
        exits_unit = unit_for([date.fromisoformat(each.day) for each in ended])
        lines_unit = unit_for([date.fromisoformat(each.day) for each in read])
        return Report(
            store=store.path.name,
            made_at=shown(now.replace(microsecond=0)),
            since=None if since is None else shown(since),
            until=None if until is None else shown(until),
            exits_unit=exits_unit,
            lines_unit=lines_unit,
            workflows=tuple(_workflows(store, span, ended, exits_unit)),
            lines=tuple(_lines(read, lines_unit)),
        )


def save(store: Store, target: str, page: str, *, overwrite: bool) -> int:
    """Write a report as a file, for its owner alone, whole or not at all; returns its size in bytes.

    Raises `CrmflowError` where a file is there already, unless it is to be overwritten.
    """
    if store.is_at(target):
        raise CrmflowError(f"{target} is the store itself", hint="name another file for the report")
    return files.write(Path(target), page, overwrite=overwrite)


def _workflows(store: Store, span: Span, ended: Sequence[Ended], unit: Unit) -> Iterable[WorkflowReport]:
    reached, stays = _grouped(statistics.reached(store, span)), _grouped(statistics.stayed(store, span))
    exits = _grouped(ended)
    in_force, known = workflows.in_force(store), workflows.known(store)
    names = {span.workflow} if span.workflow else in_force.keys() | reached.keys() | exits.keys()
    for name in sorted(names):
        current, came = in_force.get(name), reached.get(name, [])
        states = Counter[str]()
        for each in came:
            states[each.state] += each.number
        yield WorkflowReport(
            workflow=name,
            type=known[name][1],
            in_force=current is not None,
            enrolled=states.total(),
            active=states["active"],
            completed=states["completed"],
            disenrolled=states["disenrolled"],
            funnel=tuple(_funnel([step.name for step in current.workflow.steps] if current else _steps(came), came)),
            exits_by_cause=tuple(_by_cause(stays.get(name, []))),
            exits_over_time=tuple(_over_time(exits.get(name, []), unit)),
            time_to_exit=tuple(_stays(stays.get(name, []))),
        )


def _grouped(rows: Iterable[_Row]) -> dict[str, list[_Row]]:
    found: dict[str, list[_Row]] = {}
    for each in rows:
        found.setdefault(each.workflow, []).append(each)
    return found


def _steps(came: Iterable[Reached]) -> list[str]:
    """Return the steps that were completed, in their order, for a workflow that is no longer in force."""
    places = {each.step: each.position or 0 for each in came if each.step is not None}
    return sorted(places, key=lambda step: (places[step], step))


def _funnel(steps: Sequence[str], came: Iterable[Reached]) -> Iterable[Stage]:
    """Yield the stages; a step that the definition no longer knows counts by the place that it had."""
    ends = [Counter[str]() for _ in range(len(steps) + 1)]
    for each in came:
        if each.step is None:
            place = 0
        elif each.step in steps:
            place = steps.index(each.step) + 1
        else:
            place = min((each.position or 0) + 1, len(steps))
        ends[place][each.state] += each.number
    for place, step in enumerate((None, *steps)):
        here = ends[place]
        further = sum(each.total() for each in ends[place:])
        yield Stage(step, further, here["active"], here["completed"], here["disenrolled"])


def _by_cause(stays: Iterable[Stayed]) -> Iterable[ByCause]:
    """Yield the causes, the most frequent first."""
    found: dict[str, list[Stayed]] = {}
    for each in stays:
        found.setdefault(each.by, []).append(each)
    counted = [ByCause(by, sum(each.number for each in its), _half_within(its)) for by, its in found.items()]
    return sorted(counted, key=lambda each: (-each.count, each.by))


def _half_within(stays: Sequence[Stayed]) -> int:
    whole = sum(each.number for each in stays)
    left = whole
    for each in sorted(stays, key=lambda stay: stay.hours):
        left -= each.number
        if left * 2 <= whole:
            return each.hours + 1
    raise AssertionError("there is no half of nothing")


def _over_time(ended: Iterable[Ended], unit: Unit) -> Iterable[Exits]:
    counts = Counter[tuple[date, date, str]]()
    for each in ended:
        counts[*period_of(date.fromisoformat(each.day), unit), each.by] += each.number
    for (first, last, by), count in sorted(counts.items()):
        yield Exits(first.isoformat(), last.isoformat(), by, count)


def _stays(stays: Sequence[Stayed]) -> Iterable[Stay]:
    """Yield classes of one width from the enrollment to the longest stay, the empty ones too."""
    if not stays:
        return
    longest = max(each.hours for each in stays)
    width = width_for(longest)
    counts = Counter[int]()
    for each in stays:
        counts[each.hours // width] += each.number
    for number in range(min(0, *counts), longest // width + 1):
        yield Stay(number * width, (number + 1) * width, counts[number])


def _lines(read: Iterable[Read], unit: Unit) -> Iterable[Lines]:
    found: dict[Period, list[Read]] = {}
    for each in read:
        found.setdefault(period_of(date.fromisoformat(each.day), unit), []).append(each)
    for (first, last), its in sorted(found.items()):
        counts = (
            sum(each.lines for each in its),
            sum(each.rejected for each in its),
            sum(each.unmatched for each in its),
        )
        yield Lines(first.isoformat(), last.isoformat(), *counts)
