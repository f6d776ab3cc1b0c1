"""`crmflow report`: how the workflows did, in the terminal, as rows for scripts, or as a page to pass on."""

from typing import TYPE_CHECKING, Annotated

import typer

from crmflow.cli.session import Session, WorkflowOption, given, group, reads, time_given

if TYPE_CHECKING:
    from crmflow.operations.report import Report
    from crmflow.store.connection import Store

app = group()

OutOption = Annotated[
    str | None,
    typer.Option("--out", metavar="FILE", parser=given, help="Write a page with charts (HTML) instead of printing."),
]
FromOption = Annotated[
    str | None, typer.Option("--from", metavar="TIME", parser=given, help="Count only what happened at or after TIME.")
]
ToOption = Annotated[
    str | None, typer.Option("--to", metavar="TIME", parser=given, help="Count only what happened before TIME.")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there already.")]

_EXAMPLE = """\
crmflow report
crmflow report --workflow welcome --from 2026-03-01T00:00:00Z --to 2026-04-01T00:00:00Z
crmflow report --out march.html
crmflow report --json | jq '.workflows[] | {workflow, exits_by_cause}'
"""


@reads(app, "report", example=_EXAMPLE, lists=True)
def report(
    session: Session,
    workflow: WorkflowOption = None,
    since: FromOption = None,
    until: ToOption = None,
    out: OutOption = None,
    *,
    overwrite: OverwriteOption = False,
) -> int | None:
    """Show how the workflows did.

    For each of them: how far its enrollments came, which triggers ended them when, and after what time. And how many
    lines of logs were rejected or unmatched. All are counts: no record is named.
    """
    from crmflow.cli.report import figures
    from crmflow.operations import report as operation

    begin = None if since is None else time_given("--from", since)
    end = None if until is None else time_given("--to", until)
    with session.open() as store:
        made = operation.make(store, session.now, since=begin, until=end, workflow=workflow)
        if out is not None:
            _write(session, store, made, out, overwrite=overwrite)
            return None
    session.output.figures(made.as_json(), figures.plain(made), figures.drawn(made))
    return None


def _write(session: Session, store: "Store", made: "Report", out: str, *, overwrite: bool) -> None:
    from crmflow.cli.report import page
    from crmflow.operations import report as operation

    size = operation.save(store, out, page.page(made), overwrite=overwrite)
    session.output.report({"path": out, "bytes": size}, [f"wrote {out}: {size} bytes"])
