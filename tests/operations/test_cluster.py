"""Work that is done on a Dask cluster is done as it would be here, or is an error; nobody waits for ever."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import crmflow
from crmflow.core.errors import CrmflowError, SourceError
from crmflow.operations.engines.cargo import Cargo
from crmflow.operations.engines.cluster import Cluster
from crmflow.store.snapshots import receive, received
from tests.operations import errands

HOUSE = Path(crmflow.__file__).parents[1]


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """Workers of this host."""
    with Cluster(None) as made:
        yield made


@pytest.fixture
def cargo(tmp_path: Path) -> Cargo:
    """A file that every task needs."""
    path = tmp_path / "file"
    path.write_bytes(b"held:")
    return Cargo(path, f"sha256:{tmp_path.name}", lambda: iter([b"he", b"ld:"]), received, receive)


def test_results_come_in_the_order_of_the_tasks(own: Cluster, cargo: Cargo) -> None:
    """Each worker has the file, and each task its result in its place, however many there are."""
    for count in (0, 1, 50):
        found = list(own.map_with_file(errands.with_file, cargo, range(count)))
        assert found == [b"held:%d" % number for number in range(count)]


def test_an_error_in_a_task_is_raised_where_its_result_is_due(own: Cluster, cargo: Cargo) -> None:
    """The results before it are handed out; the error is the same as in this process, its hint included."""
    results = own.map_with_file(errands.with_file_fails_at_five, cargo, range(20))
    assert len([next(results) for _ in range(5)]) == 5
    with pytest.raises(SourceError, match="five") as raised:
        next(results)
    assert raised.value.hint == "count to four"


def test_a_worker_that_is_killed_is_replaced(own: Cluster, cargo: Cargo, tmp_path: Path) -> None:
    """What it did is done by another one, and the result is the same."""
    found = list(own.map_with_file(errands.with_file_dies_once, cargo, [str(tmp_path / "mark")] * 8))
    assert found == [b"held:"] * 8


def test_work_that_kills_every_worker_is_an_error(own: Cluster, cargo: Cargo) -> None:
    """It is not tried for ever."""
    with pytest.raises(CrmflowError, match=r"worker"):
        list(own.map_with_file(errands.with_file_dies_at_five, cargo, range(10)))


def test_no_scheduler_is_an_error() -> None:
    """It names the address."""
    with pytest.raises(CrmflowError, match=r"no scheduler at tcp://127\.0\.0\.1:9"):
        Cluster("tcp://127.0.0.1:9", patience=0.5).__enter__()


# --- a cluster of processes of its own ---

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a part of a cluster, which finds the others through a file, and ends with the test."""
    with ExitStack() as stack:

        def started(part: str, *options: str, house: Path = HOUSE) -> "subprocess.Popen[bytes]":
            command = [sys.executable, "-m", f"distributed.cli.dask_{part}", "--scheduler-file", str(tmp_path / "at")]
            process = subprocess.Popen(
                [*command, "--no-dashboard", *options],
                cwd=tmp_path,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{house}:{HOUSE}"},
                stderr=subprocess.DEVNULL,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield started


def _scheduler(start: Start, folder: Path) -> tuple["subprocess.Popen[bytes]", str]:
    process = start("scheduler", "--host", "127.0.0.1", "--port", "0")
    while not (at := folder / "at").exists() or not at.read_bytes().endswith(b"}"):
        time.sleep(0.05)
    return process, str(json.loads(at.read_bytes())["address"])


def test_a_worker_of_another_version_is_an_error(start: Start, cargo: Cargo, tmp_path: Path) -> None:
    """Both versions are named."""
    shutil.copytree(HOUSE / "crmflow", tmp_path / "other" / "crmflow")
    (tmp_path / "other" / "crmflow" / "__init__.py").write_text('__version__ = "0.0.9"\n')
    _, address = _scheduler(start, tmp_path)
    start("worker", "--nthreads", "1", "--no-nanny", house=tmp_path / "other")
    with pytest.raises(CrmflowError, match=r"a worker has crmflow 0\.0\.9 on Python"), Cluster(address) as made:
        list(made.map_with_file(errands.with_file, cargo, range(3)))


@pytest.mark.parametrize("victim", ["scheduler", "worker"])
def test_a_cluster_that_is_killed_is_an_error(start: Start, cargo: Cargo, tmp_path: Path, victim: str) -> None:
    """Be it the scheduler or the only worker, in the middle of the work."""
    scheduler, address = _scheduler(start, tmp_path)
    worker = start("worker", "--nthreads", "1", "--no-nanny")
    with Cluster(address, patience=3) as made:
        results = made.map_with_file(errands.with_file_slowly, cargo, range(500))
        assert next(results) == b"held:0"
        {"scheduler": scheduler, "worker": worker}[victim].send_signal(signal.SIGKILL)
        with pytest.raises(CrmflowError):
            list(results)
