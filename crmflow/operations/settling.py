"""Settles the enrollments that events concern: looked up by set, decided by the core, written by set."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from crmflow.core.model import Completion, Enrollment, Event, Exit
from crmflow.core.settlement import decide, place
from crmflow.core.triggers import Rules
from crmflow.store import enrollments, workflows
from crmflow.store.connection import Store
from crmflow.store.enrollments import Origin, Outcome


class Settled(NamedTuple):
    """How many enrollments were ended, and how many had their exit moved."""

    exits: int = 0
    moved: int = 0


@dataclass
class Claim:
    """What is newly told about one record in one workflow: exits that it would bring, steps that were completed."""

    exits: list[Exit] = field(default_factory=list)
    completed: list[Completion] = field(default_factory=list)


Claims = dict[tuple[int, str], Claim]
"""What is newly told, by record number and workflow."""


def rules_in_force(store: Store) -> Rules:
    """Return the triggers of all workflows in force."""
    return Rules(each.workflow for each in workflows.in_force(store).values())


def settle_events(store: Store, origin: Origin, rules: Rules, events: Sequence[tuple[int, Event]]) -> Settled:
    """Settle the enrollments of records by events about them, given with the record's number; inside a change.

    Only those are looked at that the events can concern: enrolled before the last of them, not ended before the first.
    """
    about: dict[int, list[tuple[Event, Collection[str]]]] = {}
    for record, event in events:
        told = rules.completion(event) if event.type == "step_completed" else None
        if names := (told[0],) if told else rules.wanting(event):
            about.setdefault(record, []).append((event, names))
    if not about:
        return Settled()
    times = [event.at for its_events in about.values() for event, _ in its_events]
    claims: dict[int, Claim] = {}
    for number, record, workflow in enrollments.open_within(store, about, min(times), max(times)):
        if claim := _claim(rules, workflow, about[record]):
            claims[number] = claim
    return settle_enrollments(store, origin, rules, enrollments.load(store, claims), claims)


def _claim(rules: Rules, workflow: str, events: Iterable[tuple[Event, Collection[str]]]) -> Claim | None:
    """Return what events tell about a record in a workflow, each given with the workflows that it concerns."""
    its_events = [event for event, names in events if workflow in names]
    if not its_events:
        return None
    claim = Claim()
    for event in its_events:
        if event.type == "step_completed":
            if told := rules.completion(event):
                claim.completed.append(told[1])
        else:
            claim.exits.append(rules.exit_by(workflow, event))
    return claim


def settle_claims(store: Store, origin: Origin, rules: Rules, claims: Claims) -> Settled:
    """Settle the enrollments that claims concern and write what changes; inside a change."""
    concerned = [
        each
        for each in enrollments.of_records(store, {record for record, _ in claims})
        if (each.record_id, each.workflow) in claims
    ]
    return settle_enrollments(
        store, origin, rules, concerned, {each.id: claims[each.record_id, each.workflow] for each in concerned}
    )


def settle_enrollments(
    store: Store, origin: Origin, rules: Rules, concerned: Sequence[Enrollment], claims: Mapping[int, Claim]
) -> Settled:
    """Settle enrollments by what is newly told about each, by its number, and write what changes; inside a change.

    One that nothing new is told about stays as it is, also where a definition in force since would see its steps in
    another order: how events are split over runs must make no difference.
    """
    if not concerned:
        return Settled()
    known = enrollments.completions(store, claims)
    decided = []
    for each in concerned:
        workflow, claim = rules.workflows.get(each.workflow), claims[each.id]
        steps = workflow.steps if workflow else ()
        decision = decide(each, steps, claim.exits, known.get(each.id, ()), claim.completed)
        if decision.exit is each.exit and not decision.completed:
            continue
        last = decision.last_step
        outcome = Outcome(each, decision.exit, last, None if last is None else place(steps, last))
        decided.append((outcome, decision.completed))
    return _write(store, origin, decided)


def _write(store: Store, origin: Origin, decided: list[tuple[Outcome, list[Completion]]]) -> Settled:
    completed = [(outcome.enrollment.id, each) for outcome, told in decided for each in told]
    enrollments.save_completions(store, origin, completed)
    enrollments.save_outcomes(store, origin, [outcome for outcome, _ in decided])
    changed = [outcome.enrollment for outcome, _ in decided if outcome.exit is not outcome.enrollment.exit]
    ended = sum(each.exit is None for each in changed)
    moved = sum(each.exit is not None and each.exit_run != origin.run for each in changed)
    return Settled(ended, moved)
