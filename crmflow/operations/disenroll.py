"""Takes records out of a workflow by hand: one, or a selection of many."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from crmflow.core.errors import CrmflowError
from crmflow.core.model import Enrollment, Exit, Moment, Record
from crmflow.core.settlement import precedence
from crmflow.core.times import shown
from crmflow.operations.collecting import paused_collection
from crmflow.operations.lookup import parse_ref, require_record, require_workflow
from crmflow.operations.selection import BulkSummary, Choice, Judge, Outcome, Request, read_selection
from crmflow.operations.settling import Claim, rules_in_force, settle_claims, settle_enrollments
from crmflow.store import enrollments, runs
from crmflow.store.connection import Store
from crmflow.store.enrollments import Origin


class Disenrolled(NamedTuple):
    """What `disenroll` did: the workflows that the record left, or none where it was out already."""

    run: int | None
    record: str
    type: str
    workflows: list[str]
    exited_at: str


def disenroll(
    store: Store, ref: str, workflow: str | None, moment: Moment, *, from_all: bool = False, note: str | None = None
) -> Disenrolled:
    """End the enrollment of one record in a workflow, in the only one that it is in, or in all of them.

    Raises `CrmflowError` where the record never was in it, entered it later, or several workflows could be meant.
    """
    with store.change():
        kind = require_workflow(store, workflow).workflow.type if workflow else None
        record = require_record(store, parse_ref(ref, kind))
        history = enrollments.of_records(store, [record.id], workflow)
        by_hand = Exit(at=moment.at, cause="manual", note=note)
        leaving = sorted({each.workflow for each in history if _would_end(each, by_hand)})
        _require_clear(record, workflow, leaving, from_all=from_all)
        run = None
        if leaving:
            run = runs.begin(store, "disenroll", moment)
            claims = {(record.id, each): Claim(exits=[by_hand]) for each in leaving}
            settled = settle_claims(store, Origin(run), rules_in_force(store), claims)
            runs.note(store, run, {"workflows": leaving, **settled._asdict()})
        elif judge(history, by_hand)[0] == "not_enrolled" and not from_all:
            raise _not_in(record, workflow, history, moment)
    return Disenrolled(store.shown(run), record.key, record.type, leaving, shown(moment.at))


def _require_clear(record: Record, workflow: str | None, leaving: Sequence[str], *, from_all: bool) -> None:
    if len(leaving) > 1 and workflow is None and not from_all:
        raise CrmflowError(
            f"{record.type}:{record.key} is in {len(leaving)} workflows: {', '.join(leaving)}",
            hint="say which with --workflow NAME, or --all-workflows",
        )


def _not_in(record: Record, workflow: str | None, history: Sequence[Enrollment], moment: Moment) -> CrmflowError:
    name = f"{record.type}:{record.key}"
    later = [each for each in history if each.enrolled_at > moment.at]
    if later:
        first = later[0]
        return CrmflowError(
            f"{name} was enrolled in {first.workflow} only at {shown(first.enrolled_at)}, after {shown(moment.at)}",
            hint="give a later --at, or none for now",
        )
    where = f"was never enrolled in {workflow}" if workflow else "is in no workflow"
    return CrmflowError(f"{name} {where}", hint=f"see crmflow enrollment list --record {name}")


def _would_end(enrollment: Enrollment, by_hand: Exit) -> bool:
    if by_hand.at < enrollment.enrolled_at:
        return False
    return enrollment.exit is None or precedence(by_hand) < precedence(enrollment.exit)


def judge(history: Iterable[Enrollment], by_hand: Exit) -> tuple[Outcome, str | None]:
    """Return what leaving by hand means for a record with this history in the workflow."""
    begun = [each for each in history if each.enrolled_at <= by_hand.at]
    for each in begun:
        if _would_end(each, by_hand):
            return "done", None
    return ("already_out" if begun else "not_enrolled"), None


def bulk_disenroll(
    store: Store, request: Request, workflow: str, moment: Moment, *, note: str | None = None
) -> BulkSummary:
    """Take every record of a selection that is in the workflow out of it, in one transaction; report the other rows."""
    by_hand = Exit(at=moment.at, cause="manual", note=note)
    choice, run = Choice("already_out"), None
    with paused_collection(), store.change():
        target = require_workflow(store, workflow)
        rules = rules_in_force(store)
        for part in read_selection(store, request, target.workflow.type):
            numbers = {row.record for row in part if row.record is not None}
            histories = enrollments.histories(store, numbers, workflow)
            done = choice.take(part, _judge_by(histories, by_hand))
            if done:
                run = run or runs.begin(store, "bulk-disenroll", moment)
                concerned = sorted((each for record in done for each in histories[record]), key=lambda each: each.id)
                claims = {each.id: Claim(exits=[by_hand]) for each in concerned}
                settle_enrollments(store, Origin(run), rules, concerned, claims)
        choice.guard(request)
        if run:
            runs.note(store, run, {"workflow": workflow, **choice.counts})
    return BulkSummary(store.shown(run), choice.counts, choice.rows)


def _judge_by(history: Mapping[int, Sequence[Enrollment]], by_hand: Exit) -> Judge:
    return lambda record: judge(history.get(record, ()), by_hand)
