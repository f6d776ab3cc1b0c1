"""What is no store, a damaged one or an impossible state is said, once and clearly; backups can be relied on."""

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.reliability.conftest import Programs, State, World

STATES = Callable[[Path], "State"]

READERS = (
    "status",
    "enrollment list --json",
    "record list prospect",
    "due",
    "run list",
    "doctor",
    "backup copy.sqlite",
)
WRITERS = (
    "ingest small.jsonl",
    "disenroll prospect:p-1 --workflow welcome",
    "record set prospect:p-2 status=customer",
    "bulk-disenroll --workflow welcome half.csv",
    "advance",
)
PAGE = 4096


@pytest.fixture(scope="session")
def guarded_programs(programs_with: Callable[..., "Programs"]) -> "Programs":
    """The program, which ends with 99 where it opens the store's file by itself."""
    return programs_with("guarded.py")


@pytest.mark.parametrize("command", [*READERS, *WRITERS, "record remove prospect:p-3", "rejects clear"])
def test_the_file_is_opened_by_sqlite_alone(
    guarded_programs: "Programs", small_world: "World", tmp_path: Path, command: str
) -> None:
    """No command, `backup` included, opens or closes a file of the live store but through SQLite."""
    directory = small_world.copy_to(tmp_path / "store")
    guarded_programs.must(directory, "--db", "crm.db", *command.split())


def text(path: Path) -> None:
    """Make a text file."""
    path.write_text("key,email\n" * 1_000)


def emptiness(path: Path) -> None:
    """Make an empty file."""
    path.touch()


