"""The frame of the command line: options, exit statuses, errors, streams that fail, what a start costs."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

import crmflow
from crmflow.cli.app import MODULES, build_app, commands_for
from crmflow.store.connection import create_store, open_store

Run = Callable[..., subprocess.CompletedProcess[str]]

PROGRAM = r'''
import time
from pathlib import Path
from typing import Annotated

import typer

from crmflow.cli import main
from crmflow.cli.app import build_app
from crmflow.cli.session import (
    PARTLY_DONE, FilesArgument, RefArgument, RequiredWorkflowOption, Session, changes, group, reads
)
from crmflow.core.errors import BusyError, Complaint, CrmflowError, DefinitionsError, GuardError

app = group()
noun = group("thing", "Things of a kind.")
app.add_typer(noun)

ERRORS = {
    "plain": CrmflowError("no record\x1b[2J prospect:x", hint="crmflow record list prospect"),
    "guard": GuardError("too many exits"),
    "busy": BusyError("another run holds the store"),
    "definitions": DefinitionsError((Complaint("a.yaml", 1, 2, "no key", "steps?"), Complaint("b.yaml", 3, 4, "x"))),
    "fault": ZeroDivisionError("secret \x1b]0;title\x07"),
}

@reads(app, "look", example="crmflow look\ncrmflow look --json | jq '.[] | select(.state == \"active\") | .workflow'")
def look(session: Session, count: int = 1) -> None:
    """Look at the store."""
    session.output.say("looking")
    shown = {"db": str(session.db), "at": session.at.isoformat(), "has_at": session.has_at, "wait": session.wait}
    session.output.data(shown, [str(session.db)] * count)

@reads(app, "due", example="crmflow due", takes_at=True)
def due(session: Session) -> None:
    """Say when."""
    session.output.document([session.at.isoformat(), session.has_at])

@changes(app, "enroll", example="crmflow enroll prospect:ana@acme.example --workflow welcome")
def enroll(session: Session, ref: RefArgument, workflow: RequiredWorkflowOption, *,
           fail: Annotated[str, typer.Option()] = "", partly: Annotated[bool, typer.Option("--partly")] = False) -> int:
    """Enroll a record."""
    if fail:
        raise ERRORS[fail]
    Path("store").write_text(ref)
    session.output.report(
        {"ref": ref, "workflow": workflow, "dry_run": session.dry_run, "wait": session.wait},
        [f"{ref} {workflow}"] * 10_000,
    )
    return PARTLY_DONE if partly else 0

@changes(noun, "import", example="crmflow thing import FILE")
def import_(session: Session, files: FilesArgument) -> None:
    """Import things."""
    session.output.report({"files": files}, files)

@changes(noun, "keep", example="crmflow thing keep")
def keep(session: Session) -> None:
    """Keep a thing in the store."""
    with session.changing() as store, store.change():
        store.execute("CREATE TABLE thing (name)")
    session.output.report([session.moment.at.isoformat(), session.moment.now.isoformat()], [])

@reads(noun, "wait", example="crmflow thing wait")
def wait(session: Session) -> None:
    """Wait for long."""
    session.output.say("waiting")
    time.sleep(60)

main(build_app([app]))
'''


@pytest.fixture
def program(tmp_path: Path) -> str:
    """Write a program that has crmflow's frame around commands of its own, and return its path."""
    path = tmp_path / "program.py"
    path.write_text(PROGRAM, encoding="utf-8")
    return str(path)


def test_the_version_is_printed(run: Run) -> None:
    """`crmflow --version` says name and version on standard output."""
    ran = run("-m", "crmflow", "--version")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"crmflow {crmflow.__version__}\n", "")


def test_a_start_loads_nothing_that_it_does_not_need(run: Run) -> None:
    """`--version` and `--help` cost what Typer costs: nothing that draws, stores or validates is loaded."""
    unmeasured = {"COVERAGE_PROCESS_CONFIG": "", "COVERAGE_PROCESS_START": ""}  # which would load some of it
    for option in ("--version", "--help"):
        ran = run("-X", "importtime", "-m", "crmflow", option, env=unmeasured)
        loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in ran.stderr.splitlines()}
        assert ("typer" in loaded) is (option == "--help")
        assert not loaded & {"rich", "sqlite3", "sqlite_utils", "yaml", "msgspec", "pydantic", "platformdirs"}


