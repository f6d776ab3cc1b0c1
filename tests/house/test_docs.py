"""The law of the documents: what they show is what the program does.

What a block of a Markdown file means stands behind its three backticks:

- `console`: a session. A line that begins with `$ ` is a command, lines that begin with `> ` continue it, what follows
  is all that the terminal shows, words on standard error after data on standard output. A command that does not end
  with 0 is followed by `$ echo $?`. `console requires=NAME` runs where there is a program NAME.
- `yaml`: a workflow that `crmflow workflow check` takes; `yaml fragment` is only a part of one.
- Any language and a file name (`yaml welcome.yaml`): the file, written before the blocks below it run.
- `sh`, `text` and the like are not run.

All sessions of a document are one: a shell on a terminal of 120 columns, in a directory of its own that holds a copy of
`sample_data`. That directory is shown as `/home/ana/crm`, the checkout as `/home/ana/crmflow`. In what is shown `...`
stands for any characters, on a line of its own for any lines. A time with decimals is the clock's, and any other such
time equals it.

`python tests/house/test_docs.py` writes anew what is not up to date: `docs/commands.md`, the help of every command, and
in the sessions each output that differs (read what it wrote, and shorten it again).
"""

import fcntl
import os
import pty
import re
import shlex
import shutil
import struct
import subprocess
import sysconfig
import tempfile
import termios
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import typer
from typer.main import get_command

from crmflow.cli.app import build_app, commands_for
from crmflow.definitions import load

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
HELP_PAGE = ROOT / "docs" / "commands.md"
DOCUMENTS = sorted([README, *(ROOT / "docs").glob("*.md")])
HELP_HEAD = """\
# Every command

The text of every `--help`, written by `python tests/house/test_docs.py` and checked by the tests.
"""
HELP_WIDTH = 78
"""What Typer uses of a terminal of 80 columns."""

TERMINAL_WIDTH = 120
SHOWN_HOME = "/home/ana"
SHOWN_CHECKOUT = "/home/ana/crmflow"
MARK = "\x1e"
"""What separates one command's output from the next one's."""

