"""Access logs as they are: which lines are read how fast, and what the snippet makes of them."""

import time
from datetime import UTC, datetime

import pytest

from crmflow.core.errors import UsageError
from crmflow.core.triggers import EVERYTHING
from crmflow.operations.tracking import snippet
from crmflow.sources.foreign import combined
from crmflow.sources.logs import Piece
from crmflow.sources.terms import Terms

NOW = datetime(2026, 6, 1, tzinfo=UTC)
TERMS = Terms("combined")


def _read(line: bytes) -> tuple[int, int]:
    batch = combined.SOURCE.decode(Piece(line + b"\n", 0, 1, is_last=True), TERMS, NOW, EVERYTHING)
    return len(batch.events), len(batch.rejects)


@pytest.mark.parametrize(
    "line",
    [
        b'1.2.3.4 - - [03/Mar/2026:10:00:00 +0000] "' + b"\\" * 400_000,
        b'1.2.3.4 - - [03/Mar/2026:10:00:00 +0000] "GET /' + b'\\" ' * 200_000,
        b"1.2.3.4 - - " + b" [" * 300_000,
        b'1.2.3.4 - - [03/Mar/2026:10:00:00 +0000] "GET /?p=' + b"&p=" * 200_000 + b' HTTP/1.1" 200 4 "-" "x"',
    ],
)
def test_a_line_that_was_made_to_be_slow_is_not(line: bytes) -> None:
    """Time grows with the length of the line, whatever stands in it."""
    began = time.perf_counter()
    assert sum(_read(line)) <= 1
    assert time.perf_counter() - began < 1


def test_another_name_may_name_the_prospect() -> None:
    """Then the usual one names nobody."""
    line = b'1.2.3.4 - - [03/Mar/2026:10:00:00 +0000] "GET /p.gif?%s=p-1&u=https://a.example/ HTTP/1.1" 200 4 "-" "x"'
    piece = Piece(line % b"who" + b"\n" + line % b"p" + b"\n", 0, 1, is_last=True)
    batch = combined.SOURCE.decode(piece, Terms("combined", prospect_param="who"), NOW, EVERYTHING)
    assert [event.line for event in batch.events] == [1]
    assert batch.without_effect == 1


def test_nothing_in_the_options_can_end_the_script() -> None:
    """Quotes, tags and line separators are written as escapes."""
    text = snippet("https://a.example/</script>'\u2028.gif", "p\"'&<")
    assert text.count("</script>") == 1
    assert "\u2028" not in text
    assert '"p\\"\\u0027\\u0026\\u003c"' in text


@pytest.mark.parametrize(("pixel", "name"), [("javascript:x.gif", "p"), ("https://a.example/x", "p"), ("/p.gif", "u")])
def test_a_snippet_that_could_not_work_is_refused(pixel: str, name: str) -> None:
    """What is no picture, and a name that is taken."""
    with pytest.raises(UsageError):
        snippet(pixel, name)
