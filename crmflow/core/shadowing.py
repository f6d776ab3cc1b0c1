"""Triggers that can never decide, because others of their workflow take every event that they take, and come first.

What is told is certain, and not everything that is true: where it is not plain that every event is taken, nothing is
said. The order is the settlement's: at the same moment the upper trigger of the table stands; of one word, it is the
trigger that was declared first.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from crmflow.core.addresses import compile_pattern, covers
from crmflow.core.model import STATUS_FIELD, Trigger, Workflow
from crmflow.core.triggers import RANK, STATUS_EVENTS, written


class Shadow(NamedTuple):
    """A trigger that never decides, and the triggers that between them take all its events and come before it."""

    trigger: Trigger
    by: tuple[Trigger, ...]


def shadows(workflow: Workflow) -> list[Shadow]:
    """Return the triggers of a workflow that certainly never decide an exit, in the order that decides ties."""
    ordered = sorted(workflow.disenrollment_triggers, key=lambda each: RANK[each.trigger])
    found = [Shadow(trigger, _shadowing(trigger, ordered[:place])) for place, trigger in enumerate(ordered)]
    return [each for each in found if each.by]


def _shadowing(trigger: Trigger, before: Sequence[Trigger]) -> tuple[Trigger, ...]:
    """Return triggers that take between them every event of a trigger; none where that is not certain."""
    takers = [_taker(part, before) for part in _parts(trigger)]
    certain = tuple(dict.fromkeys(each for each in takers if each))
    return certain if all(takers) else ()


def _parts(trigger: Trigger) -> list[Trigger]:
    """Return a trigger for each of the patterns or values of one: between them they take what it takes."""
    if trigger.url:
        return [msgspec.structs.replace(trigger, url=(pattern,)) for pattern in trigger.url]
    if trigger.to is not None:
        return [msgspec.structs.replace(trigger, to=(value,)) for value in trigger.to]
    return [trigger]


def _taker(part: Trigger, before: Sequence[Trigger]) -> Trigger | None:
    """Return the first of these triggers that takes every event that a part takes."""
    return next((each for each in before if _takes_all(each, part)), None)


def _takes_all(trigger: Trigger, part: Trigger) -> bool:
    if trigger.trigger in STATUS_EVENTS and part.trigger == "field_updated":
        wins = part.to is not None and {written(value) for value in part.to} == {STATUS_EVENTS[trigger.trigger]}
        return part.field == STATUS_FIELD and wins
    if trigger.trigger != part.trigger or (part.suspect and not trigger.suspect):
        return False
    if part.trigger == "page_visited":
        return any(covers(compile_pattern(one), compile_pattern(other)) for one in trigger.url for other in part.url)
    return trigger.field in {None, part.field} and _takes_values(trigger, part)


def _takes_values(trigger: Trigger, part: Trigger) -> bool:
    if trigger.to is None or part.to is None:
        return trigger.to is None
    return {written(value) for value in part.to} <= {written(value) for value in trigger.to}
