"""The law of undo: afterwards the store is as if the run had never been, those after it included."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crmflow.core.errors import CrmflowError
from crmflow.core.model import Moment
from crmflow.operations import disenroll, edit_record, upkeep
from crmflow.operations.ingest import ingest
from crmflow.operations.undo import undo
from crmflow.store.connection import Store, open_store
from tests.operations.living import SILENT, begin
from tests.operations.standings import outcome
from tests.operations.worlds import CAST, NOW, World, line_of, mailings, worlds

MOMENT = Moment(NOW, NOW)


class Read(NamedTuple):
    """A run that reads a log of its own, which holds these events, by their numbers."""

    log: str
    events: Sequence[int]

    def do(self, store: Store, world: World, folder: Path) -> int | None:
        """Do it; return the run, None where nothing was done. No log begins as another one, which it would go on."""
        path = folder / self.log
        path.write_bytes(
            f'{{"log": "{self.log}"}}\n'.encode() + b"".join(line_of(world.events[number]) for number in self.events)
        )
        return ingest(store, [str(path)], MOMENT, SILENT).run


class Leave(NamedTuple):
    """A run in which somebody is taken out by hand."""

    number: int

    def do(self, store: Store, world: World, _folder: Path) -> int | None:
        """Do it; return the run, None where nothing was done."""
        stay, at = world.leavings[self.number]
        with suppress(CrmflowError):  # whoever entered only later was not in it
            return disenroll.disenroll(store, stay.ref, stay.workflow.workflow, Moment(at, NOW)).run
        return None


class Set(NamedTuple):
    """A run that sets a field by hand."""

    record: int
    text: str

    def do(self, store: Store, _world: World, _folder: Path) -> int | None:
        """Do it; return the run, None where nothing was done."""
        person = CAST[self.record - 1]
        return edit_record.set_fields(store, f"{person.type}:{person.key}", [self.text], MOMENT).run


Run = Read | Leave | Set
_SETS = st.builds(
    Set, record=st.integers(1, len(CAST)), text=st.sampled_from(["status=won", "status=lead", "amount=5", "amount=6"])
)


@st.composite
def _histories(draw: st.DrawFn) -> tuple[World, list[Run], int]:
    """Return a world, the runs in which it happens, and which of them is taken back."""
    world = draw(worlds() | mailings())
    numbers = list(range(len(world.events)))
    order = draw(
        st.permutations([*numbers, *draw(st.lists(st.sampled_from(numbers), max_size=6) if numbers else st.just([]))])
    )
    cuts = [0, *sorted(draw(st.lists(st.integers(0, len(order)), max_size=3))), len(order)]
    reads = [Read(f"{at}.jsonl", order[start:end]) for at, (start, end) in enumerate(pairwise(cuts))]
    others: list[Run] = [Leave(number) for number in range(len(world.leavings))]
    others += draw(st.lists(_SETS, max_size=2))
    history = draw(st.permutations([*(each for each in reads if each.events), *others]))
    assume(history)
    return world, history, draw(st.integers(0, len(history) - 1))


def _in_a_store(cast: Path, world: World, work: Callable[[Store, Path], None]) -> None:
    with TemporaryDirectory(dir=cast.parent) as name:
        folder = Path(name)
        shutil.copy(cast, folder / "crm.db")
        with open_store(folder / "crm.db") as store:
            begin(store, world)
            work(store, folder)


def _hold(cast: Path, world: World, history: Sequence[Run], place: int) -> None:
    done: list[bool] = []

    def take_back(store: Store, folder: Path) -> None:
        numbers = [each.do(store, world, folder) for each in history]
        done.extend(number is not None for number in numbers)
        before = outcome(store)
        target = numbers[place]
        assume(target is not None)
        assert target is not None
        undone = undo(store, target, MOMENT)
        assume(not undone.is_partial)
        assert [each for each in upkeep.examine(store) if each.is_fault] == []
        found.append(outcome(store))
        assert undone.run is not None
        undo(store, undone.run, MOMENT)
        assert outcome(store) == before
        assert [each for each in upkeep.examine(store) if each.is_fault] == []

    def never_do(store: Store, folder: Path) -> None:
        for number, each in enumerate(history):
            if number != place and done[number]:
                each.do(store, world, folder)
        found.append(outcome(store))

    found: list[object] = []
    _in_a_store(cast, world, take_back)
    _in_a_store(cast, world, never_do)
    assert found[0] == found[1]


@settings(max_examples=60, derandomize=True)
@given(_histories())
def test_what_is_undone_has_never_been(cast: Path, history: tuple[World, list[Run], int]) -> None:
    """Taking back any run gives what the others alone give; taking that back gives what was there before."""
    _hold(cast, *history)


@pytest.mark.long
@pytest.mark.timeout(0)
@settings(max_examples=3_000)
@given(_histories())
def test_thousands_of_runs_that_are_undone_have_never_been(cast: Path, history: tuple[World, list[Run], int]) -> None:
    """The same holds for many more histories, other ones each time."""
    _hold(cast, *history)
