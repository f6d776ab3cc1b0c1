"""Matches logs against a snapshot here, and writes what comes of it to a file: what `match` does."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from crmflow.operations.collecting import paused_collection
from crmflow.operations.engines.processes import Processes
from crmflow.operations.match_logs import Manner, Watcher, match_logs
from crmflow.sources.exits import write_exits
from crmflow.store.files import placed
from crmflow.store.snapshots import open_snapshot


class Written(NamedTuple):
    """What a file of exits holds: how many logs, lines, rejects, and events that may change something; its size."""

    logs: int
    lines: int
    rejected: int
    unmatched: int
    considered: int
    kept: int
    bytes: int
    faults: list[str]


def match_files(snapshot: Path, paths: Sequence[str], out: Path, manner: Manner, watcher: Watcher) -> Written:
    """Match logs and write `out`, which must not be there yet; raises `CrmflowError` and `UsageError`."""
    with open_snapshot(snapshot) as opened, Processes() as processes, paused_collection():
        exits, faults = match_logs(opened, paths, manner, processes, watcher)
    with placed(out, overwrite=False) as made:
        write_exits(made, exits)
        size = made.stat().st_size
    found = [each.matched for each in exits.logs]
    return Written(
        len(found),
        sum(each.batch.lines for each in found),
        sum(len(each.batch.rejects) + each.dropped_rejects for each in found),
        sum(each.unmatched for each in found),
        sum(each.considered for each in found),
        sum(len(each.batch.events) + len(each.earliest) for each in found),
        size,
        faults,
    )
