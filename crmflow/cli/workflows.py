"""`crmflow workflow ...`: the definitions."""

from typing import Annotated

import typer

from crmflow.cli.render import Table
from crmflow.cli.session import FilesArgument, Session, changes, group, reads

app = group("workflow", "Workflows: checking files, putting them in force, looking at them.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The workflow.")]
DisenrollOption = Annotated[bool, typer.Option("--disenroll", help="Take the records out that are active in it.")]


@reads(app, "check", example="crmflow workflow check workflows/*.yaml")
def check(session: Session, files: FilesArgument) -> int | None:
    """Check workflow files without a store: every fault with file, line and column, and exit 1."""
    from crmflow.operations import check_workflows

    checked = check_workflows.check(files)
    session.output.report(checked, [f"{each['path']}: {each['workflow']} is sound" for each in checked])
    return None


@changes(app, "apply", example="crmflow workflow apply workflows/*.yaml --dry-run")
def apply(session: Session, files: FilesArgument) -> int | None:
    """Put the workflows of these files in force; the difference is printed. Others are left alone."""
    from crmflow.operations import workflows

    with session.changing() as store:
        applied = workflows.apply(store, files, session.moment)
    lines = [line for each in applied.changes for line in (f"{each.change}: {each.workflow} ({each.path})", *each.diff)]
    session.output.report(applied.as_json(), lines)
    if applied.untouched:
        session.output.say(f"in force and in none of these files, left alone: {', '.join(applied.untouched)}")
    return None


@reads(app, "list", example="crmflow workflow list")
def list_(session: Session) -> int | None:
    """List the workflows in force."""
    from crmflow.operations import workflows

    with session.open() as store:
        listed = workflows.listed(store)
    columns = ["workflow", "type", "steps", "triggers", "active", "applied_at", "description"]
    session.output.data(listed, Table(columns, [[each[column] for column in columns] for each in listed]))
    return None


@reads(app, "show", example="crmflow workflow show welcome")
def show(session: Session, name: NameArgument) -> int | None:
    """Show the definition of a workflow that is in force, as its file declared it."""
    from crmflow.operations import workflows

    with session.open() as store:
        shown = workflows.show(store, name)
    session.output.data(shown, str(shown["source"]).splitlines())
    session.output.say(
        f"version {shown['versions']}, digest {shown['digest'][:12]}, in force since {shown['applied_at']},"
        f" from {shown['path']}; {shown['active']} active"
    )
    return None


@changes(app, "remove", example="crmflow workflow remove welcome --disenroll")
def remove(session: Session, name: NameArgument, *, disenroll: DisenrollOption = False) -> int | None:
    """Take a workflow out of force; its history stays. Refused while records are active in it."""
    from crmflow.operations import workflows

    with session.changing() as store:
        removed = workflows.remove(store, name, session.moment, with_disenrolling=disenroll)
    session.output.report(removed._asdict(), [f"removed {name}; {removed.disenrolled} records left it"])
    return None


@reads(app, "schema", example="crmflow workflow schema > workflow.schema.json")
def schema(session: Session) -> int | None:
    """Print the JSON Schema of a workflow file, with which editors complete and check it."""
    from crmflow.operations import check_workflows

    session.output.document(check_workflows.schema())
    return None
