"""What every command shares: its options, its session, its registration.

A command is a function that takes a `Session` first and then its own parameters, and returns its exit status (None is
0). `reads` and `changes` register it with Typer under the options that SPEC 7 gives to every command:

    @changes(app, "enroll", example="crmflow enroll prospect:ana@acme.example --workflow welcome")
    def enroll(session: Session, ref: RefArgument, workflow: RequiredWorkflowOption) -> int | None: ...

The docstring is the command's help. Operations are imported inside the function, because every module of commands is
loaded at every start.
"""

import inspect
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec

import typer

from crmflow.cli import render
from crmflow.cli.render import Output

if TYPE_CHECKING:
    from crmflow.core.errors import UsageError
    from crmflow.core.model import Moment
    from crmflow.store.connection import Store

FAILED = 1
"""The exit status of a check that found what it looks for; of anything else, an error says it."""

PARTLY_DONE = 3
"""The exit status of a command that is done, but for some lines or rows."""

DEFAULT_WAIT = 60.0
LONGEST_WAIT = 86_400
STORE_VARIABLE = "CRMFLOW_DB"
INTERRUPTED = "interrupted; the store is consistent"
AFTER_INTERRUPTION = "the same command again does what is left"


def given(text: str) -> str:
    """Return an option's or argument's text; an empty one, as an unset shell variable leaves it, is wrong usage."""
    if not text.strip():
        raise typer.BadParameter("it is empty (a variable that is not set?)")
    return text


def require_text(*given_texts: str) -> None:
    """Raise `UsageError` where bytes were given that are no UTF-8: neither a name nor the store could hold them."""
    for each in given_texts:
        try:
            each.encode()
        except UnicodeEncodeError as error:
            raise usage(f"not UTF-8: {os.fsencode(each)!r}", hint="rename the file, or write it in UTF-8") from error


def require_directory() -> None:
    """Raise `UsageError` where the directory that this process is in was removed: no path leads anywhere from there."""
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise usage("the directory that this runs in does not exist any more", hint="change to another one") from error


def seconds(text: str) -> float:
    """Return how long to wait; what is no number from 0 to a day is wrong usage."""
    try:
        length = float(text)
    except ValueError:
        length = -1
    if not 0 <= length <= LONGEST_WAIT:
        raise typer.BadParameter(f"{text!r} is no number of seconds from 0 to {LONGEST_WAIT}")
    return length


DbOption = Annotated[
    str | None,
    typer.Option(
        "--db",
        metavar="PATH",
        parser=given,
        help=f"The store. Else {STORE_VARIABLE}, else crmflow.db in the user's data directory.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print comma-separated values with a header, for spreadsheets.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print no words, only what was asked for.")]
