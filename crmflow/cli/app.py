"""The command line as a whole: the commands of every noun, and what stands before them."""

from collections.abc import Iterable
from typing import Annotated

import typer

from crmflow import __version__
from crmflow.cli import enrollments, logs, records, runs, stores, workflows
from crmflow.cli.render import Output
from crmflow.cli.session import DbOption, JsonOption, QuietOption, Shared

COMMANDS: tuple[typer.Typer, ...] = (
    stores.app,
    workflows.app,
    records.app,
    enrollments.app,
    enrollments.enrollment_app,
    logs.app,
    logs.rejects_app,
    runs.app,
)
"""Every module's commands (its `app`, made by `session.group`), in the order in which `--help` lists them."""


def _show_version(*, is_wanted: bool) -> None:
    if is_wanted:
        Output().lines([f"crmflow {__version__}"])
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version and exit.")
]


def build_app(commands: Iterable[typer.Typer] = COMMANDS) -> typer.Typer:
    """Return the Typer app that knows these commands."""
    app = typer.Typer(
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_before_every_command)
    for each in commands:
        app.add_typer(each)
    return app


def _before_every_command(
    context: typer.Context,
    *,
    db: DbOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    _version: VersionOption = False,
) -> None:
    """Decide when a prospect, an organization or a deal leaves an outreach workflow."""
    context.obj = Shared(db=db, json=json, quiet=quiet)
