"""Whether what stands in the store's file can be what was written there.

Damage need not be met by SQLite: pages in each other's place, a letter of a table's name. Then something fails later,
where nobody expects it. Whoever meets such a failure asks here whether the store explains it.
"""

import sqlite3
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from crmflow.store.schema import MIGRATIONS

Query = Callable[[str], Iterable[Any]]
"""Asks the store's database, and returns the rows."""

_OBJECTS = "SELECT name, sql, type FROM sqlite_schema WHERE sql IS NOT NULL"


def damage(query: Query) -> str | None:
    """Return what is wrong with a store's file, in a few words, or None where nothing shows."""
    try:
        return _page_fault(query) or _schema_fault(query) or _dangling(query)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        return str(error)


def _page_fault(query: Query) -> str | None:
    return next((text for (text,) in query("PRAGMA integrity_check(1)") if text != "ok"), None)


def _dangling(query: Query) -> str | None:
    return next((f"a row of {row[0]} refers to nothing" for row in query("PRAGMA foreign_key_check")), None)


def _schema_fault(query: Query) -> str | None:
    """Return which table, index or view is not as the migrations made it; others may be there.

    An index that is not there explains no failure, and a trial has one less.
    """
    found: dict[str, str] = {name: sql for name, sql, _ in query(_OBJECTS)}
    pristine = sqlite3.connect(":memory:")
    try:
        for statement in chain.from_iterable(MIGRATIONS.values()):
            pristine.execute(statement)
        expected = pristine.execute(_OBJECTS).fetchall()
    finally:
        pristine.close()
    needed = [(name, sql) for name, sql, kind in expected if kind != "index" or name in found]
    return next((f"{name} is not as it was made" for name, sql in needed if not _is_same(found.get(name), sql)), None)


def _is_same(found: str | None, expected: str) -> bool:
    return found is not None and found.split() == expected.split()
