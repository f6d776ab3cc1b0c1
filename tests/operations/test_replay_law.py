"""The law of SPEC 4: the state does not depend on how the log is read, and the plain replay says what it is."""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmflow.core.errors import CrmflowError
from crmflow.core.model import EMAIL_FIELD, Definition, Enrollment, Event, Exit, Moment, Scalar
from crmflow.core.replay import replay, replay_fields
from crmflow.core.triggers import Rules
from crmflow.operations import disenroll, enroll, upkeep
from crmflow.operations.ingest import Manner, Watcher, ingest
from crmflow.sources.logs import PIECE_SIZE
from crmflow.store import enrollments, records, runs, workflows
from crmflow.store.connection import Store, open_store
from tests.operations.worlds import (
    CAST,
    FIRST_VALUES,
    NOW,
    START,
    Reading,
    Stay,
    World,
    line_of,
    readings,
    worlds,
)

SILENT = Watcher(lambda _: None, lambda _: None)
NO_EVENTS = (b"not an event\n", b"\n", b'{"type": "replied", "prospect": "p-1"}\n')
EVERYBODY = range(1, len(CAST) + 1)


class Standing(NamedTuple):
    """How an enrollment stands: what the law speaks of. An exit's line is left out: a repeated event has several."""

    record: int
    workflow: str
    enrolled_at: datetime
    exit: Exit | None
    step: str | None
    step_at: datetime | None


class Outcome(NamedTuple):
    """Where all enrollments and fields stand, and which prospects can't be reached."""

    standings: list[Standing]
    fields: dict[tuple[int, str], str]
    bounced: set[int]


@st.composite
def _read_worlds(draw: st.DrawFn) -> tuple[World, list[Reading]]:
    world = draw(worlds())
    return world, draw(readings(len(_lines(world.events))))


def _hold(cast: Path, world: World, how: Sequence[Reading]) -> None:
    """Hold the law for one world: read at once in the order of time, read in parts, and replayed."""
    with TemporaryDirectory(dir=cast.parent) as name:
        folder = Path(name)
        shutil.copy(cast, folder / "begun.db")
        with open_store(folder / "begun.db") as store:
            _begin(store, world)
        for copy in ("at-once.db", "in-parts.db"):
            shutil.copy(folder / "begun.db", folder / copy)
        with open_store(folder / "at-once.db") as store:
            _read_at_once(store, world, folder)
            at_once = _outcome(store)
        with open_store(folder / "in-parts.db") as store:
            _read_in_parts(store, world, how, folder)
            in_parts = _outcome(store)
            assert [each for each in upkeep.examine(store) if each.is_fault] == []
    assert in_parts == at_once
    assert at_once.standings == _replayed(world)
    assert at_once.fields == _as_json(replay_fields(FIRST_VALUES, world.located))


def _begin(store: Store, world: World) -> None:
    """Put the workflows in force and let the stays happen, one after the other."""
    moment = Moment(START, START)
    definitions = [Definition(each, each.workflow, f"{each.workflow}.yaml", "") for each in world.workflows]
    with store.change():
        workflows.put(store, runs.begin(store, "workflow apply", moment), definitions, moment)
    for stay in world.stays:
        enroll.enroll(store, stay.ref, stay.workflow.workflow, Moment(stay.enrolled_at, NOW))
        if stay.exited_at is not None:
            disenroll.disenroll(store, stay.ref, stay.workflow.workflow, Moment(stay.exited_at, NOW))


def _leave(store: Store, leavings: Iterable[tuple[Stay, datetime]]) -> None:
    for stay, at in leavings:
        with suppress(CrmflowError):  # whoever entered only later was not in it
            disenroll.disenroll(store, stay.ref, stay.workflow.workflow, Moment(at, NOW))


def _lines(events: Iterable[Event]) -> list[bytes]:
    return [*map(line_of, events), *NO_EVENTS]


def _read_at_once(store: Store, world: World, folder: Path) -> None:
    log = folder / "sorted.jsonl"
    in_order = sorted(world.events, key=lambda event: event.at)
    log.write_bytes(b"".join(_lines(in_order)))
    _ingest(store, log, PIECE_SIZE, from_start=False)
    _leave(store, world.leavings)


def _read_in_parts(store: Store, world: World, how: Sequence[Reading], folder: Path) -> None:
    lines, leavings = _lines(world.events), iter(world.leavings)
    for each in how:
        _leave(store, islice(leavings, each.leaving_count))
        log = folder / each.log
        with log.open("ab") as file:
            file.writelines(lines[number] for number in each.lines)
        _ingest(store, log, each.piece_size, from_start=each.from_start)
    _leave(store, leavings)


def _ingest(store: Store, log: Path, piece_size: int, *, from_start: bool) -> None:
    """Read a log, and hold that the summary says of every line and of every enrollment what became of it."""
    before = _enrollments(store)
    manner = Manner(from_start=from_start, piece_size=piece_size)
    summary = ingest(store, [str(log)], Moment(NOW, NOW), SILENT, manner)
    after = _enrollments(store)
    classes = (summary.rejected, summary.without_effect, summary.unmatched, summary.considered)
    assert summary.lines == sum(classes) + sum(summary.unknown_types.values())
    changed = [one for one, other in zip(before, after, strict=True) if one.exit_id != other.exit_id]
    assert summary.exits == sum(each.exit is None for each in changed)
    assert summary.moved == sum(each.exit is not None for each in changed)
    assert (summary.incomplete, summary.faults) == (0, [])


def _enrollments(store: Store) -> list[Enrollment]:
    return enrollments.of_records(store, EVERYBODY)


def _outcome(store: Store) -> Outcome:
    fields: dict[tuple[int, str], Scalar] = {}
    for number, record in records.load(store, EVERYBODY).items():
        fields |= {(number, field): value for field, value in record.fields.items()}
        if record.type == "prospect":
            fields[number, EMAIL_FIELD] = record.email
    standings = [_standing(each, each.exit, each.step, each.step_at) for each in _enrollments(store)]
    return Outcome(standings, _as_json(fields), records.bounced(store, EVERYBODY))


def _replayed(world: World) -> list[Standing]:
    enrolled = world.enrolled
    decisions = replay(Rules(world.workflows), enrolled, world.located)
    return [
        _standing(each, exit_, last.step if last else None, last.at if last else None)
        for each, (exit_, last, _) in zip(enrolled, decisions, strict=True)
    ]


def _standing(enrollment: Enrollment, exit_: Exit | None, step: str | None, step_at: datetime | None) -> Standing:
    seen = None if exit_ is None else msgspec.structs.replace(exit_, line=None)
    return Standing(enrollment.record_id, enrollment.workflow, enrollment.enrolled_at, seen, step, step_at)


def _as_json(fields: Mapping[tuple[int, str], Scalar]) -> dict[tuple[int, str], str]:
    """Return fields so that 5, 5.0 and true, which Python takes for equal or nearly so, stay apart."""
    return {name: json.dumps(value) for name, value in fields.items()}


@settings(max_examples=150, derandomize=True)
@given(_read_worlds())
def test_state_does_not_depend_on_how_the_log_is_read(cast: Path, read: tuple[World, list[Reading]]) -> None:
    """In any order, in any parts and however often, a log leaves the state that the plain replay says."""
    _hold(cast, *read)


@pytest.mark.long
@pytest.mark.timeout(0)
@settings(max_examples=10_000)
@given(_read_worlds())
def test_state_does_not_depend_on_how_ten_thousand_logs_are_read(cast: Path, read: tuple[World, list[Reading]]) -> None:
    """The same holds for many more worlds, other ones each time."""
    _hold(cast, *read)
