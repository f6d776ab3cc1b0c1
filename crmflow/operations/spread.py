"""Matches what is new in logs for a store, wherever an engine does it: a snapshot goes out, what was found comes back.

This and `crmflow.operations.apply` are an ingest. The store is free while others work.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from crmflow.operations.match_logs import Engine, Manner, Watcher, match_logs
from crmflow.sources.exits import Exits
from crmflow.store import snapshots
from crmflow.store.connection import Store
from crmflow.store.snapshots import Exported


def export(store: Store, file: str, *, overwrite: bool) -> Exported:
    """Write what matching needs of a store; raises `CrmflowError` as `crmflow.store.snapshots.export`."""
    return snapshots.export(store, Path(file), overwrite=overwrite)


def spread(
    store: Store, paths: Sequence[str], manner: Manner, engine: Engine, watcher: Watcher
) -> tuple[Exits, list[str]]:
    """Return what is new in these logs, matched against the store as it is now, and what could not be read, and why."""
    with TemporaryDirectory(prefix="crmflow-") as folder:
        path = Path(folder) / "snapshot"
        snapshots.export(store, path, overwrite=False)
        with snapshots.open_snapshot(path) as snapshot:
            return match_logs(snapshot, paths, manner, engine, watcher)
