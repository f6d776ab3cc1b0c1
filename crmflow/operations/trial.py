"""Tries rules out: what they would make of logs and enrollments, in a store of its own that nobody else sees.

A trial is filled once, from a store or from a list of enrollments, and runs any number of times, each time from the
same start. What it does is what the real commands do: what people did is settled as those settle it, and the logs are
read by `ingest` itself.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from crmflow.core.model import RECORD_TYPES, Definition, Enrollment, Moment, RecordType, Ref
from crmflow.core.triggers import Rules
from crmflow.operations.ingest import PLAINLY, Manner, Summary, Watcher, ingest
from crmflow.operations.roster import Roster
from crmflow.operations.settling import Claim, rules_in_force, settle_enrollments
from crmflow.store import enrollments, logs, records, runs, trial, workflows
from crmflow.store.connection import Store
from crmflow.store.enrollments import Origin
from crmflow.store.records import NewRecord
from crmflow.store.trial import ByHand

COMMAND = "trial"
"""The command of the runs that a trial's tables point back to."""


class Tried(NamedTuple):
    """What came of a run of a trial: a store in which enrollments stand as they would, and what became of lines."""

    store: Store
    summary: Summary

    def enrollments(self, workflows: Iterable[str]) -> Iterator[Enrollment]:
        """Yield how the enrollments of these workflows stand, in the order of their numbers."""
        return enrollments.every(self.store, workflows)

    def first_reject(self) -> str | None:
        """Return where the first line stands that was not understood, and why it was not; None where there is none."""
        found = logs.first_reject(self.store)
        return found and f"{found.source}:{found.reject.line}: {found.reject.reason}"


class Trial:
    """A start that rules are tried from; leave `trial_of` or `trial_with`, and all of it is gone."""

    def __init__(self, folder: Path, stores: ExitStack) -> None:
        """Make an empty start in a folder of the trial's own; `stores` closes what is opened there."""
        self._folder = folder
        self._stores = stores
        self._run_count = 0
        self.start = stores.enter_context(trial.create(folder / "start.db"))

    def run(
        self,
        definitions: Sequence[Definition],
        paths: Sequence[str],
        moment: Moment,
        watcher: Watcher,
        manner: Manner = PLAINLY,
    ) -> Tried:
        """Return what would be if these definitions had always been in force, and nothing but these logs been read."""
        self._run_count += 1
        store = self._stores.enter_context(trial.twin(self.start, self._folder / f"run-{self._run_count}.db"))
        with store.change():
            run = runs.begin(store, COMMAND, moment)
            workflows.put(store, run, definitions, moment)
            _settle_by_hand(store, Origin(run), rules_in_force(store))
        return Tried(store, ingest(store, paths, moment, watcher, manner))


@contextmanager
def trial_of(live: Store, names: Iterable[str], moment: Moment) -> Iterator[Trial]:
    """Make a trial of what a store knows of these workflows; it is gone after the block, and the store is only read."""
    with _made() as made:
        with made.start.change():
            runs.begin(made.start, COMMAND, moment)
        trial.take_over(made.start, live, names)
        yield made


@contextmanager
def trial_with(roster: Roster, moment: Moment) -> Iterator[Trial]:
    """Make a trial of these enrollments; it is gone after the block."""
    with _made() as made:
        with made.start.change():
            _enroll(made.start, runs.begin(made.start, COMMAND, moment), roster, moment)
        yield made


@contextmanager
def _made() -> Iterator[Trial]:
    with TemporaryDirectory(prefix="crmflow-") as folder, ExitStack() as stores:
        yield Trial(Path(folder), stores)


def _enroll(store: Store, run: int, roster: Roster, moment: Moment) -> None:
    """Add the records of a roster, and enroll them."""
    new: dict[Ref, NewRecord] = {}
    starts: dict[tuple[str, datetime], list[Ref]] = {}
    types: dict[str, RecordType] = {}
    for each in roster.entries:
        new.setdefault(each.record, NewRecord(each.record.type, each.record.name, each.email, {}))
        starts.setdefault((each.workflow, each.enrolled_at), []).append(each.record)
        types[each.workflow] = each.record.type
    records.add(store, run, list(new.values()), moment)
    numbers = {
        kind: records.find_by_key(store, kind, (ref.name for ref in new if ref.type == kind)) for kind in RECORD_TYPES
    }
    workflow_numbers = trial.declare(store, types.items())
    for (workflow, at), its_records in starts.items():
        enrollments.add(
            store, run, workflow_numbers[workflow], [numbers[ref.type][ref.name] for ref in its_records], at
        )


def _settle_by_hand(store: Store, origin: Origin, rules: Rules) -> None:
    """Settle what people did, as it would have been with these rules and without any log."""
    for numbers in trial.concerned_by_hand(store):
        concerned = enrollments.load(store, numbers)
        done = trial.by_hand(store, numbers)
        claims = {each.id: _claim(rules, each.workflow, done[each.id]) for each in concerned}
        settle_enrollments(store, origin, rules, concerned, claims)


def _claim(rules: Rules, workflow: str, done: ByHand) -> Claim:
    brought = [exit_ for event in done.updates if (exit_ := rules.exit_from(workflow, event))]
    return Claim([*done.exits, *brought], done.completed)
