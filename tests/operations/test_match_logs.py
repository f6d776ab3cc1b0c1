"""Matching whole logs: however many parts and whoever does them, the same comes of it; what changes meanwhile waits."""

import gzip
import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest

from crmflow.core.model import Definition, Moment, Trigger, Workflow
from crmflow.operations import edit_record, enroll
from crmflow.operations.engines.cargo import Cargo
from crmflow.operations.engines.cluster import Cluster
from crmflow.operations.engines.processes import Processes
from crmflow.operations.match_logs import Manner, Watcher, match_logs
from crmflow.operations.matching import Part
from crmflow.sources.exits import MatchedLog
from crmflow.sources.terms import Options
from crmflow.store import runs, snapshots, workflows
from crmflow.store.connection import create_store
from tests.operations import errands
from tests.operations.worlds import NOW, START

MOMENT = Moment(START, NOW)
QUIET = Watcher(lambda _: None, lambda _: None)
PEOPLE = 20


@pytest.fixture
def snapshot(tmp_path: Path) -> Iterator[snapshots.Snapshot]:
    """A snapshot of a store with some people in a workflow that ends by a reply."""
    welcome = Workflow(workflow="welcome", type="prospect", disenrollment_triggers=(Trigger(trigger="replied"),))
    with create_store(tmp_path / "crm.db") as store:
        with store.change():
            definition = Definition(welcome, "digest", "welcome.yaml", "")
            workflows.put(store, runs.begin(store, "workflow apply", MOMENT), [definition], MOMENT)
        for number in range(PEOPLE):
            edit_record.add(store, f"prospect:p-{number}", [], MOMENT)
            enroll.enroll(store, f"prospect:p-{number}", "welcome", MOMENT)
        snapshots.export(store, tmp_path / "crm.snapshot", overwrite=False)
    with snapshots.open_snapshot(tmp_path / "crm.snapshot") as opened:
        yield opened


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log in which everybody replies again and again, with lines that are none."""
    path = tmp_path / "events.jsonl"
    with path.open("w") as file:
        for number in range(4_000):
            at = f"2026-03-01T{number % 24:02d}:{number % 60:02d}:00Z"
            event = {"id": f"e-{number}", "type": "replied", "time": at, "prospect": f"p-{number % (PEOPLE + 5)}"}
            file.write("noise\n" if number % 500 == 499 else json.dumps(event) + "\n")
    return path


class Meddling:
    """An engine of this process that does something before its first task, while others might read."""

    def __init__(self, meddle: Callable[[], object]) -> None:
        """Take what is to be done."""
        self._meddle = meddle

    def map_with_file(self, work: Callable[[str, Part], bytes], cargo: Cargo, tasks: Iterator[Part]) -> Iterator[bytes]:
        """Do it, then the tasks."""
        self._meddle()
        return (work(str(cargo.path), task) for task in tasks)


def _manner(part_size: int) -> Manner:
    return Manner(Options(), Moment(NOW, NOW), part_size)


def _locally(snapshot: snapshots.Snapshot, log: Path) -> list[MatchedLog]:
    with Processes() as processes:
        exits, faults = match_logs(snapshot, [str(log)], _manner(10**9), processes, QUIET)
    assert faults == []
    return exits.logs


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_a_cluster_finds_what_one_process_finds(snapshot: snapshots.Snapshot, log: Path, parts: int) -> None:
    """In so many parts, each on whichever worker: the same events, lines, counts and rejects."""
    expected = _locally(snapshot, log)
    with Cluster(None) as cluster:
        size = -(-log.stat().st_size // parts)
        exits, faults = match_logs(snapshot, [str(log)], _manner(size), cluster, QUIET)
    assert faults == []
    assert exits.logs == expected
    assert len(expected[0].matched.earliest) == PEOPLE


class Murderous:
    """A cluster of which one worker is killed after its first task; it leaves a mark."""

    def __init__(self, cluster: Cluster, mark: Path) -> None:
        """Take the cluster, and where the mark is to be."""
        self._cluster = cluster
        self._mark = mark

    def map_with_file(self, work: Callable[[str, Part], bytes], cargo: Cargo, tasks: Iterator[Part]) -> Iterator[bytes]:
        """Let the killing take its place among the tasks."""
        first = list(islice(tasks, 1))
        yield from self._cluster.map_with_file(work, cargo, iter(first))
        list(self._cluster.map_with_file(errands.with_file_dies_once, cargo, [str(self._mark)] * 3))
        yield from self._cluster.map_with_file(work, cargo, tasks)


def test_a_worker_that_is_killed_in_between_changes_nothing(
    snapshot: snapshots.Snapshot, log: Path, tmp_path: Path
) -> None:
    """The one that takes its place gets the snapshot too, and finds the same."""
    expected = _locally(snapshot, log)
    mark = tmp_path / "mark"
    with Cluster(None) as cluster:
        exits, faults = match_logs(snapshot, [str(log)], _manner(50_000), Murderous(cluster, mark), QUIET)
    assert faults == []
    assert exits.logs == expected
    assert mark.exists()


def test_a_log_that_is_replaced_meanwhile_waits(snapshot: snapshots.Snapshot, log: Path) -> None:
    """So does one that vanishes; both are said, and nothing of them is told."""
    for meddle, said in ((lambda: log.write_bytes(b"{}\n" * 9_999), "changed while"), (log.unlink, "No such file")):
        exits, faults = match_logs(snapshot, [str(log)], _manner(50_000), Meddling(meddle), QUIET)
        assert exits.logs == []
        assert len(faults) == 1
        assert said in faults[0]


def test_a_log_that_grows_meanwhile_is_matched_to_where_it_ended(snapshot: snapshots.Snapshot, log: Path) -> None:
    """The rest is for the next run."""
    size = log.stat().st_size

    def grow() -> None:
        with log.open("ab") as file:
            file.write(b'{"type": "replied", "time": "2026-03-01T00:00:00Z", "prospect": "p-1"}\n')

    exits, faults = match_logs(snapshot, [str(log)], _manner(50_000), Meddling(grow), QUIET)
    assert faults == []
    assert [each.matched.batch.end_offset for each in exits.logs] == [size]


def test_an_archive_that_is_cut_off_is_not_taken_in(snapshot: snapshots.Snapshot, log: Path) -> None:
    """Nothing of it is marked as read, and the fault is said."""
    cut = log.with_suffix(".gz")
    cut.write_bytes(gzip.compress(log.read_bytes())[:-2_000])
    exits, [fault] = match_logs(snapshot, [str(cut)], _manner(50_000), Meddling(lambda: None), QUIET)
    assert exits.logs == []
    assert str(cut) in fault
