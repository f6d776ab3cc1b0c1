"""Pipedrive: webhooks of version 2 (`data` and what was changed in it as `previous`) and 1 (`current` and `previous`).

https://pipedrive.readme.io/docs/guide-for-webhooks-v2
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from crmflow.core.model import RecordType
from crmflow.sources.bodies import JsonSource, Told, unknown
from crmflow.sources.changes import Record, changed, decided
from crmflow.sources.moments import epoch, iso
from crmflow.sources.objects import Body, object_of, read_name, required_text, text_of
from crmflow.sources.terms import Terms

OBJECTS: dict[str, RecordType] = {"person": "prospect", "organization": "organization", "deal": "deal"}
"""Their objects that are records of ours; of the others (leads, activities, ...) nothing is told."""

_OTHER_OBJECTS = frozenset(
    {"activity", "activityType", "lead", "note", "pipeline", "product", "project", "board", "phase", "stage", "user"}
)
_CHANGES = frozenset({"change", "create", "updated", "added"})
_OTHER_ACTIONS = frozenset({"delete", "deleted", "merged"})
_FATES: dict[object, str] = {"won": "deal_won", "lost": "deal_lost"}
_OWN = frozenset({"id", "update_time", "add_time", "stage_change_time"})
"""Keys of an object that change with every change, or never."""


def knows(body: Body) -> bool:
    """Tell whether a body is a webhook of Pipedrive's."""
    meta = body.get("meta")
    if not isinstance(meta, dict):
        return False
    return (meta.get("version") == "2.0" and "entity" in meta) or (body.get("v") == 1 and "object" in meta)


def tell(body: Body, _terms: Terms) -> Iterator[Told]:
    """Yield what a webhook of Pipedrive's tells: each field that has another value, a deal won or lost."""
    meta = object_of(body, "meta")
    word = text_of(meta, "entity") or required_text(meta, "object")
    action = required_text(meta, "action")
    if word in _OTHER_OBJECTS or action in _OTHER_ACTIONS:
        return
    if word not in OBJECTS or action not in _CHANGES:
        yield unknown(f"{word}.{action}")
        return
    is_second = "entity" in meta
    now = object_of(body, "data" if is_second else "current")
    before = object_of(body, "previous")
    name = text_of(meta, "entity_id") or text_of(meta, "id") if is_second else required_text(meta, "id")
    record = Record(OBJECTS[word], name or required_text(now, "id"), _time(meta), _id(meta, is_second=is_second))
    for field, value, old in _differences(now, before, is_second=is_second):
        if record.type == "deal" and field == "status" and isinstance(value, str) and value in _FATES:
            yield decided(record, _FATES[value])
        else:
            yield from changed(record, field, value, old)


def _id(meta: Body, *, is_second: bool) -> str | None:
    """Return the id of an event: in version 1 `id` is that of the object."""
    return text_of(meta, "id") if is_second and text_of(meta, "entity_id") else None


def _time(meta: Body) -> datetime:
    said = meta.get("timestamp")
    return iso(said) if isinstance(said, str) and not said.strip().isdigit() else epoch(said)


def _differences(now: Body, before: Body, *, is_second: bool) -> Iterator[tuple[str, Any, Any]]:
    """Yield each field that was changed, with its value and the one before; of an object that is new, each that is set.

    Version 2 tells only of these what they were, version 1 all of the object.
    """
    plain, were = _plain(now), _plain(before)
    for field in were if before and is_second else plain:
        value, old = plain.get(field), were.get(field)
        if field not in _OWN and value != old:
            yield field, value, old


def _plain(said: Body) -> Body:
    """Return the fields of an object, custom ones among them, those that name another object by its id."""
    custom = object_of(said, "custom_fields")
    fields = {name: value for name, value in said.items() if name != "custom_fields"} | custom
    return {read_name("field", name): _value(value) for name, value in fields.items()}


def _value(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        return next((value[key] for key in ("value", "id") if key in value), value)
    return value


SOURCE = JsonSource(knows, tell, noise=("meta.attempt", "retry", "meta.webhook_id"))
