"""The steps that are due, and completing them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from crmflow.core.model import Completion, Enrollment, Moment, Step, Workflow
from crmflow.core.settlement import place
from crmflow.core.times import shown
from crmflow.operations.lookup import require_workflow
from crmflow.operations.settling import Claim, Claims, rules_in_force, settle_claims
from crmflow.store import enrollments, records, runs, workflows
from crmflow.store.connection import Store
from crmflow.store.enrollments import Origin


class DueStep(NamedTuple):
    """A step of an enrollment that is due, or that `advance` completed."""

    workflow: str
    type: str
    record: str
    step: str
    kind: str
    due_at: str


class Advanced(NamedTuple):
    """What `advance` did: the steps that it completed, in order, and how many enrollments it ended."""

    run: int | None
    steps: list[DueStep]
    exits: int

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return {"run": self.run, "steps": [step._asdict() for step in self.steps], "exits": self.exits}


class _Due(NamedTuple):
    enrollment: Enrollment
    position: int
    step: Step
    due_at: datetime


def due(store: Store, moment: Moment, workflow: str | None = None) -> list[DueStep]:
    """Return the steps that are due at a time, by workflow and record; of each enrollment the next one."""
    with store.snapshot():
        found = [
            (each, step)
            for each in _in_question(store, workflow)
            for step in _due_steps(each, enrollments.active_in(store, each.workflow), moment.at)
        ]
        return _listed(store, found)


def advance(store: Store, moment: Moment, workflow: str | None = None) -> Advanced:
    """Complete every step that is due, at the time given, until none is due; an enrollment may end by that."""
    with store.change():
        done: list[tuple[Workflow, _Due]] = []
        claims: Claims = {}
        for each in _in_question(store, workflow):
            for enrollment in enrollments.active_in(store, each.workflow):
                for step in _chain(each, enrollment, moment.at):
                    done.append((each, step))
                    completion = Completion(step=step.step.name, position=step.position, at=moment.at)
                    claim = claims.setdefault((enrollment.record_id, each.workflow), Claim())
                    claim.completed.append(completion)
        if not done:
            return Advanced(None, [], 0)
        run = runs.begin(store, "advance", moment)
        settled = settle_claims(store, Origin(run), rules_in_force(store), claims)
        runs.note(store, run, {"steps": len(done), "exits": settled.exits})
        return Advanced(store.shown(run), _listed(store, done), settled.exits)


def _in_question(store: Store, workflow: str | None) -> list[Workflow]:
    if workflow is not None:
        return [require_workflow(store, workflow).workflow]
    return [each.workflow for each in workflows.in_force(store).values()]


def _due_steps(workflow: Workflow, active: Iterable[Enrollment], at: datetime) -> list[_Due]:
    return [step for each in active for step in _chain(workflow, each, at)[:1]]


def _chain(workflow: Workflow, enrollment: Enrollment, at: datetime) -> list[_Due]:
    """Return the steps that become due one after the other, each completed at `at` as soon as it is due."""
    chain: list[_Due] = []
    since = enrollment.waiting_since or enrollment.step_at or enrollment.enrolled_at
    for position in range(_next_position(workflow, enrollment), len(workflow.steps)):
        step = workflow.steps[position]
        due_at = since + step.after
        if due_at > at:
            break
        chain.append(_Due(enrollment, position, step, due_at))
        since = at
    return chain


def _next_position(workflow: Workflow, enrollment: Enrollment) -> int:
    if enrollment.step is None or enrollment.step_at is None:
        return 0
    last = Completion(step=enrollment.step, position=enrollment.step_position or 0, at=enrollment.step_at)
    return place(workflow.steps, last) + 1


def _listed(store: Store, found: Iterable[tuple[Workflow, _Due]]) -> list[DueStep]:
    found = list(found)
    known = records.load(store, {each.enrollment.record_id for _, each in found})
    rows = [
        DueStep(
            workflow=workflow.workflow,
            type=workflow.type,
            record=known[each.enrollment.record_id].key,
            step=each.step.name,
            kind=each.step.kind,
            due_at=shown(each.due_at),
        )
        for workflow, each in found
    ]
    return sorted(rows, key=lambda row: (row.workflow, row.record))
