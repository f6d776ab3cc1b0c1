"""The law of retractions: the state is that of a store that never read these events; given back, it is as before."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crmflow.core.identity import identity
from crmflow.core.model import Event, Moment
from crmflow.core.triggers import RANK
from crmflow.operations import retract, upkeep
from crmflow.operations.ingest import ingest
from crmflow.operations.retract import Request
from crmflow.store.connection import Store, open_store
from tests.operations.living import SILENT, begin, leave
from tests.operations.standings import outcome
from tests.operations.worlds import NOW, World, line_of, mailings, worlds

MOMENT = Moment(NOW, NOW)


@st.composite
def _doubted(draw: st.DrawFn) -> tuple[World, list[int]]:
    """Return a world, and the numbers of events that do not count after all."""
    world = draw(worlds() | mailings())
    telling = [number for number, each in enumerate(world.events) if each.type in RANK]
    assume(telling)
    return world, draw(st.lists(st.sampled_from(telling), min_size=1, max_size=4, unique=True))


def _read(store: Store, world: World, events: Sequence[Event], folder: Path) -> None:
    begin(store, world)
    log = folder / "log.jsonl"
    log.write_bytes(b"".join(map(line_of, events)))
    ingest(store, [str(log)], MOMENT, SILENT)


def _hold(cast: Path, world: World, doubted: Sequence[int]) -> None:
    retracted = {identity(world.events[number]) for number in doubted}
    counting = [each for each in world.events if identity(each) not in retracted]
    with TemporaryDirectory(dir=cast.parent) as name:
        folder = Path(name)
        shutil.copy(cast, folder / "all.db")
        with open_store(folder / "all.db") as store:
            _read(store, world, world.events, folder)
            left = leave(store, world.leavings)  # of those who had left already nothing is kept
            before = outcome(store)
            places = Request([f"{folder / 'log.jsonl'}:{number + 1}" for number in doubted])
            done = retract.retract(store, places, "a law", MOMENT)
            assume(not done.is_partial)
            after = outcome(store)
            assert [each for each in upkeep.examine(store) if each.is_fault] == []
            retract.take_back(store, places, MOMENT)
            assert outcome(store) == before
        shutil.copy(cast, folder / "without.db")
        with open_store(folder / "without.db") as store:
            _read(store, world, counting, folder)
            leave(store, left)
            assert after == outcome(store)


@settings(max_examples=80, derandomize=True)
@given(_doubted())
def test_what_is_retracted_was_never_read(cast: Path, doubted: tuple[World, list[int]]) -> None:
    """Retracting any events gives what a log without them gives; taking that back gives what was there before."""
    _hold(cast, *doubted)


@pytest.mark.long
@pytest.mark.timeout(0)
@settings(max_examples=3_000)
@given(_doubted())
def test_thousands_of_events_that_are_retracted_were_never_read(cast: Path, doubted: tuple[World, list[int]]) -> None:
    """The same holds for many more worlds, other ones each time."""
    _hold(cast, *doubted)
