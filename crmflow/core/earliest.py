"""Of all events that could end one enrollment by one trigger, only the earliest can matter.

So a log comes down to little, wherever and in whatever parts it is read: two such results are merged into one, and the
order in which that is done makes no difference.
"""

from collections.abc import Iterable

import msgspec

from crmflow.core.model import Event


class Candidate(msgspec.Struct, frozen=True):
    """An event that could end the enrollment of this number."""

    enrollment: int
    event: Event


Earliest = dict[tuple[int, str], Event]
"""The earliest candidate by enrollment and type of event."""


def offer(earliest: Earliest, candidates: Iterable[Candidate]) -> list[Event]:
    """Let candidates take the places of later ones; return the events that have no place by that."""
    without: list[Event] = []
    for each in candidates:
        key = each.enrollment, each.event.type
        held = earliest.get(key)
        if held is None:
            earliest[key] = each.event
        elif _order(each.event) < _order(held):
            earliest[key] = each.event
            without.append(held)
        else:
            without.append(each.event)
    return without


def listed(earliest: Earliest) -> list[Candidate]:
    """Return the candidates in the order of their enrollments."""
    return [
        Candidate(enrollment, event) for (enrollment, _), event in sorted(earliest.items(), key=lambda each: each[0])
    ]


def _order(event: Event) -> tuple[object, ...]:
    """Return what events of one type are compared by, as `settlement.precedence` compares their exits."""
    return event.at, event.id is None, event.id or "", event.line or 0
