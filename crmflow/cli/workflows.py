"""`crmflow workflow ...`: the definitions."""

from typing import Annotated

import typer

from crmflow.cli.render import Table
from crmflow.cli.session import Session, changes, given, group, reads

app = group("workflow", "Workflows: checking them, putting them in force.")

FilesArgument = Annotated[
    list[str], typer.Argument(metavar="FILE", parser=given, help="Workflow files (YAML), one workflow in each.")
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The workflow.")]
DisenrollOption = Annotated[bool, typer.Option("--disenroll", help="Take the records out that are active in it.")]


@reads(app, "check", example="crmflow workflow check workflows/*.yaml")
def check(session: Session, files: FilesArgument) -> int | None:
    """Check workflow files; no store is needed.

    Every fault of every file is shown with line and column, and the exit status is 1.
    """
    from crmflow.operations import check_workflows

    checked = check_workflows.check(files)
    session.output.report(checked, [f"{each['path']}: {each['workflow']} is sound" for each in checked])
    return None


@changes(app, "apply", example="crmflow workflow apply workflows/*.yaml --dry-run")
def apply(session: Session, files: FilesArgument) -> int | None:
    """Put the workflows of these files in force.

    The difference to what is in force is printed. Workflows that none of the files declares are left alone.
    """
    from crmflow.operations import workflows

    with session.changing() as store:
        applied = workflows.apply(store, files, session.moment)
    lines = [line for each in applied.changes for line in (f"{each.change}: {each.workflow} ({each.path})", *each.diff)]
    session.output.report(applied.as_json(), lines)
    if applied.untouched:
        session.output.say(f"in force and in none of these files, left alone: {', '.join(applied.untouched)}")
    return None


@reads(app, "list", example="crmflow workflow list", lists=True)
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
    """Show a workflow in force, as its file declared it."""
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
    """Take a workflow out of force; its history stays.

    Refused while records are active in it, unless they are to leave with it.
    """
    from crmflow.operations import workflows

    with session.changing() as store:
        removed = workflows.remove(store, name, session.moment, with_disenrolling=disenroll)
    session.output.report(removed._asdict(), [f"removed {name}; {removed.disenrolled} records left it"])
    return None


@reads(app, "schema", example="crmflow workflow schema > workflow.schema.json")
def schema(session: Session) -> int | None:
    """Print the JSON Schema of workflow files.

    With it an editor completes and checks a file while it is written.
    """
    from crmflow.operations import check_workflows

    session.output.document(check_workflows.schema())
    return None
