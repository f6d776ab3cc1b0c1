"""Brings a store up to the schema of this version, through sqlite-utils' migrations (each one in a transaction)."""

import sqlite3
from collections.abc import Callable

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from crmflow.store.schema import MIGRATION_SET, MIGRATIONS


def migrate(connection: sqlite3.Connection) -> None:
    """Run the migrations that the store has not had; the caller holds the write lock."""
    migrations = Migrations(MIGRATION_SET)
    for name, statements in MIGRATIONS.items():
        migrations(name=name)(_migration(name, statements))
    migrations.apply(Database(connection, execute_plugins=False, recursive_triggers=False))


def _migration(name: str, statements: tuple[str, ...]) -> Callable[[Database], None]:
    def run(db: Database) -> None:
        for statement in statements:
            db.execute(statement)

    run.__name__ = name
    return run
