"""Settles enrollments from scratch, from all that still stands.

The logs are the truth and the store keeps only what was decided. So where a decision falls away - undone, retracted, no
longer supported by the rules - what counts is found again: exits by hand, completed steps, updates by hand, and the
events about these records in what standing runs have read of known logs. The rules in force now decide, and they
settle by the same rule as ever.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from crmflow.core.haste import is_of_mail
from crmflow.core.model import Enrollment, Exit, Moment
from crmflow.core.settlement import Decision, decide, place
from crmflow.core.times import FUTURE_TOLERANCE, shown
from crmflow.core.triggers import Rules
from crmflow.operations.absorb import keep_facts
from crmflow.operations.attribution import attributed
from crmflow.operations.grounds import Grounds, Offer, gather
from crmflow.operations.haste import judged
from crmflow.operations.recall import Recalled, recall
from crmflow.operations.settling import rules_in_force
from crmflow.store import enrollments, fields, logs, messages, records, retractions, runs, standing
from crmflow.store.connection import Store
from crmflow.store.enrollments import Origin, Outcome
from crmflow.store.fields import Field
from crmflow.store.standing import KeptExit


class Change(NamedTuple):
    """What became of an enrollment (`reopened`, `ended`, `moved`, or only its `step`), and how it stood before."""

    what: str
    before: Enrollment
    exit: Exit | None
    step: str | None


class LeftAlone(NamedTuple):
    """An enrollment that stays as it is, because something later builds on it."""

    enrollment: Enrollment
    reason: str


class Reconsidered(NamedTuple):
    """What came of it.

    `gone` names the logs that can't be read again, and why; `doubtful` are the enrollments that such a log might decide
    otherwise.
    """

    changes: list[Change]
    left_alone: list[LeftAlone]
    gone: dict[str, str]
    doubtful: list[Enrollment]


def reconsider(
    store: Store, run: int, moment: Moment, concerned: Collection[int], given: Sequence[str] = ()
) -> Reconsidered:
    """Settle these enrollments, by number, anew and write what changes as done by `run`; inside a change.

    The fields of their records must have been restored before. `given` are logs that may stand in for known ones that
    are gone.
    """
    rules = rules_in_force(store)
    known = enrollments.load(store, concerned)
    memory = recall(store, {each.record_id for each in known}, given=given, interest=rules)
    told = _attributed(store, _not_retracted(store, memory.events))
    gone = {each.path: each.why for each in memory.gone}
    grounds = gather(store, rules, known, told, gone)
    decided, left_alone = _decide(store, rules, known, grounds)
    changes = _write(store, Origin(run), moment, decided)
    doubtful = [
        each for each in known if any(each.enrolled_at <= log.read_at + FUTURE_TOLERANCE for log in memory.gone)
    ]
    return Reconsidered(changes, left_alone, gone, doubtful)


def restore_facts(
    store: Store, touched: Collection[int], given: Sequence[str] = (), forgotten: Iterable[Field] = ()
) -> None:
    """Give the fields of these records, by number, the values that stand, bounces likewise; inside a change.

    `forgotten` are fields of which changes were deleted.
    """
    fields.settle_again(store, touched, forgotten)
    told = _not_retracted(store, recall(store, touched, given=given, interest=rules_in_force(store)).events)
    by_origin: dict[Origin, list[Recalled]] = {}
    for each in told:
        by_origin.setdefault(Origin(each.run, each.reading), []).append(each)
    for origin, its in sorted(by_origin.items()):
        keep_facts(store, origin, [(each.record, each.event) for each in its])


def _not_retracted(store: Store, told: Sequence[Recalled]) -> list[Recalled]:
    retracted = retractions.among(store, [each.event for each in told])
    return [each for number, each in enumerate(told) if number not in retracted]


def _attributed(store: Store, told: Sequence[Recalled]) -> list[Recalled]:
    """Return events, hasty clicks as suspect ones, and those that only their mail attributes to a workflow as its own.

    Clicks that are wanted now and were not when they were read are kept.
    """
    for run, its in groupby(sorted(told, key=attrgetter("run")), key=attrgetter("run")):
        messages.save_clicks(store, run, [(each.record, each.event) for each in its if is_of_mail(each.event)])
    judged_events = judged(store, [(each.record, each.event) for each in told])
    found = attributed(store, [(number, event) for number, (_, event) in enumerate(judged_events)])
    return [told[number]._replace(event=event) for number, event in found]


class _Decided(NamedTuple):
    """An enrollment as it stood, how it is settled now, and what that rests on."""

    enrollment: Enrollment
    decision: Decision
    place: int | None
    offer: Offer | None
    kept: KeptExit | None
    grounds: Grounds


def _decide(
    store: Store, rules: Rules, known: Iterable[Enrollment], grounds: Mapping[int, Grounds]
) -> tuple[list[_Decided], list[LeftAlone]]:
    known = list(known)
    following = standing.next_enrollments(store, {each.record_id for each in known})
    log_of = logs.logs_of_readings(store)
    decided, left_alone = [], []
    for each in known:
        if each.workflow not in rules.workflows:
            left_alone.append(LeftAlone(each, f"workflow {each.workflow} is not in force"))
            continue
        found = _decide_one(rules, each, grounds[each.id], log_of)
        following_at, exit_ = following.get(each.id), found.decision.exit
        if following_at and (exit_ is None or exit_.at > following_at):
            left_alone.append(LeftAlone(each, f"it was enrolled anew at {shown(following_at)}"))
        else:
            decided.append(found)
    return decided, left_alone


def _decide_one(rules: Rules, enrollment: Enrollment, grounds: Grounds, log_of: Mapping[int, int | None]) -> _Decided:
    steps = rules.workflows[enrollment.workflow].steps
    bare = Enrollment(
        id=enrollment.id,
        record_id=enrollment.record_id,
        workflow=enrollment.workflow,
        enrolled_at=enrollment.enrolled_at,
    )
    decision = decide(
        bare,
        steps,
        [each.exit for each in grounds.offers],
        told=[each.completion for each in grounds.completions],
    )
    offer = next((each for each in grounds.offers if each.exit is decision.exit), None)
    last = decision.last_step
    return _Decided(
        enrollment=enrollment,
        decision=decision,
        place=None if last is None else place(steps, last),
        offer=offer,
        kept=_kept(offer, enrollment, grounds, log_of) if offer else None,
        grounds=grounds,
    )


def _kept(offer: Offer, enrollment: Enrollment, grounds: Grounds, log_of: Mapping[int, int | None]) -> KeptExit | None:
    """Return the exit that is kept and says the same as an offer; the one that stands now, if it is among them."""
    log = log_of.get(offer.reading) if offer.reading else None
    same = [
        each
        for each in grounds.kept
        if each is offer.kept or (each.exit == offer.exit and each.log == log and each.is_in_log == bool(offer.reading))
    ]
    return next((each for each in same if each.id == enrollment.exit_id), same[-1] if same else None)


def _write(store: Store, origin: Origin, moment: Moment, decided: Sequence[_Decided]) -> list[Change]:
    """Write what changes: completed steps as their readers', exits that are new, and those that stand again."""
    for each in decided:
        for told in each.grounds.completions:
            if told.run is not None and told.completion in each.decision.completed:
                enrollments.save_completions(
                    store, Origin(told.run, told.reading), [(each.enrollment.id, told.completion)]
                )
    new: dict[int | None, list[Outcome]] = {}
    put_back = []
    changes = []
    ended_at = runs.times(store, {each.enrollment.exit_run for each in decided if each.enrollment.exit_run})
    for each in decided:
        outcome = _outcome(each)
        change = _change(each, outcome)
        if change is None:
            continue
        changes.append(change)
        if each.kept is None and each.offer is not None:
            new.setdefault(each.offer.reading, []).append(outcome)
        else:
            put_back.append(outcome._replace(waiting_since=_waiting_since(each, outcome, moment, ended_at)))
    for reading, outcomes in new.items():
        enrollments.save_outcomes(store, Origin(origin.run, reading), outcomes)
    enrollments.put_back(store, origin.run, put_back)
    standing.note_reconsidered(store, origin.run, {each.before.id for each in changes})
    return changes


