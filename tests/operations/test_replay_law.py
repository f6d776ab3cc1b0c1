"""The law of SPEC 4: the state does not depend on how the log is read, and the plain replay says what it is."""

import shutil
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmflow.core.model import Moment
from crmflow.core.replay import replay_fields
from crmflow.operations import upkeep
from crmflow.operations.ingest import Manner, ingest
from crmflow.store.connection import Store, open_store
from tests.operations.living import SILENT, begin, leave, lines_of
from tests.operations.standings import every_enrollment, fields_as_json, outcome, replayed
from tests.operations.worlds import (
    FIRST_VALUES,
    NOW,
    Reading,
    World,
    mailings,
    readings,
    worlds,
)


@st.composite
def _read_worlds(draw: st.DrawFn, of: st.SearchStrategy[World]) -> tuple[World, list[Reading]]:
    world = draw(of)
    return world, draw(readings(len(lines_of(world.events))))


def _hold(cast: Path, world: World, how: Sequence[Reading]) -> None:
    """Hold the law for one world: read at once in the order of time, read in parts, and replayed."""
    with TemporaryDirectory(dir=cast.parent) as name:
        folder = Path(name)
        shutil.copy(cast, folder / "begun.db")
        with open_store(folder / "begun.db") as store:
            begin(store, world)
        for copy in ("at-once.db", "in-parts.db"):
            shutil.copy(folder / "begun.db", folder / copy)
        with open_store(folder / "at-once.db") as store:
            _read_at_once(store, world, folder)
            at_once = outcome(store)
        with open_store(folder / "in-parts.db") as store:
            _read_in_parts(store, world, how, folder)
            in_parts = outcome(store)
            assert [each for each in upkeep.examine(store) if each.is_fault] == []
    assert in_parts == at_once
    assert at_once.standings == replayed(world)
    assert at_once.fields == fields_as_json(replay_fields(FIRST_VALUES, world.located))


def _read_at_once(store: Store, world: World, folder: Path) -> None:
    log = folder / "sorted.jsonl"
    in_order = sorted(world.events, key=lambda event: event.at)
    log.write_bytes(b"".join(lines_of(in_order)))
    _ingest(store, log, Manner())
    leave(store, world.leavings)


def _read_in_parts(store: Store, world: World, how: Sequence[Reading], folder: Path) -> None:
    lines, leavings = lines_of(world.events), iter(world.leavings)
    for each in how:
        leave(store, islice(leavings, each.leaving_count))
        log = folder / each.log
        with log.open("ab") as file:
            file.writelines(lines[number] for number in each.lines)
        _ingest(store, log, each.manner)
    leave(store, leavings)


def _ingest(store: Store, log: Path, manner: Manner) -> None:
    """Read a log, and hold that the summary says of every line and of every enrollment what became of it."""
    before = every_enrollment(store)
    summary = ingest(store, [str(log)], Moment(NOW, NOW), SILENT, manner)
    after = every_enrollment(store)
    classes = (summary.rejected, summary.without_effect, summary.unmatched, summary.considered)
    assert summary.lines == sum(classes) + sum(summary.unknown_types.values())
    changed = [one for one, other in zip(before, after, strict=True) if one.exit_id != other.exit_id]
    ended = sum(each.exit is not None for each in after) - sum(each.exit is not None for each in before)
    assert summary.exits - summary.reopened == ended
    if not summary.reopened:
        assert summary.exits == sum(each.exit is None for each in changed)
        assert summary.moved >= sum(each.exit is not None for each in changed)
    assert (summary.incomplete, summary.faults) == (0, [])


@settings(max_examples=100, derandomize=True)
@given(_read_worlds(worlds()))
def test_state_does_not_depend_on_how_the_log_is_read(cast: Path, read: tuple[World, list[Reading]]) -> None:
    """In any order, in any parts and however often, a log leaves the state that the plain replay says."""
    _hold(cast, *read)


@settings(max_examples=60, derandomize=True)
@given(_read_worlds(mailings()))
def test_it_makes_no_difference_when_a_click_turns_out_to_be_hasty(
    cast: Path, read: tuple[World, list[Reading]]
) -> None:
    """A click may be read before what shows that no person made it: what it ended is settled anew."""
    _hold(cast, *read)


@pytest.mark.long
@pytest.mark.timeout(0)
@settings(max_examples=10_000)
@given(_read_worlds(worlds() | mailings()))
def test_state_does_not_depend_on_how_ten_thousand_logs_are_read(cast: Path, read: tuple[World, list[Reading]]) -> None:
    """The same holds for many more worlds, other ones each time."""
    _hold(cast, *read)
