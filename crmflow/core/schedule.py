"""When the steps of a workflow come due."""

from collections.abc import Sequence
from datetime import datetime

from crmflow.core.model import Step


def due_before(steps: Sequence[Step], enrolled_at: datetime, until: datetime | None) -> int:
    """Return how many steps come due before a time (None: ever) if each is completed as soon as it is due."""
    if until is None:
        return len(steps)
    due_at = enrolled_at
    for count, step in enumerate(steps):
        due_at += step.after
        if due_at >= until:
            return count
    return len(steps)
