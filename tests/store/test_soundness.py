"""Damage that SQLite does not meet by itself."""

import sqlite3
from pathlib import Path

import pytest

from crmflow.core.errors import CrmflowError
from crmflow.store import trial
from crmflow.store.connection import Store, open_store


def _damage(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(f"PRAGMA writable_schema = ON; {sql}")
    connection.close()


def _fail_with(path: Path) -> None:
    with open_store(path):
        raise KeyError(3)


def test_a_fault_in_a_sound_store_stays_what_it_is(store: Store) -> None:
    """Nothing is blamed on a store that is as it was written."""
    with pytest.raises(KeyError):
        _fail_with(store.path)


def test_a_fault_in_a_trial_stays_what_it_is(tmp_path: Path) -> None:
    """It is sound although it has not all of a store's indexes."""
    with pytest.raises(KeyError), trial.create(tmp_path / "trial.db"):
        raise KeyError(3)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("DELETE FROM run", "refers to nothing"),
        (
            "UPDATE sqlite_schema SET sql = replace(sql, 'note', 'nOtf') WHERE name = 'exit'",
            "exit is not as it was made",
        ),
        ("DROP VIEW exits", "exits is not as it was made"),
        ("UPDATE sqlite_schema SET sql = 'rubbish' WHERE name = 'email'", "malformed database schema"),
    ],
)
def test_a_fault_in_a_damaged_store_is_an_error_that_says_so(store: Store, sql: str, reason: str) -> None:
    """References to nothing and tables that are not as they were made explain what fails later."""
    with store.change():
        store.execute("INSERT INTO run (command, at, started_at) VALUES ('enroll', '', '')")
        store.execute("INSERT INTO record (type, key, added_at, run_id) VALUES ('prospect', 'p-1', '', 1)")
    path = store.path
    store.close()
    _damage(path, sql)
    with pytest.raises(CrmflowError, match=reason) as raised:
        _fail_with(path)
    assert "the store is damaged" in raised.value.what
    assert "crmflow doctor" in (raised.value.hint or "")


def test_tables_without_their_history_are_damage(store: Store) -> None:
    """Where the list of migrations is lost, opening says that the store is damaged and changes nothing."""
    path = store.path
    store.close()
    _damage(path, "DELETE FROM _sqlite_migrations")
    with pytest.raises(CrmflowError, match="its tables are not those that were made"):
        open_store(path)


def test_a_format_that_sqlite_does_not_know_is_damage(store: Store) -> None:
    """SQLite has no error of its own for that."""
    path = store.path
    store.close()
    data = bytearray(path.read_bytes())
    data[44:48] = (9).to_bytes(4, "big")
    path.write_bytes(data)
    with pytest.raises(CrmflowError, match="unsupported file format"):
        open_store(path)