def foreign_database(path: Path) -> None:
    """Make another program's database."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE record (id)")
    connection.close()


def directory(path: Path) -> None:
    """Make a directory."""
    path.mkdir()


def link_to_nothing(path: Path) -> None:
    """Make a link to a file that is not there."""
    path.symlink_to("nowhere")


def pipe(path: Path) -> None:
    """Make a named pipe, which blocks who opens it."""
    os.mkfifo(path)


@pytest.mark.parametrize("make", [text, emptiness, foreign_database, directory, link_to_nothing, pipe])
def test_what_is_no_store_is_left_as_it_is(
    programs: "Programs", small_world: "World", tmp_path: Path, make: Callable[[Path], None]
) -> None:
    """Every command says in one error that this is no store, ends with 1 and touches nothing; `init` too."""
    place = small_world.copy_to(tmp_path / "place")
    store = place / "crm.db"
    store.unlink()
    make(store)
    before = store.read_bytes() if store.is_file() else None
    for command in (*READERS, *WRITERS, "init"):
        ran = programs.run(place, "--db", "crm.db", *command.split())
        assert (ran.status, ran.is_clear) == (1, True), ran
    assert before is None or store.read_bytes() == before
    assert not {each.name for each in place.glob("c*")} - {"crm.db", "changed.csv"}


def flip_bytes(data: bytearray, chance: random.Random) -> None:
    """Change a few bytes anywhere."""
    for _ in range(chance.choice([1, 10, 100])):
        data[chance.randrange(len(data))] = chance.randrange(256)


def overwrite_page(data: bytearray, chance: random.Random) -> None:
    """Fill a page with noise or zeros."""
    at = chance.randrange(len(data) // PAGE) * PAGE
    data[at : at + PAGE] = chance.choice([bytes(PAGE), chance.randbytes(PAGE)])


def swap_pages(data: bytearray, chance: random.Random) -> None:
    """Put two pages in each other's place."""
    one, other = (chance.randrange(len(data) // PAGE) * PAGE for _ in range(2))
    data[one : one + PAGE], data[other : other + PAGE] = data[other : other + PAGE], data[one : one + PAGE]


def cut_off(data: bytearray, chance: random.Random) -> None:
    """Lose the end of the file."""
    del data[chance.randrange(1, len(data)) :]


@pytest.mark.parametrize("count", [12, pytest.param(2_000, marks=[pytest.mark.long, pytest.mark.timeout(3600)])])
@pytest.mark.parametrize("damage", [flip_bytes, overwrite_page, swap_pages, cut_off])
def test_damage_is_an_error_and_no_fault(
    programs: "Programs",
    small_world: "World",
    tmp_path: Path,
    damage: Callable[[bytearray, random.Random], None],
    count: int,
) -> None:
    """Whatever bytes the file is made of, a command is done or says in one error that it could not be."""

    def damage_and_run(number: int) -> None:
        chance = random.Random(f"20260301 {number}")
        place = small_world.copy_to(tmp_path / str(number))
        data = bytearray((place / "crm.db").read_bytes())
        damage(data, chance)
        (place / "crm.db").write_bytes(data)
        for command in ("doctor", *chance.sample(READERS, 2), *chance.sample(WRITERS, 2)):
            ran = programs.run(place, "--db", "crm.db", *command.split())
            assert ran.status in {0, 1, 3}, (number, ran)
            assert "Traceback" not in ran.stderr, (number, ran)
        shutil.rmtree(place)

    programs.each(damage_and_run, range(count))


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("UPDATE enrollment SET record_id = 9999 WHERE id = 1", "refer to nothing, in enrollment"),
        ("DELETE FROM run WHERE id = 1", "refer to nothing, in"),
        ("UPDATE exit SET exited_at = '2020'", "exit lies before"),
        ("UPDATE enrollment SET state = 'completed' WHERE state = 'disenrolled'", "state and exit do not fit"),
        ("UPDATE exit SET superseded_run_id = 1", "marked as superseded"),
        ("UPDATE exit SET enrollment_id = enrollment_id + 1", "belong to another enrollment"),
        (
            """
            INSERT INTO withdrawn_enrollment
            SELECT id, record_id, workflow_id, enrolled_at, run_id, run_id FROM enrollment LIMIT 1
            """,
            "taken away and are there",
        ),
        ("DELETE FROM email", "can't be looked up"),
        ("UPDATE record SET fields = '{' WHERE id = 1", "fields can't be read"),
        (
            """
            DROP INDEX one_active_enrollment;
            INSERT INTO enrollment (record_id, workflow_id, enrolled_at, run_id)
            SELECT record_id, workflow_id, enrolled_at, run_id FROM enrollment WHERE state = 'active'
            """,
            "active twice",
        ),
    ],
)
def test_doctor_finds_what_no_run_can_have_written(
    programs: "Programs", small_world: "World", tmp_path: Path, sql: str, found: str
) -> None:
    """References to nothing and impossible states are faults, each named with what to do, and end with 1."""
    place = small_world.copy_to(tmp_path / "store")
    programs.must(place, "--db", "crm.db", "bulk-disenroll", "--workflow", "welcome", "half.csv")
    assert programs.run(place, "--db", "crm.db", "doctor").status == 0
    connection = sqlite3.connect(place / "crm.db")
    connection.executescript(sql)
    connection.close()
    ran = programs.run(place, "--db", "crm.db", "doctor")
    assert (ran.status, ran.stderr) == (1, "")
    assert any(line.startswith("fault: ") and found in line for line in ran.stdout.splitlines()), ran.stdout


