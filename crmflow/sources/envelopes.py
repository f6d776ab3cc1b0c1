"""What other programs wrap events in on their way: queues, buses and pages. All of it is taken off here.

An event that came through two pipes is the same event, so what the pipes added plays no part in it.
"""

from collections.abc import Iterator

from crmflow.sources.objects import Body, LineError, read_elements, read_utf8

DEEPEST_WRAPPING = 8

_PAGES: dict[str, frozenset[str]] = {
    "items": frozenset({"paging"}),  # Mailgun's Events API
    "batch": frozenset({"sentAt", "writeKey", "context", "integrations", "messageId"}),  # Segment, RudderStack
    "Bounces": frozenset({"TotalCount"}),  # Postmark's Bounces API
    "events": frozenset({"paging", "total", "count"}),
    "Records": frozenset(),  # what AWS Lambda is called with
    "Messages": frozenset({"ResponseMetadata"}),  # SQS, as the AWS command line prints it
}
"""The key of the list that an object is a page of, and the keys that may stand beside it."""

_WRAPPING = frozenset({"TopicArn", "Sns", "body", "Body", "detail-type", *_PAGES})
"""Keys one of which every envelope has."""

_NOTICES = frozenset({"SubscriptionConfirmation", "UnsubscribeConfirmation"})


def is_sns(value: object) -> bool:
    """Tell whether a JSON value is an envelope of Amazon SNS."""
    return isinstance(value, dict) and "TopicArn" in value and isinstance(value.get("Type"), str)


def unwrap(value: object, depth: int = 0) -> Iterator[Body]:
    """Yield the objects in a JSON value that are no envelopes; none where it only says that something is set up.

    Raises `LineError` for what is no object, and for envelopes in envelopes without end.
    """
    if depth > DEEPEST_WRAPPING:
        raise LineError(f"wrapped more than {DEEPEST_WRAPPING} times")
    if isinstance(value, list):
        for each in value:
            yield from unwrap(each, depth + 1)
        return
    if not isinstance(value, dict):
        raise LineError("expected a JSON object")
    if _WRAPPING.isdisjoint(value):
        yield value
        return
    wrapped = _wrapped(value)
    if wrapped is None:
        yield value
    else:
        yield from unwrap(wrapped, depth + 1)


def _wrapped(value: Body) -> list[object] | None:
    """Return what an envelope holds, nothing where that is no event; None for what is no envelope."""
    if is_sns(value):
        return [] if value["Type"] in _NOTICES else _parsed(value.get("Message"))
    if isinstance(value.get("Sns"), dict):  # one of Lambda's records
        return [value["Sns"]] if is_sns(value["Sns"]) else _parsed(value["Sns"].get("Message"))
    for body, id_ in (("body", "messageId"), ("Body", "MessageId")):  # an SQS message, to Lambda and from its API
        if isinstance(value.get(body), str) and id_ in value:
            return _parsed(value[body])
    if "detail-type" in value and isinstance(value.get("detail"), dict):  # EventBridge
        return [value["detail"]]
    for key, beside in _PAGES.items():
        page = value.get(key)
        if isinstance(page, list) and value.keys() - {key} <= beside:
            return page
    return None


def _parsed(text: object) -> list[object]:
    """Return the JSON that is a text; nothing where the text is meant for people."""
    if not isinstance(text, str) or not text.lstrip().startswith(("{", "[")):
        return []
    return [element.value for element in read_elements(read_utf8(text.encode("utf-8", "surrogatepass")))]
