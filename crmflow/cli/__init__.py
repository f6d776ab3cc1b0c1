"""How is it asked and shown? The command line: parse, call one operation, show its result.

`main` is the only place that catches errors, and the only one that knows what they mean for the exit status.
"""

import os
import signal
import sys
from collections.abc import Sequence
from errno import EPIPE
from typing import TYPE_CHECKING, NoReturn

from crmflow import __version__
from crmflow.cli import render
from crmflow.cli.render import Output

if TYPE_CHECKING:
    import typer

    from crmflow.core.errors import CrmflowError

PROGRAM = "crmflow"
_COMPLETION_VARIABLE = "_CRMFLOW_COMPLETE"

_FAILED = 1
_WRONG_USAGE = 2
_FAULT = 70  # EX_SOFTWARE of sysexits.h
_INTERRUPTED = 130


def main(app: "typer.Typer | None" = None) -> NoReturn:
    """Run the command that this process was called with, and exit with its status (SPEC 7).

    Files that it creates are the user's alone. A fault of the program shows its traceback and exits with 70.
    """
    os.umask(0o077)
    render.prepare_streams()
    try:
        status = _run(app, sys.argv[1:])
    except KeyboardInterrupt:
        from crmflow.cli.session import AFTER_INTERRUPTION, INTERRUPTED

        Output().error(INTERRUPTED, hint=AFTER_INTERRUPTION)
        status = _INTERRUPTED
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command is over: an interruption must not change its status
    failure = render.take_failure()
    if failure and failure.errno != EPIPE:
        Output().error(f"standard output could not be written: {failure.strerror}")
        status = status or _FAILED
    sys.exit(status)


def _run(app: "typer.Typer | None", arguments: Sequence[str]) -> int:
    if list(arguments) == ["--version"]:  # the one question that nothing has to be loaded for
        Output().lines([f"{PROGRAM} {__version__}"])
        return 0
    import typer

    try:
        _invoke(app, list(arguments))
    except typer.Exit as end:
        return end.exit_code
    except typer.TyperException as error:
        return _show_wrong_usage(error)
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    except Exception as error:
        from crmflow.core import errors

        if not isinstance(error, errors.CrmflowError):
            Output().fault(error)
            raise SystemExit(_FAULT) from error
        return _show(error)
    return 0


def _invoke(app: "typer.Typer | None", arguments: list[str]) -> None:
    """Parse and call. Not `app()`: that would turn a closed pipe and an interruption into statuses of its own."""
    from typer.main import get_command

    from crmflow.cli.app import build_app, commands_for
    from crmflow.cli.session import require_directory, require_text

    require_text(*arguments)
    require_directory()
    is_completing = _COMPLETION_VARIABLE in os.environ
    command = get_command(app or build_app(commands_for([] if is_completing else arguments)))
    if is_completing:
        command(arguments, prog_name=PROGRAM)  # answers the shell that asks for completions, and exits
    with command.make_context(PROGRAM, arguments) as context:
        command.invoke(context)


def _show_wrong_usage(error: "typer.TyperException") -> int:
    output = Output()
    context: typer.Context | None = getattr(error, "ctx", None)
    message = error.format_message()
    if context is not None and message == context.get_help():  # called without a command: the message is the help
        for line in message.splitlines():
            output.say(line)
    else:
        hint = f"{context.command_path} --help says how" if context is not None else None
        output.error(" ".join(message.split()), hint)
    return _WRONG_USAGE


def _show(error: "CrmflowError") -> int:
    from crmflow.core.errors import DefinitionsError, GuardError

    output = Output()
    if isinstance(error, DefinitionsError):
        for complaint in error.complaints:
            output.say(str(complaint))
    if isinstance(error, GuardError):
        for line in error.details:
            output.say(line)
    output.error(error.what, error.hint)
    return error.exit_status
