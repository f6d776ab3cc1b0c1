"""Page addresses and the patterns that mean them."""

import re
from functools import cache
from time import perf_counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crmflow.core.addresses import compile_pattern

WEB_PORTS = {"http": ":80", "https": ":443"}


def _is_meant(pattern: str, address: str) -> bool:
    return compile_pattern(pattern).matches(address)


# --- SPEC's rules ---


@pytest.mark.parametrize(
    "address",
    [
        "https://www.acme.example/pricing",
        "https://www.acme.example/pricing/",
        "https://www.acme.example/pricing-2026/eu",
        "https://www.acme.example:443/pricing",
        "https://WWW.Acme.Example/pricing",
        "HTTPS://www.acme.example/pricing",
        "https://www.acme.example/pricing#plans",
        "https://www.acme.example/pricing?from=mail",
        "https://www.acme.example/pricing/?from=mail#plans",
        "www.acme.example/pricing",
    ],
)
def test_what_makes_no_difference(address: str) -> None:
    """Default port, fragment, trailing slash, query and the case of the host: all of these are the page meant."""
    assert _is_meant("https://www.acme.example/pricing*", address)
    assert _is_meant("https://www.ACME.example:443/pricing*#here?", address)


@pytest.mark.parametrize(
    "address",
    [
        "http://www.acme.example/pricing",
        "https://www.acme.example/Pricing",
        "https://www.acme.example:8443/pricing",
        "https://www.acme.example:80/pricing",
        "https://acme.example/pricing",
        "https://www.acme.example/de/pricing",
        "https://www.acme.example.evil.example/pricing",
        "https://evil.example/https://www.acme.example/pricing",
        "https://www.acme.example/?/pricing",
        "",
    ],
)
def test_what_makes_a_difference(address: str) -> None:
    """Scheme, case of the path, another port, another host: another page."""
    assert not _is_meant("https://www.acme.example/pricing*", address)


@pytest.mark.parametrize("address", ["http://acme.example/a", "https://acme.example/a", "http://acme.example:80/a"])
def test_a_pattern_without_a_scheme_means_the_web(address: str) -> None:
    """Both http and https, each with its own default port, and no other scheme."""
    assert _is_meant("acme.example/a", address)
    assert not _is_meant("acme.example/a", f"ftp://{address.partition('://')[2]}")
    assert not _is_meant("acme.example/a", "https://acme.example:80/a")


@pytest.mark.parametrize(
    ("pattern", "is_meant"),
    [
        ("acme.example/a?b=1", True),
        ("acme.example/a/?b=1", True),
        ("acme.example/a?*", True),
        ("*?b=1", True),
        ("acme.example/a?b=*", True),
        ("acme.example/a?b=2", False),
        ("acme.example/a?B=1", False),
        ("acme.example/a?", False),
        ("acme.example/a", True),
        ("acme.example/a#top?", True),
        ("acme.example/a*b=1", False),
    ],
)
def test_the_query_counts_where_the_pattern_has_one(pattern: str, is_meant: bool) -> None:  # noqa: FBT001 - a column
    """A pattern with `?` asks for the query, as it stands; one without does not look at it."""
    assert _is_meant(pattern, "https://acme.example/a?b=1") is is_meant


def test_letters_that_grow_without_case_end_a_path_as_they_are() -> None:
    """The end of a pattern may be a path, also where it would be longer as a part of the host."""
    assert _is_meant("*ßß", "https://a/ßß")
    assert _is_meant("*ßß", "https://a.ẞSS")
    assert not _is_meant("*ßß", "https://a/ssss")


@pytest.mark.parametrize("special", [".", "+", "[a]", "(a|b)", "^", "$", "\\d", "{2}", "%2A"])
def test_nothing_but_the_star_is_special(special: str) -> None:
    """Every other character means itself."""
    assert _is_meant(f"acme.example/x{special}y", f"https://acme.example/x{special}y")
    assert not _is_meant(f"acme.example/x{special}y", "https://acme.example/xay")
    assert _is_meant("acme.example/x*y", f"https://acme.example/x{special}y")


@pytest.mark.parametrize(
    ("pattern", "address", "is_meant"),
    [
        ("*", "https://acme.example/a", True),
        ("*", "ftp://acme.example/a", False),
        ("*://acme.example/a", "ftp://acme.example/a", True),
        ("http*://acme.example:443/a", "https://acme.example/a", True),
        ("*.ACME.example", "https://www.acme.example", True),
        ("*.ACME.example", "https://acme.example", False),
        ("acme.example:*/a", "https://acme.example:8080/a", True),
        ("acme.example:*/a", "https://acme.example/a", True),
        ("acme*/A", "https://acme.example/b/A", True),
        ("acme*/A", "https://acme.example/b/a", False),
        ("a*A", "https://acme.example/A", True),
        ("a*A", "https://acme.example/a", False),
        ("*Example/x", "https://acme.example/x", True),
        ("*Example/x", "https://acme.test/example/x", False),
        ("acme.example/*/", "https://acme.example/a", True),
        ("acme.example/a/*", "https://acme.example/a", True),
        ("acme.example", "https://acme.example/", True),
        ("aa*aa", "https://aaa", False),
    ],
)
def test_a_star_stands_for_any_characters(pattern: str, address: str, is_meant: bool) -> None:  # noqa: FBT001 - a column
    """It may stand for none, for a part of the host or of the path, and reach from the one into the other."""
    assert _is_meant(pattern, address) is is_meant


