"""The report's numbers, each counted a second time in Python from what `enrollment list` says."""

import shutil
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmflow.core.errors import CrmflowError, UsageError
from crmflow.core.model import Completion, Definition, Exit, Moment, Step, Workflow
from crmflow.operations import list_enrollments, report
from crmflow.operations.report import Report, WorkflowReport
from crmflow.store import enrollments, runs, workflows
from crmflow.store.connection import Store, open_store
from crmflow.store.enrollments import Origin, Outcome
from tests.operations.worlds import START

Rows = list[dict[str, Any]]

HOUR = timedelta(hours=1)
NOW = START + timedelta(days=400)
STEPS = ("intro", "call", "offer")
FORGOTTEN = {"greeting": 1, "farewell": 7}
"""Steps that the definition in force does not know, and the places that they had."""

WORKFLOWS = (
    Workflow("empty", "deal"),
    Workflow("welcome", "prospect", "", tuple(Step(name, "task", HOUR) for name in STEPS)),
)


class Stay(NamedTuple):
    """An enrollment of a record: how long after the one before it, its last step, and what ends it when, if anything.

    One that lasts is the record's last.
    """

    record: int
    gap: timedelta
    step: str | None
    length: timedelta
    by: str | None


class Reading(NamedTuple):
    """An ingest: how long after the start it was, and how many lines it read, rejected and found unmatched."""

    after: timedelta
    lines: int
    rejected: int
    unmatched: int


_LENGTHS = st.sampled_from(
    [timedelta(0), HOUR, HOUR - timedelta(microseconds=1), timedelta(days=2), timedelta(days=1, microseconds=-1)]
) | st.timedeltas(timedelta(0), timedelta(days=200))
_STAYS = st.builds(
    Stay,
    st.integers(1, 2),
    _LENGTHS,
    st.sampled_from([None, *STEPS, *FORGOTTEN]),
    _LENGTHS,
    st.sampled_from(["replied", "replied", "link_clicked", "manual", "completed", None]),
)
_COUNTS = st.integers(0, 9)
_READINGS = st.builds(Reading, _LENGTHS, _COUNTS, _COUNTS, _COUNTS)
_BOUNDS = (
    st.tuples(_LENGTHS, _LENGTHS)
    .filter(lambda both: both[0] < both[1])
    .map(lambda both: (START + both[0], START + both[1]))
)


@pytest.fixture(scope="module")
def begun(cast: Path) -> Path:
    """The path of a closed store with the cast and two workflows."""
    path = cast.with_name("begun.db")
    shutil.copy(cast, path)
    moment = Moment(START, START)
    definitions = [Definition(each, each.workflow, f"{each.workflow}.yaml", "") for each in WORKFLOWS]
    with open_store(path) as store, store.change():
        workflows.put(store, runs.begin(store, "workflow apply", moment), definitions, moment)
    return path


@settings(max_examples=100)
@given(st.lists(_STAYS, max_size=12), st.lists(_READINGS, max_size=4), st.just((None, None)) | _BOUNDS)
def test_every_number_is_a_count(
    begun: Path, stays: list[Stay], readings: list[Reading], bounds: tuple[datetime | None, datetime | None]
) -> None:
    """Whatever the store holds and whatever time is asked for, each number is what counting one by one gives."""
    since, until = bounds
    with TemporaryDirectory(dir=begun.parent) as folder, open_store(Path(shutil.copy(begun, folder))) as store:
        _live(store, stays)
        _read(store, readings)
        made = report.make(store, NOW, since=since, until=until)
        rows = list_enrollments.listed(store)
    empty, welcome = made.workflows
    assert (empty.workflow, empty.enrolled, empty.funnel[0].reached, empty.exits_by_cause) == ("empty", 0, 0, ())
    began = [row for row in rows if _is_within(_time(row["enrolled_at"]), bounds)]
    ended = [row for row in rows if row["exit"] and _is_within(_time(row["exited_at"]), bounds)]
    _hold_funnel(welcome, began)
    _hold_causes(welcome, ended)
    _hold_periods(welcome, ended)
    _hold_lengths(welcome, ended)
    _hold_lines(made, [each for each in readings if _is_within(START + each.after, bounds)])


def _live(store: Store, stays: Iterable[Stay]) -> None:
    moment = Moment(START, START)
    number, _ = workflows.known(store)["welcome"]
    free_from: dict[int, datetime | None] = {}
    with store.change():
        run = runs.begin(store, "enroll", moment)
        for stay in stays:
            free = free_from.get(stay.record, START)
            if free is None:
                continue
            at = free + stay.gap
            enrollments.add(store, run, number, [stay.record], at)
            *_, enrolled = enrollments.of_records(store, [stay.record], "welcome")
            exit_ = None if stay.by is None else _exit(at + stay.length, stay.by)
            place = FORGOTTEN.get(stay.step or "", STEPS.index(stay.step) if stay.step in STEPS else None)
            last = None if place is None else Completion(step=stay.step or "", position=place, at=at)
            enrollments.save_outcomes(store, Origin(run), [Outcome(enrolled, exit_, last, place)])
            free_from[stay.record] = exit_.at if exit_ else None


def _exit(at: datetime, by: str) -> Exit:
    if by == "manual":
        return Exit(at=at, cause="manual")
    return Exit(at=at, cause="completed") if by == "completed" else Exit(at=at, cause="trigger", trigger=by)


