"""Lists enrollments."""

from typing import Any, get_args

from crmflow.core.errors import UsageError
from crmflow.core.model import State
from crmflow.operations.lookup import parse_ref, require_known_workflow, require_record
from crmflow.store import enrollments
from crmflow.store.connection import Store


def listed(
    store: Store, *, workflow: str | None = None, record: str | None = None, state: str | None = None
) -> list[dict[str, Any]]:
    """Return enrollments as SPEC's JSON has them; raises `CrmflowError` for a workflow or record that is not there."""
    if state is not None and state not in get_args(State):
        raise UsageError(f"unknown state {state!r}", hint=f"one of {', '.join(get_args(State))}")
    with store.snapshot():
        kind = require_known_workflow(store, workflow) if workflow else None
        number = require_record(store, parse_ref(record, kind)).id if record else None
        return enrollments.listed(store, workflow=workflow, record=number, state=state)
