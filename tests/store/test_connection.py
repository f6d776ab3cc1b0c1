"""Opening, making and changing a store."""

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from crmflow.core.errors import BusyError, CrmflowError
from crmflow.core.model import Moment
from crmflow.store import runs
from crmflow.store.connection import Store, create_store, open_store
from crmflow.store.schema import MIGRATIONS


def test_a_new_store_is_its_owners_alone(store: Store) -> None:
    """The store, its write-ahead log and its lock can be read and written by their owner only."""
    with store.change():
        store.execute("UPDATE run SET is_finished = 1")
    modes = {file.name: file.stat().st_mode & 0o777 for file in store.path.parent.iterdir()}
    assert modes.keys() >= {"crm.db", "crm.db-wal", "crm.db.lock"}
    assert set(modes.values()) == {0o600}


def test_a_new_store_is_strict_and_holds_its_references(store: Store) -> None:
    """Every table is STRICT, the journal is WAL, and references are enforced."""
    kinds = store.rows("SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND type = 'table'")
    lax = {name for name, strict in kinds if not strict and not name.startswith("sqlite_")}
    assert lax == {"_sqlite_migrations"}
    assert store.rows("PRAGMA journal_mode") == [("wal",)]
    assert store.rows("PRAGMA foreign_keys") == [(1,)]
    with pytest.raises(sqlite3.IntegrityError), store.change():
        store.execute("INSERT INTO enrollment (record_id, workflow_id, enrolled_at, run_id) VALUES (1, 1, '', 1)")


@pytest.mark.parametrize("view", ["records", "enrollments", "exits"])
def test_the_documented_views_can_be_read(store: Store, view: str) -> None:
    """The views that people with the sqlite3 shell rely on are there."""
    assert store.rows(f"SELECT * FROM {view}") == []  # noqa: S608 - the names above


def test_a_store_is_never_made_over_something(store: Store) -> None:
    """Making a store where one is leaves that one as it is and says so."""
    with pytest.raises(CrmflowError, match="is there already"):
        create_store(store.path)
    assert store.rows("SELECT count(*) FROM run") == [(0,)]


def test_opening_never_makes_a_store(path: Path) -> None:
    """A mistyped path is an error that says how to make a store, and no file appears."""
    with pytest.raises(CrmflowError) as caught:
        open_store(path)
    assert caught.value.hint == f"make one with: crmflow --db {path} init"
    assert not path.exists()


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"just a text, long enough to be taken for a database header " * 20, "not a SQLite database"), (b"", "is not a")],
)
def test_what_is_no_store_is_left_alone(path: Path, content: bytes, what: str) -> None:
    """A file that is no SQLite database, or an empty one, is refused and not touched."""
    path.write_bytes(content)
    with pytest.raises(CrmflowError, match=what):
        open_store(path)
    assert path.read_bytes() == content


def test_a_foreign_database_is_left_alone(path: Path) -> None:
    """Another program's SQLite database is refused."""
    foreign = sqlite3.connect(path)
    foreign.execute("CREATE TABLE run (id)")
    foreign.close()
    with pytest.raises(CrmflowError, match="is not a crmflow store"):
        open_store(path)


def test_a_store_of_a_newer_version_is_refused(store: Store) -> None:
    """A store with a migration that this version does not know is refused with the way out."""
    with store.change():
        store.execute("UPDATE _sqlite_migrations SET name = '999_from_the_future' WHERE name LIKE '001%'")
    with pytest.raises(CrmflowError, match="newer version of crmflow") as caught:
        open_store(store.path)
    assert caught.value.hint is not None
    assert "upgrade" in caught.value.hint


def test_migrations_run_once(store: Store) -> None:
    """Every migration is written down with its name; opening again runs none of them."""
    open_store(store.path).close()
    assert [name for (name,) in store.rows("SELECT name FROM _sqlite_migrations")] == list(MIGRATIONS)


def test_a_change_that_fails_is_not_kept(store: Store, moment: Moment) -> None:
    """An exception inside a change takes all of it back."""

    def fail() -> None:
        with store.change():
            runs.begin(store, "test", moment)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert runs.listed(store) == []


def test_a_rehearsal_sees_its_changes_and_keeps_none(store: Store, moment: Moment) -> None:
    """In a rehearsal changes build on each other; afterwards the store is as before."""
    with store.rehearsal():
        with store.change():
            runs.begin(store, "first", moment)
        with store.change():
            runs.begin(store, "second", moment)
        assert [run["command"] for run in runs.listed(store)] == ["second", "first"]
    assert runs.listed(store) == []


def test_a_writer_waits_then_names_the_holder(store: Store) -> None:
    """A writer that can't have the store in time is told by which process it is held."""
    with store.change(), open_store(store.path, wait=0.05) as other:
        with pytest.raises(BusyError, match=r"process \d+.*waited 0.05 s"), other.change():
            pass
        assert other.rows("SELECT count(*) FROM run") == [(0,)], "readers never wait"


def test_a_killed_holder_blocks_nobody(store: Store) -> None:
    """The lock goes with the process that held it."""
    code = f"""
import os, signal
from pathlib import Path
from crmflow.store.connection import open_store
with open_store(Path({str(store.path)!r})) as held, held.change():
    print("held", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert child.stdout == "held\n"
    with store.change():
        pass


def test_a_waiting_writer_gets_the_store_when_it_is_free(store: Store) -> None:
    """A writer that waits goes on as soon as the holder is done."""
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with open_store(store.path) as other, other.change():
            held.set()
            release.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    threading.Timer(0.1, release.set).start()
    with store.change():
        assert release.is_set()
    holder.join()
