"""Looking for names in a piece of a log: the quick way and the plain one find the same."""

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from crmflow.sources.logs import Piece
from crmflow.sources.searching import FEW_NAMES, MOST_NAMES, Search, is_quick, names_to_find, search
from crmflow.sources.terms import Terms

NOW = datetime(2026, 3, 10, tzinfo=UTC)

_NAMES = st.sampled_from(
    ["p-1", "P-1", "p-10", "Straße", "STRASSE", "ﬁn", "fin", "Kelvin", "kelvin", "9", "-9", 9, -9, "p 1"]
)
_SAID = st.fixed_dictionaries(
    {"id": st.sampled_from(["a", "b", 'q"', "p-1"]), "prospect": _NAMES, "type": st.sampled_from(["replied", "none"])}
)


@given(st.lists(st.tuples(_SAID, st.booleans())), st.sampled_from(["", "\ufeff", "\n"]), st.booleans())
def test_few_names_are_found_as_many_are(said: list[tuple[Any, bool]], start: str, is_finished: bool) -> None:  # noqa: FBT001 - drawn
    """To look for few names in the text gives what decoding every line gives."""
    lines = [json.dumps({"time": "2026-03-01T00:00:00Z", **each}, ensure_ascii=escaped) for each, escaped in said]
    data = (start + "\n".join(lines) + ("\n" if is_finished else "")).encode() + b"\xff{\n" * is_finished
    few = names_to_find({"p-1", "Strasse", "FIN", "kelvin", "9"})
    many = names_to_find({"p-1", "Strasse", "FIN", "kelvin", "9", *(f"other-{number}" for number in range(FEW_NAMES))})
    for offset in (0, 100):
        piece = Piece(data, offset, 5, is_last=True)
        assert search(Search(1, piece, Terms(), NOW, few)) == search(Search(1, piece, Terms(), NOW, many))


def test_very_many_names_are_not_looked_for() -> None:
    """Where more names are asked for than are worth handing over, every event is found."""
    names = names_to_find({str(number) for number in range(MOST_NAMES + 1)})
    piece = Piece(b'{"type": "replied", "time": "2026-03-01T00:00:00Z", "prospect": "nobody"}\n', 0, 7, is_last=True)
    assert not is_quick(names)
    assert [(event.name, event.line) for event in search(Search(1, piece, Terms(), NOW, names)).events] == [
        ("nobody", 7)
    ]
