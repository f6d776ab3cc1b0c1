"""Matching logs away from the store: a snapshot goes out, what was matched comes back and is applied."""

from pathlib import Path
from typing import Annotated

import typer

from crmflow.cli.logs import (
    AssumeZoneOption,
    FormatOption,
    LostStageOption,
    ProspectParamOption,
    WonStageOption,
    WorkflowKeyOption,
    told_applied,
)
from crmflow.cli.session import (
    PARTLY_DONE,
    ApproveOption,
    MaxExitsOption,
    Session,
    braked,
    changes,
    given,
    group,
    reads,
    total_bytes,
)

app = group()
snapshot_app = group("snapshot", "Snapshots: what matching needs of the store.")

PlaceArgument = Annotated[str, typer.Argument(metavar="FILE", parser=given, help="Where the snapshot goes.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there already.")]
LogsArgument = Annotated[
    list[str], typer.Argument(metavar="LOG", parser=given, help="Files, or URLs (s3://, https://, ...).")
]
SnapshotOption = Annotated[
    str, typer.Option("--snapshot", metavar="FILE", parser=given, help="The snapshot that is matched against.")
]
OutOption = Annotated[str, typer.Option("--out", metavar="FILE", parser=given, help="Where the exits go: a new file.")]
MostRejectsOption = Annotated[
    int, typer.Option("--max-rejects", metavar="N", min=0, help="Keep so many rejects of a log, count the rest.")
]
ExitsArgument = Annotated[
    list[str], typer.Argument(metavar="EXITS", parser=given, help="Files that crmflow match wrote.")
]


@reads(snapshot_app, "export", example="crmflow snapshot export today.snapshot")
def export(session: Session, file: PlaceArgument, *, overwrite: OverwriteOption = False) -> int | None:
    """Write what matching needs of the store into a file.

    One consistent state, while others may write. It holds keys and emails: keep it as you keep the store.
    """
    from crmflow.operations import spread

    with session.open() as store:
        made = spread.export(store, file, overwrite=overwrite)
    words = f"{file}: {made.records} records, {made.enrollments} enrollments, {made.size} bytes, {made.digest}"
    session.output.report(made._asdict(), [words])
    return None


@reads(
    app,
    "match",
    example="crmflow match --snapshot today.snapshot s3://logs/2026-03-01.jsonl --out 1.exits",
)
def match(
    session: Session,
    logs: LogsArgument,
    *,
    snapshot: SnapshotOption,
    out: OutOption,
    max_rejects: MostRejectsOption = 10_000,
    format_: FormatOption = None,
    assume_tz: AssumeZoneOption = None,
    workflow_key: WorkflowKeyOption = "workflow",
    won_stage: WonStageOption = None,
    lost_stage: LostStageOption = None,
    prospect_param: ProspectParamOption = "p",
) -> int | None:
    """Match logs against a snapshot, on any host.

    It needs no store: any logs, any number of times. crmflow apply takes the result in.
    """
    from crmflow.core.errors import CrmflowError
    from crmflow.operations.log_options import log_options
    from crmflow.operations.match_files import match_files
    from crmflow.operations.match_logs import Manner, Watcher

    output = session.output
    options = log_options(
        format_=format_,
        assume_tz=assume_tz,
        workflow_key=workflow_key,
        won_stage=won_stage,
        lost_stage=lost_stage,
        prospect_param=prospect_param,
    )
    how = Manner(options, session.moment, most_rejects=max_rejects)
    with output.progress("matching", total_bytes(logs)) as progress:
        watcher = Watcher(progress.advance, output.say)
        written = match_files(Path(snapshot), logs, Path(out), how, watcher)
    for fault in written.faults:
        output.warn(fault)
    if len(written.faults) == len(logs):
        raise CrmflowError("none of the logs could be read")
    words = f"{out}: {written.logs} logs, {written.lines} lines, {written.considered} considered, {written.kept} kept"
    output.report(written._asdict(), [words])
    return PARTLY_DONE if written.faults else None


@changes(app, "apply", example="crmflow apply *.exits")
def apply(
    session: Session,
    exits: ExitsArgument,
    *,
    max_exits: MaxExitsOption = None,
    approve: ApproveOption = False,
) -> int | None:
    """Take in what was matched, in one transaction.

    What was taken in before has no effect again. Where records have changed since the snapshot, the logs are read again
    for them.
    """
    from crmflow.operations import apply as operation

    found = operation.exits_in(exits)
    with session.changing() as store, braked(store, max_exits, is_approved=approve):
        applied = operation.apply(store, found, session.moment)
    return told_applied(session.output, applied, [], of=len(exits) + 1)
