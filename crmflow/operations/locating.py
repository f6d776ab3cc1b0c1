"""Finds the records that events are about: by name, and where nobody is called so by the mail that a reply answers.

A prospect may answer from another address, or a colleague for them: the reply is theirs to whom that mail went.
"""

from collections.abc import Iterable, Sequence

from crmflow.core.haste import Located
from crmflow.core.model import Event, RecordType
from crmflow.core.triggers import answered
from crmflow.store import messages, records
from crmflow.store.connection import Store


def located(store: Store, events: Sequence[Event]) -> list[Located]:
    """Return the events about records that there are, each with the record's number."""
    named, strangers = by_name(store, events)
    return named + by_mail(store, strangers)


def by_name(store: Store, events: Sequence[Event]) -> tuple[list[Located], list[Event]]:
    """Return the events whose records go by the names that they say, with the records' numbers, and the others."""
    names: dict[RecordType, set[str]] = {}
    for event in events:
        names.setdefault(event.record_type, set()).add(event.name)
    numbers = {kind: records.find(store, kind, its) for kind, its in names.items()}
    named: list[Located] = []
    others: list[Event] = []
    for event in events:
        number = numbers[event.record_type].get(event.name)
        if number is None:
            others.append(event)
        else:
            named.append((number, event))
    return named, others


def by_mail(store: Store, strangers: Iterable[Event]) -> list[Located]:
    """Return the replies to mails of which it is known to which one record they went, with that record's number."""
    replies = [(event, ids) for event in strangers if (ids := answered(event))]
    if not replies:
        return []
    recipients = messages.recipients(store, {each for _, ids in replies for each in ids})
    found: list[Located] = []
    for event, ids in replies:
        nearest = next((recipients[each] for each in ids if each in recipients), set[int]())
        if len(nearest) == 1:
            found += [(record, event) for record in nearest]
    return found
