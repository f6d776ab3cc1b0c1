"""Writes what logs of any format say as our own events."""

from typing import Any

from crmflow.core.model import UNSET, Event
from crmflow.core.times import shown
from crmflow.sources import formats as known


def formats() -> list[tuple[str, str]]:
    """Return the name of every format, and what it is."""
    return [(each.name, each.title) for each in known.FORMATS.values()]


def as_line(event: Event) -> dict[str, Any]:
    """Return an event as a line of our own log has it."""
    said = {
        "id": event.id,
        "type": event.type,
        "time": shown(event.at),
        event.record_type: event.name,
        "workflow": event.workflow,
        "step": event.step,
        "url": event.url,
        "message": event.message,
        "suspect": event.is_suspect or None,
        "field": event.field,
    }
    values = {"value": event.value, "old": event.old}
    return {key: value for key, value in said.items() if value is not None} | {
        key: value for key, value in values.items() if value is not UNSET
    }
