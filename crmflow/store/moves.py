"""How a store moved on after a run: which records matching would see differently since.

An enrollment that ended since needs no look: what an earlier snapshot let pass could not have ended it sooner.
"""

from crmflow.store.connection import Store

_AFFECTED = (
    "SELECT id FROM record WHERE run_id > :run",
    "SELECT record_id FROM enrollment WHERE run_id > :run",
    "SELECT record_id FROM withdrawn_enrollment WHERE withdrawn_run_id > :run",
    """
    SELECT record_id FROM enrollment JOIN exit ON exit.enrollment_id = enrollment.id
    WHERE superseded_run_id > :run OR restored_run_id > :run
    """,
    """
    SELECT record_id FROM reconsidered JOIN enrollment ON enrollment.id = enrollment_id
    WHERE reconsidered.run_id > :run
    """,
    """
    SELECT record_id FROM field_change JOIN run ON run.id = run_id
    WHERE field = 'email' AND (run_id > :run OR undone_by_run_id > :run)
    """,
    "SELECT record_id FROM retraction WHERE record_id IS NOT NULL AND (run_id > :run OR taken_back_run_id > :run)",
)


def last_run(store: Store) -> int:
    """Return the number of the last run, 0 where there was none."""
    [(number,)] = store.rows("SELECT coalesce(max(id), 0) FROM run")
    return int(number)


def affected_since(store: Store, run: int) -> set[int]:
    """Return the records that later runs have added, enrolled, brought back, renamed, or retracted an event of."""
    if last_run(store) == run:
        return set()
    return {number for sql in _AFFECTED for (number,) in store.rows(sql.replace(":run", "?1"), [run])}


def has_lost_sight(store: Store, run: int) -> bool:
    """Tell whether an event counts again since whose record is not known."""
    sql = "SELECT 1 FROM retraction WHERE record_id IS NULL AND taken_back_run_id > ?"
    return store.row(sql, [run]) is not None
