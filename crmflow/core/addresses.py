"""Page addresses and the patterns that match them, in time linear in the address and the pattern.

A pattern is an address in which `*` stands for any characters and nothing else is special. Default port, fragment,
trailing slash and (unless the pattern has a `?`) the query make no difference; the host is compared without case, the
path with case. A pattern without a scheme matches http and https.

A pattern is cut at its stars into pieces, which must follow one another in the address. A star may reach from the host
into the path, so every piece is kept in two spellings: `exact` for the path and `folded` for where it begins in the
host, in small letters up to its first `/` or `?`. In an address the host ends at the first of these, so a piece that
begins in the host and fits ends there too, or goes on into the path exactly where its own spelling changes.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

_ADDRESS = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*)://)?([^/?#]*)([^?#]*)(\?[^#]*)?")
"""Scheme, host, path and query; matches any text (RFC 3986, appendix B, for what needs no authority)."""

_PATTERN_SCHEME = re.compile(r"([a-z*][a-z0-9+.*-]*)://", re.IGNORECASE | re.ASCII)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_WEB = tuple(_DEFAULT_PORTS)
_ANY_PORT = ":*"
_MOST_SCHEMES = 100
"""For how many schemes a set remembers which patterns they concern: an address may name any."""


class Piece(NamedTuple):
    """What stands between two stars: how it is spelled in the path, and where it begins in the host."""

    exact: str
    folded: str


class Form(NamedTuple):
    """One of the spellings of an address without its scheme; the host ends at `border`."""

    text: str
    border: int


class Spelling(NamedTuple):
    """One of the spellings of a pattern: the pieces of its scheme, and those of what follows."""

    scheme: tuple[Piece, ...]
    pieces: tuple[Piece, ...]


SpelledAddress = tuple[str, tuple[Form, Form]]
"""A scheme that an address may have, and the rest of it without and with a trailing slash."""


class UrlPattern(msgspec.Struct, frozen=True):
    """One compiled pattern, in every spelling that it stands for."""

    text: str
    has_query: bool
    spellings: tuple[Spelling, ...]

    def matches(self, address: str) -> bool:
        """Tell whether a page's address is one that the pattern means."""
        return bool(PatternSet([self]).matching(address))


class _Entry(NamedTuple):
    """The pieces of a pattern in one of its spellings, and how an address that it means begins."""

    number: int
    pieces: tuple[Piece, ...]
    exact: str
    folded: str


class PatternSet:
    """Many patterns that are held against an address at once."""

    def __init__(self, patterns: Sequence[UrlPattern]) -> None:
        """Take the patterns; their numbers, from 0, are their places."""
        self._patterns = patterns
        self._keeps_query = sorted({each.has_query for each in patterns})
        self._entries: dict[tuple[bool, str], list[_Entry]] = {}

    def matching(self, address: str) -> list[int]:
        """Return the numbers of the patterns that mean a page's address, smallest first."""
        numbers: set[int] = set()
        for keep_query in self._keeps_query:
            for scheme, (plain, slashed) in _forms(address, keep_query=keep_query):
                for number, pieces, exact, folded in self._entries_for(scheme, keep_query=keep_query):
                    beginning = folded if plain.border else exact
                    if (plain.text.startswith(beginning) and _fits(pieces, plain)) or (
                        slashed.text.startswith(beginning) and _fits(pieces, slashed)
                    ):
                        numbers.add(number)
        return sorted(numbers)

    def _entries_for(self, scheme: str, *, keep_query: bool) -> list[_Entry]:
        """Return the spellings that an address with this scheme may have."""
        entries = self._entries.get((keep_query, scheme))
        if entries is None:
            entries = [
                _Entry(number, spelling.pieces, *spelling.pieces[0])
                for number, pattern in enumerate(self._patterns)
                if pattern.has_query is keep_query
                for spelling in pattern.spellings
                if _fits(spelling.scheme, Form(scheme, 0))
            ]
            if len(self._entries) < _MOST_SCHEMES:
                self._entries[keep_query, scheme] = entries
        return entries


def compile_pattern(text: str) -> UrlPattern:
    """Return the pattern that a workflow's `url` declares."""
    text_without_fragment = text.partition("#")[0]
    has_query = "?" in text_without_fragment
    scheme, rest = _split_scheme(_PATTERN_SCHEME, text_without_fragment)
    host, tail = _split_host(rest)
    path, query = _path_and_query(tail, keep_query=has_query)
    spellings = {
        Spelling(_pieces(each), _pieces(f"{its_host}{path}{query}")): None
        for each in _schemes(scheme)
        for its_host in _hosts(each, host)
    }
    return UrlPattern(text=text, has_query=has_query, spellings=tuple(spellings))


def _split_scheme(scheme: re.Pattern[str], text: str) -> tuple[str, str]:
    match = scheme.match(text)
    return (match[1].lower(), text[match.end() :]) if match else ("", text)


def _split_host(rest: str) -> tuple[str, str]:
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    return rest[:end], rest[end:]


