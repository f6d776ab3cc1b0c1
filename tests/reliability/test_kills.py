"""Killed or interrupted at any moment and started again, a command ends as if nothing had happened."""

import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.reliability.conftest import Programs, Ran, State, World

STATES = Callable[[Path], "State"]

COMMANDS = {
    "ingest": "ingest big.jsonl",
    "bulk-disenroll": "bulk-disenroll --workflow welcome half.csv --at 2026-03-02T00:00:00Z",
    "import": "record import prospect changed.csv --at 2026-03-02T00:00:00Z",
    "advance": "advance --at 2026-03-12T00:00:00Z",
}
SHORT = 8
LONG = 300
KILLS = 8
"""How often a command is killed before it may end."""

trials = pytest.mark.parametrize(
    "count", [SHORT, pytest.param(LONG, marks=[pytest.mark.long, pytest.mark.timeout(3600)])]
)
commands = pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)


@pytest.fixture(scope="session")
def later_programs(programs_with: Callable[..., "Programs"]) -> "Programs":
    """A later version of the program, which has migrations that today's stores lack."""
    return programs_with("later_version.py")


def chance_of(*about: object) -> random.Random:
    """Return random choices that are the same in every run of the tests."""
    return random.Random(f"20260301 {about}")


@trials
@commands
def test_a_killed_command_ends_as_if_it_had_not_been(
    programs: "Programs", world: "World", state: STATES, tmp_path: Path, command: str, count: int
) -> None:
    """After kills at random moments and one run to the end, state and sums are those of a run that nobody disturbed."""
    whole = world.copy_to(tmp_path / "whole")
    seconds = programs.must(whole, "--db", "crm.db", *command.split()).seconds
    expected = state(whole / "crm.db")
    killed: list[Ran] = []

    def kill_and_end(number: int) -> None:
        chance = chance_of(command, number)
        directory = world.copy_to(tmp_path / str(number))
        for _ in range(KILLS):
            ran = programs.run(directory, "--db", "crm.db", *command.split(), after=chance.uniform(0, seconds))
            assert ran.is_clear, (number, ran)
            killed.extend([ran] if ran.status == -signal.SIGKILL else [])
        programs.must(directory, "--db", "crm.db", *command.split())
        assert state(directory / "crm.db") == expected, number
        shutil.rmtree(directory)

    programs.each(kill_and_end, range(count))
    assert len(killed) > count


@trials
@pytest.mark.parametrize("command", [*COMMANDS.values()][:3], ids=[*COMMANDS][:3])
def test_an_interrupted_command_says_so_and_can_be_repeated(
    programs: "Programs", world: "World", state: STATES, tmp_path: Path, command: str, count: int
) -> None:
    """Ctrl-C ends with 130 and a sentence on what was done; the store is sound, the same command does the rest."""
    whole = world.copy_to(tmp_path / "whole")
    seconds = programs.must(whole, "--db", "crm.db", *command.split()).seconds
    expected = state(whole / "crm.db")
    said: set[str] = set()

    def interrupt_and_end(number: int) -> None:
        chance = chance_of(command, number)
        directory = world.copy_to(tmp_path / str(number))
        after = chance.uniform(0.01, seconds)
        ran = programs.run(directory, "--db", "crm.db", *command.split(), after=after, number=signal.SIGINT)
        assert ran.is_clear, (number, ran)
        if ran.status == 130:
            said.update(line for line in ran.stderr.splitlines() if line.startswith("error: "))
        state(directory / "crm.db")
        programs.must(directory, "--db", "crm.db", *command.split())
        assert state(directory / "crm.db") == expected, number
        shutil.rmtree(directory)

    programs.each(interrupt_and_end, range(count))
    assert said
    assert all(each.startswith("error: interrupted; ") for each in said)


@trials
def test_a_killed_init_leaves_a_store_or_none(programs: "Programs", state: STATES, tmp_path: Path, count: int) -> None:
    """Where `init` was killed there is no store, and it can be repeated, or a whole one."""
    whole = tmp_path / "whole"
    whole.mkdir()
    seconds = programs.must(whole, "--db", "crm.db", "init").seconds
    expected = state(whole / "crm.db")

    def kill_and_end(number: int) -> None:
        directory = tmp_path / str(number)
        directory.mkdir()
        store = directory / "crm.db"
        for after in (chance_of("init", number).uniform(0, seconds), None):
            before = store.exists()
            ran = programs.run(directory, "--db", "crm.db", "init", after=after)
            assert ran.status in ({1} if before else {0, -signal.SIGKILL}), (number, ran)
            assert ran.is_clear, (number, ran)
            assert not store.exists() or state(store) == expected
        assert {each.name for each in directory.glob("crm*")} == {"crm.db", "crm.db.lock"}

    programs.each(kill_and_end, range(4 * count))


@trials
def test_a_killed_upgrade_leaves_the_old_store_or_the_new(
    programs: "Programs", later_programs: "Programs", world: "World", state: STATES, tmp_path: Path, count: int
) -> None:
    """A later version that was killed while it brought a store up to date left all of the old or all of the new."""
    whole = world.copy_to(tmp_path / "whole")
    old = state(whole / "crm.db")
    seconds = later_programs.must(whole, "--db", "crm.db", "status").seconds
    new = state(whole / "crm.db")
    assert old["schema"] != new["schema"]

    def kill_and_end(number: int) -> None:
        chance = chance_of("upgrade", number)
        directory = world.copy_to(tmp_path / str(number))
        for _ in range(KILLS):
            later_programs.run(directory, "--db", "crm.db", "status", after=chance.uniform(0, seconds))
            assert state(directory / "crm.db") in (old, new), number
        later_programs.must(directory, "--db", "crm.db", "status")
        assert state(directory / "crm.db") == new
        today = programs.run(directory, "--db", "crm.db", "status")
        assert (today.status, "was made by a newer version" in today.stderr) == (1, True)
        shutil.rmtree(directory)

    later_programs.each(kill_and_end, range(count))
