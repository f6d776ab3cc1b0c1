"""Where there is no room for what a command writes, it says so once, and nothing is half done."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.reliability.conftest import Programs, State, World

STATES = Callable[[Path], "State"]

AT = "2026-03-12T00:00:00Z"
ROOMS = (3_000, 20_000, 40_000, 100_000, 300_000, 2_000_000)
"""How many bytes a file may have: too few for a page, for the index of the write-ahead log, for the log, enough."""

WRITERS = {
    "ingest": "ingest big.jsonl",
    "bulk-disenroll": f"bulk-disenroll --workflow welcome half.csv --at {AT}",
    "import": f"record import prospect changed.csv --at {AT}",
    "advance": f"advance --at {AT}",
    "apply": f"workflow apply later.yaml --at {AT}",
    "set": f"record set prospect:p-1 status=customer --at {AT}",
    "remove": f"record remove prospect:p-3 --at {AT}",
}


@pytest.mark.parametrize("command", WRITERS.values(), ids=WRITERS)
def test_a_change_that_does_not_fit_is_taken_back(
    programs: "Programs", world: "World", state: STATES, tmp_path: Path, command: str
) -> None:
    """The command ends with 1 and one error that tells the truth; with room again it ends as if it had always been."""
    whole = world.copy_to(tmp_path / "whole")
    before = state(whole / "crm.db")
    programs.must(whole, "--db", "crm.db", *command.split())
    after = state(whole / "crm.db")
    statuses = []

    def run_and_repeat(room: int) -> None:
        directory = world.copy_to(tmp_path / str(room))
        ran = programs.run(directory, "--db", "crm.db", *command.split(), most_bytes=room)
        assert ran.is_clear, (room, ran)
        statuses.append(ran.status)
        found = state(directory / "crm.db")
        assert found == before or "nothing was changed" not in ran.stderr, (room, ran)
        assert found == after or ran.status not in {0, 3}, (room, ran)
        if ran.status == 1 and found != after:
            programs.must(directory, "--db", "crm.db", *command.split())
        assert state(directory / "crm.db") == after, (room, ran)

    programs.each(run_and_repeat, ROOMS)
    assert 1 in statuses


@pytest.mark.parametrize("room", ROOMS[:3])
def test_where_no_store_fits_none_is_made(programs: "Programs", tmp_path: Path, room: int) -> None:
    """`init` without room ends with 1, and there is nothing that any command would take for a store."""
    ran = programs.run(tmp_path, "--db", "crm.db", "init", most_bytes=room)
    assert (ran.status, ran.is_clear) == (1, True), ran
    assert "there is no store" in programs.run(tmp_path, "--db", "crm.db", "status").stderr
    programs.must(tmp_path, "--db", "crm.db", "init")


@pytest.mark.parametrize("room", ROOMS[:3])
def test_a_backup_that_does_not_fit_is_no_backup(
    programs: "Programs", world: "World", tmp_path: Path, room: int
) -> None:
    """`backup` without room ends with 1; neither a copy nor a part of one is left, and the store is untouched."""
    directory = world.copy_to(tmp_path / "store")
    names = {each.name for each in directory.iterdir()}
    ran = programs.run(directory, "--db", "crm.db", "backup", "copy.sqlite", most_bytes=room)
    assert (ran.status, ran.is_clear) == (1, True), ran
    made = {each.name for each in directory.iterdir() if each.suffix not in {".out", ".err"}} - names
    assert not [name for name in made if not name.startswith("crm.db")]


def test_readers_need_no_room(programs: "Programs", world: "World", tmp_path: Path) -> None:
    """On a full disk everything can still be looked at."""
    directory = world.copy_to(tmp_path / "store")
    for command in ("status", "run list", "doctor"):
        assert programs.must(directory, "--db", "crm.db", *command.split(), most_bytes=40_000).stdout