def test_a_command_is_found_by_its_word_alone() -> None:
    """What a command line loads knows the commands that it names, whatever else its words may mean."""
    everything = get_command(build_app(commands_for(["--help"])))
    assert isinstance(everything, TyperGroup)
    words = {word for its_words in MODULES.values() for word in its_words}
    assert words == everything.commands.keys()
    for word in words:
        few = get_command(build_app(commands_for(["--db", "enroll", word])))
        assert isinstance(few, TyperGroup)
        assert word in few.commands
        assert len(few.commands) < len(words)


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_is_for_reading(run: Run, program: str, option: str) -> None:
    """Help goes to standard output, in plain text, and ends with examples that are not wrapped."""
    ran = run(program, "look", option)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "Look at the store." in ran.stdout
    assert ran.stdout.isascii()
    assert ran.stdout.endswith(
        "\n  Example:\n    crmflow look\n"
        "    crmflow look --json | jq '.[] | select(.state == \"active\") | .workflow'\n"
    )


def test_help_names_every_command(run: Run, program: str) -> None:
    """`--help` lists the commands in their order, each with its first sentence."""
    listed = run(program, "--help").stdout.partition("Commands:\n")[2]
    assert [line.split()[0] for line in listed.splitlines()] == ["look", "due", "enroll", "thing"]