def _outcome(each: _Decided) -> Outcome:
    """Return what is to be written: an exit that stands already is the same object, one that is kept has its number."""
    exit_, kept_id = each.decision.exit, each.kept.id if each.kept else None
    if kept_id is not None and kept_id == each.enrollment.exit_id:
        exit_ = each.enrollment.exit
    return Outcome(each.enrollment, exit_, each.decision.last_step, each.place, kept_id)


def _change(each: _Decided, outcome: Outcome) -> Change | None:
    before, last = each.enrollment, outcome.completion
    step = last.step if last else None
    if outcome.exit is before.exit:
        is_same = (step, last.at if last else None) == (before.step, before.step_at)
        return None if is_same else Change("step", before, outcome.exit, step)
    what = "reopened" if outcome.exit is None else "ended" if before.exit is None else "moved"
    return Change(what, before, outcome.exit, step)


def _waiting_since(
    each: _Decided, outcome: Outcome, moment: Moment, ended_at: Mapping[int, datetime]
) -> datetime | None:
    """Return since when the next step's delay counts: what was left of it when the enrollment was ended is left now."""
    before, last = each.enrollment, outcome.completion
    if outcome.exit is not None or before.exit_run is None:
        return None
    is_same_step = last is not None and (last.step, last.at) == (before.step, before.step_at)
    since = before.waiting_since if is_same_step or (last is None and before.step is None) else None
    since = since or (last.at if last else before.enrolled_at)
    outside = moment.at - ended_at[before.exit_run]
    return since + max(outside, outside * 0)


def as_json(store: Store, found: Reconsidered) -> dict[str, Any]:
    """Return what came of it as plain values, the records by their keys."""
    every = [*(each.before for each in found.changes), *(each.enrollment for each in found.left_alone), *found.doubtful]
    keys = {number: record.key for number, record in records.load(store, {each.record_id for each in every}).items()}
    return {
        "changes": [
            {
                **_named(each.before, keys),
                "what": each.what,
                "before": _shown(each.before.exit, each.before.step),
                "after": _shown(each.exit, each.step),
            }
            for each in found.changes
        ],
        "left_alone": [{**_named(each.enrollment, keys), "reason": each.reason} for each in found.left_alone],
        "gone": [{"path": path, "why": why} for path, why in found.gone.items()],
        "doubtful": [_named(each, keys) for each in found.doubtful],
    }


def _named(each: Enrollment, keys: Mapping[int, str]) -> dict[str, Any]:
    return {
        "enrollment": each.id,
        "workflow": each.workflow,
        "record": keys.get(each.record_id),
        "enrolled_at": shown(each.enrolled_at),
    }


def _shown(exit_: Exit | None, step: str | None) -> dict[str, Any]:
    return {
        "exited_at": shown(exit_.at) if exit_ else None,
        "by": (exit_.trigger or exit_.cause) if exit_ else None,
        "event": exit_.event_id if exit_ else None,
        "step": step,
    }
