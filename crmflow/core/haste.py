"""Clicks that no person makes: right after a mail was delivered, or on several of its links at once.

Gateways open the links of a mail before they hand it on, and pass for browsers. Only the moments of their clicks tell
them from people. What is known of a mail only grows, so a click may turn out to be hasty later, but never not to be.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from crmflow.core.model import Event

SOON = timedelta(seconds=10)
"""A click that comes sooner after its mail is hasty."""

AT_ONCE = timedelta(seconds=5)
SEVERAL = 3
"""Clicks on so many links of one mail within `AT_ONCE` are all hasty."""

Located = tuple[int, Event]
"""An event and the number of the record that it is about."""

Mail = tuple[str, int]
"""What a mail is called, and the number of the record that it went to."""


class Click(NamedTuple):
    """A click on a link of a mail; an empty `url` where it is not known."""

    at: datetime
    url: str


def hasty_moments(arrivals: Iterable[datetime], clicks: Iterable[Click]) -> set[datetime]:
    """Return when the hasty ones of the clicks on a mail happened that was sent or delivered at these moments."""
    clicks = sorted(clicks)
    arrivals = list(arrivals)
    soon = {each.at for each in clicks if any(at <= each.at < at + SOON for at in arrivals)}
    return soon.union(*(_at_once(clicks, first) for first in range(len(clicks) - SEVERAL + 1)))


def _at_once(clicks: Sequence[Click], first: int) -> set[datetime]:
    """Return the moments of the clicks from the `first` on that follow it at once, if they are on several links."""
    following = [each for each in clicks[first:] if each.at - clicks[first].at <= AT_ONCE]
    is_hasty = len({each.url for each in following if each.url}) >= SEVERAL
    return {each.at for each in following} if is_hasty else set()


def is_of_mail(event: Event) -> bool:
    """Tell whether an event is a click of which it is known which mail it was on."""
    return event.type == "link_clicked" and bool(event.message)


def with_suspects(events: Iterable[Located], moments: Mapping[Mail, Collection[datetime]]) -> list[Located]:
    """Return events, hasty clicks as suspect ones; `moments` are those of hasty clicks, by mail."""
    if not moments:
        return list(events)
    return [
        (record, msgspec.structs.replace(event, is_suspect=True))
        if _is_hasty(record, event, moments)
        else (record, event)
        for record, event in events
    ]


def _is_hasty(record: int, event: Event, moments: Mapping[Mail, Collection[datetime]]) -> bool:
    return is_of_mail(event) and event.at in moments.get((event.message or "", record), ())
