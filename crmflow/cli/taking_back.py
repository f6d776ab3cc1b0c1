"""`crmflow undo` and `crmflow retract`: taking back what a run did, and what an event said."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crmflow.cli import consequences
from crmflow.cli.render import Table
from crmflow.cli.session import PARTLY_DONE, Session, changes, given, group, time_given

if TYPE_CHECKING:
    pass

if TYPE_CHECKING:
    from crmflow.operations.find_events import Selection

app = group()

RunArgument = Annotated[int, typer.Argument(metavar="RUN", help="The number of the run (crmflow run list).")]
EventsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="EVENT", parser=given, help="An event: its id, or SOURCE:LINE. Or: list."),
]
GoneLogsOption = Annotated[
    list[str] | None,
    typer.Option("--events", metavar="FILE", parser=given, help="A log that lies elsewhere now; may be repeated."),
]
BecauseOption = Annotated[str | None, typer.Option("--because", metavar="TEXT", parser=given, help="The reason.")]
SourceOption = Annotated[
    str | None, typer.Option("--source", metavar="FILE", parser=given, help="All events of this log.")
]
TypeOption = Annotated[
    str | None, typer.Option("--type", metavar="TYPE", parser=given, help="All events of this type.")
]
BetweenOption = Annotated[
    tuple[str, str] | None,
    typer.Option("--between", metavar="TIME TIME", help="All events from the one time on and before the other."),
]
UrlOption = Annotated[
    str | None, typer.Option("--url", metavar="PATTERN", parser=given, help="All events whose url fits (* as in YAML).")
]
TakeBackOption = Annotated[bool, typer.Option("--take-back", help="Let retracted events count again.")]

LIST = "list"


@changes(app, "undo", example="crmflow undo 7 --dry-run\ncrmflow undo 7")
def undo(session: Session, run: RunArgument, *, events: GoneLogsOption = None) -> int | None:
    """Take a run back, as if it had never been.

    Exits that stood before stand again, enrollments go on at their step with the delay that was left, and what later
    runs read counts as it would have. What something later builds on is listed and left alone. What was read of logs
    stays read. An undo is a run, and can be undone.
    """
    from crmflow.operations import undo as operation

    with session.changing() as store:
        undone = operation.undo(store, run, session.moment, events or ())
    document = undone.as_json()
    words = [f"run {run} ({undone.command}) is undone; {consequences.counts(document['changes'])}"]
    words += [f"enrollments taken away: {undone.withdrawn}"] if undone.withdrawn else []
    words += [f"enrollments that are back: {undone.brought_back}"] if undone.brought_back else []
    words += [f"workflow {name} is as it was" for name in undone.workflows]
    _report(session, document, words)
    return PARTLY_DONE if undone.is_partial else None


@changes(
    app,
    "retract",
    example="""
    crmflow retract e-17 --because "out of office"
    crmflow retract events.jsonl:120 --because "a test" --dry-run
    crmflow retract --type link_clicked --between 2026-03-02T03:00:00Z 2026-03-02T03:05:00Z --because "a scanner"
    crmflow retract list
    crmflow retract e-17 --take-back
    """,
)
def retract(
    session: Session,
    names: EventsArgument = None,
    *,
    because: BecauseOption = None,
    source: SourceOption = None,
    type_: TypeOption = None,
    between: BetweenOption = None,
    url: UrlOption = None,
    take_back: TakeBackOption = False,
    events: GoneLogsOption = None,
) -> int | None:
    """Let events count no more, now and when they are read again.

    Everything that rests on them is reconsidered: what they had hidden may count now. `list` shows what is retracted.
    """
    from crmflow.core.errors import UsageError
    from crmflow.operations import retract as operation

    if names == [LIST]:
        _list(session)
        return None
    request = operation.Request(names or (), _selection(source, type_, between, url), events or ())
    if not take_back and because is None:
        raise UsageError("a retraction has a reason", hint='say it: --because "a security scanner"')
    with session.changing() as store:
        if take_back:
            done = operation.take_back(store, request, session.moment)
        else:
            done = operation.retract(store, request, because or "", session.moment)
    document = done.as_json()
    what = "count again" if take_back else "count no more"
    _report(session, document, [f"events that {what}: {done.events}; {consequences.counts(document['changes'])}"])
    return PARTLY_DONE if done.is_partial else None


def _list(session: Session) -> None:
    from crmflow.operations import retract as operation

    with session.open() as store:
        listed = operation.listed(store)
    columns = ["event", "record", "type", "time", "source", "line", "because", "run"]
    session.output.data(listed, Table(columns, [[each[column] for column in columns] for each in listed]))


def _selection(
    source: str | None, type_: str | None, between: tuple[str, str] | None, url: str | None
) -> "Selection | None":
    from crmflow.core.addresses import compile_pattern
    from crmflow.operations.find_events import Selection

    if all(each is None for each in (source, type_, between, url)):
        return None
    since, until = _times(between)
    return Selection(source, type_, since, until, compile_pattern(url) if url else None)


def _times(between: tuple[str, str] | None) -> tuple[datetime | None, datetime | None]:
    if between is None:
        return None, None
    return time_given("--between", between[0]), time_given("--between", between[1])


def _report(session: Session, document: dict[str, Any], words: list[str]) -> None:
    """Print what changed as a table, and say the counts, what was left alone, and which logs are gone."""
    session.output.report(document, consequences.table(document["changes"]))
    for line in words:
        session.output.say(line)
    for each in document["left_alone"]:
        session.output.warn(f"left alone: {each['record']} in {each['workflow']}: {each['reason']}")
    for each in document["gone"]:
        session.output.warn(f"{each['path']} can't be read again: {each['why']} (name it with --events)")
    if document["gone"]:
        session.output.warn(f"in doubt by that: {len(document['doubtful'])} enrollments (--json lists them)")
