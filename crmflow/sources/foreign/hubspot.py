"""HubSpot: webhooks, arrays of changes of one property each. Values are texts, and what was before is not told.

A deal is won in the stage `closedwon` and lost in `closedlost`, in the default pipeline; stages of other pipelines are
numbers, of which the user says what they mean.
https://developers.hubspot.com/docs/api-reference/webhooks-webhooks-v3/guide
"""

from collections.abc import Iterator

from crmflow.core.model import RecordType
from crmflow.sources.bodies import JsonSource, Told, unknown
from crmflow.sources.changes import Record, changed, decided, fate
from crmflow.sources.moments import epoch
from crmflow.sources.objects import Body, required_text, text_of
from crmflow.sources.terms import Terms

OBJECTS: dict[str, RecordType] = {
    "contact": "prospect",
    "company": "organization",
    "deal": "deal",
    "0-1": "prospect",
    "0-2": "organization",
    "0-3": "deal",
}
"""Their objects, by name or `objectTypeId`, and our records."""

STAGES: dict[str, str] = {"closedwon": "deal_won", "closedlost": "deal_lost"}
_STAGE = "dealstage"
_CHANGE = "propertyChange"
_OTHER_CHANGES = frozenset({"creation", "deletion", "privacyDeletion", "merge", "restore", "associationChange"})
_WHAT_MAKES_IT_ONE = ("portalId", "subscriptionId", "eventId", "objectId", "occurredAt", "propertyName")


def knows(body: Body) -> bool:
    """Tell whether a body is a change of HubSpot's."""
    return {"subscriptionType", "portalId"} <= body.keys()


def tell(body: Body, terms: Terms) -> Iterator[Told]:
    """Yield what a change of HubSpot's tells."""
    word = required_text(body, "subscriptionType")
    named, _, change = word.partition(".")
    kind = OBJECTS.get(text_of(body, "objectTypeId") or "" if named == "object" else named)
    if change in _OTHER_CHANGES:
        return
    if kind is None or change != _CHANGE:
        yield unknown(word)
        return
    own = "/".join(text_of(body, key) or "" for key in _WHAT_MAKES_IT_ONE)
    record = Record(kind, required_text(body, "objectId"), epoch(body.get("occurredAt")), own)
    field, value = required_text(body, "propertyName"), body.get("propertyValue")
    yield from changed(record, field, value)
    if kind == "deal" and field == _STAGE and (decision := fate(value, terms, STAGES)):
        yield decided(record, decision)


SOURCE = JsonSource(knows, tell, noise=("attemptNumber",))
