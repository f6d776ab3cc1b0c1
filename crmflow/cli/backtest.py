"""`crmflow backtest`: what definitions would have done with logs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from crmflow.cli.logs import (
    AssumeZoneOption,
    FormatOption,
    LostStageOption,
    ProspectParamOption,
    WonStageOption,
    WorkflowKeyOption,
)
from crmflow.cli.session import PARTLY_DONE, Session, given, group, reads, time_given, total_bytes

if TYPE_CHECKING:
    from crmflow.operations.backtest import Watch
    from crmflow.operations.backtest_findings import Backtest

app = group()

EventsArgument = Annotated[
    list[str], typer.Argument(metavar="EVENTS", parser=given, help="Logs, or - for standard input.")
]

TriedOption = Annotated[
    list[str],
    typer.Option(
        "--workflow", "-w", metavar="FILE", parser=given, help="A workflow file to try; give it again for another one."
    ),
]
AgainstOption = Annotated[
    list[str] | None,
    typer.Option(
        "--against",
        metavar="FILE",
        parser=given,
        help="Compare with the workflow as this file declares it, not with the one in force; one for each --workflow.",
    ),
]
EverybodyOption = Annotated[
    str | None,
    typer.Option(
        "--enroll-all-at",
        metavar="TIME",
        parser=given,
        help="Without a store: every record that the logs name is in each workflow of its type since TIME.",
    ),
]
EnrollmentsOption = Annotated[
    str | None,
    typer.Option(
        "--enrollments",
        metavar="FILE",
        parser=given,
        help="Without a store: a table of who is enrolled, with columns workflow, key (or record), enrolled_at.",
    ),
]

_EXAMPLE = """\
crmflow backtest --workflow welcome.yaml /var/log/crm/events.jsonl
crmflow backtest --workflow new.yaml --against old.yaml --enroll-all-at 2026-03-01T00:00:00Z events.jsonl
crmflow backtest --workflow welcome.yaml events.jsonl --json | jq '.rows[] | select(.what == "stays") | .record'
"""


@reads(app, "backtest", example=_EXAMPLE, lists=True)
def backtest(
    session: Session,
    logs: EventsArgument,
    *,
    tried: TriedOption,
    against: AgainstOption = None,
    everybody_at: EverybodyOption = None,
    table: EnrollmentsOption = None,
    format_: FormatOption = None,
    assume_tz: AssumeZoneOption = None,
    workflow_key: WorkflowKeyOption = "workflow",
    won_stage: WonStageOption = None,
    lost_stage: LostStageOption = None,
    prospect_param: ProspectParamOption = "p",
) -> int | None:
    """Show what workflow files would have done with logs.

    Compared with the workflows in force: who would leave or stay who did not, who earlier or later, and by what. The
    logs are read from their start; the store is not changed.
    """
    from crmflow.cli import backtest_figures as figures
    from crmflow.operations import backtest as operation
    from crmflow.operations.backtest_findings import as_json
    from crmflow.operations.ingest import Manner
    from crmflow.operations.log_options import log_options

    options = log_options(
        format_=format_,
        assume_tz=assume_tz,
        workflow_key=workflow_key,
        won_stage=won_stage,
        lost_stage=lost_stage,
        prospect_param=prospect_param,
    )
    question = operation.ask(tried, against or [], logs, Manner(options))
    _refuse_two_sources(session, everybody_at, table)
    watch = _watch(session, logs)
    if everybody_at is not None:
        at = time_given("--enroll-all-at", everybody_at)
        test = operation.of_everybody(question, at, session.moment, watch)
    elif table is not None:
        test = operation.of_table(question, table, session.moment, watch)
    else:
        with session.open() as store:
            test = operation.of_store(store, question, session.moment, watch)
    session.output.figures(as_json(test), figures.plain(test), figures.drawn(test))
    for words in figures.summary(test):
        session.output.say(words)
    return _warned(session, test)


def _refuse_two_sources(session: Session, everybody_at: str | None, table: str | None) -> None:
    from crmflow.core.errors import UsageError

    if everybody_at is not None and table is not None:
        raise UsageError("--enroll-all-at and --enrollments exclude each other", hint="leave one of them out")
    if session.db_given is not None and (everybody_at is not None or table is not None):
        raise UsageError("--enroll-all-at and --enrollments are for a backtest without a store", hint="leave --db out")


def _watch(session: Session, logs: list[str]) -> "Watch":
    from crmflow.operations.backtest import Watch

    @contextmanager
    def reading(what: str) -> Iterator[Callable[[int], None]]:
        with session.output.progress(what, total_bytes(logs)) as progress:
            yield progress.advance

    return Watch(reading, session.output.say)


def _warned(session: Session, test: "Backtest") -> int | None:
    """Say what makes the result less than whole; returns the exit status."""
    summary = test.summary
    if test.unlike_store:
        session.output.say(
            f"{test.unlike_store} enrollments stand otherwise in the store than by the rules in force and these logs:"
            " it has read other logs, or by other rules"
        )
    for words in (*summary.faults, *test.faults):
        session.output.warn(words)
    if summary.rejected:
        session.output.warn(f"lines that were not understood: {summary.rejected} (the first: {test.first_reject})")
    return PARTLY_DONE if summary.faults or test.faults or summary.rejected else None
