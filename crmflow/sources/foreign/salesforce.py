"""Salesforce: Change Data Capture, as CometD and its like deliver it, or as the payload alone.

One event may be about several records. A gap event tells that something changed and not what: it is refused, because
what it would have told is lost here.
https://developer.salesforce.com/docs/atlas.en-us.change_data_capture.meta/change_data_capture
"""

from collections.abc import Iterator

from crmflow.core.model import RecordType
from crmflow.sources.bodies import JsonSource, Told, unknown
from crmflow.sources.changes import Record, changed, decided, fate
from crmflow.sources.moments import epoch
from crmflow.sources.objects import Body, LineError, object_of, required_text, shortened, text_of, texts_of
from crmflow.sources.terms import Terms

OBJECTS: dict[str, RecordType] = {
    "Contact": "prospect",
    "Lead": "prospect",
    "Account": "organization",
    "Opportunity": "deal",
}
"""Their objects and our records."""

STAGES: dict[str, str] = {"Closed Won": "deal_won", "Closed Lost": "deal_lost"}
_HEADER = "ChangeEventHeader"
_CHANGES = frozenset({"CREATE", "UPDATE", "UNDELETE"})
_NO_CHANGES = frozenset({"DELETE", "SNAPSHOT"})
_OWN = frozenset({_HEADER, "LastModifiedDate", "LastModifiedById", "SystemModstamp"})


def knows(body: Body) -> bool:
    """Tell whether a body is a change event of Salesforce."""
    return _HEADER in _payload(body)


def tell(body: Body, terms: Terms) -> Iterator[Told]:
    """Yield what a change event tells of each of its records; raises `LineError` for one that lacks what changed."""
    payload = _payload(body)
    header = object_of(payload, _HEADER)
    word, change = required_text(header, "entityName"), required_text(header, "changeType")
    if word not in OBJECTS:
        yield unknown(word)
        return
    if change.startswith("GAP_"):
        raise LineError(f"a gap: {word} changed, but not told is what (export it, and import it with: record import)")
    if change in _NO_CHANGES:
        return
    if change not in _CHANGES:
        yield unknown(f"{word}.{change}")
        return
    values = _values(payload, header, is_update=change == "UPDATE")
    at, own = epoch(header.get("commitTimestamp")), _own_id(body, header)
    for each in texts_of(header, "recordIds"):
        if not each or "*" in each:
            raise LineError(f"no id of a record: {shortened(repr(each))}")
        record = Record(OBJECTS[word], each, at, own)
        for field, value in values.items():
            yield from changed(record, field, value)
        if record.type == "deal" and (decision := _decision(values, terms)):
            yield decided(record, decision)


def _payload(body: Body) -> Body:
    """Return what a change event holds, however deep it lies."""
    for path in ((), ("payload",), ("data", "payload")):
        found: object = body
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        if isinstance(found, dict) and isinstance(found.get(_HEADER), dict):
            return found
    return {}


def _values(payload: Body, header: Body, *, is_update: bool) -> Body:
    """Return the fields that were changed; null where it was taken away, not where it is only not told."""
    said = texts_of(header, "changedFields")
    if any(each.startswith("0x") for each in said):
        raise LineError("changedFields are bitmaps: have them decoded where the events are received")
    nulled = set(texts_of(header, "nulledFields"))
    fields = {name: _bare(value) for name, value in payload.items() if name not in _OWN}
    told = {name: value for name, value in fields.items() if value is not None or name in nulled}
    wanted = set(said) if is_update and said else told.keys()
    return {name: value for name, value in told.items() if name in wanted}


def _bare(value: object) -> object:
    """Return a value without the name of its type, with which Avro wraps one of several."""
    if isinstance(value, dict) and len(value) == 1:
        [(kind, inner)] = value.items()
        return inner if kind in {"string", "boolean", "int", "long", "double", "float"} else value
    return value


def _decision(values: Body, terms: Terms) -> str | None:
    """Return whether a deal was won or lost by this: what is said of it counts before the name of its stage."""
    if values.get("IsWon") is True:
        return "deal_won"
    if values.get("IsClosed") is True and values.get("IsWon") is False:
        return "deal_lost"
    return fate(values.get("StageName"), terms, STAGES)


def _own_id(body: Body, header: Body) -> str | None:
    key = text_of(header, "transactionKey")
    if key is not None:
        return f"{key}/{text_of(header, 'sequenceNumber') or ''}"
    for holder in (body, object_of(body, "data") if isinstance(body.get("data"), dict) else {}):
        if isinstance(holder.get("event"), dict) and (replay := text_of(holder["event"], "replayId")):
            return f"replay/{replay}"
    return None


SOURCE = JsonSource(knows, tell)