@pytest.mark.parametrize("arguments", [(), ("thing",)])
def test_without_a_command_there_is_help(run: Run, program: str, arguments: tuple[str, ...]) -> None:
    """A noun without a verb is wrong usage, and its help is said."""
    ran = run(program, *arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == run(program, *arguments, "--help").stdout


@pytest.mark.parametrize(
    ("command", "offered"),
    [
        (("look",), {"--db", "--json", "--quiet"}),
        (("due",), {"--db", "--json", "--quiet", "--at"}),
        (("enroll",), {"--db", "--json", "--quiet", "--at", "--dry-run", "--wait", "--workflow"}),
        (("thing", "import"), {"--db", "--json", "--quiet", "--at", "--dry-run", "--wait"}),
    ],
)
def test_common_options_are_everywhere(run: Run, program: str, command: tuple[str, ...], offered: set[str]) -> None:
    """Every command takes the common options, one that changes the store those for changes as well."""
    words = set(run(program, *command, "--help").stdout.replace(",", " ").split())
    everything = {"--db", "--json", "--quiet", "--at", "--dry-run", "--wait", "--workflow"}
    assert words & everything == offered


@pytest.mark.parametrize(
    "arguments",
    [
        ("--db", "there", "--json", "--quiet", "look"),
        ("look", "--db", "there", "--json", "-q"),
        ("--db", "elsewhere", "--json", "look", "--db", "there", "-q"),
    ],
)
def test_common_options_stand_before_or_after(run: Run, program: str, arguments: tuple[str, ...]) -> None:
    """`--db`, `--json` and `--quiet` mean the same before the command and after it; the one after it wins."""
    ran = run(program, *arguments)
    assert (json.loads(ran.stdout)["db"], ran.stderr) == ("there", "")


def test_the_store_is_where_it_is_said_to_be(run: Run, program: str) -> None:
    """`--db`, else CRMFLOW_DB, else the user's data directory; an empty variable is as good as none."""

    def db(*arguments: str, **env: str) -> str:
        return run(program, "look", *arguments, env=env).stdout.strip()

    assert db("--db", "a", CRMFLOW_DB="b", HOME="/h") == "a"
    assert db(CRMFLOW_DB="b", HOME="/h") == "b"
    assert Path(db(CRMFLOW_DB="", XDG_DATA_HOME="/data")) == Path("/data/crmflow/crmflow.db")
    assert db(HOME="/h").startswith("/h/")


def test_no_home_is_an_error(run: Run, program: str) -> None:
    """Where nothing says where the store is, no place is made up."""
    ran = run(program, "look")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.endswith("and no HOME to look in\nhint: name it: --db PATH\n")


def test_the_clock_is_now_in_utc(run: Run, program: str) -> None:
    """Without `--at` a change happens now; with it, at that moment in UTC."""
    now, has_at = json.loads(run(program, "due").stdout)
    assert abs(datetime.now(UTC) - datetime.fromisoformat(now)) < timedelta(minutes=1)
    assert not has_at
    assert json.loads(run(program, "due", "--at", "2026-03-01T10:30:00+01:00").stdout) == [
        "2026-03-01T09:30:00+00:00",
        True,
    ]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("enroll", "", "--workflow", "w"), "'REF'"),
        (("enroll", "p", "--workflow", ""), "'--workflow'"),
        (("enroll", "p", "--workflow", " "), "'--workflow'"),
        (("--db", "", "look"), "'--db'"),
        (("look", "--db="), "'--db'"),
        (("thing", "import", "a", ""), "'FILE'"),
        (("enroll", "p", "-w", "w", "--at", ""), "'--at'"),
        (("enroll", "p", "-w", "w", "--at", "2026-03-01"), "--at: a date, not a time"),
        (("enroll", "p", "-w", "w", "--wait", "-1"), "'--wait'"),
        (("enroll", "p", "-w", "w", "--wait", "inf"), "'--wait'"),
        (("enroll", "p", "-w", "w", "--wait", "nan"), "'--wait'"),
        (("enroll", "p"), "'--workflow'"),
        (("enrol", "p"), "Did you mean 'enroll'?"),
        (("look", "--jsn"), "--jsn"),
        (("look", "\x1b[2J\u202e"), r"\x1b[2J\u202e"),
    ],
)
def test_wrong_usage_names_what_is_wrong(run: Run, program: str, arguments: tuple[str, ...], named: str) -> None:
    """Wrong usage ends with 2, one `error:` that names it, and one `hint:`; nothing is done, nothing is raw."""
    ran = run(program, *arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    error, hint = ran.stderr.splitlines()
    assert error.startswith("error: ")
    assert named in error
    assert error.isprintable()
    assert hint.startswith("hint: ")


@pytest.mark.parametrize(
    ("fail", "status", "said"),
    [
        ("plain", 1, "error: no record\\x1b[2J prospect:x\nhint: crmflow record list prospect\n"),
        ("guard", 4, "error: too many exits\n"),
        ("busy", 75, "error: another run holds the store\n"),
        (
            "definitions",
            1,
            "a.yaml:1:2: no key (steps?)\nb.yaml:3:4: x\nerror: 2 faults in the workflow files\n",
        ),
    ],
)
def test_an_error_is_shown_once(run: Run, program: str, fail: str, status: int, said: str) -> None:
    """An error is said in its own words with its own exit status, even to who wants quiet."""
    ran = run(program, "enroll", "p", "-w", "w", "--fail", fail, "--quiet")
    assert (ran.returncode, ran.stdout, ran.stderr) == (status, "", said)


def test_a_fault_shows_where_it_is(run: Run, program: str) -> None:
    """A fault of the program has an exit status of its own and a traceback, whose text can't move the cursor."""
    ran = run(program, "enroll", "p", "-w", "w", "--fail", "fault")
    assert (ran.returncode, ran.stdout) == (70, "")
    assert "Traceback (most recent call last):" in ran.stderr
    assert "ZeroDivisionError: secret \\x1b]0;title\\x07\nerror: this is a fault of crmflow\n" in ran.stderr


def test_a_rehearsal_keeps_nothing(run: Run, program: str, tmp_path: Path) -> None:
    """With `--dry-run` a change happens and is taken back; without it, it stays. Its moment is `--at`, and now."""
    create_store(tmp_path / "crm.db").close()
    at = "2026-03-01T00:00:00+00:00"
    command = (program, "--db", "crm.db", "thing", "keep", "--json", "--at", at)
    for option, is_kept in (("--dry-run", False), ("--wait=1", True)):
        then, now = json.loads(run(*command, option).stdout)
        assert then == at
        assert abs(datetime.now(UTC) - datetime.fromisoformat(now)) < timedelta(minutes=1)
        with open_store(tmp_path / "crm.db") as store:
            assert bool(store.rows("SELECT 1 FROM sqlite_schema WHERE name = 'thing'")) == is_kept


def test_partly_done_is_three(run: Run, program: str) -> None:
    """What a command returns is the exit status."""
    assert run(program, "enroll", "p", "-w", "w", "--partly", "-q").returncode == 3
    assert run(program, "enroll", "p", "-w", "w", "-q").returncode == 0


def test_an_interruption_is_one_sentence(environment: Mapping[str, str], program: str, tmp_path: Path) -> None:
    """Ctrl-C ends with 130 and says that the store is consistent, without a traceback."""
    process = subprocess.Popen(
        [sys.executable, program, "thing", "wait"],
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environment,
        cwd=tmp_path,
    )
    with process:
        assert process.stderr is not None
        assert process.stderr.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert said.startswith("error: interrupted; the store is consistent\nhint: ")


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("look --count 100000 | true", 0, "looking\n"),
        ("look --count 100000 -q > /dev/full", 1, "error: standard output could not be written: No space left"),
        ("look -q >&-", 1, "error: standard output could not be written: Bad file descriptor"),
        ("look --help > /dev/full", 1, "error: standard output could not be written: No space left"),
        ("--help | true", 0, ""),
        ("look 2>&-", 0, ""),
        ("look 2> /dev/full", 0, ""),
        ("look <&-", 0, "looking\n"),
    ],
)
def test_a_reader_whose_output_fails(shell: Run, program: str, command: str, status: int, said: str) -> None:
    """A pipe that was closed is the end of reading, no error; a full disk is one. Words that can't be said are not."""
    ran = shell(f"{sys.executable} {program} {command}")
    assert ran.returncode == status
    assert ran.stderr.startswith(said)
    assert bool(ran.stderr) == bool(said)