def _read(store: Store, readings: Iterable[Reading]) -> None:
    """Write runs down, and others that read no logs."""
    for each in readings:
        moment = Moment(START + each.after, NOW)
        summary = {"lines": each.lines, "rejected": each.rejected, "unmatched": each.unmatched}
        with store.change():
            runs.note(store, runs.begin(store, "ingest", moment), summary)
            runs.note(store, runs.begin(store, "rejects retry", moment), {"rejected": 5})


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _is_within(at: datetime, bounds: tuple[datetime | None, datetime | None]) -> bool:
    since, until = bounds
    return (since is None or at >= since) and (until is None or at < until)


def _hold_funnel(made: WorkflowReport, began: Rows) -> None:
    states = Counter(row["state"] for row in began)
    assert (made.enrolled, made.active, made.completed, made.disenrolled) == (
        len(began),
        states["active"],
        states["completed"],
        states["disenrolled"],
    )
    places = {None: 0, "intro": 1, "call": 2, "offer": 3, "greeting": 2, "farewell": 3}
    assert [stage.step for stage in made.funnel] == [None, *STEPS]
    for place, stage in enumerate(made.funnel):
        here = Counter(row["state"] for row in began if places[row["step"]] == place)
        assert stage.reached == sum(places[row["step"]] >= place for row in began)
        assert (stage.active, stage.completed, stage.disenrolled) == (
            here["active"],
            here["completed"],
            here["disenrolled"],
        )


def _by(row: dict[str, Any]) -> str:
    return str(row["exit"]["trigger"] or row["exit"]["cause"])


def _length(row: dict[str, Any]) -> timedelta:
    return _time(row["exited_at"]) - _time(row["enrolled_at"])


def _hold_causes(made: WorkflowReport, ended: Rows) -> None:
    counts = Counter(map(_by, ended))
    assert {each.by: each.count for each in made.exits_by_cause} == counts
    assert [each.count for each in made.exits_by_cause] == sorted(counts.values(), reverse=True)
    for each in made.exits_by_cause:
        lengths = [_length(row) for row in ended if _by(row) == each.by]
        within = [sum(length < hours * HOUR for length in lengths) for hours in range(each.half_within_hours + 1)]
        assert within[-1] * 2 >= len(lengths) > within[-2] * 2


def _hold_periods(made: WorkflowReport, ended: Rows) -> None:
    counted = 0
    for each in made.exits_over_time:
        days = [row["exited_at"][:10] for row in ended if _by(row) == each.by]
        assert each.count == sum(each.first_day <= day <= each.last_day for day in days) > 0
        counted += each.count
    assert counted == len(ended)


def _hold_lengths(made: WorkflowReport, ended: Rows) -> None:
    lengths = [_length(row) for row in ended]
    for each in made.time_to_exit:
        assert each.count == sum(each.from_hours * HOUR <= length < each.to_hours * HOUR for length in lengths)
    assert sum(each.count for each in made.time_to_exit) == len(ended)


def _hold_lines(made: Report, readings: list[Reading]) -> None:
    for each in made.lines:
        days = {reading: (START + reading.after).date().isoformat() for reading in readings}
        its = [reading for reading in readings if each.first_day <= days[reading] <= each.last_day]
        assert (each.lines, each.rejected, each.unmatched) == (
            sum(reading.lines for reading in its),
            sum(reading.rejected for reading in its),
            sum(reading.unmatched for reading in its),
        )
    assert sum(each.lines for each in made.lines) == sum(each.lines for each in readings)


def test_a_workflow_that_is_gone_is_reported(begun: Path, tmp_path: Path) -> None:
    """A workflow that is no longer in force keeps its numbers, its steps in the order of the places that they had."""
    with open_store(Path(shutil.copy(begun, tmp_path))) as store:
        _live(store, [Stay(1, HOUR, step, HOUR, "replied") for step in ("offer", "intro")])
        with store.change():
            workflows.remove(store, workflows.known(store)["welcome"][0])
        _, welcome = report.make(store, NOW).workflows
        [alone] = report.make(store, NOW, workflow="welcome").workflows
    assert alone == welcome
    assert not welcome.in_force
    assert [(stage.step, stage.reached) for stage in welcome.funnel] == [(None, 2), ("intro", 2), ("offer", 1)]


def test_a_report_says_what_it_is_about(begun: Path, tmp_path: Path) -> None:
    """The same store, time and question give the same report, which names the store but not where it lies."""
    with open_store(Path(shutil.copy(begun, tmp_path))) as store:
        made = report.make(store, NOW, since=START, until=datetime(2026, 3, 2, 0, 0, 0, 500_000, tzinfo=UTC))
        assert made == report.make(store, NOW, since=START, until=datetime(2026, 3, 2, 0, 0, 0, 500_000, tzinfo=UTC))
    document = made.as_json()
    assert list(document)[:4] == ["store", "made_at", "from", "to"]
    assert list(document.values())[:4] == [
        "begun.db",
        "2027-04-05T00:00:00Z",
        "2026-03-01T00:00:00Z",
        "2026-03-02T00:00:00.5Z",
    ]


def test_what_can_not_be_asked_for_is_refused(begun: Path, tmp_path: Path) -> None:
    """A time that ends before it begins and a workflow that there never was are errors, not empty reports."""
    with open_store(Path(shutil.copy(begun, tmp_path))) as store:
        with pytest.raises(UsageError, match="--from is not before --to"):
            report.make(store, NOW, since=START, until=START)
        with pytest.raises(CrmflowError, match="there is no workflow 'welcom'") as raised:
            report.make(store, NOW, workflow="welcom")
    assert raised.value.hint == "did you mean welcome?"
