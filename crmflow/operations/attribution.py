"""Finds the workflow of events that name none: it is that of their mail, which another event may have named.

Which of the two is read first makes no difference: both are kept, and a part of a log settles all events about the
mails that it speaks of.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

from crmflow.core.haste import is_of_mail
from crmflow.core.model import Event
from crmflow.core.triggers import Rules, lacks_workflow, of_workflows, tells_workflow
from crmflow.operations.haste import judged
from crmflow.operations.settling import Settled, settle_events
from crmflow.store import messages
from crmflow.store.connection import Store
from crmflow.store.enrollments import Origin


def keep_mail(store: Store, origin: Origin, located: Sequence[tuple[int, Event]]) -> None:
    """Keep what events say of mails: their workflows, clicks, events without a workflow; given with record numbers."""
    of_mails = [each for each in located if each[1].message]
    messages.save_workflows(store, origin.run, [each for each in of_mails if tells_workflow(each[1])])
    messages.save_unattributed(store, origin, [each for each in of_mails if lacks_workflow(each[1])])
    messages.save_clicks(store, origin.run, [each for each in of_mails if is_of_mail(each[1])])


def settle_by_mail(store: Store, origin: Origin, rules: Rules, located: Sequence[tuple[int, Event]]) -> Settled:
    """Settle the enrollments that events concern through their mails, once what they say is kept; inside a change.

    Events that were read before, and whose workflow only these events tell, are settled as what they are: told by the
    reading that told them.
    """
    spoken_of = {
        event.message for _, event in located if event.message and (tells_workflow(event) or lacks_workflow(event))
    }
    if not spoken_of:
        return Settled()
    exits = moved = 0
    known = messages.unattributed(store, spoken_of)
    for reading, its_events in groupby(known, key=lambda each: each.reading):
        events = attributed(store, judged(store, [(each.record, each.event) for each in its_events]))
        settled = settle_events(store, Origin(origin.run, reading), rules, events)
        exits += settled.exits
        moved += settled.moved
    return Settled(exits, moved)


def attributed(store: Store, located: Iterable[tuple[int, Event]]) -> list[tuple[int, Event]]:
    """Return events, each that names no workflow as one of each that its mail is of; as it is where that is none."""
    located = list(located)
    workflows = messages.workflows(store, {event.message or "" for _, event in located if lacks_workflow(event)})
    found: list[tuple[int, Event]] = []
    for number, event in located:
        names = workflows.get(event.message or "", ())
        is_told = names and lacks_workflow(event)
        found += [(number, each) for each in (of_workflows(event, names) if is_told else [event])]
    return found
