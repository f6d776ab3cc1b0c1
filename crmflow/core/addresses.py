"""Page addresses and the patterns that match them, in time linear in the address for each piece of the pattern.

A pattern is an address in which `*` stands for any characters and nothing else is special. Default port, fragment,
trailing slash and (unless the pattern has a `?`) the query make no difference; the host is compared without case, the
path with case. A pattern without a scheme matches http and https.
"""

import re

import msgspec

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE | re.ASCII)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_WEB = ("http", "https")


class UrlPattern(msgspec.Struct, frozen=True):
    """One compiled pattern: its spellings (without query or with it), each cut into the pieces between the stars."""

    text: str
    has_query: bool
    spellings: tuple[tuple[str, ...], ...]

    def matches(self, address: str) -> bool:
        """Tell whether a page's address is one that the pattern means."""
        return any(
            _fits(pieces, form) for form in _forms(address, keep_query=self.has_query) for pieces in self.spellings
        )


def compile_pattern(text: str) -> UrlPattern:
    """Return the pattern that a workflow's `url` declares."""
    has_query = "?" in text
    scheme, rest = _split_scheme(text)
    spellings: list[tuple[str, ...]] = []
    for each in (scheme,) if scheme else _WEB:
        host, tail = _split_host(rest)
        path, query = _path_and_query(tail, keep_query=has_query)
        for spelling in (_host(each, host), host):
            if spelling == host and "*" not in host:
                continue  # only a star in the host's place can reach into the path, where case counts
            pieces = tuple(f"{each}://{spelling}{path}{query}".split("*"))
            if pieces not in spellings:
                spellings.append(pieces)
    return UrlPattern(text=text, has_query=has_query, spellings=tuple(spellings))


def _split_scheme(text: str) -> tuple[str, str]:
    match = _SCHEME.match(text)
    return (match[1].lower(), text[match.end() :]) if match else ("", text)


def _split_host(rest: str) -> tuple[str, str]:
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    return rest[:end], rest[end:]


def _host(scheme: str, host: str) -> str:
    return host.lower().removesuffix(_DEFAULT_PORTS.get(scheme, " "))


def _path_and_query(tail: str, *, keep_query: bool) -> tuple[str, str]:
    path, _, query = tail.partition("#")[0].partition("?")
    return path.removesuffix("/"), f"?{query}" if keep_query and query else ""


def _forms(address: str, *, keep_query: bool) -> list[str]:
    """Return every spelling under which an address counts: with and without the trailing slash, per scheme."""
    scheme, rest = _split_scheme(address)
    host, tail = _split_host(rest)
    path, query = _path_and_query(tail, keep_query=keep_query)
    return [
        f"{each}://{_host(each, host)}{path}{slash}{query}"
        for each in ((scheme,) if scheme else _WEB)
        for slash in ("", "/")
    ]


def _fits(pieces: tuple[str, ...], text: str) -> bool:
    if len(pieces) == 1:
        return text == pieces[0]
    first, *middle, last = pieces
    if not text.startswith(first):
        return False
    at = len(first)
    for piece in middle:
        found = text.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return len(text) - at >= len(last) and text.endswith(last)
