"""The lines that were not understood: looking at them, trying them again, forgetting them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from crmflow.core.model import Event, Moment, Reject
from crmflow.operations.absorb import absorb
from crmflow.operations.reconsider import reconsider
from crmflow.operations.settling import rules_in_force
from crmflow.sources import formats
from crmflow.sources.batches import Outcome
from crmflow.sources.terms import unpack_terms
from crmflow.store import erasure, faults, logs, runs
from crmflow.store.connection import Store
from crmflow.store.enrollments import Origin
from crmflow.store.logs import KeptReject


class Retried(NamedTuple):
    """What trying again brought: how many lines are understood now, how many still are not, and who left by that."""

    run: int | None
    understood: int
    rejected: int
    exits: int
    moved: int


def listed(store: Store) -> list[dict[str, Any]]:
    """Return every reject with its source, line, byte offset, reason and text."""
    return [
        {
            "reject": each.id,
            "run": each.run,
            "source": each.source,
            "line": each.reject.line,
            "offset": each.reject.offset,
            "reason": each.reject.reason,
            "text": each.reject.text.decode("utf-8", "backslashreplace"),
        }
        for each in logs.rejects(store)
    ]


def retry(store: Store, moment: Moment) -> Retried:
    """Read every kept line again; those that are understood now have their effect and are no longer kept."""
    with store.change():
        kept = logs.rejects(store)
        tried = [(each, _read_again(each, moment)) for each in kept]
        understood = [(each, found) for each, found in tried if not any(isinstance(one, Reject) for one in found)]
        if not understood:
            return Retried(None, 0, len(kept), 0, 0)
        run = runs.begin(store, "rejects retry", moment)
        exits = moved = 0
        overtaken: set[int] = set()
        for source, events in _by_source(understood).items():
            reading = logs.add_reading(store, run, logs.Place(source))
            rules = rules_in_force(store)
            wanted = [event for event in events if rules.is_wanted(event)]
            absorbed = absorb(store, Origin(run, reading), rules, wanted)
            logs.extend_reading(store, reading, 0, len(events))
            exits += absorbed.exits
            moved += absorbed.moved
            overtaken |= absorbed.overtaken
        logs.drop_rejects(store, [each.id for each, _ in understood])
        if overtaken:
            reconsider(store, run, moment, overtaken)
        result = Retried(run, len(understood), len(kept) - len(understood), exits, moved)
        runs.note(store, run, result._asdict())
        return result._replace(run=store.shown(run))


def _read_again(kept: KeptReject, moment: Moment) -> Sequence[Outcome]:
    terms = faults.kept(unpack_terms, kept.terms)
    return formats.source(terms.format).decode_again(kept.reject, terms, moment.now)


def _by_source(understood: Sequence[tuple[KeptReject, Sequence[Outcome]]]) -> dict[str, list[Event]]:
    by_source: dict[str, list[Event]] = {}
    for kept, outcomes in understood:
        events = [each for each in outcomes if isinstance(each, Event)]
        if events:
            by_source.setdefault(kept.source, []).extend(events)
    return by_source


class Cleared(NamedTuple):
    """How many rejects were forgotten; `scrubbed` is False while another program's reading keeps their bytes."""

    run: int | None
    cleared: int
    scrubbed: bool


def clear(store: Store, moment: Moment) -> Cleared:
    """Forget every reject, bytes and all."""
    with store.change():
        kept = logs.rejects(store)
        if not kept:
            return Cleared(None, 0, scrubbed=True)
        run = runs.begin(store, "rejects clear", moment)
        logs.drop_rejects(store, [each.id for each in kept])
        runs.note(store, run, {"cleared": len(kept)})
    return Cleared(store.shown(run), len(kept), erasure.scrub(store))
