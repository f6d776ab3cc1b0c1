"""What the sources of mail providers share: whom a mail went to, which mail it is, and of which workflow."""

import re

from crmflow.sources.objects import LineError, read_name, shortened
from crmflow.sources.terms import Terms

_BARE = re.compile(r"[^\s<>@]+@[^\s<>@]+")
_BRACKETED = re.compile(r"<([^<>]*)>\s*$")
_TEMPORARY = re.compile(r"(?<![\d.])4\.[0-7]\.\d{1,3}(?!\.?\d)|(?:^|smtp;)\s*4[0-5]\d(?!\d)", re.ASCII | re.IGNORECASE)
"""An enhanced status code of class 4 anywhere (RFC 3463), or a reply of that class (RFC 5321) to begin with."""

_NAMED = re.compile(r"\s*([^:=]+?)\s*[:=]\s*(.+?)\s*", re.DOTALL)


def address(text: str) -> str:
    """Return the address of a recipient, who may be written with a name: `Ana <ana@acme.example>`.

    Raises `LineError` for what is none.
    """
    if _BARE.fullmatch(text):
        return text
    found = _BRACKETED.search(text)
    bare = (found[1] if found else text).strip()
    if "@" not in bare.strip("@") or any(each.isspace() for each in bare):
        raise LineError(f"no email address: {shortened(repr(text))}")
    return bare


def bounce(*said: str | None, is_hard: bool) -> str:
    """Return the type of a bounce: hard if it is called so, unless something that was said names a status 4.x.x."""
    is_temporary = any(each and _TEMPORARY.search(each) for each in said)
    return "hard_bounced" if is_hard and not is_temporary else "soft_bounced"


def message_id(text: str | None) -> str | None:
    """Return a Message-ID without angle brackets and spaces; None for an empty one."""
    return "".join(text.split()).strip("<>") or None if text else None


def workflow_in(terms: Terms, *carriers: object) -> str | None:
    """Return the workflow that a mail was marked with, the first that is found in what carries such marks.

    A carrier is an object of names and values (or lists of them), an array of `{"name": ..., "value": ...}`, or one or
    several tags like `workflow:welcome` or `workflow=welcome`.
    """
    for each in carriers:
        found = _in_carrier(each, terms.workflow_key)
        if found:
            return found
    return None


def _in_carrier(carrier: object, key: str) -> str | None:
    if isinstance(carrier, dict):
        value = carrier.get(key)
        first = next(iter(value), None) if isinstance(value, list) else value
        return None if first is None else read_name(key, first)
    if isinstance(carrier, list):
        return next((found for each in carrier if (found := _in_entry(each, key))), None)
    return _in_tag(carrier, key)


def _in_entry(entry: object, key: str) -> str | None:
    if isinstance(entry, dict):
        return _in_carrier({key: entry.get("value")}, key) if entry.get("name") == key else None
    return _in_tag(entry, key)


def _in_tag(tag: object, key: str) -> str | None:
    found = _NAMED.fullmatch(tag) if isinstance(tag, str) else None
    return read_name(key, found[2]) if found and found[1] == key else None
