"""How all of a world stands in a store: what laws compare."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec

from crmflow.core.model import EMAIL_FIELD, Enrollment, Exit, Scalar
from crmflow.core.replay import replay
from crmflow.core.triggers import Rules
from crmflow.store import enrollments, records
from crmflow.store.connection import Store
from tests.operations.worlds import CAST, World

EVERYBODY = range(1, len(CAST) + 1)


class Standing(NamedTuple):
    """How an enrollment stands: what the law speaks of. An exit's line is left out: a repeated event has several."""

    record: int
    workflow: str
    enrolled_at: datetime
    exit: Exit | None
    step: str | None
    step_at: datetime | None


class Outcome(NamedTuple):
    """Where all enrollments and fields stand, and which prospects can't be reached."""

    standings: list[Standing]
    fields: dict[tuple[int, str], str]
    bounced: set[int]


def every_enrollment(store: Store) -> list[Enrollment]:
    """Return all enrollments of the cast, the oldest first."""
    return enrollments.of_records(store, EVERYBODY)


def outcome(store: Store) -> Outcome:
    """Return how all of it stands."""
    fields: dict[tuple[int, str], Scalar] = {}
    for number, record in records.load(store, EVERYBODY).items():
        fields |= {(number, field): value for field, value in record.fields.items()}
        if record.type == "prospect":
            fields[number, EMAIL_FIELD] = record.email
    standings = [standing(each, each.exit, each.step, each.step_at) for each in every_enrollment(store)]
    return Outcome(standings, fields_as_json(fields), records.bounced(store, EVERYBODY))


def standing(enrollment: Enrollment, exit_: Exit | None, step: str | None, step_at: datetime | None) -> Standing:
    """Return how an enrollment stands with this exit and last step."""
    seen = None if exit_ is None else msgspec.structs.replace(exit_, line=None)
    return Standing(enrollment.record_id, enrollment.workflow, enrollment.enrolled_at, seen, step, step_at)


def fields_as_json(fields: Mapping[tuple[int, str], Scalar]) -> dict[tuple[int, str], str]:
    """Return fields so that 5, 5.0 and true, which Python takes for equal or nearly so, stay apart."""
    return {name: json.dumps(value) for name, value in fields.items()}


def replayed(world: World) -> list[Standing]:
    """Return how the enrollments of a world stand by the plain replay."""
    enrolled = world.enrolled
    decisions = replay(Rules(world.workflows), enrolled, world.located)
    return [
        standing(each, exit_, last.step if last else None, last.at if last else None)
        for each, (exit_, last, _) in zip(enrolled, decisions, strict=True)
    ]
