"""Input as it goes wrong in life: each has an error that says what is wrong, and the store is as it was."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import crmflow

if TYPE_CHECKING:
    from tests.cli.conftest import Crm

BULK = ("bulk-disenroll", "--workflow", "welcome")
IMPORT = ("record", "import", "prospect")
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "error: in.csv is empty\nhint: nothing selected is never everything\n"),
        ("\n\n", "error: in.csv is empty\n"),
        ("\ufeff", "error: in.csv is empty\n"),
        ("key\n", "error: in.csv: no row is selected\n"),
        ("id,name\np-1,Ana\n", "error: in.csv: there is no column key or email; its columns are id, name\n"),
        ("key,key\np-1,p-2\n", "error: in.csv:1: the header has two columns 'key'\n"),
        ("key,,x\np-1,,\n", "error: in.csv:1: column 2 of the header has no name\n"),
        ('key,name\np-2,Ben\np-1,"Ana\np-3,Cy\n', "error: in.csv:3: a quote is opened and not properly closed\n"),
        ("k\udcffy\np-1\n", "error: in.csv:1: the header can't be read: invalid UTF-8\n"),
        ('[{"key": "p-1"}]\n', "error: in.csv is one JSON array, not one object per line\n"),
    ],
)
def test_a_table_that_is_none(crm: "Crm", content: str, said: str) -> None:
    """Nothing is done with a table that is empty, has no column of keys, a broken header or an open quote."""
    crm.write("in.csv", content.encode(errors="surrogateescape"))
    assert crm.refused(*BULK, "in.csv").startswith(said)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"p-\xff,x", "invalid UTF-8"),
        (b"p-1", "1 cells where the header has 2"),
        (b"p-1,x,y", "3 cells where the header has 2"),
        (b'"p-1"x,y', "text behind a closing quote"),
        (b"p-\0,x", "NUL character"),
        (b" ,x", "key is empty"),
        (b"p-1," + b"x" * 1_100_000, "line longer than 1 MiB"),
    ],
)
def test_a_row_that_is_none(crm: "Crm", row: bytes, reason: str) -> None:
    """A row that can't be understood is *invalid*, with its line and reason; the others are done."""
    crm.write("in.csv", b"key,name\np-2,Ben\n" + row + b"\np-3,Cy\n")
    ran = crm(*BULK, "in.csv", "--json", status=3)
    assert ran.stderr == f"warning: in.csv:3: invalid ({reason})\n"
    assert set(crm.left()) == {"p-2", "p-3"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "error: in.csv is empty\n"),
        ("name\nAna\n", "error: in.csv: there is no column key or email; its columns are name\n"),
        ('key,name\np-9,"Zoe\n', "error: in.csv:2: a quote is opened and not properly closed\n"),
    ],
)
def test_an_import_that_can_not_be(crm: "Crm", content: str, said: str) -> None:
    """An import of what is no table adds nothing."""
    crm.write("in.csv", content)
    assert crm.refused(*IMPORT, "in.csv").startswith(said)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("missing", 1, "cannot read missing: No such file or directory\n"),
        ("crm.db.lock/x", 1, "cannot read crm.db.lock/x: Not a directory\n"),
        ("loop", 1, "cannot read loop: Too many levels of symbolic links\n"),
        ("n" * 300, 1, f"cannot read {'n' * 300}: File name too long\n"),
        ("/dev/null", 1, "/dev/null is a device"),
        (".", 2, "error: . is a directory"),
        ("", 2, "error: Invalid value for 'FILE': it is empty (a variable that is not set?)\n"),
    ],
)
def test_a_path_that_leads_to_no_file(crm: "Crm", path: str, status: int, said: str) -> None:
    """What is missing, behind a file, a loop, too long, a device, a directory or nothing at all is named."""
    (crm.directory / "loop").symlink_to("loop")
    assert said in crm.refused("ingest", path, status=status)


