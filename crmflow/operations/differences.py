"""Compares two sets of outcomes: how the same enrollments stand by one set of rules and by another."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal, NamedTuple

from crmflow.core.model import Enrollment, Exit

What = Literal["stays", "leaves", "earlier", "later", "otherwise"]
"""How an enrollment comes out by the second set: it stays where it left, leaves where it stayed, leaves earlier or
later, or leaves at the same time by something else."""


class Changed(NamedTuple):
    """An enrollment that comes out differently: as it stands by the first set, and by the second."""

    before: Enrollment
    after: Enrollment

    @property
    def what(self) -> What:
        """Return in which way it differs."""
        before, after = self.before.exit, self.after.exit
        if before is None or after is None:
            return "leaves" if before is None else "stays"
        if before.at == after.at:
            return "otherwise"
        return "earlier" if after.at < before.at else "later"


class Tally(NamedTuple):
    """How many enrollments of a workflow there are by what ended them (None: nothing), by each of the two sets."""

    before: Counter[str | None]
    after: Counter[str | None]


class Differences(NamedTuple):
    """All enrollments counted, by workflow, and those that come out differently, in the order of their numbers."""

    tallies: dict[str, Tally]
    changed: list[Changed]


def compare(before: Iterable[Enrollment], after: Iterable[Enrollment]) -> Differences:
    """Compare how enrollments stand; both come in the order of their numbers, and those in one only are passed over.

    An exit is the same if time and cause are: through which of several events it came makes no difference.
    """
    found = Differences({}, [])
    others = iter(after)
    other = next(others, None)
    for one in before:
        while other is not None and other.id < one.id:
            other = next(others, None)
        if other is None:
            break
        if other.id == one.id:
            _count(found, one, other)
    return found


def _count(found: Differences, before: Enrollment, after: Enrollment) -> None:
    tally = found.tallies.setdefault(before.workflow, Tally(Counter(), Counter()))
    tally.before[by(before.exit)] += 1
    tally.after[by(after.exit)] += 1
    if _meaning(before.exit) != _meaning(after.exit):
        found.changed.append(Changed(before, after))


def by(exit_: Exit | None) -> str | None:
    """Return by what an enrollment ended: a trigger's word, `manual` or `completed`; None while it is active."""
    return None if exit_ is None else exit_.trigger or exit_.cause


def _meaning(exit_: Exit | None) -> object:
    return exit_ and (exit_.at, by(exit_))
