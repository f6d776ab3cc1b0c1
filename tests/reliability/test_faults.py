"""Whatever write, flush, truncation, removal or renaming of the store's files fails, nothing is half done."""

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from tests.reliability.conftest import Programs, State, World

STATES = Callable[[Path], "State"]

AT = "2026-03-12T00:00:00Z"
SHORT = {
    "ingest": "ingest small.jsonl",
    "bulk-disenroll": f"bulk-disenroll --workflow welcome half.csv --at {AT}",
}
LONG = {
    "import": f"record import prospect changed.csv --at {AT}",
    "advance": f"advance --at {AT}",
    "disenroll": f"disenroll prospect:p-1 --at {AT}",
    "enroll": f"enroll prospect:p-1 --workflow nurture --at {AT}",
    "set": f"record set prospect:p-1 status=customer --at {AT}",
    "apply": f"workflow apply later.yaml --at {AT}",
    "remove a workflow": f"workflow remove nurture --disenroll --at {AT}",
    "two logs": "ingest big.jsonl small.jsonl",
}
HALVES = {"ingest big.jsonl small.jsonl": "ingest big.jsonl"}
"""Commands of more than one transaction, and the command that does the first of them."""


class Fault(NamedTuple):
    """What happens to the call of that number, and (`is_sticky`) to all after it."""

    at: int
    mode: str
    is_sticky: bool

    @property
    def environment(self) -> dict[str, str]:
        """What tells it to the injector."""
        told = {"FAIL_AT": str(self.at), "FAIL_MODE": self.mode}
        return {**told, "FAIL_STICKY": "1"} if self.is_sticky else told


ERRORS = (("eio", False), ("enospc", True), ("eio", True), ("enospc", False))
DEATHS = (("kill", False), ("tear", False))
full_loop = pytest.mark.parametrize(
    "is_full", [False, pytest.param(True, marks=[pytest.mark.long, pytest.mark.timeout(3600)])], ids=["some", "all"]
)


def faults(calls: int, *, is_full: bool) -> Iterator[Fault]:
    """Yield every way in which one of so many calls can go wrong; if not all, for each one error and one death."""
    for at in range(1, calls + 1):
        ways = [*ERRORS, *DEATHS] if is_full else [ERRORS[at % len(ERRORS)], DEATHS[at % len(DEATHS)]]
        yield from (Fault(at, mode, is_sticky) for mode, is_sticky in ways)


def count_calls(programs: "Programs", directory: Path, command: str) -> int:
    """Run a command to its end, and return how many calls it makes that can go wrong."""
    counted = directory / "count"
    programs.must(directory, "--db", "crm.db", *command.split(), environment={"FAIL_COUNT": str(counted)})
    return int(counted.read_text())


def copy_of_store(directory: Path) -> Path:
    """Copy what a process that ended left of a store, to look at without repairing it; return the copy."""
    place = directory / "copy"
    place.mkdir()
    for each in directory.glob("crm.db*"):
        if not each.name.endswith("-shm"):
            shutil.copy(each, place)
    return place / "crm.db"


@full_loop
@pytest.mark.parametrize(
    "command",
    [
        *(pytest.param(text, id=name) for name, text in SHORT.items()),
        *(pytest.param(text, id=name, marks=pytest.mark.long) for name, text in LONG.items()),
    ],
)
def test_a_failing_call_leaves_all_or_nothing(
    programs: "Programs",
    failing_programs: "Programs",
    small_world: "World",
    state: STATES,
    tmp_path: Path,
    command: str,
    *,
    is_full: bool,
) -> None:
    """The store is as before or as after, the exit status and the sentence are true, and a repetition ends as after.

    A command of two transactions may stop between them.
    """
    between = []
    if command in HALVES:
        half = small_world.copy_to(tmp_path / "half")
        programs.must(half, "--db", "crm.db", *HALVES[command].split())
        between.append(state(half / "crm.db"))
    whole = small_world.copy_to(tmp_path / "whole")
    before = state(whole / "crm.db")
    calls = count_calls(failing_programs, whole, command)
    after = state(whole / "crm.db")
    assert before != after
    assert calls >= 10, "the injector does not reach what SQLite calls"

    def fail_and_repeat(fault: Fault) -> None:
        directory = small_world.copy_to(tmp_path / f"{fault.at} {fault.mode} {fault.is_sticky}")
        ran = failing_programs.run(directory, "--db", "crm.db", *command.split(), environment=fault.environment)
        assert ran.is_clear, (fault, ran)
        assert ran.status in {0, 3, 1, -signal.SIGKILL}, (fault, ran)
        found = state(copy_of_store(directory))
        assert found in (before, *between, after), (fault, ran)
        assert found == after or ran.status not in {0, 3}, (fault, ran)
        assert found == before or "nothing was changed" not in ran.stderr, (fault, ran)
        again = programs.run(directory, "--db", "crm.db", *command.split())
        assert again.status in {0, 3} or found == after, (fault, again)
        assert state(directory / "crm.db") == after, fault
        shutil.rmtree(directory)

    failing_programs.each(fail_and_repeat, list(faults(calls, is_full=is_full)))


@full_loop
def test_a_failing_call_of_init_leaves_a_store_or_none(
    programs: "Programs", failing_programs: "Programs", state: STATES, tmp_path: Path, *, is_full: bool
) -> None:
    """Where `init` fails or dies there is a whole store, or none and every command says so; `init` can be repeated."""
    whole = tmp_path / "whole"
    whole.mkdir()
    calls = count_calls(failing_programs, whole, "init")
    expected = state(whole / "crm.db")

    def fail_and_repeat(fault: Fault) -> None:
        directory = tmp_path / f"{fault.at} {fault.mode} {fault.is_sticky}"
        directory.mkdir()
        store = directory / "crm.db"
        ran = failing_programs.run(directory, "--db", "crm.db", "init", environment=fault.environment)
        assert ran.is_clear, (fault, ran)
        is_made = store.exists()
        looked = programs.run(directory, "--db", "crm.db", "status")
        assert looked.is_clear
        assert (looked.status, "there is no store" in looked.stderr) == ((0, False) if is_made else (1, True)), fault
        again = programs.run(directory, "--db", "crm.db", "init")
        assert (again.status, "is there already" in again.stderr) == ((1, True) if is_made else (0, False)), fault
        assert state(store) == expected, fault
        shutil.rmtree(directory)

    failing_programs.each(fail_and_repeat, list(faults(calls, is_full=is_full)))
