"""The one rule: among all exits that would end an enrollment, the earliest stands.

At the same moment an exit by hand comes first, then triggers in the order of the table, then completion; then the
smaller event id, an event without one last. Nothing here depends on the order in which events are seen, so neither does
any state that is settled by it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from crmflow.core.model import Completion, Enrollment, Exit, Step
from crmflow.core.triggers import EVENT_RECORD_TYPES, RANK

BY_HAND_RANK = 0
COMPLETION_RANK = len(RANK) + 1
_EVENT_TYPE_ORDER = {word: str(place).zfill(2) for place, word in enumerate(EVENT_RECORD_TYPES)}

Precedence = tuple[datetime, int, bool, str, str]


def rank(exit_: Exit) -> int:
    """Return the place of an exit's cause among exits of the same moment, from 0."""
    if exit_.cause == "manual":
        return BY_HAND_RANK
    return RANK[exit_.trigger] if exit_.trigger else COMPLETION_RANK


def precedence(exit_: Exit) -> Precedence:
    """Return what exits are compared by: the smaller one stands."""
    return (
        exit_.at,
        rank(exit_),
        exit_.event_id is None,
        exit_.event_id or "",
        _EVENT_TYPE_ORDER.get(exit_.event_type or "", ""),
    )


def settle(enrolled_at: datetime, exits: Iterable[Exit]) -> Exit | None:
    """Return the exit that stands, or None where none of them falls into the enrollment."""
    within = [each for each in exits if each.at >= enrolled_at]
    if len(within) == 1:
        return within[0]
    return min(within, key=precedence, default=None)


class Decision(NamedTuple):
    """How an enrollment stands: its exit (None: active), its last step, and the steps that are new and count."""

    exit: Exit | None
    last_step: Completion | None
    completed: list[Completion]


def decide(
    enrollment: Enrollment,
    steps: tuple[Step, ...],
    exits: Iterable[Exit],
    known: Sequence[Completion] = (),
    told: Sequence[Completion] = (),
) -> Decision:
    """Settle an enrollment anew with exits and completed steps that are newly told; `known` are the steps before them.

    The exit that stands so far stays the same object where none of the new ones comes before it. A step that is known
    already is not new, however often it is told.
    """
    if not told and not known:
        return Decision(settle(enrollment.enrolled_at, _with(enrollment.exit, exits)), None, [])
    within = [each for each in told if each.at >= enrollment.enrolled_at]
    by_completion = [exit_ for each in within if (exit_ := completion_exit(steps, each))]
    standing = settle(enrollment.enrolled_at, [*_with(enrollment.exit, exits), *by_completion])
    before = {_identity(each) for each in known}
    counting = [each for each in within if is_before(each, standing) and _identity(each) not in before]
    return Decision(standing, last_completion(steps, [*known, *counting], standing), counting)


def _with(so_far: Exit | None, exits: Iterable[Exit]) -> list[Exit]:
    return [*exits] if so_far is None else [so_far, *exits]


def _identity(completion: Completion) -> tuple[str, datetime, str | None]:
    """Return what makes two completions the same one; where in a log they are told does not."""
    return completion.step, completion.at, completion.event_id or None


def completion_exit(steps: tuple[Step, ...], completion: Completion) -> Exit | None:
    """Return the exit that completing a step brings: one for the last step, none for another."""
    if not steps or completion.step != steps[-1].name:
        return None
    return Exit(
        at=completion.at,
        cause="completed",
        event_id=completion.event_id,
        event_type="step_completed" if completion.line is not None else None,
        line=completion.line,
    )


def last_completion(
    steps: tuple[Step, ...], completions: Iterable[Completion], standing: Exit | None
) -> Completion | None:
    """Return the completion of the furthest step reached before the exit, at the earliest time that it is told for.

    A completion counts if it lies before the exit, or is the one that completed the enrollment.
    """
    counting = [each for each in completions if is_before(each, standing)]
    return min(
        counting,
        key=lambda each: (-place(steps, each), each.at, each.event_id is None, each.event_id or ""),
        default=None,
    )


def place(steps: tuple[Step, ...], completion: Completion) -> int:
    """Return which step of the definition in force was completed, from 0: the one of that name, else by position."""
    for number, step in enumerate(steps):
        if step.name == completion.step:
            return number
    return completion.position


def is_before(completion: Completion, standing: Exit | None) -> bool:
    """Tell whether a completed step counts: it lies before the exit, or belongs to the completion that is the exit."""
    if standing is None or completion.at < standing.at:
        return True
    return completion.at == standing.at and standing.cause == "completed"
