"""Makes the store's workflows equal to the files, lists them, and takes one out of force."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from crmflow.core.errors import CrmflowError
from crmflow.core.model import Definition, Exit, Moment
from crmflow.core.times import shown
from crmflow.definitions import load
from crmflow.operations.lookup import require_workflow
from crmflow.operations.settling import Claim, rules_in_force, settle_claims
from crmflow.store import enrollments, runs, workflows
from crmflow.store.connection import Store
from crmflow.store.enrollments import Origin


class Change(NamedTuple):
    """What applying a file does: `new`, `changed` or `unchanged`, and the lines that differ (unified diff)."""

    workflow: str
    type: str
    path: str
    change: str
    diff: list[str]


class Applied(NamedTuple):
    """What `workflow apply` did, and the workflows in force that none of the files declares: they are left alone."""

    run: int | None
    changes: list[Change]
    untouched: list[str]

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        changes = [change._asdict() for change in self.changes]
        return {"run": self.run, "changes": changes, "untouched": self.untouched}


def apply(store: Store, paths: Sequence[str], moment: Moment) -> Applied:
    """Put the definitions of these files in force; raises `DefinitionsError` before anything is changed."""
    definitions = load(paths)
    with store.change():
        in_force = workflows.in_force(store)
        changes, changed = compare(store, definitions)
        run = None
        if changed:
            run = runs.begin(store, "workflow apply", moment)
            workflows.put(store, run, changed, moment)
            runs.note(store, run, _by_change(changes))
    untouched = sorted(in_force.keys() - {each.workflow.workflow for each in definitions})
    return Applied(store.shown(run), changes, untouched)


def compare(store: Store, definitions: Sequence[Definition]) -> tuple[list[Change], list[Definition]]:
    """Return what putting definitions in force does, and those of them that are new or changed.

    Raises `CrmflowError` where one is for another type of records than those that were in its workflow.
    """
    in_force = workflows.in_force(store)
    changes = [_change(store, definition, in_force.get(definition.workflow.workflow)) for definition in definitions]
    require_types(store, definitions)
    changed = [each for each, change in zip(definitions, changes, strict=True) if change.change != "unchanged"]
    return changes, changed


def _by_change(changes: Sequence[Change]) -> dict[str, list[str]]:
    kinds = ("new", "changed", "unchanged")
    return {kind: [each.workflow for each in changes if each.change == kind] for kind in kinds}


def _change(store: Store, definition: Definition, before: workflows.InForce | None) -> Change:
    workflow = definition.workflow
    if before is None:
        lines, kind = [f"+{line}" for line in definition.text.splitlines()], "new"
    elif before.digest == definition.digest:
        lines, kind = [], "unchanged"
    else:
        lines, kind = _diff(workflows.source(store, before.definition_id), definition.text), "changed"
    return Change(workflow.workflow, workflow.type, definition.path, kind, lines)


def _diff(before: str, after: str) -> list[str]:
    import difflib

    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "in force", "file", lineterm="", n=2)
    return list(lines)


def require_types(store: Store, definitions: Sequence[Definition]) -> None:
    """Raise `CrmflowError` where a workflow has enrolled records of another type than its definition is for."""
    known = workflows.known(store)
    for definition in definitions:
        workflow = definition.workflow
        number, kind = known.get(workflow.workflow, (0, workflow.type))
        if kind != workflow.type and workflows.has_history(store, number):
            raise CrmflowError(
                f"{definition.path}: workflow {workflow.workflow} is for records of type {kind}, and has enrolled some",
                hint=f"give the workflow for {workflow.type}s another name",
            )


def listed(store: Store) -> list[dict[str, Any]]:
    """Return the workflows in force with what they consist of and how many records are active in each."""
    with store.snapshot():
        active = workflows.active_counts(store)
        return [_listed(each, active.get(name, 0)) for name, each in workflows.in_force(store).items()]


def _listed(each: workflows.InForce, active: int) -> dict[str, Any]:
    return {
        "workflow": each.workflow.workflow,
        "type": each.workflow.type,
        "description": each.workflow.description,
        "steps": len(each.workflow.steps),
        "triggers": len(each.workflow.disenrollment_triggers),
        "active": active,
        "digest": each.digest,
        "applied_at": each.applied_at,
        "path": each.path,
    }


def show(store: Store, name: str) -> dict[str, Any]:
    """Return one workflow in force with the text that declared it; raises `CrmflowError`."""
    with store.snapshot():
        target = require_workflow(store, name)
        entry = _listed(target, workflows.active_counts(store).get(name, 0))
        versions = workflows.version_count(store, target.workflow_id)
        return {**entry, "versions": versions, "source": workflows.source(store, target.definition_id)}


class Removed(NamedTuple):
    """What `workflow remove` did: how many records it took out first."""

    run: int | None
    workflow: str
    disenrolled: int
    at: str


def remove(store: Store, name: str, moment: Moment, *, with_disenrolling: bool = False) -> Removed:
    """Take a workflow out of force; its history stays.

    Raises `CrmflowError` while records are active in it, unless they are to be disenrolled with it.
    """
    with store.change():
        target = require_workflow(store, name)
        active = enrollments.active_in(store, name)
        late = [each for each in active if each.enrolled_at > moment.at]
        if active and (late or not with_disenrolling):
            raise CrmflowError(
                f"{len(active)} {'record is' if len(active) == 1 else 'records are'} active in {name}",
                hint="take them out with it: --disenroll"
                if not late
                else "some were enrolled after --at: give a later one",
            )
        run = runs.begin(store, "workflow remove", moment)
        by_hand = Exit(at=moment.at, cause="manual", note=f"workflow {name} was removed")
        claims = {(each.record_id, name): Claim(exits=[by_hand]) for each in active}
        settled = settle_claims(store, Origin(run), rules_in_force(store), claims)
        workflows.remove(store, target.workflow_id)
        runs.note(store, run, {"workflow": name, **settled._asdict()})
    return Removed(store.shown(run), name, settled.exits, shown(moment.at))
