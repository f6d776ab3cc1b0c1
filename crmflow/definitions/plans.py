"""Plans: what a changed definition would make of the workflows and, with logs, of the past, written down to be applied.

A plan is a JSON file that holds the definitions themselves and, for every enrollment that changes, how it stands and
how it will stand. Applying it does exactly that, or nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from crmflow.core.errors import CrmflowError
from crmflow.core.model import Definition

VERSION = 1
_LARGEST = 1 << 30


class Standing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an enrollment stands: when it was left and by what, through which event, and the last completed step."""

    exited_at: str | None
    by: str | None
    event: str | None
    step: str | None


class PlannedChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of an enrollment, by its number in the store."""

    enrollment: int
    workflow: str
    record: str | None
    enrolled_at: str
    what: Literal["ended", "moved", "reopened", "step"]
    before: Standing
    after: Standing

    def as_plain(self) -> dict[str, Any]:
        """Return the change as plain values."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


class PlannedDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A definition to be put in force, and the digest of the one that it replaces (None: there is none)."""

    definition: Definition
    replaces: str | None


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A plan. Without `past` the definitions act on what is read from then on, and there are no `changes`.

    `gone` are the logs that could not be read again, `doubtful` counts the enrollments that they leave in doubt.
    """

    crmflow_plan: int
    made_at: datetime
    past: bool
    definitions: tuple[PlannedDefinition, ...]
    changes: tuple[PlannedChange, ...] = ()
    gone: tuple[str, ...] = ()
    doubtful: int = 0

    def with_past(self, changes: Sequence[Mapping[str, Any]], gone: Iterable[str], doubtful: int) -> "Plan":
        """Return the plan with what becomes of the past, its changes as plain values."""
        typed = planned_changes(changes)
        return msgspec.structs.replace(self, changes=typed, gone=tuple(sorted(gone)), doubtful=doubtful)

    def as_plain(self) -> dict[str, Any]:
        """Return the plan as plain values."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    def as_text(self) -> str:
        """Return the plan as the file that `read_plan` reads."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1).decode() + "\n"


def planned_changes(changes: Sequence[Mapping[str, Any]]) -> tuple[PlannedChange, ...]:
    """Return changes that are given as plain values, by workflow, record and time of enrollment."""
    typed = msgspec.convert(list(changes), tuple[PlannedChange, ...])
    return tuple(sorted(typed, key=lambda each: (each.workflow, each.record or "", each.enrolled_at)))


def read_plan(path: str) -> Plan:
    """Return the plan that a file holds; raises `CrmflowError` for what is none, or of another version."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise CrmflowError(f"cannot read {path}: {error.strerror or error}") from error
    hint = "make one with: crmflow workflow plan FILE... --out plan.json"
    if len(data) > _LARGEST:
        raise CrmflowError(f"{path} is no plan: it is larger than 1 GiB", hint=hint)
    try:
        plan = msgspec.json.decode(data, type=Plan)
    except (msgspec.DecodeError, RecursionError) as error:
        raise CrmflowError(f"{path} is no plan: {error}", hint=hint) from error
    if plan.crmflow_plan != VERSION:
        raise CrmflowError(f"{path} is a plan of version {plan.crmflow_plan}, not {VERSION}", hint=hint)
    return plan
