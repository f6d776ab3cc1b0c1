"""The laws of backtests.

By the rules in force, over the logs that were ingested, a trial becomes what the store is. By other rules it becomes
what the plain replay of those says.
"""

import shutil
from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmflow.core.errors import CrmflowError
from crmflow.core.model import Definition, Enrollment, Moment, Workflow
from crmflow.operations import advance, backtest, edit_record
from crmflow.operations.backtest import Watch
from crmflow.operations.backtest_findings import Question
from crmflow.operations.ingest import ingest
from crmflow.operations.trial import trial_of
from crmflow.store import enrollments
from crmflow.store.connection import Store, open_store
from tests.operations.living import SILENT, begin, leave, lines_of
from tests.operations.standings import Standing, replayed, standing
from tests.operations.worlds import CAST, NOW, START, Reading, World, mailings, readings, redefined, worlds

UNWATCHED = Watch(lambda _: nullcontext(lambda _: None), lambda _: None)
MOMENT = Moment(NOW, NOW)
LOGS = ("a.jsonl", "b.jsonl")


class Deed(NamedTuple):
    """What a person does at a time: completes what is due or, where there is a `text`, sets a field of a record."""

    at: datetime
    ref: str
    text: str | None

    def do(self, store: Store) -> None:
        """Do it, where it can be done."""
        moment = Moment(self.at, NOW)
        with suppress(CrmflowError):
            if self.text is None:
                advance.advance(store, moment)
            else:
                edit_record.set_fields(store, self.ref, [self.text], moment)


DEEDS = st.builds(
    Deed,
    at=st.integers(0, 5).map(lambda hour: START + timedelta(hours=hour)),
    ref=st.sampled_from([f"{each.type}:{each.key}" for each in CAST]),
    text=st.sampled_from([None, None, "status=won", "status=lead", "amount=5"]),
)


class Life(NamedTuple):
    """A world, how its logs are read, what people do before each reading, and how the law is held for it.

    Where the `digest` is None, enrollments are compared; else a backtest is asked about rules of that digest, or of
    their own where it is empty.
    """

    world: World
    readings: list[Reading]
    deeds: list[list[Deed]]
    digest: str | None


@st.composite
def _lives(draw: st.DrawFn) -> Life:
    world = draw(worlds() | mailings())
    read = draw(readings(len(lines_of(world.events))))
    deeds = [draw(st.lists(DEEDS, max_size=2)) for _ in read]
    return Life(world, read, deeds, draw(st.sampled_from([None, None, "", "another"])))


def _hold(cast: Path, life: Life) -> None:
    """Hold the law for one life: live it in a store, and try the same rules over the same logs."""
    with TemporaryDirectory(dir=cast.parent) as name:
        folder = Path(name)
        shutil.copy(cast, folder / "live.db")
        with open_store(folder / "live.db") as store:
            begin(store, life.world)
            _live(store, life, folder)
            logs = [str(folder / each) for each in LOGS if (folder / each).exists()]
            rules = _definitions(life.world.workflows)
            if life.digest is None:
                _hold_sameness(store, rules, logs)
            else:
                _hold_no_difference(store, rules, logs, life.digest)


def _definitions(workflows: Iterable[Workflow]) -> list[Definition]:
    return [Definition(each, each.workflow, f"{each.workflow}.yaml", "") for each in workflows]


def _live(store: Store, life: Life, folder: Path) -> None:
    lines, leavings = lines_of(life.world.events), iter(life.world.leavings)
    for reading, deeds in zip(life.readings, life.deeds, strict=True):
        leave(store, islice(leavings, reading.leaving_count))
        for deed in deeds:
            deed.do(store)
        log = folder / reading.log
        with log.open("ab") as file:
            file.writelines(lines[number] for number in reading.lines)
        ingest(store, [str(log)], MOMENT, SILENT, reading.manner)
    leave(store, leavings)


def _hold_sameness(store: Store, rules: Sequence[Definition], logs: Sequence[str]) -> None:
    """Hold that in a trial every enrollment stands as in the store, to the event and the step."""
    names = [each.workflow.workflow for each in rules]
    with trial_of(store, names, MOMENT) as trial:
        tried = trial.run(rules, logs, MOMENT, SILENT).enrollments(names)
        assert _standings(tried) == _standings(enrollments.every(store, names))


def _standings(some: Iterable[Enrollment]) -> list[Standing]:
    return [standing(each, each.exit, each.step, each.step_at) for each in some]


def _hold_no_difference(store: Store, rules: Sequence[Definition], logs: Sequence[str], digest: str) -> None:
    """Hold that a backtest finds nothing, whether it knows that the rules mean the same or has to try both."""
    after = {each.workflow.workflow: msgspec.structs.replace(each, digest=digest or each.digest) for each in rules}
    found = backtest.of_store(store, Question(after, None, logs), MOMENT, UNWATCHED)
    assert (found.rows, found.unlike_store) == ([], 0)


def _hold_truth(cast: Path, world: World, changed: tuple[Workflow, ...]) -> None:
    """Hold that a trial of other rules than those in force says what the plain replay says."""
    with TemporaryDirectory(dir=cast.parent) as name:
        folder = Path(name)
        shutil.copy(cast, folder / "live.db")
        log = folder / "a.jsonl"
        log.write_bytes(b"".join(lines_of(world.events)))
        with open_store(folder / "live.db") as store:
            begin(store, world)
            ingest(store, [str(log)], MOMENT, SILENT)
            names = [each.workflow for each in changed]
            with trial_of(store, names, MOMENT) as trial:
                tried = trial.run(_definitions(changed), [str(log)], MOMENT, SILENT)
                assert _standings(tried.enrollments(names)) == replayed(world._replace(workflows=changed))


@st.composite
def _changed_worlds(draw: st.DrawFn) -> tuple[World, tuple[Workflow, ...]]:
    world = draw(worlds() | mailings())
    return world._replace(leavings=[]), draw(redefined(world.workflows))


@settings(max_examples=50, derandomize=True)
@given(_changed_worlds())
def test_other_rules_make_what_the_plain_replay_says(cast: Path, changed: tuple[World, tuple[Workflow, ...]]) -> None:
    """A trial says of other rules what would be, had they always been in force."""
    _hold_truth(cast, *changed)


@settings(max_examples=60, derandomize=True)
@given(_lives())
def test_the_rules_in_force_change_nothing(cast: Path, life: Life) -> None:
    """However a store came about, trying its own rules over its logs gives its enrollments, and no difference."""
    _hold(cast, life)


@pytest.mark.long
@pytest.mark.timeout(0)
@settings(max_examples=3_000)
@given(_lives())
def test_the_rules_in_force_change_nothing_in_three_thousand_lives(cast: Path, life: Life) -> None:
    """The same holds for many more stores, other ones each time."""
    _hold(cast, life)


@pytest.mark.long
@pytest.mark.timeout(0)
@settings(max_examples=3_000)
@given(_changed_worlds())
def test_other_rules_make_what_the_plain_replay_says_three_thousand_times(
    cast: Path, changed: tuple[World, tuple[Workflow, ...]]
) -> None:
    """The same holds for many more worlds, other ones each time."""
    _hold_truth(cast, *changed)