_FENCE = re.compile(r"^```(\w+)?(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
_COLORS = re.compile(r"\x1b\[[0-9;]*m")
_CLOCK = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")


class Block(NamedTuple):
    """A fenced block of a document: its language, the words behind it, the number of its first line, its text."""

    language: str
    words: list[str]
    line: int
    text: str

    @property
    def file_name(self) -> str | None:
        """Return the name of the file that the block shows, or None."""
        return next((word for word in self.words if "." in word), None)

    @property
    def is_missing_a_program(self) -> bool:
        """Tell whether the block can't run here."""
        needed = [word.removeprefix("requires=") for word in self.words if word.startswith("requires=")]
        return any(shutil.which(name) is None for name in needed)


class Command(NamedTuple):
    """A command of a session: the number of its line, what is typed, and what is shown."""

    line: int
    typed: str
    shown: str


class Answer(NamedTuple):
    """What a command really showed, and its exit status."""

    shown: str
    status: int


def blocks(document: Path) -> list[Block]:
    """Return the fenced blocks of a document, in order."""
    text = document.read_text(encoding="utf-8")
    return [
        Block(found[1] or "", found[2].split(), text.count("\n", 0, found.start()) + 2, found[3])
        for found in _FENCE.finditer(text)
    ]


def commands(block: Block) -> list[Command]:
    """Return the commands of a `console` block."""
    found: list[Command] = []
    for number, line in enumerate(block.text.splitlines(), start=block.line):
        if line.startswith("$ "):
            found.append(Command(number, line[2:], ""))
            continue
        last = found.pop()
        if line.startswith("> ") and not last.shown:
            found.append(last._replace(typed=f"{last.typed}\n{line[2:]}"))
        else:
            found.append(last._replace(shown=f"{last.shown}{line}\n"))
    return found


def session(document: Path) -> list[Block]:
    """Return the blocks of a document that are to be run or written."""
    kept = [each for each in blocks(document) if each.language == "console" or each.file_name]
    return [each for each in kept if not each.is_missing_a_program]


def script(session: Sequence[Block]) -> str:
    """Return the shell's script of a session: each command ends with a mark and its exit status."""
    lines = ["status=0"]
    for block in session:
        if block.file_name:
            lines.append(f"cat > {shlex.quote(block.file_name)} <<'{MARK}'\n{block.text}{MARK}")
            continue
        for command in commands(block):
            lines += [
                f"(exit $status); {{ {command.typed}\n}} 2> ~/said; status=$?",
                f"cat ~/said; printf '{MARK}%d{MARK}' $status",
            ]
    return "\n".join([*lines, ""])


def directory_of_its_own(place: Path) -> Path:
    """Return a new directory for a session, with the sample data in it."""
    directory = place / "crm"
    shutil.copytree(ROOT / "sample_data", directory / "sample_data")
    return directory


def run(session: Sequence[Block], directory: Path) -> list[Answer]:
    """Run a session in a directory; returns what each of its commands answered."""
    (directory.parent / "script").write_text(script(session), encoding="utf-8")
    environment = {
        "PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}",
        "HOME": str(directory.parent),
        "TERM": "xterm",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
    }
    text = _on_terminal(["bash", "../script"], directory, environment)
    *parts, rest = text.replace(str(ROOT), SHOWN_CHECKOUT).replace(str(directory.parent), SHOWN_HOME).split(MARK)
    assert rest == ""
    return [Answer(shown, int(status)) for shown, status in zip(parts[::2], parts[1::2], strict=True)]


def _on_terminal(arguments: Sequence[str], directory: Path, environment: dict[str, str]) -> str:
    """Run a program whose standard output is a terminal; returns what that received, without colors."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, TERMINAL_WIDTH, 0, 0))
    with subprocess.Popen(
        arguments, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.STDOUT
    ):
        os.close(theirs)
        text = b"".join(_received(ours)).decode()
    os.close(ours)
    return _COLORS.sub("", text.replace("\r\n", "\n"))


def _received(descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(descriptor, 65536)
        except OSError:  # how a pty on Linux says that the other side is closed
            return
        if not piece:
            return
        yield piece


def is_shown(expected: str, shown: str) -> bool:
    """Tell whether a document's output is what a command showed, by the rules above."""
    return re.fullmatch(_pattern(_comparable(expected)), _comparable(shown)) is not None


def _comparable(text: str) -> str:
    text = _CLOCK.sub("NOW", text)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def _pattern(expected: str) -> str:
    lines = ["(?:.*\n)*" if line == "..." else f"{_line_pattern(line)}\n" for line in expected.splitlines()]
    return "".join(lines)


def _line_pattern(line: str) -> str:
    return ".*".join(map(re.escape, line.split("...")))


def complaints(session: Sequence[Block], answers: Sequence[Answer]) -> list[str]:
    """Return what is wrong with a session: outputs that differ, exit statuses that nobody says."""
    asked = [command for block in session if not block.file_name for command in commands(block)]
    found = []
    for number, (command, answer) in enumerate(zip(asked, answers, strict=True)):
        where = f"line {command.line}: $ {command.typed}"
        if not is_shown(command.shown, answer.shown):
            found.append(f"{where}\n--- the document says\n{command.shown}--- it shows\n{answer.shown}")
        following = asked[number + 1].typed if number + 1 < len(asked) else ""
        if answer.status and following != "echo $?":
            found.append(f"{where}\nends with {answer.status}, and no `$ echo $?` says so")
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_sessions_run_as_shown(document: Path, tmp_path: Path) -> None:
    """Every command of a document shows what the document says, run in order from its top."""
    shown = session(document)
    answers = run(shown, directory_of_its_own(tmp_path))
    assert "\n".join(complaints(shown, answers)) == ""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_workflows_are_sound(document: Path, tmp_path: Path) -> None:
    """Every workflow that a document shows is one that `crmflow workflow check` takes."""
    for block in blocks(document):
        if block.language == "yaml" and "fragment" not in block.words:
            path = tmp_path / f"line-{block.line}.yaml"
            path.write_text(block.text, encoding="utf-8")
            load([str(path)])


@pytest.mark.parametrize(
    ("expected", "shown", "is_same"),
    [
        ("a\n...\nd\n", "a\nb\nc\nd\n", True),
        ("a\n...\nd\n", "a\nd\n", True),
        ("a\n...\nd\n", "a\nb\n", False),
        ("1 of ... bytes\n", "1 of 4096 bytes\n", True),
        ("1 of ... bytes\n", "1 of 4096\nbytes\n", False),
        ("at 2026-03-01T08:00:00.5Z\n", "at 2026-11-23T04:02:51.3409Z\n", True),
        ("at 2026-03-01T08:00:00Z\n", "at 2026-03-01T08:00:01Z\n", False),
        ("", "something\n", False),
        ("[a] (b)\n", "[a] (b)  \n", True),
    ],
)
def test_outputs_are_compared(expected: str, shown: str, is_same: bool) -> None:  # noqa: FBT001 - a case's answer
    """`...` stands for what changes from run to run, and for nothing else."""
    assert is_shown(expected, shown) is is_same


def test_sessions_are_one_shell(tmp_path: Path) -> None:
    """A session keeps its variables and its directory, and knows how the command before ended."""
    text = "$ mkdir deep; cd deep\n$ name=ana\n$ echo $name\nana\n$ false\n$ echo $?\n1\n$ cat <<END\n> a\n> END\na\n"
    (tmp_path / "crm").mkdir()
    shown = [Block("console", [], 1, text)]
    assert complaints(shown, run(shown, tmp_path / "crm")) == []


def test_a_session_that_lies_is_found(tmp_path: Path) -> None:
    """An output that differs and a failure that is not said are complaints."""
    (tmp_path / "crm").mkdir()
    shown = [Block("console", [], 1, "$ echo a\nb\n$ false\n$ true\n")]
    assert len(complaints(shown, run(shown, tmp_path / "crm"))) == 2


def every_command() -> list[typer.Context]:
    """Return a context of each command and group, from `crmflow` on in the order of its help."""
    root = get_command(build_app(commands_for([])))
    settings = {**root.context_settings, "terminal_width": HELP_WIDTH}
    return list(_and_below(typer.Context(root, info_name="crmflow", **settings)))


def _and_below(context: typer.Context) -> Iterator[typer.Context]:
    yield context
    for name, command in getattr(context.command, "commands", {}).items():
        yield from _and_below(typer.Context(command, info_name=name, parent=context))


def help_page() -> str:
    """Return what `docs/commands.md` should be."""
    sections = [
        f"\n## {each.command_path}\n\n```text\n$ {each.command_path} --help\n{each.get_help()}\n```\n"
        for each in every_command()
    ]
    return HELP_HEAD + "".join(sections)


def test_the_help_page_is_up_to_date() -> None:
    """`docs/commands.md` shows the help of every command, word for word."""
    assert HELP_PAGE.read_text(encoding="utf-8") == help_page()


def test_the_help_page_is_what_a_terminal_shows(tmp_path: Path) -> None:
    """The help of `docs/commands.md` is what the command itself prints on 80 columns."""
    printed = subprocess.run(
        [Path(sysconfig.get_path("scripts")) / "crmflow", "record", "import", "--help"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "COLUMNS": "80"},
        capture_output=True,
        check=True,
        encoding="utf-8",
    ).stdout
    assert f"```text\n$ crmflow record import --help\n{printed}```\n" in help_page()


@pytest.mark.parametrize("context", every_command(), ids=lambda each: each.command_path.replace(" ", "-"))
def test_every_command_is_explained(context: typer.Context) -> None:
    """A command's help has an example of it and README shows it; a group's help cuts no command's sentence off."""
    path, text = context.command_path, context.get_help()
    if hasattr(context.command, "commands"):
        assert not re.search(r"\.\.\.$", text.partition("Commands:")[2], re.MULTILINE)
    else:
        assert re.search(
            rf"^  Example:\n(.* \| )? +crmflow( --db \S+)? ?{path.removeprefix('crmflow ')}", text, re.MULTILINE
        )
        assert path in README.read_text(encoding="utf-8")


def updated(document: Path, directory: Path) -> str:
    """Return a document with every output that differs as it is now."""
    shown = session(document)
    answers = iter(run(shown, directory))
    lines = document.read_text(encoding="utf-8").splitlines(keepends=True)
    found = [(command, next(answers)) for block in shown if not block.file_name for command in commands(block)]
    for command, answer in reversed(found):
        if not is_shown(command.shown, answer.shown):
            start = command.line + command.typed.count("\n")
            lines[start : start + command.shown.count("\n")] = [
                f"{line.rstrip()}\n" for line in answer.shown.splitlines()
            ]
    return "".join(lines)


def main() -> None:
    """Write the help page and the outputs of all documents anew."""
    HELP_PAGE.write_text(help_page(), encoding="utf-8")
    for document in DOCUMENTS:
        with tempfile.TemporaryDirectory() as place:
            text = updated(document, directory_of_its_own(Path(place)))
        document.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
