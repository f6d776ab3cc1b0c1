"""Finds the clicks that no person makes, by all that the store knows of their mails."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from crmflow.core.haste import Click, Located, Mail, hasty_moments, is_of_mail, with_suspects
from crmflow.core.triggers import Rules, tells_workflow
from crmflow.store import messages
from crmflow.store.connection import Store

Moments = Mapping[Mail, set[datetime]]
"""When the hasty clicks on mails happened, by mail."""


def moments_of(store: Store, events: Sequence[Located], told: Iterable[Located] = ()) -> Moments:
    """Return when hasty clicks happened on the mails that these events are about.

    Clicks that are `told` besides those that are kept count as well.
    """
    mails = {
        (event.message, record)
        for record, event in events
        if event.message and (is_of_mail(event) or tells_workflow(event))
    }
    clicks = messages.clicks(store, mails) if mails else {}
    for record, event in told:
        if is_of_mail(event):
            clicks.setdefault((event.message or "", record), set()).add(Click(event.at, event.url or ""))
    arrivals = messages.arrivals(store, clicks) if clicks else {}
    return {mail: hasty_moments(arrivals.get(mail, ()), its) for mail, its in clicks.items()}


def judged(store: Store, events: Iterable[Located]) -> list[Located]:
    """Return events, hasty clicks as suspect ones; what they say of the arrival of mails must be kept already."""
    events = list(events)
    return with_suspects(events, moments_of(store, events, events))


def overtaken(store: Store, rules: Rules, before: Moments, after: Moments) -> set[int]:
    """Return the enrollments that a click ended of which more is known now than before: that it was hasty."""
    new = {(mail[1], at) for mail, its in after.items() for at in its - before.get(mail, set())}
    found = messages.ended_by_click(store, new) if new else []
    return {number for number, workflow in found if not rules.counts_suspects(workflow, "link_clicked")}