@pytest.mark.parametrize("command", [BULK, IMPORT], ids=" ".join)
def test_a_table_that_is_no_file(crm: "Crm", command: tuple[str, ...]) -> None:
    """The commands that read a table say the same of a path as those that read a log."""
    assert crm.refused(*command, "missing") == "error: cannot read missing: No such file or directory\n"
    assert crm.refused(*command, ".", status=2).startswith("error: . is a directory\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "w.yaml:1:1: no workflow in this file (begin with workflow: NAME and type: TYPE)"),
        (b"\xef\xbb\xbf\n# only a word\n", "w.yaml:1:1: no workflow in this file"),
        (b"- workflow: w\n", "w.yaml:1:1: a workflow can't be a list (a mapping with the keys workflow, type"),
        (b"just words\n", "w.yaml:1:1: a workflow can't be 'just words'"),
        (b"workflow: w\n\ttype: deal\n", "w.yaml:2:1: not YAML: found character '\\t'"),
        (b"workflow: w\ntype: deal\ntype: deal\n", "w.yaml:3:1: "),
        (b"workflow: w\ntype: deal\nsteps: !!python/object:os.system []\n", "w.yaml:3:8: tags are not supported"),
        (b"workflow: w\ntype: deal\n---\nworkflow: v\n", "w.yaml:3:1: a second document begins here"),
        (b"workflow: w\ntype: de\xffal\n", "w.yaml:2:9: byte 0xff is not UTF-8"),
        (b"workflow: ''\ntype: deal\n", "w.yaml:1:11: a workflow's name can't be empty"),
        (b"workflow: w\ntype: deal\nsteps:\n  - {name: a, kind: email, after: 3 days}\n", "w.yaml:4:35: "),
        (BOMB.encode(), "w.yaml:2:8: aliases are not supported: '*a'"),
        (b"x: " + b"[" * 100_000, "nested deeper than 32 levels"),
    ],
)
def test_a_workflow_file_that_is_none(crm: "Crm", content: bytes, said: str) -> None:
    """Each fault of a workflow file is named with its place; nothing is put in force."""
    crm.write("w.yaml", content)
    assert said in crm.refused("workflow", "apply", "w.yaml", "welcome.yaml")


@pytest.mark.parametrize("path", ["missing.yaml", ".", "welcome.yaml/x"])
def test_a_workflow_file_that_can_not_be_read(crm: "Crm", path: str) -> None:
    """A workflow file that is missing, a directory or behind a file is a complaint like the others."""
    assert crm.refused("workflow", "apply", "nurture.yaml", path).startswith(f"{path}:1:1: ")


@pytest.mark.parametrize("command", ["enroll", "disenroll", "bulk-enroll", "bulk-disenroll"])
@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_workflow_is_never_every_workflow(crm: "Crm", command: str, empty: str) -> None:
    """`--workflow "$W"` with W unset is refused as wrong usage."""
    said = crm.refused(command, "p-1", "--workflow", empty, status=2)
    assert said.startswith("error: Invalid value for '--workflow' / '-w': it is empty (a variable that is not set?)\n")


@pytest.mark.parametrize(
    ("db", "said"),
    [
        (
            "typo.db",
            "error: there is no store: typo.db does not exist\nhint: make one with: crmflow --db typo.db init\n",
        ),
        (".", "error: there is no store: . is a directory\n"),
        ("empty.db", "error: empty.db is not a crmflow store\n"),
        ("prospects.csv", "error: prospects.csv: not a SQLite database"),
        ("prospects.csv/x", "error: there is no store: prospects.csv/x does not exist\n"),
        ("n" * 300, f"error: can't open {'n' * 300}: File name too long\n"),
    ],
)
def test_a_store_that_is_none(crm: "Crm", db: str, said: str) -> None:
    """A path that leads to no store is named with what is there, and nothing is made or changed at it."""
    crm.write("empty.db", "")
    before = {path.name: path.read_bytes() for path in crm.directory.iterdir()}
    assert crm("--db", db, "enroll", "p-4", "--workflow", "welcome", status=1).stderr.startswith(said)
    assert {path.name: path.read_bytes() for path in crm.directory.iterdir()} == before


def test_a_damaged_store_is_left_alone(crm: "Crm") -> None:
    """A store whose pages are damaged is an error that leads to the backup."""
    content = crm.store.read_bytes()
    crm.store.write_bytes(content[:8192] + b"\xa5" * (len(content) - 8192))
    before = crm.store.read_bytes()
    said = crm("enrollment", "list", status=1).stderr
    assert "crm.db: the store is damaged" in said
    assert "go back to a backup" in said
    assert crm.store.read_bytes() == before


