"""Close: webhooks. They tell what was changed, from what, to what. Their times name no offset; they are UTC.

https://developer.close.com/resources/webhook-subscriptions/
"""

from collections.abc import Iterator
from datetime import UTC

from msgspec import UNSET

from crmflow.core.model import RecordType
from crmflow.sources.bodies import JsonSource, Told, unknown
from crmflow.sources.changes import Record, changed, decided
from crmflow.sources.moments import iso
from crmflow.sources.objects import Body, object_of, required_text, text_of, texts_of
from crmflow.sources.terms import Terms

OBJECTS: dict[str, RecordType] = {"contact": "prospect", "lead": "organization", "opportunity": "deal"}
"""Their objects and our records: a lead of theirs is a company."""

_FATES: dict[object, str] = {"won": "deal_won", "lost": "deal_lost"}
_CHANGES = frozenset({"updated", "created"})


def knows(body: Body) -> bool:
    """Tell whether a body is a webhook of Close's."""
    event = body.get("event")
    return isinstance(event, dict) and {"object_type", "action"} <= event.keys()


def tell(body: Body, terms: Terms) -> Iterator[Told]:
    """Yield what a webhook of Close's tells."""
    said = object_of(body, "event")
    word, action = required_text(said, "object_type"), required_text(said, "action")
    if word.startswith(("activity.", "task.", "custom_")) or action in {"deleted", "merged"}:
        return
    if word not in OBJECTS or action not in _CHANGES:
        yield unknown(f"{word}.{action}")
        return
    at = iso(said.get("date_created"), terms.zone or UTC)
    record = Record(OBJECTS[word], required_text(said, "object_id"), at, text_of(said, "id"))
    now, before = object_of(said, "data"), object_of(said, "previous_data")
    fields = texts_of(said, "changed_fields") if action == "updated" else [*now]
    for field in dict.fromkeys(fields):
        value = now.get(field)
        yield from changed(record, field, value, before.get(field, UNSET))
        if record.type == "deal" and field == "status_type" and isinstance(value, str) and value in _FATES:
            yield decided(record, _FATES[value])


SOURCE = JsonSource(knows, tell)