# --- the same, slowly ---


def _is_meant_slowly(pattern: str, address: str) -> bool:
    """Say the same character by character: every scheme and every spelling is tried."""
    pattern = pattern.partition("#")[0]
    scheme, wanted = _cut(r"[a-z*][a-z0-9+.*-]*", pattern)
    its_scheme, rest = _cut(r"[a-z][a-z0-9+.-]*", address)
    return any(
        _is_like(each, scheme or each, 0) and any(_is_page(wanted, rest, each, slash=slash) for slash in ("", "/"))
        for each in ([its_scheme] if its_scheme else WEB_PORTS)
        if scheme or each in WEB_PORTS
    )


def _is_page(wanted: str, rest: str, scheme: str, *, slash: str) -> bool:
    host, path, query = _parts(rest, scheme)
    its_host, its_path, its_query = _parts(wanted, scheme)
    text = host + path + slash + (query if "?" in wanted else "")
    hosts = {its_host, its_host.removesuffix(":*")}
    return any(_is_like(text, each + its_path + its_query, len(host)) for each in hosts)


def _cut(scheme: str, text: str) -> tuple[str, str]:
    match = re.match(f"({scheme})://", text, re.IGNORECASE)
    return (match[1].lower(), text[match.end() :]) if match else ("", text)


def _parts(rest: str, scheme: str) -> tuple[str, str, str]:
    rest, _, query = rest.partition("#")[0].partition("?")
    host, slash, path = rest.partition("/")
    return host.removesuffix(WEB_PORTS.get(scheme, "")), f"{slash}{path}".removesuffix("/"), query and f"?{query}"


def _is_like(text: str, pattern: str, border: int) -> bool:
    """Match recursively; before the border case makes no difference."""

    @cache
    def fits(at: int, place: int) -> bool:
        if place == len(pattern):
            return at == len(text)
        if pattern[place] == "*":
            return fits(at, place + 1) or (at < len(text) and fits(at + 1, place))
        if at == len(text):
            return False
        is_same = text[at].lower() == pattern[place].lower() if at < border else text[at] == pattern[place]
        return is_same and fits(at + 1, place + 1)

    return fits(0, 0)


_WORDS = st.sampled_from(["a", "A", "b", "aA", ".", ":80", ":443", ":8", "/", "/", "?", "#", "=", "://"])
_SCHEMES = st.sampled_from(["", "", "http://", "https://", "HTTPS://", "ftp://", "h"])
_addresses = st.builds(lambda scheme, words: scheme + "".join(words), _SCHEMES, st.lists(_WORDS, max_size=8))
_patterns = st.builds(
    lambda scheme, words: scheme + "".join(words),
    _SCHEMES | st.sampled_from(["*://", "http*://", "*s://"]),
    st.lists(_WORDS | st.sampled_from(["*", "*", ":*"]), max_size=8),
)


@st.composite
def _patterns_and_addresses(draw: st.DrawFn) -> tuple[str, str]:
    """Return a pattern, and an address that it likely means: with something in the place of each star."""
    pattern = draw(_patterns)
    pieces = pattern.split("*")
    address = pieces[0] + "".join("".join(draw(st.lists(_WORDS, max_size=2))) + piece for piece in pieces[1:])
    return pattern, draw(st.sampled_from([address, address.swapcase(), f"{address}/", f"{address}#a", f"{address}?a"]))


def _has_one_port(given_: tuple[str, str]) -> bool:
    return re.search(r":\d+:\d", given_[1]) is None


@settings(max_examples=300)
@given((_patterns_and_addresses() | st.tuples(_patterns, _addresses)).filter(_has_one_port))
@example(("http*://a:80", "http://a"))
def test_says_what_a_slow_matcher_says(given_: tuple[str, str]) -> None:
    """A pattern means an address exactly if trying everything, character by character, finds a way."""
    assert _is_meant(*given_) is _is_meant_slowly(*given_)


@given(_addresses)
def test_an_address_means_itself(address: str) -> None:
    """Every address of the web, taken as a pattern, means that page; and a star means them all."""
    if _cut(r"[a-z][a-z0-9+.-]*", address)[0] in {"", *WEB_PORTS}:
        assert _is_meant(address, address)
        assert _is_meant("*", address)


# --- hostile patterns ---


@pytest.mark.parametrize("place", ["host", "path", "query"])
@pytest.mark.parametrize("piece", ["a*", "*a", "aa*", "a*b*"])
@pytest.mark.parametrize("end", ["", "b", "a"])
def test_many_stars_take_no_time(place: str, piece: str, end: str) -> None:
    """A thousand stars against ten thousand characters are a matter of milliseconds, whether they match or not."""
    before = {"host": "", "path": "acme.example/", "query": "acme.example/?"}[place]
    pattern = compile_pattern(before + piece * 1_000 + end)
    begun_at = perf_counter()
    pattern.matches("https://" + before + "a" * 10_000)
    pattern.matches("https://" + before + "ab" * 5_000 + "c")
    assert perf_counter() - begun_at < 1
