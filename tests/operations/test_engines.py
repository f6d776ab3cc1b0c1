"""Work that is done in other processes is done as it would be in this one, or is an error."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

import crmflow
from crmflow.core.errors import CrmflowError, SourceError
from crmflow.operations.engines.processes import FEW_TASKS, Processes
from tests.operations import errands

ENVIRONMENT = {"PYTHONPATH": str(Path(crmflow.__file__).parents[1])}


@pytest.mark.parametrize("ahead", [0, 1, 7])
@pytest.mark.parametrize("number", [0, 1, FEW_TASKS - 1, FEW_TASKS, 50])
def test_results_come_in_the_order_of_the_tasks(number: int, ahead: int) -> None:
    """However many tasks there are, and however long each takes, each has its result in its place."""
    with Processes() as processes:
        results = processes.map_in_order(errands.slow_if_even, range(number), ahead=ahead)
        assert list(results) == [b"%d" % n for n in range(number)]


@pytest.mark.parametrize("ahead", [0, 7])
def test_tasks_are_taken_as_they_are_needed(ahead: int) -> None:
    """A list of tasks without end is no matter: few are taken before the first result is handed out."""
    taken = count()
    with Processes() as processes:
        results = processes.map_in_order(errands.slow_if_even, taken, ahead=ahead)
        assert [next(results) for _ in range(10)] == [b"%d" % n for n in range(10)]
        results.close()
        after_closing = next(taken)
        time.sleep(0.1)
    assert next(taken) == after_closing + 1
    assert after_closing < 10 + 4 * (os.cpu_count() or 1) + FEW_TASKS + ahead


def test_results_are_fetched_ahead() -> None:
    """While nobody asks for a result, so many more tasks are done, and no others."""
    taken = count()
    with Processes() as processes, closing(processes.map_in_order(errands.twice, taken, ahead=20)) as results:
        assert next(results) == b"00"
        deadline = time.monotonic() + 20
        while repr(taken) != "count(21)":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert [next(results) for _ in range(3)] == [b"11", b"22", b"33"]


def test_an_error_in_taking_a_task_is_raised_where_its_result_is_due() -> None:
    """The results of the tasks before it are handed out, and nothing comes after it."""

    def tasks() -> Iterator[int]:
        yield from range(9)
        raise SourceError("the disk is gone")

    with Processes() as processes:
        results = processes.map_in_order(errands.slow_if_even, tasks(), ahead=5)
        assert [next(results) for _ in range(9)] == [b"%d" % n for n in range(9)]
        with pytest.raises(SourceError, match="the disk is gone"):
            next(results)
        assert list(results) == []


def test_large_tasks_and_results_pass() -> None:
    """What is larger than a pipe holds at once arrives whole."""
    with Processes() as processes:
        assert [len(each) for each in processes.map_in_order(errands.doubled, [b"x" * 5_000_000] * 8)] == [
            10_000_000
        ] * 8


@pytest.mark.parametrize("ahead", [0, 7])
def test_an_error_in_a_task_is_raised_where_its_result_is_due(ahead: int) -> None:
    """The results before it are handed out; the error is the same as in this process."""
    with Processes() as processes:
        results = processes.map_in_order(errands.fails_at_five, range(20), ahead=ahead)
        assert [next(results) for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
        with pytest.raises(SourceError, match="five"):
            next(results)


@pytest.mark.parametrize("ahead", [0, 7])
def test_a_process_that_is_killed_is_an_error(ahead: int) -> None:
    """The run does not wait for a result that never comes."""
    with Processes() as processes, pytest.raises(CrmflowError, match="was killed"):
        list(processes.map_in_order(errands.dies_at_five, range(20), ahead=ahead))


def test_nothing_is_left_when_the_run_is_killed(tmp_path: Path) -> None:
    """The processes end by themselves when the one that began them is gone."""
    program = "from crmflow.operations.engines.processes import Processes\n"
    program += "from tests.operations import errands\n"
    program += (
        f"with Processes() as pool: list(pool.map_in_order(errands.leaves_its_number, [{str(tmp_path)!r}] * 999))"
    )
    environment = {"PYTHONPATH": f"{ENVIRONMENT['PYTHONPATH']}:{Path(__file__).parents[2]}"}
    with subprocess.Popen([sys.executable, "-c", program], env=environment) as run:
        while not list(tmp_path.iterdir()):
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
    numbers = [int(each.name) for each in tmp_path.iterdir()]
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{number}/cmdline").exists() and is_running(number) for number in numbers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(number: int) -> bool:
    """Tell whether a process is more than a zombie."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
