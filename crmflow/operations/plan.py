"""Plans a change of definitions, and carries a plan out.

A plan is made by doing all of it in a transaction that is rolled back, and carried out by doing the same for the
enrollments that it names: what comes out must be what the plan says, else nothing is kept.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from crmflow.core.errors import CrmflowError
from crmflow.core.model import Definition, Moment
from crmflow.definitions import load
from crmflow.definitions.plans import VERSION, Plan, PlannedChange, PlannedDefinition, planned_changes, read_plan
from crmflow.operations.reconsider import as_json, reconsider
from crmflow.operations.workflows import Change, compare
from crmflow.sources.logs import open_log
from crmflow.store import enrollments, files, logs, runs, workflows
from crmflow.store.connection import Store

__all__ = ["CarriedOut", "Made", "carry_out", "plan", "read_plan", "write"]

REOPENED = "reopened"


class Made(NamedTuple):
    """A plan, and the lines of the definitions that differ."""

    plan: Plan
    definitions: list[Change]

    def as_json(self) -> dict[str, Any]:
        """Return the plan as plain values, its definitions by what changes of each."""
        return {**self.plan.as_plain(), "definitions": [each._asdict() for each in self.definitions]}


class CarriedOut(NamedTuple):
    """What applying a plan did; `reopened` counts those that the new rules no longer support and `left` in place."""

    run: int | None
    workflows: list[str]
    changes: list[dict[str, Any]]
    left: int

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return self._asdict()


def plan(store: Store, paths: Sequence[str], moment: Moment, events: Sequence[str] | None = None) -> Made:
    """Return what putting these files in force would change; nothing is changed.

    Without `events` that is the definitions alone. With the logs that were read (none needed by name where they lie
    where they were) it is the past too. Raises `CrmflowError` for a log that was never read, and as `apply` does.
    """
    definitions = load(paths)
    with store.rehearsal():
        changes, changed = compare(store, definitions)
        in_force = workflows.in_force(store)
        planned = tuple(PlannedDefinition(each, _digest(in_force, each)) for each in changed)
        made = Plan(VERSION, moment.now, events is not None, planned)
        if events is not None and changed:
            _require_known(store, events)
            run = runs.begin(store, "workflow apply", moment)
            workflows.put(store, run, changed, moment)
            names = [each.workflow.workflow for each in changed]
            found = reconsider(store, run, moment, enrollments.numbers_in(store, names), events)
            made = made.with_past(as_json(store, found)["changes"], found.gone, len(found.doubtful))
    return Made(made, changes)


def carry_out(
    store: Store, planned: Plan, moment: Moment, events: Sequence[str] = (), *, may_reopen: bool = False
) -> CarriedOut:
    """Do what a plan says; enrollments that the new rules would reopen stay as they are unless they may be.

    Raises `CrmflowError`, with nothing changed, where the store has moved on in what the plan touches.
    """
    with store.change():
        in_force = workflows.in_force(store)
        definitions = [each.definition for each in planned.definitions]
        for each in planned.definitions:
            if _digest(in_force, each.definition) != each.replaces:
                raise _moved_on(f"workflow {each.definition.workflow.workflow} is another than when it was made")
        compare(store, definitions)
        if not definitions:
            return CarriedOut(None, [], [], 0)
        run = runs.begin(store, "workflow apply", moment)
        workflows.put(store, run, definitions, moment)
        wanted = [each for each in planned.changes if may_reopen or each.what != REOPENED]
        found = reconsider(store, run, moment, {each.enrollment for each in wanted}, events)
        _require_same(wanted, planned_changes(as_json(store, found)["changes"]))
        names = [each.workflow.workflow for each in definitions]
        left = len(planned.changes) - len(wanted)
        counts = {what: sum(each.what == what for each in wanted) for what in ("ended", "moved", REOPENED, "step")}
        runs.note(store, run, {"changed": names, "planned": True, **counts, "left": left})
        return CarriedOut(store.shown(run), names, [each.as_plain() for each in wanted], left)


def write(made: Plan, path: str, *, overwrite: bool = False) -> None:
    """Write a plan to a file; raises `CrmflowError` where that can't be done."""
    files.write(Path(path), made.as_text(), overwrite=overwrite)


def _require_same(wanted: Iterable[PlannedChange], found: Iterable[PlannedChange]) -> None:
    expected, comes = {each.enrollment: each for each in wanted}, {each.enrollment: each for each in found}
    differing = [each for number, each in expected.items() if comes.get(number) != each]
    if differing:
        first = differing[0]
        raise _moved_on(
            f"{len(differing)} enrollments would come otherwise than it says, the first is {first.record} in"
            f" {first.workflow}"
        )


def _moved_on(why: str) -> CrmflowError:
    return CrmflowError(f"the store has moved on since the plan was made: {why}", hint="make a new plan and look at it")


def _digest(in_force: dict[str, workflows.InForce], definition: Definition) -> str | None:
    found = in_force.get(definition.workflow.workflow)
    return found.digest if found else None


def _require_known(store: Store, paths: Iterable[str]) -> None:
    """Raise `CrmflowError` for a log of which nothing was read: what it says has not happened yet."""
    for path in paths:
        with open_log(path) as log:
            known = logs.beginning_with(store, log.first_line or "")
            if not any(log.fingerprint(each.length) == each.fingerprint for each in known):
                raise CrmflowError(f"{path} was never read", hint=f"read it first: crmflow ingest {path}")
