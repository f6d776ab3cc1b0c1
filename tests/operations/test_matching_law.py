"""The law of matching elsewhere: snapshot, match in any parts and apply are an ingest at the time of the apply."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmflow.core.errors import CrmflowError
from crmflow.core.model import Moment
from crmflow.operations import retract, upkeep
from crmflow.operations.apply import apply
from crmflow.operations.engines.processes import Processes
from crmflow.operations.ingest import Summary, ingest
from crmflow.operations.match_logs import Manner, Watcher, match_logs
from crmflow.operations.retract import Request
from crmflow.operations.undo import undo
from crmflow.sources.exits import Exits, read_exits, write_exits
from crmflow.sources.terms import Options
from crmflow.store import snapshots
from crmflow.store.connection import Store, open_store
from tests.operations.living import SILENT, begin, enter, leave, lines_of
from tests.operations.standings import outcome
from tests.operations.worlds import NOW, Stay, World, mailings, worlds

MOMENT = Moment(NOW, NOW)
Leaving = tuple[Stay, datetime]
QUIET = Watcher(lambda _: None, lambda _: None)


class Course(NamedTuple):
    """In which order things happen: what before the snapshot, what between it and the apply, and how logs are cut.

    Of the stays so many are there at the snapshot; `read_before` lines are ingested before it, `read_between` after it,
    and the first of these two runs may be undone; an event that is told may be retracted. Lines are `dealt` to logs.
    """

    stays: int
    leavings: int
    read_before: list[int]
    read_between: list[int]
    is_undone: bool
    retracted: int | None
    dealt: list[int]
    part_size: int
    order: list[int]


@st.composite
def _courses(draw: st.DrawFn) -> tuple[World, Course]:
    world = draw(worlds() | mailings())
    count = len(lines_of(world.events))
    some = st.lists(st.integers(0, count - 1), max_size=5)
    return world, Course(
        stays=draw(st.integers(0, len(world.stays))),
        leavings=draw(st.integers(0, 2)),
        read_before=draw(some),
        read_between=draw(some),
        is_undone=draw(st.booleans()),
        retracted=draw(st.none() | st.integers(0, count - 1)),
        dealt=draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)),
        part_size=draw(st.sampled_from([1, 150, 400, 10_000])),
        order=draw(st.permutations(range(3))) + draw(st.lists(st.integers(0, 2), max_size=2)),
    )


def _hold(cast: Path, world: World, course: Course) -> None:
    with TemporaryDirectory(dir=cast.parent) as name:
        folder = Path(name)
        shutil.copy(cast, folder / "crm.db")
        paths = _written(world, course, folder)
        with open_store(folder / "crm.db") as store:
            first, leavings = _before(store, world, course, folder)
            snapshots.export(store, folder / "crm.snapshot", overwrite=False)
            _between(store, world, course, folder, first)
            leave(store, leavings)
        shutil.copy(folder / "crm.db", folder / "local.db")
        exits = [_matched(folder, path, course.part_size) for path in paths]
        with open_store(folder / "crm.db") as store:
            told = [apply(store, [exits[number]], MOMENT).summary for number in course.order]
            spread = outcome(store)
            assert [each for each in upkeep.examine(store) if each.is_fault] == []
        with open_store(folder / "local.db") as store:
            local = [ingest(store, [paths[number]], MOMENT, SILENT) for number in course.order]
            assert spread == outcome(store)
    assert list(map(_counts, told)) == list(map(_counts, local))


def _counts(summary: Summary) -> tuple[int, ...]:
    return summary.lines, summary.rejected, summary.without_effect, summary.unmatched, summary.considered


def _written(world: World, course: Course, folder: Path) -> list[str]:
    """Write the lines to three logs; none of them begins like another one."""
    lines = lines_of(world.events)
    for number in range(3):
        dealt = [line for line, log in zip(lines, course.dealt, strict=True) if log == number]
        (folder / f"{number}.jsonl").write_bytes(b"".join([b'{"type": "log-%d"}\n' % number, *dealt]))
    return [str(folder / f"{number}.jsonl") for number in range(3)]


def _before(store: Store, world: World, course: Course, folder: Path) -> tuple[int | None, Sequence[Leaving]]:
    begin(store, world._replace(stays=world.stays[: course.stays]))
    leavings = iter(world.leavings)
    leave(store, islice(leavings, course.leavings))
    return _read(store, world, course.read_before, folder / "before.jsonl"), list(leavings)


def _between(store: Store, world: World, course: Course, folder: Path, first: int | None) -> None:
    for stay in world.stays[course.stays :]:
        with suppress(CrmflowError):  # what was read before may have ended the stay before, or told of a bounce
            enter(store, stay)
    run = _read(store, world, course.read_between, folder / "between.jsonl")
    if course.is_undone and (first or run):
        undo(store, first or run or 0, MOMENT)
    if course.retracted is not None and course.retracted in course.read_between:
        line = course.read_between.index(course.retracted) + 1
        try:
            retract.retract(store, Request([f"{folder / 'between.jsonl'}:{line}"]), "a law", MOMENT)
        except CrmflowError:  # it is no event
            return


def _read(store: Store, world: World, numbers: Sequence[int], log: Path) -> int | None:
    lines = lines_of(world.events)
    log.write_bytes(b"".join(lines[number] for number in numbers))
    return ingest(store, [str(log)], MOMENT, SILENT).run


def _matched(folder: Path, path: str, part_size: int) -> Exits:
    """Return what matching makes of a log, having been in a file."""
    with snapshots.open_snapshot(folder / "crm.snapshot") as snapshot, Processes() as processes:
        manner = Manner(Options(), MOMENT, part_size)
        exits, faults = match_logs(snapshot, [path], manner, processes, QUIET)
    assert faults == []
    write_exits(Path(f"{path}.exits"), exits)
    return read_exits(Path(f"{path}.exits"))


@settings(max_examples=60, derandomize=True)
@given(_courses())
def test_matching_elsewhere_is_an_ingest(cast: Path, course: tuple[World, Course]) -> None:
    """Whatever happens between the snapshot and the apply, in any parts and order, and applied twice."""
    _hold(cast, *course)


@pytest.mark.long
@pytest.mark.timeout(0)
@settings(max_examples=3_000)
@given(_courses())
def test_matching_thousands_of_logs_elsewhere_is_an_ingest(cast: Path, course: tuple[World, Course]) -> None:
    """The same holds for many more worlds, other ones each time."""
    _hold(cast, *course)
