"""Entering, going through and leaving workflows."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from crmflow.cli.render import Table
from crmflow.cli.session import (
    PARTLY_DONE,
    ApproveOption,
    FileArgument,
    MaxExitsOption,
    RefArgument,
    RequiredWorkflowOption,
    Session,
    WorkflowOption,
    braked,
    changes,
    given,
    group,
    reads,
)

app = group()
enrollment_app = group("enrollment", "Enrollments: who is or was in which workflow.")

ColumnOption = Annotated[
    str | None, typer.Option("--column", metavar="NAME", parser=given, help="The column that names the records.")
]
AllOrNothingOption = Annotated[bool, typer.Option("--all-or-nothing", help="Do no row unless all can be done.")]
NoteOption = Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Why: kept with the exit.")]
AllWorkflowsOption = Annotated[bool, typer.Option("--all-workflows", help="Every workflow that the record is in.")]
RecordOption = Annotated[str | None, typer.Option("--record", metavar="REF", parser=given, help="Only this record.")]
StateOption = Annotated[
    str | None, typer.Option("--state", metavar="STATE", parser=given, help="active, completed or disenrolled.")
]


@changes(app, "enroll", example="crmflow enroll prospect:ana@acme.example --workflow welcome")
def enroll(session: Session, ref: RefArgument, workflow: RequiredWorkflowOption) -> int | None:
    """Enroll one record in a workflow."""
    from crmflow.operations import enroll as operation

    with session.changing() as store:
        enrolled = operation.enroll(store, ref, workflow, session.moment)
    words = f"{enrolled.type}:{enrolled.record} is in {enrolled.workflow} since {enrolled.enrolled_at}"
    session.output.report(enrolled._asdict(), [words])
    return None


@changes(app, "bulk-enroll", example="crmflow bulk-enroll --workflow welcome new.csv")
def bulk_enroll(
    session: Session,
    file: FileArgument,
    workflow: RequiredWorkflowOption,
    *,
    column: ColumnOption = None,
    all_or_nothing: AllOrNothingOption = False,
) -> int | None:
    """Enroll every record that a file lists.

    The file is CSV, TSV or JSON lines with a column key (or email, for prospects).
    """
    from crmflow.operations import enroll as operation
    from crmflow.operations.selection import Request

    with session.changing() as store:
        request = Request(file, column, all_or_nothing)
        summary = operation.bulk_enroll(store, request, workflow, session.moment)
    return _show_bulk(session, file, summary.as_json(), hindrances=("not_enrolled", "unknown", "invalid"))


@changes(
    app, "disenroll", example="crmflow disenroll prospect:ana@acme.example --workflow welcome --note 'asked us to'"
)
def disenroll(
    session: Session,
    ref: RefArgument,
    workflow: WorkflowOption = None,
    *,
    all_workflows: AllWorkflowsOption = False,
    note: NoteOption = None,
) -> int | None:
    """Take one record out of a workflow by hand.

    Out of the one that it is in, or the one that is named, or all of them.
    """
    from crmflow.core.errors import UsageError
    from crmflow.operations import disenroll as operation

    if workflow and all_workflows:
        raise UsageError("--workflow and --all-workflows exclude each other")
    with session.changing() as store:
        left = operation.disenroll(store, ref, workflow, session.moment, from_all=all_workflows, note=note)
    name = f"{left.type}:{left.record}"
    words = (
        f"{name} left {', '.join(left.workflows)} at {left.exited_at}" if left.workflows else f"{name} is out already"
    )
    session.output.report(left._asdict(), [words])
    return None


@changes(app, "bulk-disenroll", example="crmflow bulk-disenroll --workflow welcome selection.csv --dry-run")
def bulk_disenroll(
    session: Session,
    file: FileArgument,
    workflow: RequiredWorkflowOption,
    *,
    column: ColumnOption = None,
    all_or_nothing: AllOrNothingOption = False,
    note: NoteOption = None,
    max_exits: MaxExitsOption = None,
    approve: ApproveOption = False,
) -> int | None:
    """Take every record that a file lists out of a workflow.

    The file is CSV, TSV or JSON lines with a column key (or email, for prospects).
    """
    from crmflow.operations import disenroll as operation
    from crmflow.operations.selection import Request

    with session.changing() as store, braked(store, max_exits, is_approved=approve):
        request = Request(file, column, all_or_nothing)
        summary = operation.bulk_disenroll(store, request, workflow, session.moment, note=note)
    return _show_bulk(session, file, summary.as_json(), hindrances=("unknown", "invalid"))


def _show_bulk(session: Session, file: str, summary: dict[str, Any], *, hindrances: Sequence[str]) -> int | None:
    counts = {name: count for name, count in summary.items() if name not in {"run", "rows"}}
    shown = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())
    session.output.report(summary, [shown])
    for row in summary["rows"]:
        reason = f" ({row['reason']})" if "reason" in row else ""
        name = f"{row['record']}: " if row["record"] else ""
        words = f"{file}:{row['row']}: {name}{row['outcome'].replace('_', ' ')}{reason}"
        if row["outcome"] in hindrances:
            session.output.warn(words)
        else:
            session.output.say(words)
    return PARTLY_DONE if any(counts[name] for name in hindrances) else None


@reads(enrollment_app, "list", example="crmflow enrollment list --workflow welcome --state disenrolled", lists=True)
def list_(
    session: Session, workflow: WorkflowOption = None, record: RecordOption = None, state: StateOption = None
) -> int | None:
    """List enrollments and how they ended.

    Ordered by workflow, record and time. Without options: all of them.
    """
    from crmflow.operations import list_enrollments

    with session.open() as store:
        listed = list_enrollments.listed(store, workflow=workflow, record=record, state=state)
    columns = ["workflow", "record", "state", "enrolled_at", "step", "exited_at", "by", "source", "line"]
    session.output.data(listed, Table(columns, [_row(each) for each in listed]))
    return None


def _row(each: dict[str, Any]) -> list[str | int | None]:
    exit_ = each["exit"] or {}
    event = exit_.get("event") or {}
    stated = [each[name] for name in ("workflow", "record", "state", "enrolled_at", "step", "exited_at")]
    return [*stated, exit_.get("trigger") or exit_.get("cause"), event.get("source"), event.get("line")]


@reads(app, "due", example="crmflow due --at 2026-03-05T08:00:00Z", takes_at=True, lists=True)
def due(session: Session, workflow: WorkflowOption = None) -> int | None:
    """List the steps that are due."""
    from crmflow.operations import advance as operation

    with session.open() as store:
        steps = [step._asdict() for step in operation.due(store, session.moment, workflow)]
    session.output.data(steps, _steps(steps))
    return None


@changes(
    app, "advance", example="crmflow advance | while IFS=$'\\t' read -r workflow record step kind due; do ...; done"
)
def advance(session: Session, workflow: WorkflowOption = None) -> int | None:
    """Complete every step that is due, and print them.

    One line for each, so that a script can do what the step asks.
    """
    from crmflow.operations import advance as operation

    with session.changing() as store:
        advanced = operation.advance(store, session.moment, workflow)
    document = advanced.as_json()
    session.output.data(document, _steps(document["steps"]))
    session.output.say(f"{len(advanced.steps)} steps completed, {advanced.exits} enrollments completed")
    return None


def _steps(steps: Sequence[dict[str, Any]]) -> Table:
    columns = ["workflow", "record", "step", "kind", "due_at"]
    return Table(columns, [[step[column] for column in columns] for step in steps])
