"""Settles the enrollments that events concern: looked up by set, decided by the core, written by set."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from crmflow.core.model import Completion, Enrollment, Event, Exit, Step
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


def settle_events(store: Store, origin: Origin, rules: Rules, events: Iterable[tuple[int, Event]]) -> Settled:
    """Settle the enrollments of records by events about them, given with the record's number; inside a change."""
    claims: Claims = {}
    for record, event in events:
        for match in rules.matches(event):
            claims.setdefault((record, match.workflow), Claim()).exits.append(match.exit)
        if told := rules.completion(event):
            claims.setdefault((record, told[0]), Claim()).completed.append(told[1])
    return settle_claims(store, origin, rules, claims)


def settle_claims(store: Store, origin: Origin, rules: Rules, claims: Claims) -> Settled:
    """Settle the enrollments that claims concern and write what changes; inside a change."""
    if not claims:
        return Settled()
    concerned = [
        each
        for each in enrollments.of_records(store, {record for record, _ in claims})
        if (each.record_id, each.workflow) in claims
    ]
    known = enrollments.completions(store, (each.id for each in concerned))
    steps = {name: workflow.steps for name, workflow in rules.workflows.items()}
    return _write(store, origin, _decisions(concerned, claims, known, steps))


def _decisions(
    concerned: Iterable[Enrollment],
    claims: Claims,
    known: Mapping[int, Sequence[Completion]],
    steps: Mapping[str, tuple[Step, ...]],
) -> list[tuple[Outcome, list[Completion]]]:
    decided = []
    for each in concerned:
        claim, its_steps = claims[each.record_id, each.workflow], steps.get(each.workflow, ())
        decision = decide(each, its_steps, claim.exits, known.get(each.id, ()), claim.completed)
        last = decision.last_step
        outcome = Outcome(each, decision.exit, last, None if last is None else place(its_steps, last))
        decided.append((outcome, decision.completed))
    return decided


def _write(store: Store, origin: Origin, decided: list[tuple[Outcome, list[Completion]]]) -> Settled:
    completed = [(outcome.enrollment.id, each) for outcome, told in decided for each in told]
    enrollments.save_completions(store, origin, completed)
    enrollments.save_outcomes(store, origin, [outcome for outcome, _ in decided])
    changed = [outcome.enrollment for outcome, _ in decided if outcome.exit is not outcome.enrollment.exit]
    ended = sum(each.exit is None for each in changed)
    moved = sum(each.exit is not None and each.exit_run != origin.run for each in changed)
    return Settled(ended, moved)