def test_permissions_bind(crm: "Crm", environment: Mapping[str, str]) -> None:
    """A file that may not be read is named with the reason, and nothing is changed."""
    before = crm.tables()
    for command, name in (
        (BULK, "in.csv"),
        (IMPORT, "in.csv"),
        (("ingest",), "in.csv"),
        (("workflow", "apply"), "w.yaml"),
    ):
        crm.write(name, "key\np-1\n")
        (crm.directory / name).chmod(0)
        ran = _powerless(crm, environment, *command, name)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert f"{name}" in ran.stderr
        assert "Permission denied" in ran.stderr
    assert crm.tables() == before


def test_a_store_that_can_not_be_written(crm: "Crm", environment: Mapping[str, str]) -> None:
    """Where the store may not be written a change is refused, and the error says what to look at."""
    crm.store.chmod(0o400)
    ran = _powerless(crm, environment, "enroll", "p-4", "--workflow", "welcome")
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: crm.db: the store can't be written")
    assert "nothing was changed" in ran.stderr


def test_a_store_in_a_closed_directory(crm: "Crm", environment: Mapping[str, str]) -> None:
    """A store that the user may not even look at is an error that says so, not one that says there is none."""
    closed = crm.directory / "closed"
    closed.mkdir()
    crm("init", "--db", "closed/crm.db")
    closed.chmod(0)
    ran = _powerless(crm, environment, "status", "--db", "closed/crm.db")
    closed.chmod(0o700)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("error: can't open closed/crm.db: Permission denied\n")


def test_a_directory_that_can_not_be_written(crm: "Crm", environment: Mapping[str, str]) -> None:
    """Where nothing may be made neither `init` nor `backup` leaves anything, and both say why."""
    closed = crm.directory / "closed"
    closed.mkdir(mode=0o500)
    for arguments in (("init", "--db", "closed/crm.db"), ("backup", "closed/copy.db")):
        ran = _powerless(crm, environment, *arguments)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert f"{arguments[-1]}: Permission denied\n" in ran.stderr
    assert list(closed.iterdir()) == []


def _powerless(crm: "Crm", environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run crmflow as a user whom permissions bind; root is, without the capabilities that override them."""
    without = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    return subprocess.run(
        [*without, sys.executable, "-m", "crmflow", "--db", "crm.db", *arguments],
        cwd=crm.directory,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.parametrize(
    "command",
    [
        ("ingest", "\udcff.jsonl"),
        ("record", "add", "prospect:\udcff"),
        ("explain", "prospect:\udcff"),
        ("disenroll", "--workflow", "welcome", "prospect:p-1", "--note", "\udcff"),
        ("--db", "\udcff.db", "status"),
    ],
)
def test_an_argument_that_is_no_text(crm: "Crm", command: tuple[str, ...]) -> None:
    """Bytes that are no UTF-8 are wrong usage wherever they stand, and nothing is done."""
    crm.write("\udcff.jsonl", b"")
    assert crm.refused(*command, status=2).startswith("error: not UTF-8: b'")


def test_a_directory_that_is_gone(crm: "Crm") -> None:
    """Run in a directory that was removed, a command says so."""
    (crm.directory / "gone").mkdir()
    command = f'rmdir ../gone && exec "{sys.executable}" -m crmflow --db ../crm.db status'
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(crmflow.__file__).parents[1])}
    ran = subprocess.run(
        ["/bin/sh", "-c", command], cwd=crm.directory / "gone", env=environment, capture_output=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (2, b"")
    assert ran.stderr.startswith(b"error: the directory that this runs in does not exist any more\nhint: ")


def test_a_mail_whose_name_is_no_text(crm: "Crm") -> None:
    """A file of a Maildir that is not named in UTF-8 is said, and the other mails are read."""
    for name in ("new", "cur"):
        (crm.directory / "Maildir" / name).mkdir(parents=True)
    for name in ("1.\udcff", "2.host"):
        mail = "From: ana@acme.example\nDate: Thu, 1 Jan 2026 10:00:00 +0000\nMessage-ID: <1@acme.example>\n\nHi\n"
        crm.write(f"Maildir/new/{name}", mail.encode())
    ran = crm("ingest", "Maildir", status=3)
    assert "the name of a file is not UTF-8: b'Maildir/new/1.\\xff' (rename it)" in ran.stderr
    assert ran.stdout.startswith("1 lines")
