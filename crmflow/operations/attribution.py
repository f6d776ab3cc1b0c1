"""Finds the workflow of events that name none: it is that of their mail, which another event may have named.

Which of the two is read first makes no difference: both are kept, and a part of a log settles all events about the
mails that it speaks of.
"""

from collections.abc import Sequence
from itertools import groupby

from crmflow.core.model import Event
from crmflow.core.triggers import Rules, lacks_workflow, tells_workflow
from crmflow.operations.settling import Settled, settle_events
from crmflow.store import messages
from crmflow.store.connection import Store
from crmflow.store.enrollments import Origin


def settle_by_mail(store: Store, origin: Origin, rules: Rules, located: Sequence[tuple[int, Event]]) -> Settled:
    """Settle the enrollments that these events concern through their mails, given with their records' numbers.

    Inside a change. Events that were read before, and whose workflow only these events tell, are settled as what they
    are: read by the run and from the source that read them.
    """
    telling = [each for each in located if tells_workflow(each[1])]
    lacking = [each for each in located if lacks_workflow(each[1])]
    if not telling and not lacking:
        return Settled()
    messages.save_workflows(store, origin.run, telling)
    messages.save_unattributed(store, origin, lacking)
    known = messages.attributed(store, {event.message or "" for _, event in (*telling, *lacking)})
    exits = moved = 0
    for reading, its_events in groupby(known, key=lambda each: each.reading):
        events = [(each.record, each.event) for each in its_events]
        settled = settle_events(store, Origin(origin.run, reading), rules, events)
        exits += settled.exits
        moved += settled.moved
    return Settled(exits, moved)
