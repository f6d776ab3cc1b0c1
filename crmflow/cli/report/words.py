"""How the numbers of a report are said, the same in the terminal and on the page."""

from math import ceil

HOURS_A_DAY = 24
_HOURS_SHOWN = 48
_WHOLE = 100


def number(count: int) -> str:
    """Return a count with its thousands apart: 12,345."""
    return f"{count:,}"


def share(part: int, whole: int) -> str:
    """Return a part in percent; one that is neither nothing nor all is never shown as such."""
    if not whole:
        return ""
    percent = round(_WHOLE * part / whole)
    if part and not percent:
        return "<1%"
    return ">99%" if part != whole and percent == _WHOLE else f"{percent}%"


def length(hours: int) -> str:
    """Return a length in hours, or from two days on in days, rounded up to a tenth."""
    if hours < _HOURS_SHOWN:
        return f"{hours} h"
    return f"{ceil(10 * hours / HOURS_A_DAY) / 10:g} d"


def lengths(from_hours: int, to_hours: int) -> str:
    """Return a class of lengths: its lower bound is in it, its upper one is not."""
    if (to_hours - from_hours) % HOURS_A_DAY:
        return f"{from_hours}\N{EN DASH}{to_hours} h"
    return f"{from_hours // HOURS_A_DAY}\N{EN DASH}{to_hours // HOURS_A_DAY} d"


def days(first_day: str, last_day: str) -> str:
    """Return a period: its day, or its first and last one."""
    return first_day if first_day == last_day else f"{first_day} to {last_day}"


def step(name: str | None) -> str:
    """Return what a stage of a workflow is called."""
    return "enrolled" if name is None else name


def span(since: str | None, until: str | None) -> str:
    """Return the time that a report is about."""
    if since is None and until is None:
        return "all time"
    return ", ".join(words for words in (since and f"from {since}", until and f"before {until}") if words)
