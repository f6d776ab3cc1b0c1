"""What the sources of mail providers share: whom a mail went to, which mail it is, and of which workflow."""

import re
from collections.abc import Iterable

from crmflow.sources.objects import Body, LineError, read_name, shortened, text_of
from crmflow.sources.terms import Terms

_BRACKETED = re.compile(r"<([^<>]*)>\s*$")
_STATUS = re.compile(r"(?<![\d.])([245])\.\d{1,3}\.\d{1,3}(?![\d.])", re.ASCII)
_NAMED = re.compile(r"\s*([^:=]+?)\s*[:=]\s*(.+?)\s*", re.DOTALL)


def address(text: str) -> str:
    """Return the address of a recipient, who may be written with a name: `Ana <ana@acme.example>`.

    Raises `LineError` for what is none.
    """
    found = _BRACKETED.search(text)
    bare = (found[1] if found else text).strip()
    if "@" not in bare.strip("@") or any(each.isspace() for each in bare):
        raise LineError(f"no email address: {shortened(repr(text))}")
    return bare


def bounce(said: str | None, *, is_hard: bool) -> str:
    """Return the type of a bounce: hard if it is called so, unless the enhanced status in what was said is 4.x.x.

    https://www.rfc-editor.org/rfc/rfc3463
    """
    status = _STATUS.search(said or "")
    return "hard_bounced" if is_hard and (status is None or status[1] != "4") else "soft_bounced"


def headers_of(entries: Iterable[Body]) -> dict[str, str]:
    """Return headers that are told as `{"name": ..., "value": ...}`, in whatever case, by name in small letters."""
    found: dict[str, str] = {}
    for each in entries:
        keys = {key.casefold(): value for key, value in each.items()}
        name, value = text_of(keys, "name"), text_of(keys, "value")
        if name and value:
            found.setdefault(name.casefold(), value)
    return found


def headers_in(said: Body) -> dict[str, str]:
    """Return the headers in an object of names and texts, by name in small letters; others than texts are left out."""
    return {name.casefold(): text for name in said if isinstance(said[name], str) and (text := text_of(said, name))}


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
