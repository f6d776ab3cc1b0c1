"""Limits of how many enrollments a run may end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmflow.core.brake import LARGEST_LIMIT, Limit, LimitError, parse_limit

limits = st.builds(Limit, st.integers(0, LARGEST_LIMIT), st.just(False)) | st.builds(  # noqa: FBT003 - as stored
    Limit,
    st.integers(0, 100),
    st.just(True),  # noqa: FBT003 - as above
)


@given(limits)
def test_a_limit_is_read_as_it_is_written(limit: Limit) -> None:
    """What `str` writes, `parse_limit` reads."""
    assert parse_limit(str(limit)) == limit


@pytest.mark.parametrize("text", ["", "-1", "1.5", "101%", "10 %", "%", "ten", "1e3", "10000000000", "٣"])
def test_anything_else_is_no_limit(text: str) -> None:
    """The error says what to write."""
    with pytest.raises(LimitError) as caught:
        parse_limit(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "active", "most"),
    [("0", 50, 0), ("7", 5, 7), ("0%", 50, 0), ("10%", 50, 5), ("10%", 59, 5), ("100%", 3, 3)],
)
def test_a_limit_allows_up_to_itself(text: str, active: int, most: int) -> None:
    """So many, or so many of a hundred active ones, are allowed; one more is not."""
    assert parse_limit(text).allows(most, active)
    assert not parse_limit(text).allows(most + 1, active)