AtOption = Annotated[
    str | None,
    typer.Option("--at", metavar="TIME", parser=given, help="The time at which it happens, RFC 3339; now if left out."),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print what would happen and change nothing.")]
WaitOption = Annotated[
    float,
    typer.Option(
        "--wait",
        metavar="SECONDS",
        parser=seconds,
        show_default=False,
        help=f"How long to wait for another run to leave the store; {DEFAULT_WAIT:.0f} if left out.",
    ),
]

MaxExitsOption = Annotated[
    str | None,
    typer.Option(
        "--max-exits",
        metavar="LIMIT",
        parser=given,
        help="Stop, with nothing changed, if more enrollments would end: a number, or a percentage of the active ones.",
    ),
]
ApproveOption = Annotated[bool, typer.Option("--approve", help="Let the run through, whatever the limits.")]

RefArgument = Annotated[
    str,
    typer.Argument(
        metavar="REF", parser=given, help="A record: TYPE:KEY (prospect:ana@acme.example), or KEY with --workflow."
    ),
]
WorkflowOption = Annotated[
    str | None, typer.Option("--workflow", "-w", metavar="NAME", parser=given, help="Only this workflow.")
]
RequiredWorkflowOption = Annotated[
    str, typer.Option("--workflow", "-w", metavar="NAME", parser=given, help="The workflow.")
]
FileArgument = Annotated[str, typer.Argument(metavar="FILE", parser=given, help="A file, or - for standard input.")]
FilesArgument = Annotated[
    list[str], typer.Argument(metavar="FILE", parser=given, help="Files, or - for standard input.")
]


def time_given(option: str, text: str) -> datetime:
    """Return the time that an option's text names, in UTC; raises `UsageError` that names the option."""
    from crmflow.core.times import TimeError, parse_time

    try:
        return parse_time(text)
    except TimeError as error:
        raise usage(f"{option}: {error.what}", hint=error.hint) from error


@dataclass(frozen=True)
class Session:
    """One call of one command, as the user asked for it.

    `now` is the clock's time, `at` the time at which the change happens: `--at`, where `has_at`, or now; both aware and
    in UTC. `wait` counts seconds. `db_given` is `--db` as written.
    """

    db_given: str | None
    now: datetime
    at: datetime
    has_at: bool
    dry_run: bool
    wait: float
    output: Output

    @property
    def db(self) -> Path:
        """Where the store is or would be; raises `UsageError` where nothing that can be read says so."""
        named = self.db_given or os.environ.get(STORE_VARIABLE)
        require_text(named or "")
        return Path(named) if named else _default_db()

    @property
    def moment(self) -> "Moment":
        """When the command acts, as operations take it."""
        from crmflow.core.model import Moment

        return Moment(at=self.at, now=self.now)

    def open(self) -> "Store":
        """Open the store, a context manager; raises the store's errors: there is none, another run holds it."""
        from crmflow.store.connection import open_store

        return open_store(self.db, wait=self.wait)

    @contextmanager
    def changing(self) -> "Iterator[Store]":
        """Open the store for a change; with `--dry-run` all that the block does happens, and nothing of it is kept.

        Raises `InterruptedRunError`, which says what was done until then.
        """
        from crmflow.core.errors import InterruptedRunError

        with self.open() as store:
            try:
                with store.rehearsal() if self.dry_run else nullcontext():
                    yield store
            except KeyboardInterrupt as interruption:
                raise InterruptedRunError(INTERRUPTED, hint=f"{store.outcome}; {AFTER_INTERRUPTION}") from interruption

    def create(self) -> "Store":
        """Create the store and open it; raises the store's errors: there is one already."""
        from crmflow.store.connection import create_store

        return create_store(self.db)


@dataclass(frozen=True)
class Shared:
    """The options that may also stand before the command."""

    db: str | None = None
    json: bool = False
    quiet: bool = False


P = ParamSpec("P")
Command = Callable[Concatenate[Session, P], int | None]
_Option = tuple[str, object, object]

_EVERYWHERE: tuple[_Option, ...] = (
    ("db", DbOption, None),
    ("json", JsonOption, False),
    ("quiet", QuietOption, False),
)
_AT: _Option = ("at", AtOption, None)
_CSV: _Option = ("csv", CsvOption, False)
_CHANGING: tuple[_Option, ...] = (
    _AT,
    ("dry_run", DryRunOption, False),
    ("wait", WaitOption, DEFAULT_WAIT),
    *_EVERYWHERE,
)


def total_bytes(paths: Iterable[str]) -> int | None:
    """Return how many bytes these files hold as they are stored; None where one of them does not say."""
    try:
        found = [Path(path).stat() for path in paths]
    except OSError:
        return None
    return sum(each.st_size for each in found) if all(stat.S_ISREG(each.st_mode) for each in found) else None


def told_scrubbed(session: Session, *, scrubbed: bool) -> int | None:
    """Return the exit status of a removal, having said it where the bytes of what was removed are still in a file."""
    if scrubbed:
        return None
    session.output.warn(
        "removed, but another program is reading the store: until it ends, and one more command has run, the bytes"
        f" of what was removed lie in {session.db}-wal"
    )
    return PARTLY_DONE


@contextmanager
def braked(store: "Store", max_exits: str | None, *, is_approved: bool) -> Iterator[None]:
    """Keep what the block does only if it ends no more enrollments than it may, or `is_approved`."""
    from crmflow.core.brake import parse_limit
    from crmflow.core.errors import CrmflowError
    from crmflow.operations import brake

    try:
        limit = None if max_exits is None else parse_limit(max_exits)
    except CrmflowError as error:
        raise usage(f"--max-exits: {error.what}", hint=error.hint) from error
    with brake.braked(store, limit, is_approved=is_approved):
        yield


def group(name: str | None = None, words: str | None = None) -> typer.Typer:
    """Return a place for commands: the noun before them (`crmflow NAME ...`) or, without a name, none."""
    return typer.Typer(name=name, help=words, no_args_is_help=True)


def reads(
    app: typer.Typer, name: str, *, example: str, takes_at: bool = False, lists: bool = False
) -> Callable[[Command[P]], Command[P]]:
    """Register a command that leaves the store as it is; `example` holds one call a line, shown by its `--help`.

    One that `lists` shows a table, and takes `--csv`.
    """
    options = ((_AT,) if takes_at else ()) + ((_CSV,) if lists else ()) + _EVERYWHERE

    def register(function: Command[P]) -> Command[P]:
        run: Callable[..., int | None] = function

        def call(context: typer.Context, **values: object) -> None:
            _end(run(_session(context, _taken(options, values)), **values))

        app.command(name, help=inspect.getdoc(function), epilog=_epilog(example))(_signed(call, function, options))
        return function

    return register


def changes(app: typer.Typer, name: str, *, example: str) -> Callable[[Command[P]], Command[P]]:
    """Register a command that changes the store: as `reads`, and with `--at`, `--dry-run` and `--wait`."""

    def register(function: Command[P]) -> Command[P]:
        run: Callable[..., int | None] = function

        def call(context: typer.Context, **values: object) -> None:
            session = _session(context, _taken(_CHANGING, values))
            status = run(session, **values)
            if session.dry_run:
                session.output.say("dry run: nothing was changed")
            else:
                _tell_what_was_not_printed(session.output)
            _end(status)

        app.command(name, help=inspect.getdoc(function), epilog=_epilog(example))(_signed(call, function, _CHANGING))
        return function

    return register


def _end(status: int | None) -> None:
    if status:
        raise typer.Exit(status)


def _taken(options: Iterable[_Option], values: dict[str, object]) -> dict[str, Any]:
    """Take the common options out of a call's values: what is left are the command's own."""
    return {word: values.pop(word) for word, _, _ in options}


def _session(context: typer.Context, options: dict[str, Any]) -> Session:
    before = context.find_object(Shared) or Shared()
    now, at = datetime.now(UTC), options.get("at")
    output = Output(
        json=options["json"] or before.json, quiet=options["quiet"] or before.quiet, csv=options.get("csv", False)
    )
    if output.json and output.csv:
        raise usage("--json and --csv exclude each other", hint="leave one of them out")
    return Session(
        db_given=options["db"] or before.db,
        now=now,
        at=now if at is None else time_given("--at", at),
        has_at=at is not None,
        dry_run=options.get("dry_run", False),
        wait=options.get("wait", DEFAULT_WAIT),
        output=output,
    )


def usage(what: str, *, hint: str | None) -> "UsageError":
    """Return the error of a command that was called wrongly."""
    from crmflow.core.errors import UsageError

    return UsageError(what, hint=hint)


def _default_db() -> Path:
    if not (os.environ.get("HOME") or os.environ.get("XDG_DATA_HOME")):
        raise usage(
            f"nothing says where the store is: no --db, no {STORE_VARIABLE}, and no HOME to look in",
            hint="name it: --db PATH",
        )
    from platformdirs import user_data_path

    return user_data_path("crmflow", appauthor=False) / "crmflow.db"


def _tell_what_was_not_printed(output: Output) -> None:
    """Leave the exit status to the store's truth: a change stands, whether or not it could be printed."""
    failure = render.take_failure()
    if failure:
        output.warn(f"done and kept in the store, but it could not be printed: {failure.strerror}")


def _epilog(example: str) -> str:
    """Return the examples as a block that Typer does not wrap (its mark is a line with a backspace)."""
    return "\n".join(("\b", "Example:", *(f"  {line.strip()}" for line in example.strip().splitlines())))


def _signed(
    call: Callable[..., None], function: Callable[..., object], options: Iterable[_Option]
) -> Callable[..., None]:
    """Give `call` the signature that Typer reads: the function's own parameters, then the common options."""
    _, *own = inspect.signature(function, eval_str=True).parameters.values()
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("context", keyword, annotation=typer.Context),
        *(each.replace(kind=keyword) for each in own),
        *(inspect.Parameter(word, keyword, annotation=kind, default=default) for word, kind, default in options),
    ]
    call.__annotations__ = {each.name: each.annotation for each in parameters}
    vars(call)["__signature__"] = inspect.Signature(parameters)
    return call
