"""CloudEvents, in their JSON format: one, a batch, or one to a line.

What they carry as `data` are our own events: the last part of `type` is the word, `time` and `id` are those of the
CloudEvent, and `subject` names the record (`prospect:ana@acme.example`) where the data do not.
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from collections.abc import Iterator

from crmflow.core.model import RECORD_TYPES
from crmflow.core.triggers import EVENT_RECORD_TYPES
from crmflow.sources.bodies import JsonSource, Told, unknown
from crmflow.sources.jsonl import understand_object
from crmflow.sources.objects import Body, object_of, required_text, text_of
from crmflow.sources.terms import Terms


def knows(body: Body) -> bool:
    """Tell whether a body is a CloudEvent."""
    return {"specversion", "type", "source"} <= body.keys()


def tell(body: Body, _terms: Terms) -> Iterator[Told]:
    """Yield the event of ours that a CloudEvent carries; raises `LineError`."""
    said = required_text(body, "type")
    word = said.rpartition(".")[2]
    if word not in EVENT_RECORD_TYPES:
        yield unknown(said)
        return
    data = object_of(body, "data")
    time = text_of(body, "time") or data.get("time")
    own = text_of(body, "id")
    told = {"type": word, "time": time, "id": f"{required_text(body, 'source')}/{own}" if own else None}
    yield understand_object({**_of_subject(body, data), **data, **told})


def _of_subject(body: Body, data: Body) -> Body:
    """Return the record that the subject names, where the data name none."""
    subject = text_of(body, "subject")
    if subject is None or any(kind in data for kind in RECORD_TYPES):
        return {}
    kind, _, name = subject.partition(":")
    return {kind: name} if kind in RECORD_TYPES else {"prospect": subject}


SOURCE = JsonSource(knows, tell)
