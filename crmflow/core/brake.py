"""The brake: how many exits a run may bring before somebody has to approve it.

A rule that is wrong, or a scanner that clicks every link at night, ends very many enrollments at once. A limit is a
number, or a percentage of the enrollments that were active before.
"""

import re
from typing import NamedTuple

from crmflow.core.errors import CrmflowError

PERCENTAGE_PATTERN = r"^(100|[0-9]{1,2})%$"
LARGEST_LIMIT = 999_999_999
_LIMIT = re.compile(r"(?P<number>\d{1,9})|(?P<share>100|\d{1,2})%", re.ASCII)


class LimitError(CrmflowError):
    """A text that is no limit; `what` says why."""


class Limit(NamedTuple):
    """The most exits that need no approval: so many, or `is_share`, so many of a hundred active enrollments."""

    number: int
    is_share: bool

    def allows(self, exits: int, active: int) -> bool:
        """Tell whether so many exits are within the limit where so many enrollments were active."""
        return exits * 100 <= self.number * active if self.is_share else exits <= self.number

    def __str__(self) -> str:
        """Return the limit as it is written."""
        return f"{self.number}{'%' if self.is_share else ''}"


def parse_limit(text: str) -> Limit:
    """Return the limit that a text such as `500` or `10%` names; raises `LimitError`."""
    match = _LIMIT.fullmatch(text)
    if match is None:
        raise LimitError(f"not a limit: {text!r}", hint="write a number, or a percentage of the active ones: 500, 10%")
    return Limit(int(match["share"] or match["number"]), is_share=match["share"] is not None)
