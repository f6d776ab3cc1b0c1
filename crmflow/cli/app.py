"""The command line as a whole: the commands of every noun, and what stands before them.

A start is short because only what was asked for is loaded: the module whose commands may have been meant.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Annotated

import typer

from crmflow import __version__
from crmflow.cli.render import Output
from crmflow.cli.session import DbOption, JsonOption, QuietOption, Shared

Commands = tuple[typer.Typer, ...]


def _stores() -> Commands:
    from crmflow.cli import stores

    return (stores.app,)


def _workflows() -> Commands:
    from crmflow.cli import workflows

    return (workflows.app,)


def _records() -> Commands:
    from crmflow.cli import records

    return (records.app,)


def _enrollments() -> Commands:
    from crmflow.cli import enrollments

    return (enrollments.app, enrollments.enrollment_app)


def _logs() -> Commands:
    from crmflow.cli import logs

    return (logs.app, logs.rejects_app)


def _matching() -> Commands:
    from crmflow.cli import matching

    return (matching.snapshot_app, matching.app)


def _explain() -> Commands:
    from crmflow.cli import explain

    return (explain.app,)


def _runs() -> Commands:
    from crmflow.cli import runs

    return (runs.app,)


def _taking_back() -> Commands:
    from crmflow.cli import taking_back

    return (taking_back.app,)


def _backtest() -> Commands:
    from crmflow.cli import backtest

    return (backtest.app,)


def _report() -> Commands:
    from crmflow.cli import report

    return (report.app,)


MODULES: Mapping[Callable[[], Commands], frozenset[str]] = {
    _stores: frozenset({"init", "demo", "status", "doctor", "backup"}),
    _workflows: frozenset({"workflow"}),
    _records: frozenset({"record"}),
    _enrollments: frozenset({"enroll", "bulk-enroll", "disenroll", "bulk-disenroll", "enrollment", "due", "advance"}),
    _logs: frozenset({"ingest", "convert", "rejects"}),
    _matching: frozenset({"snapshot", "match", "apply"}),
    _explain: frozenset({"explain"}),
    _runs: frozenset({"run"}),
    _taking_back: frozenset({"undo", "retract"}),
    _backtest: frozenset({"backtest"}),
    _report: frozenset({"report"}),
}
"""What loads a module's commands, and the words that they begin with, in the order in which `--help` lists them."""


def commands_for(words: Collection[str]) -> Commands:
    """Return the commands that a command line of these words may mean: all of them where it names none."""
    meant = [load for load, its_words in MODULES.items() if its_words & set(words)]
    return tuple(command for load in meant or MODULES for command in load())


def _show_version(*, is_wanted: bool) -> None:
    if is_wanted:
        Output().lines([f"crmflow {__version__}"])
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version and exit.")
]


def build_app(commands: Iterable[typer.Typer]) -> typer.Typer:
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
