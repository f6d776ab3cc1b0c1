"""Stops a run that would end more enrollments than it may, before anything of it is kept.

With a limit in force everything that a run does is one transaction, however long its logs are: only at its end is known
how many enrollments it ends.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from crmflow.core.brake import Limit, parse_limit
from crmflow.core.errors import GuardError
from crmflow.core.model import UNSET
from crmflow.store import exits, workflows
from crmflow.store.connection import Store
from crmflow.store.exits import Ended

MOST_SHOWN = 10
"""How many lines of causes and of sources are shown: the most frequent ones."""


@contextmanager
def braked(store: Store, limit: Limit | None = None, *, is_approved: bool = False) -> Iterator[None]:
    """Keep what the block does to the store only if it ends no more enrollments than it may.

    `limit` is for all workflows together; each workflow may have one of its own. Where a run `is_approved` there is
    none. Raises `GuardError`, which tells the causes and the sources of the exits.
    """
    limits = {} if is_approved else _declared(store)
    if is_approved or (limit is None and not limits):
        yield
        return
    with store.whole():
        newest = exits.newest(store)
        yield
        ended = exits.ended_since(store, newest)
        before = Counter(exits.active(store))
        for each in ended:
            before[each.workflow] += each.number
        _require_within(ended, before, limit, limits)


def _declared(store: Store) -> dict[str, Limit]:
    return {
        name: parse_limit(str(each.workflow.max_exits_per_run))
        for name, each in workflows.in_force(store).items()
        if each.workflow.max_exits_per_run is not UNSET
    }


def _require_within(
    ended: list[Ended], before: Mapping[str, int], limit: Limit | None, limits: Mapping[str, Limit]
) -> None:
    total, active = sum(each.number for each in ended), sum(before.values())
    exceeded = [
        f"{_count(ended, name)} of {before[name]} enrollments would leave {name}, which may lose {its} in a run"
        for name, its in limits.items()
        if not its.allows(_count(ended, name), before.get(name, 0))
    ]
    if limit is not None and not limit.allows(total, active):
        exceeded.append(f"{total} of {active} enrollments would end, more than {limit}")
    if exceeded:
        raise GuardError(
            "; ".join(exceeded),
            hint="nothing was changed; look at it with --dry-run --approve, let it through with --approve",
            details=tuple(_told(ended)),
        )


def _count(ended: list[Ended], workflow: str) -> int:
    return sum(each.number for each in ended if each.workflow == workflow)


def _told(ended: list[Ended]) -> Iterator[str]:
    """Yield what the exits are by, and where most of them come from."""
    causes, sources = Counter[str](), Counter[str]()
    for each in ended:
        causes[f"{each.workflow}: by {each.by}"] += each.number
        if each.source is not None:
            sources[f"from {each.source}, {each.event_type}"] += each.number
    for counted in (causes, sources):
        yield from (f"{number:>9}  {what}" for what, number in counted.most_common(MOST_SHOWN))