def _path_and_query(tail: str, *, keep_query: bool) -> tuple[str, str]:
    path, _, query = tail.partition("#")[0].partition("?")
    return path.removesuffix("/"), f"?{query}" if keep_query and query else ""


def _schemes(scheme: str) -> tuple[str, ...]:
    """Return the schemes that a pattern's scheme stands for; those of the web by name, for their default ports."""
    if not scheme:
        return _WEB
    pieces = _pieces(scheme)
    return (scheme, *(each for each in _WEB if each != scheme and _fits(pieces, Form(each, 0))))


def _hosts(scheme: str, host: str) -> Iterator[str]:
    """Yield a pattern's host without its default port; where any port will do, so will none."""
    host = _without_default_port(scheme, host)
    yield host
    if host.endswith(_ANY_PORT):
        yield host.removesuffix(_ANY_PORT)


def _without_default_port(scheme: str, host: str) -> str:
    return host.removesuffix(_DEFAULT_PORTS[scheme]) if scheme in _DEFAULT_PORTS else host


def _pieces(text: str) -> tuple[Piece, ...]:
    return tuple(Piece(each, _folded(each)) for each in text.split("*"))


def _folded(piece: str) -> str:
    host, path = _split_host(piece)
    return host.casefold() + path  # lower() looks at a letter's neighbours, which a star may stand for


def _forms(address: str, *, keep_query: bool) -> Iterator[SpelledAddress]:
    """Yield each scheme that an address may have, with the address spelled without and with a trailing slash."""
    found = _ADDRESS.match(address)
    scheme, host, path, query = found.groups("") if found else ("", "", "", "")
    scheme, host, path = scheme.lower(), host.casefold(), path.removesuffix("/")
    if not keep_query or query == "?":
        query = ""
    for each in (scheme,) if scheme else _WEB:
        its_host = _without_default_port(each, host)
        border = len(its_host)
        yield each, (Form(f"{its_host}{path}{query}", border), Form(f"{its_host}{path}/{query}", border))


def _fits(pieces: tuple[Piece, ...], form: Form) -> bool:
    """Tell whether the pieces make up the whole of a text, with any characters between them."""
    first, last = pieces[0], pieces[-1]
    spelled = first.folded if form.border else first.exact
    if len(pieces) == 1:
        return form.text == spelled
    if not form.text.startswith(spelled):
        return False
    at = len(spelled)
    for piece in pieces[1:-1]:
        at = _end_of(piece, form, at)
        if at < 0:
            return False
    return _is_end(last, form, at)


def _end_of(piece: Piece, form: Form, at: int) -> int:
    """Return where the first occurrence of a piece from `at` on ends, -1 where there is none."""
    found = form.text.find(piece.folded, at, form.border + len(piece.folded) - 1)
    if 0 <= found < form.border:
        return found + len(piece.folded)
    found = form.text.find(piece.exact, max(at, form.border))
    return -1 if found < 0 else found + len(piece.exact)


def _is_end(piece: Piece, form: Form, at: int) -> bool:
    """Tell whether a text ends with a piece that begins at `at` or later."""
    in_host, in_path = len(form.text) - len(piece.folded), len(form.text) - len(piece.exact)
    if at <= in_host < form.border and form.text.endswith(piece.folded):
        return True
    return max(at, form.border) <= in_path and form.text.endswith(piece.exact)


FILLING = "\U0010fffd"
"""A character of private use, which stands for whatever a star may stand for."""


def covers(general: UrlPattern, special: UrlPattern) -> bool:
    """Tell whether a pattern certainly means every page that another one means.

    That is tried on the other pattern itself, its stars filled with a character that only a star can match, once for
    every place at which its host may end. Where this is not enough to be certain, the answer is no.
    """
    if FILLING in general.text:
        return False
    if special.has_query and not general.has_query:
        page = special.text.partition("?")[0]
        return "*" not in page and covers(general, compile_pattern(page))
    if general.has_query and not special.has_query:
        return False
    return all(
        any(_fits(each.scheme, _filled(spelling.scheme)) and _fits(each.pieces, form) for each in general.spellings)
        for spelling in special.spellings
        for form in _filled_hosts(spelling.pieces)
    )


def _filled(pieces: tuple[Piece, ...]) -> Form:
    return Form(FILLING.join(each.exact for each in pieces), 0)


def _filled_hosts(pieces: tuple[Piece, ...]) -> Iterator[Form]:
    """Yield what the pieces spell with every star filled, once for each place at which the host may end."""
    host = ""
    for place, piece in enumerate(pieces, start=1):
        path = "".join(f"{FILLING}{each.exact}" for each in pieces[place:])
        its_host, its_path = _split_host(piece.folded)
        if its_path:
            yield Form(f"{host}{piece.folded}{path}", len(host) + len(its_host))
            return
        host += piece.folded if place == len(pieces) else f"{piece.folded}{FILLING}"
        yield Form(f"{host}{path}", len(host))
