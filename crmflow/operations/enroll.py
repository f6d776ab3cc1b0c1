"""Enrolls records in a workflow: one, or a selection of many."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from crmflow.core.errors import CrmflowError
from crmflow.core.model import Enrollment, Moment, Record
from crmflow.core.times import shown
from crmflow.operations.collecting import paused_collection
from crmflow.operations.lookup import parse_ref, require_record, require_workflow
from crmflow.operations.selection import BulkSummary, Choice, Judge, Outcome, Request, Selected, read_selection
from crmflow.store import enrollments, records, runs
from crmflow.store.connection import Store

UNREACHABLE = "its email hard-bounced"


class Enrolled(NamedTuple):
    """An enrollment that was made."""

    run: int | None
    record: str
    type: str
    workflow: str
    enrolled_at: str


def enroll(store: Store, ref: str, workflow: str, moment: Moment) -> Enrolled:
    """Enroll one record; raises `CrmflowError` where it is active already, unreachable, or left later than that."""
    with store.change():
        target = require_workflow(store, workflow)
        record = require_record(store, parse_ref(ref, target.workflow.type))
        obstacle = _obstacle(moment.at, enrollments.of_records(store, [record.id], workflow))
        if obstacle is not None:
            raise CrmflowError(f"{record.type}:{record.key} can't be enrolled in {workflow}: {obstacle}")
        if records.bounced(store, [record.id]):
            raise _unreachable(record, workflow)
        run = runs.begin(store, "enroll", moment)
        enrollments.add(store, run, target.workflow_id, [record.id], moment.at)
        runs.note(store, run, {"workflow": workflow, "done": 1})
    return Enrolled(store.shown(run), record.key, record.type, workflow, shown(moment.at))


def _unreachable(record: Record, workflow: str) -> CrmflowError:
    return CrmflowError(
        f"{record.type}:{record.key} can't be enrolled in {workflow}: {UNREACHABLE} ({record.email})",
        hint=f"change it first: crmflow record set {record.type}:{record.key} email=ADDRESS",
    )


def _obstacle(at: datetime, history: Iterable[Enrollment]) -> str | None:
    for each in history:
        if each.exit is None:
            return f"it is active in it since {shown(each.enrolled_at)}"
        if at < each.exit.at:
            return f"it left it only at {shown(each.exit.at)}, after {shown(at)}"
    return None


def bulk_enroll(store: Store, request: Request, workflow: str, moment: Moment) -> BulkSummary:
    """Enroll every record of a selection that can be, in one transaction; every other row is reported."""
    choice, run = Choice("already_in"), None
    with paused_collection(), store.change():
        target = require_workflow(store, workflow)
        for part in read_selection(store, request, target.workflow.type):
            done = choice.take(part, _judge_by(store, part, workflow, moment))
            if done:
                run = run or runs.begin(store, "bulk-enroll", moment)
                enrollments.add(store, run, target.workflow_id, done, moment.at)
        choice.guard(request)
        if run:
            runs.note(store, run, {"workflow": workflow, **choice.counts})
    return BulkSummary(store.shown(run), choice.counts, choice.rows)


def _judge_by(store: Store, part: Iterable[Selected], workflow: str, moment: Moment) -> Judge:
    numbers = {row.record for row in part if row.record is not None}
    unreachable = records.bounced(store, numbers)
    history = enrollments.histories(store, numbers, workflow)

    def judge(record: int) -> tuple[Outcome, str | None]:
        its_history = history.get(record, [])
        if any(each.exit is None for each in its_history):
            return "already_in", None
        obstacle = _obstacle(moment.at, its_history) or (UNREACHABLE if record in unreachable else None)
        return ("not_enrolled", obstacle) if obstacle else ("done", None)

    return judge
