"""Reading logs, and what was not understood of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from crmflow.cli.render import Output, Table
from crmflow.cli.session import (
    PARTLY_DONE,
    ApproveOption,
    FilesArgument,
    MaxExitsOption,
    Session,
    braked,
    changes,
    given,
    group,
    reads,
    told_scrubbed,
    total_bytes,
)

if TYPE_CHECKING:
    from crmflow.operations.apply import Applied
    from crmflow.operations.ingest import Summary
    from crmflow.operations.log_options import Options

Engine = Literal["local", "dask"]
WORTH_A_CLUSTER = 1 << 30
"""So many bytes of logs take one host half a minute: the least that a snapshot and a start of workers pay for."""

app = group()
rejects_app = group("rejects", "Rejects: the lines of logs that were not understood.")


def _show_formats(*, is_wanted: bool) -> None:
    if is_wanted:
        from crmflow.operations.convert import formats

        Output().table(["format", "what it is"], formats())
        raise typer.Exit


FormatOption = Annotated[
    str | None,
    typer.Option("--format", metavar="NAME", parser=given, help="Their format, instead of looking at how each begins."),
]
AssumeZoneOption = Annotated[
    str | None,
    typer.Option(
        "--assume-tz",
        metavar="ZONE",
        parser=given,
        help="The zone of times that name none: Europe/Berlin, UTC, +02:00.",
    ),
]
WorkflowKeyOption = Annotated[
    str,
    typer.Option(
        "--workflow-key",
        metavar="NAME",
        parser=given,
        show_default=False,
        help="Under which name mail providers give the workflow back, of what was sent along; workflow if left out.",
    ),
]
WonStageOption = Annotated[
    list[str] | None,
    typer.Option(
        "--won-stage", metavar="ID", parser=given, help="A stage of a CRM in which a deal is won; repeatable."
    ),
]
LostStageOption = Annotated[
    list[str] | None,
    typer.Option("--lost-stage", metavar="ID", parser=given, help="A stage in which a deal is lost; repeatable."),
]
ProspectParamOption = Annotated[
    str,
    typer.Option(
        "--prospect-param",
        metavar="NAME",
        parser=given,
        show_default=False,
        help="Under which name the query of a request names the prospect; p if left out.",
    ),
]
FormatsOption = Annotated[
    bool, typer.Option("--formats", is_eager=True, callback=_show_formats, help="List the formats and exit.")
]
JsonLinesOption = Annotated[bool, typer.Option("--jsonl", help="Print JSON lines, one for each reject.")]
FromStartOption = Annotated[bool, typer.Option("--from-start", help="Read everything again, not only what is new.")]

EngineOption = Annotated[
    Engine, typer.Option("--engine", help="Who matches: this host, or the workers of a Dask cluster.")
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS",
        parser=given,
        help="The cluster's scheduler (tcp://HOST:8786); if left out, workers on this host.",
    ),
]

_COUNTS = (
    *("lines", "rejected", "without_effect", "unmatched", "considered", "retracted", "suspect", "ambiguous"),
    *("exits", "moved", "reopened", "incomplete"),
)


@changes(app, "ingest", example="crmflow ingest /var/log/crm/events.jsonl\nzcat old.jsonl.gz | crmflow ingest -")
def ingest(
    session: Session,
    files: FilesArgument,
    *,
    format_: FormatOption = None,
    _formats: FormatsOption = False,
    assume_tz: AssumeZoneOption = None,
    workflow_key: WorkflowKeyOption = "workflow",
    won_stage: WonStageOption = None,
    lost_stage: LostStageOption = None,
    prospect_param: ProspectParamOption = "p",
    from_start: FromStartOption = False,
    engine: EngineOption = "local",
    scheduler: SchedulerOption = None,
    max_exits: MaxExitsOption = None,
    approve: ApproveOption = False,
) -> int | None:
    """Read what is new in these logs, and end enrollments.

    A log is known by its content, not its name: what was read is not read again.
    """
    from crmflow.operations import ingest as operation
    from crmflow.operations.log_options import log_options

    options = log_options(
        format_=format_,
        assume_tz=assume_tz,
        workflow_key=workflow_key,
        won_stage=won_stage,
        lost_stage=lost_stage,
        prospect_param=prospect_param,
    )
    if engine == "dask":
        return _spread(session, files, options, scheduler, braked_by=(max_exits, approve))
    manner = operation.Manner(options, from_start)
    output = session.output
    with (
        session.changing() as store,
        output.progress("reading", total_bytes(files)) as progress,
        braked(store, max_exits, is_approved=approve),
    ):
        watcher = operation.Watcher(progress.advance, output.say)
        summary = operation.ingest(store, files, session.moment, watcher, manner)
    return told_summary(output, summary, summary.faults, of=len(files))


def _spread(
    session: Session,
    files: list[str],
    options: "Options",
    scheduler: str | None,
    *,
    braked_by: tuple[str | None, bool],
) -> int | None:
    """Read logs with the help of a cluster."""
    from crmflow.operations.apply import apply
    from crmflow.operations.engines.cluster import Cluster
    from crmflow.operations.match_logs import Manner, Watcher
    from crmflow.operations.spread import spread

    output = session.output
    how = Manner(options, session.moment)
    size = total_bytes(files)
    if size is not None and size < WORTH_A_CLUSTER:
        output.say(f"{size} bytes are read sooner without a cluster")
    with session.open() as store, Cluster(scheduler) as cluster, output.progress("matching", size) as bar:
        exits, faults = spread(store, files, how, cluster, Watcher(bar.advance, output.say))
    limit, is_approved = braked_by
    with session.changing() as store, braked(store, limit, is_approved=is_approved):
        applied = apply(store, [exits], session.moment)
    return told_applied(output, applied, faults, of=len(files))


def told_applied(output: Output, applied: "Applied", faults: Sequence[str], *, of: int) -> int | None:
    """Show what became of what was matched; return the exit status."""
    for path in applied.done_before:
        output.say(f"{path}: taken in before; nothing was done twice")
    for path in applied.read_again:
        output.say(f"{path}: read again for records that changed since the snapshot")
    left = [f"{path}: it was read on meanwhile; what was matched of it waits for the next run" for path in applied.left]
    return told_summary(output, applied.summary, [*faults, *left], of=of)


def told_summary(output: Output, summary: "Summary", faults: Sequence[str], *, of: int) -> int | None:
    """Show what became of every line of so many logs; return the exit status."""
    from crmflow.core.errors import CrmflowError

    for fault in faults:
        output.warn(fault)
    if len(faults) == of and not summary.sources:
        raise CrmflowError("none of the logs could be read; nothing was changed")
    document = summary.as_json()
    unknown = sum(summary.unknown_types.values())
    shown = [
        f"{document[name]} {name.replace('_', ' ')}"
        for name in _COUNTS
        if document.get(name) or name in {"lines", "exits"}
    ]
    output.report(document, [", ".join([*shown, *([f"{unknown} of unknown type"] if unknown else [])])])
    if summary.rejected:
        output.warn(f"lines that were not understood: {summary.rejected} (crmflow rejects list)")
    return PARTLY_DONE if summary.rejected or faults else None


@reads(app, "convert", example="crmflow convert sendgrid.json > events.jsonl\ncrmflow convert mail.json | head")
def convert(
    session: Session,
    files: FilesArgument,
    *,
    format_: FormatOption = None,
    assume_tz: AssumeZoneOption = None,
    workflow_key: WorkflowKeyOption = "workflow",
    won_stage: WonStageOption = None,
    lost_stage: LostStageOption = None,
    prospect_param: ProspectParamOption = "p",
) -> int | None:
    """Print what logs of any format say as our own events.

    One event a line. Nothing is read into the store: it is for looking, and needs none.
    """
    from crmflow.operations import convert as operation
    from crmflow.operations.log_options import log_options

    output = session.output
    options = log_options(
        format_=format_,
        assume_tz=assume_tz,
        workflow_key=workflow_key,
        won_stage=won_stage,
        lost_stage=lost_stage,
        prospect_param=prospect_param,
    )
    document = []
    has_faults = False
    for found in operation.convert(files, options, session.moment, output.say):
        for fault in found.faults:
            has_faults = True
            output.warn(fault)
        if output.json:
            document += found.lines
        else:
            output.json_lines(found.lines)
    if output.json:
        output.document(document)
    return PARTLY_DONE if has_faults else None


@reads(
    rejects_app,
    "list",
    example="crmflow rejects list\ncrmflow rejects list --jsonl | jq -r .text > mend.jsonl",
    lists=True,
)
def list_rejects(session: Session, *, jsonl: JsonLinesOption = False) -> int | None:
    """List the rejects: source, line, reason and the line itself."""
    from crmflow.operations import rejects

    with session.open() as store:
        listed = rejects.listed(store)
    if jsonl:
        session.output.json_lines(listed)
        return None
    columns = ["source", "line", "reason", "text"]
    session.output.data(listed, Table(columns, [[each[column] for column in columns] for each in listed]))
    return None


@changes(rejects_app, "retry", example="crmflow rejects retry")
def retry(session: Session) -> int | None:
    """Read the rejects again.

    Those that are understood now take effect and are no longer kept.
    """
    from crmflow.operations import rejects

    with session.changing() as store:
        retried = rejects.retry(store, session.moment)
    words = f"{retried.understood} understood now, {retried.rejected} still not"
    words += f"; {retried.exits} enrollments ended, {retried.moved} exits moved"
    session.output.report(retried._asdict(), [words])
    return PARTLY_DONE if retried.rejected else None


@changes(rejects_app, "clear", example="crmflow rejects clear")
def clear(session: Session) -> int | None:
    """Forget all rejects, for good."""
    from crmflow.operations import rejects

    with session.changing() as store:
        cleared = rejects.clear(store, session.moment)
    session.output.report(cleared._asdict(), [f"{cleared.cleared} rejects are gone"])
    return told_scrubbed(session, scrubbed=cleared.scrubbed)