@pytest.mark.parametrize("where", ["> /dev/full", "| true", ">&-"])
@pytest.mark.parametrize(("option", "status"), [("", 0), ("--partly", 3)])
def test_a_writer_whose_output_fails(
    shell: Run, program: str, tmp_path: Path, where: str, option: str, status: int
) -> None:
    """A change that was made but could not be printed stands: the exit status is its own, and it is said."""
    ran = shell(f"{sys.executable} {program} enroll p -w w {option} {where}")
    assert ran.returncode == status
    assert ran.stderr.startswith("warning: done and kept in the store, but it could not be printed: ")
    assert (tmp_path / "store").read_text() == "p"


def test_a_rehearsal_whose_output_fails(shell: Run, program: str) -> None:
    """With `--dry-run` nothing is kept: output that can't be written is an error."""
    ran = shell(f"{sys.executable} {program} enroll p -w w --dry-run > /dev/full")
    assert (ran.returncode, "error: standard output" in ran.stderr) == (1, True)


def test_missing_streams_do_not_lend_their_numbers(shell: Run, program: str, tmp_path: Path) -> None:
    """With all standard streams closed, a file that is opened gets none of their numbers, and is written whole."""
    ran = shell(f"{sys.executable} {program} enroll p -w w <&- >&- 2>&-")
    assert ran.returncode == 0
    assert (tmp_path / "store").read_text() == "p"


def test_files_are_the_users_alone(shell: Run, program: str, tmp_path: Path) -> None:
    """Whatever the caller's umask, a file that a command creates can be read by its user only."""
    shell(f"umask 0; {sys.executable} {program} enroll p -w w -q")
    assert (tmp_path / "store").stat().st_mode & 0o777 == 0o600


def test_the_locale_changes_nothing(run: Run, program: str) -> None:
    """The same bytes come out under every locale and hash seed, in UTF-8."""
    outputs = {
        run(program, "look", "--db", "Zoë", env={"LC_ALL": locale, "PYTHONHASHSEED": seed}).stdout
        for locale in ("C", "C.UTF-8", "POSIX")
        for seed in ("0", "1")
    }
    assert outputs == {"Zoë\n"}


def test_the_shell_completes_commands(run: Run, program: str) -> None:
    """A shell that asks for completions gets the commands."""
    env = {"_CRMFLOW_COMPLETE": "complete_bash", "COMP_WORDS": "crmflow en", "COMP_CWORD": "1"}
    assert run(program, env=env).stdout.split() == ["enroll"]
