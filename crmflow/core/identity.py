"""What makes two tellings of an event the same event, in whatever log and at whatever line they stand."""

import hashlib

import msgspec

from crmflow.core.model import Event

ID_MARK = "id:"
"""What the identity of an event that has an id begins with."""


def identity(event: Event) -> str:
    """Return the identity of an event: its id; of one without an id a digest of all that it says."""
    return identity_of_id(event.id) if event.id else _digest(event)


def identity_of_id(event_id: str) -> str:
    """Return the identity of the event that has this id."""
    return ID_MARK + event_id


def _digest(event: Event) -> str:
    said = msgspec.structs.replace(event, line=None, id=None)
    return f"sha256:{hashlib.sha256(msgspec.json.encode(said, order='deterministic')).hexdigest()}"
