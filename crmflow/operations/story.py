"""The story of a record in a workflow, as plain data: what `explain` shows, and its JSON.

Times are texts as they are shown: UTC, `Z`.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

What = Literal["enrolled", "step", "exit", "match"]
"""What stands in a timeline; a `match` is an event that a trigger takes and that does not count."""


@dataclass(frozen=True)
class RunRef:
    """A run: its number and command, and the number of the run that undid it."""

    run: int
    command: str
    undone_by: int | None


@dataclass(frozen=True)
class EventRef:
    """An event, what it says beyond its type, and where that stands; `line` is None where no log told it."""

    id: str | None
    type: str
    time: str
    says: str
    source: str | None
    line: int | None


@dataclass(frozen=True)
class TriggerRef:
    """A trigger as a file declared it: in one of these lines, where it is not known in which."""

    trigger: str
    path: str
    lines: tuple[int, ...]
    digest: str


@dataclass(frozen=True)
class Retracted:
    """That an event counts no more: since which run, and why."""

    run: RunRef
    because: str


@dataclass(frozen=True)
class Entry:
    """One thing that happened, or an event that does not count.

    `by` is the step that was completed, the exit's cause or trigger, or the trigger that takes the event. `run` wrote
    it or, of a match, read it first (None: no run read it). Of an exit it is told whether it `stands`, and which runs
    superseded and restored it; `why` says why a match does not count, or an exit
    not any more.
    """

    time: str
    what: What
    by: str | None = None
    event: EventRef | None = None
    trigger: TriggerRef | None = None
    run: RunRef | None = None
    note: str | None = None
    stands: bool | None = None
    superseded_by: RunRef | None = None
    restored_by: RunRef | None = None
    retracted: Retracted | None = None
    why: str | None = None


@dataclass(frozen=True)
class Near:
    """An event of a trigger's kind that it does not take: the `reason` in a word, and `why` in a sentence."""

    event: EventRef
    run: RunRef | None
    reason: str
    why: str


@dataclass(frozen=True)
class Waiting:
    """What a trigger in force waits for, and the events that came near, in the order of time."""

    trigger: TriggerRef
    waits_for: str
    near: tuple[Near, ...]


@dataclass(frozen=True)
class Stay:
    """One enrollment: how it stands, what happened in the order of time and, while it is active, what it waits for."""

    state: str
    enrolled_at: str
    step: str | None
    exited_at: str | None
    timeline: tuple[Entry, ...]
    waiting: tuple[Waiting, ...] | None


@dataclass(frozen=True)
class Withdrawal:
    """An enrollment that was taken back: the runs that made it and withdrew it."""

    enrolled_at: str
    run: RunRef
    withdrawn_by: RunRef


@dataclass(frozen=True)
class Story:
    """A record's way through one workflow: its enrollments, the oldest first; none where it never was in it."""

    workflow: str
    type: str
    record: str
    in_force: bool
    enrollments: tuple[Stay, ...]
    withdrawn: tuple[Withdrawal, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the story as plain values."""
        return asdict(self)
