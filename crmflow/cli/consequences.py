"""What becomes of enrollments that are reconsidered, for people: a row for each, and the counts."""

from collections.abc import Iterable
from typing import Any

from crmflow.cli.render import Table

_WORDS = {"reopened": "reopened", "ended": "ended", "moved": "with another exit", "step": "with another last step"}


def table(changes: Iterable[dict[str, Any]]) -> Table:
    """Return changes, as `operations.reconsider` gives them, as rows: how each enrollment stands before and after."""
    return Table(
        ["what", "workflow", "record", "before", "after"],
        [
            [each["what"], each["workflow"], each["record"], _state(each["before"]), _state(each["after"])]
            for each in changes
        ],
    )


def counts(changes: Iterable[dict[str, Any]]) -> str:
    """Return how many changes of each kind there are, in words."""
    kinds = [each["what"] for each in changes]
    told = [f"{kinds.count(what)} {words}" for what, words in _WORDS.items() if what in kinds]
    return f"enrollments: {', '.join(told)}" if told else "no enrollment changed"


def _state(shown: dict[str, Any]) -> str:
    step = f", step {shown['step']}" if shown["step"] else ""
    if shown["exited_at"] is None:
        return f"active{step}"
    event = f" ({shown['event']})" if shown["event"] else ""
    return f"{shown['exited_at']} by {shown['by']}{event}{step}"