def test_doctor_finds_damage(programs: "Programs", world: "World", tmp_path: Path) -> None:
    """A page of noise is a fault that `doctor` names, however much of the rest it can't look at."""
    data = (world.directory / "crm.db").read_bytes()
    noise = random.Random(0).randbytes(PAGE)

    def damage_and_look(page: int) -> None:
        place = tmp_path / str(page)
        place.mkdir()
        (place / "crm.db").write_bytes(data[: page * PAGE] + noise + data[(page + 1) * PAGE :])
        ran = programs.run(place, "--db", "crm.db", "doctor")
        assert ran.status == 1, (page, ran)
        assert "damaged" in ran.stdout + ran.stderr or "not a SQLite database" in ran.stderr, (page, ran)

    programs.each(damage_and_look, range(0, len(data) // PAGE, 7))


def test_doctor_looks_at_logs_and_permissions(programs: "Programs", small_world: "World", tmp_path: Path) -> None:
    """A log that is shorter than what was read of it is a note; a store that others may read is a fault."""
    place = small_world.copy_to(tmp_path / "store")
    (place / "log.jsonl").write_bytes((place / "small.jsonl").read_bytes())
    programs.must(place, "--db", "crm.db", "ingest", "log.jsonl")
    os.truncate(place / "log.jsonl", 100)
    noted = programs.must(place, "--db", "crm.db", "doctor").stdout
    assert "log.jsonl is shorter than what was read of it (100 of " in noted
    (place / "crm.db").chmod(0o644)
    ran = programs.run(place, "--db", "crm.db", "doctor")
    assert (ran.status, "fault: crm.db can be read by others (mode 644)" in ran.stdout) == (1, True)


def test_a_backup_is_a_whole_store_of_its_owner(
    programs: "Programs", world: "World", state: STATES, tmp_path: Path
) -> None:
    """A copy made while a log is read holds one moment between two transactions, and is readable by its owner only."""
    place = world.copy_to(tmp_path / "store")

    def copy(number: int) -> None:
        if number == 0:
            programs.must(place, "--db", "crm.db", "ingest", "big.jsonl")
        else:
            programs.must(place, "--db", "crm.db", "backup", f"copy-{number}.sqlite")

    programs.each(copy, range(12))
    seen = set()
    for number in range(1, 12):
        made = place / f"copy-{number}.sqlite"
        assert made.stat().st_mode & 0o777 == 0o600
        sums = {each[0]: each[1] for each in state(made)["sums"]}
        assert programs.must(place, "--db", made.name, "doctor").status == 0
        seen.add(sums.get("lines", 0))
    assert len(seen) > 1, "no copy was made while the log was read"
    assert not list(place.glob(".crmflow-*"))


def test_a_backup_replaces_only_what_it_may(programs: "Programs", small_world: "World", tmp_path: Path) -> None:
    """Nothing is replaced without `--overwrite`; with it neither the store itself nor another one in use is."""
    place = small_world.copy_to(tmp_path / "store")
    (place / "copy.sqlite").write_text("precious")
    assert programs.run(place, "--db", "crm.db", "backup", "copy.sqlite").status == 1
    assert (place / "copy.sqlite").read_text() == "precious"
    programs.must(place, "--db", "crm.db", "backup", "copy.sqlite", "--overwrite")
    with sqlite3.connect(place / "copy.sqlite") as user:
        user.execute("UPDATE run SET command = 'user'")
        assert (place / "copy.sqlite-wal").exists()
        for target in ("copy.sqlite", "crm.db", "missing/copy.sqlite"):
            ran = programs.run(place, "--db", "crm.db", "backup", target, "--overwrite")
            assert (ran.status, ran.is_clear) == (1, True), ran
    user.close()


def test_a_backup_that_fails_leaves_nothing(
    failing_programs: "Programs", small_world: "World", state: STATES, tmp_path: Path
) -> None:
    """Whatever write or flush of the copy fails, its place stays empty, or holds a whole copy."""
    command = ("--db", "crm.db", "backup", "copy.sqlite")
    whole = small_world.copy_to(tmp_path / "whole")
    watched = {"FAIL_PATH": "copy.sqlite", "FAIL_COUNT": str(whole / "count")}
    failing_programs.must(whole, *command, environment=watched)
    expected = state(whole / "copy.sqlite")

    def fail(at: int) -> None:
        place = small_world.copy_to(tmp_path / str(at))
        told = {"FAIL_PATH": "copy.sqlite", "FAIL_AT": str(at), "FAIL_MODE": ("eio", "enospc", "kill")[at % 3]}
        ran = failing_programs.run(place, *command, environment=told)
        assert ran.is_clear, (at, ran)
        made = place / "copy.sqlite"
        assert made.exists() or ran.status != 0
        assert not made.exists() or state(made) == expected
        shutil.rmtree(place)

    failing_programs.each(fail, range(1, int((whole / "count").read_text()) + 1))
