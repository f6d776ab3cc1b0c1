"""Links as they were before a mail gateway rewrote them to look at who follows them."""

import re
from collections.abc import Callable
from urllib.parse import parse_qs, unquote, urlsplit

_MOST_WRAPPINGS = 4
_THIRD = re.compile(r"/v3/__(.+?)__;", re.DOTALL)
_ESCAPE = re.compile(r"-([0-9A-Fa-f]{2})")


def unwrapped(url: str) -> str:
    """Return the link that a rewritten one leads to; any other one as it is."""
    for _ in range(_MOST_WRAPPINGS):
        inner = _inner(url)
        if inner is None:
            break
        url = inner
    return url


def _inner(url: str) -> str | None:
    try:
        split = urlsplit(url)
        host = (split.hostname or "").casefold()
    except ValueError:
        return None
    find = next((find for ending, find in _GATEWAYS.items() if host == ending or host.endswith(f".{ending}")), None)
    found = find(split.path, split.query) if find else None
    return found if found and "://" in found else None


def _in(parameter: str) -> Callable[[str, str], str | None]:
    return lambda _path, query: next(iter(parse_qs(query).get(parameter, [])), None)


def _second(_path: str, query: str) -> str | None:
    """Return what Proofpoint's second way hides: `-3A` is a percent sign's `%3A`, `_` a slash."""
    said = _in("u")("", query)
    return unquote(_ESCAPE.sub(r"%\1", said.replace("_", "/"))) if said else None


def _third(path: str, query: str) -> str | None:
    """Return what Proofpoint's third way marks with underscores; characters that it replaced by `*` stay lost."""
    found = _THIRD.search(f"{path}?{query}" if query else path)
    return re.sub(r"^(https?):/+", r"\1://", found[1]) if found else None


def _proofpoint(path: str, query: str) -> str | None:
    return _third(path, query) if path.startswith("/v3/") else _second(path, query)


_GATEWAYS: dict[str, Callable[[str, str], str | None]] = {
    "safelinks.protection.outlook.com": _in("url"),
    "urldefense.com": _proofpoint,
    "urldefense.proofpoint.com": _proofpoint,
    "linkprotect.cudasvc.com": _in("a"),
    "secure-web.cisco.com": lambda path, _query: unquote(path.rpartition("/")[2]),
}
"""Hosts of gateways, and where in their links the one lies that was rewritten."""
