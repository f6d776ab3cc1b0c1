"""Workflows: every version of their definitions, and which one is in force."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from crmflow.core.codec import decode, encode
from crmflow.core.model import Definition, Moment, Workflow
from crmflow.core.times import shorten, stored
from crmflow.store.connection import Store, array
from crmflow.store.faults import kept
from crmflow.store.runs import UNDONE


class InForce(NamedTuple):
    """A definition in force: the store's numbers of the workflow and of this version, and where it came from."""

    workflow_id: int
    definition_id: int
    workflow: Workflow
    digest: str
    path: str
    applied_at: str


def in_force(store: Store) -> dict[str, InForce]:
    """Return the definitions in force by the workflow's name, in the order of names."""
    rows = store.rows(
        "SELECT workflow.id, definition.id, content, digest, path, applied_at FROM workflow"
        " JOIN definition ON definition.id = workflow.definition_id ORDER BY workflow.name"
    )
    found = (
        InForce(number, version, kept(decode, content), digest, path, shorten(at))
        for number, version, content, digest, path, at in rows
    )
    return {each.workflow.workflow: each for each in found}


def contents(store: Store) -> tuple[str, ...]:
    """Return the definitions in force as they are kept, for who has to know whether they are still the same."""
    rows = store.rows(
        "SELECT content FROM workflow JOIN definition ON definition.id = workflow.definition_id ORDER BY workflow.name"
    )
    return tuple(content for (content,) in rows)


def known(store: Store) -> dict[str, tuple[int, str]]:
    """Return every workflow that there is or was, by name: its number and type."""
    return {name: (number, kind) for name, number, kind in store.rows("SELECT name, id, type FROM workflow")}


def version_count(store: Store, workflow_id: int) -> int:
    """Return how many versions of a workflow the store keeps."""
    [(count,)] = store.rows("SELECT count(*) FROM definition WHERE workflow_id = ?", [workflow_id])
    return int(count)


def put(store: Store, run: int, definitions: Iterable[Definition], moment: Moment) -> None:
    """Store new versions and put them in force."""
    numbers = {name: number for name, (number, _) in known(store).items()}
    for definition in definitions:
        workflow = definition.workflow
        number = numbers.get(workflow.workflow) or store.execute(
            "INSERT INTO workflow (name, type) VALUES (?, ?)", [workflow.workflow, workflow.type]
        )
        version = store.execute(
            "INSERT INTO definition (workflow_id, digest, content, path, source, applied_at, run_id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            [number, definition.digest, encode(workflow), definition.path, definition.text, stored(moment.at), run],
        )
        store.execute("UPDATE workflow SET type = ?, definition_id = ? WHERE id = ?", [workflow.type, version, number])


def settle_again(store: Store, touched: Collection[int]) -> list[str]:
    """Put in force what stands of workflows that these runs defined or removed: the newest definition, or none.

    Returns the names of the workflows for which that changes anything.
    """
    rows = store.rows(
        "SELECT workflow.id, name, definition_id,"
        f" (SELECT max(id) FROM definition WHERE workflow_id = workflow.id AND run_id NOT IN {UNDONE}),"
        " (SELECT max(id) FROM run WHERE command = 'workflow remove'"
        f"  AND json_extract(summary, '$.workflow') = name AND id NOT IN {UNDONE}),"
        f" (SELECT max(run_id) FROM definition WHERE workflow_id = workflow.id AND run_id NOT IN {UNDONE})"
        " FROM workflow WHERE EXISTS (SELECT 1 FROM definition WHERE workflow_id = workflow.id"
        "  AND run_id IN (SELECT value FROM json_each(?1))) OR name IN (SELECT json_extract(summary, '$.workflow')"
        "  FROM run WHERE command = 'workflow remove' AND id IN (SELECT value FROM json_each(?1))) ORDER BY name",
        [array(touched)],
    )
    changed = []
    for number, name, in_force, newest, removed_by, defined_by in rows:
        version = None if (removed_by or 0) > (defined_by or 0) else newest
        if version != in_force:
            store.execute("UPDATE workflow SET definition_id = ? WHERE id = ?", [version, number])
            changed.append(name)
    return changed


def remove(store: Store, workflow_id: int) -> None:
    """Take a workflow out of force; its versions and its history stay."""
    store.execute("UPDATE workflow SET definition_id = NULL WHERE id = ?", [workflow_id])


def has_history(store: Store, workflow_id: int) -> bool:
    """Tell whether anybody was ever enrolled in the workflow."""
    return store.row("SELECT 1 FROM enrollment WHERE workflow_id = ? LIMIT 1", [workflow_id]) is not None


def active_counts(store: Store) -> dict[str, int]:
    """Return, by name, how many records are active in each workflow in which any is."""
    return dict(
        store.rows(
            "SELECT workflow.name, count(*) FROM enrollment JOIN workflow ON workflow.id = workflow_id"
            " WHERE state = 'active' GROUP BY workflow.id"
        )
    )


def source(store: Store, definition_id: int) -> str:
    """Return the text of the file that declared a version."""
    [(text,)] = store.rows("SELECT source FROM definition WHERE id = ?", [definition_id])
    return str(text)
