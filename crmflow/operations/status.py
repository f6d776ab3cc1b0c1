"""How the workflows stand: who is active at which step, and how the others left."""

from typing import Any

from crmflow.store import enrollments, logs, records, workflows
from crmflow.store.connection import Store


def status(store: Store) -> dict[str, Any]:
    """Return counts of records, and for each workflow in force or with a history the counts by step and by cause.

    `active` counts by the last completed step (null: none yet), in the order of the steps; `disenrolled` by cause:
    `manual` or the trigger's word.
    """
    with store.snapshot():
        in_force = workflows.in_force(store)
        counted = enrollments.counted(store)
        names = sorted(in_force.keys() | counted.keys())
        return {
            "store": str(store.path),
            "records": records.counts(store),
            "workflows": [_workflow(name, in_force.get(name), counted.get(name, [])) for name in names],
            "rejects": sum(logs.reject_counts(store).values()),
        }


def _workflow(name: str, current: workflows.InForce | None, counted: list[enrollments.Counted]) -> dict[str, Any]:
    by_step: dict[str | None, int] = {None: 0} | {step.name: 0 for step in (current.workflow.steps if current else ())}
    by_cause: dict[str, int] = {}
    completed = 0
    for each in counted:
        if each.state == "active":
            by_step[each.step] = by_step.get(each.step, 0) + each.number
        elif each.state == "completed":
            completed += each.number
        else:
            cause = each.trigger or "manual"
            by_cause[cause] = by_cause.get(cause, 0) + each.number
    return {
        "workflow": name,
        "type": current.workflow.type if current else None,
        "in_force": current is not None,
        "enrolled": sum(each.number for each in counted),
        "active": sum(by_step.values()),
        "active_by_last_step": [{"step": step, "count": count} for step, count in by_step.items()],
        "completed": completed,
        "disenrolled": sum(by_cause.values()),
        "disenrolled_by_cause": dict(sorted(by_cause.items(), key=lambda item: (-item[1], item[0]))),
    }
