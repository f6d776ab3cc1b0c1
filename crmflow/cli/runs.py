"""`crmflow run ...`: what was done to the store."""

import json
from typing import Annotated, Any

import typer

from crmflow.cli.render import Table
from crmflow.cli.session import Session, group, reads

app = group("run", "Runs: every execution of a command that changed the store.")

RunArgument = Annotated[int, typer.Argument(metavar="RUN", min=1, help="The run's number.")]


@reads(app, "list", example="crmflow run list", lists=True)
def list_(session: Session) -> int | None:
    """List the runs, newest first."""
    from crmflow.operations import list_runs

    with session.open() as store:
        listed = list_runs.listed(store)
    rows = [[each["run"], each["command"], each["at"], _done(each), _summary(each)] for each in listed]
    session.output.data(listed, Table(["run", "command", "at", "ended", "summary"], rows))
    return None


def _done(run: dict[str, Any]) -> str:
    if run["undone_by"] is not None:
        return f"undone by run {run['undone_by']}"
    return "finished" if run["finished"] else "cut off"


def _summary(run: dict[str, Any]) -> str:
    return " ".join(f"{name}={json.dumps(value)}" for name, value in run["summary"].items() if value and name != "run")


@reads(app, "show", example="crmflow run show 7")
def show(session: Session, run: RunArgument) -> int | None:
    """Show one run: when it ran, what it read, and what it wrote."""
    from crmflow.operations import list_runs

    with session.open() as store:
        shown = list_runs.show(store, run)
    lines = [f"run {shown['run']}: {shown['command']} at {shown['at']}, {_done(shown)}"]
    lines += [f"  wrote {count} {name.replace('_', ' ')}" for name, count in shown["wrote"].items() if count]
    for source in shown["sources"]:
        lines.append(
            f"  read {source['path']}, bytes {source['from_offset']}-{source['to_offset']}, {source['lines']} lines"
        )
    lines += [
        f"  {name}: {json.dumps(value)}" for name, value in shown["summary"].items() if name not in {"run", "sources"}
    ]
    session.output.data(shown, lines)
    return None
