"""Which clicks no person makes, by when they happened."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmflow.core.haste import AT_ONCE, SEVERAL, SOON, Click, hasty_moments

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def clicks(*told: tuple[float, str]) -> list[Click]:
    """Return clicks, given the seconds at which they happen and their links."""
    return [Click(AT + timedelta(seconds=second), url) for second, url in told]


@pytest.mark.parametrize(
    ("after", "is_hasty"),
    [(-MICROSECOND, False), (timedelta(), True), (SOON - MICROSECOND, True), (SOON, False), (timedelta(days=1), False)],
)
def test_a_click_right_after_its_mail_is_hasty(after: timedelta, *, is_hasty: bool) -> None:
    """From the moment of delivery on, for ten seconds; before it somebody else's clock is wrong."""
    assert bool(hasty_moments([AT], [Click(AT + after, "")])) == is_hasty


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([(0, "a"), (1, "b"), (5, "c")], 3),
        ([(0, "a"), (1, "b"), (5.1, "c")], 0),
        ([(0, "a"), (0, "b"), (0, "c")], 1),
        ([(0, "a"), (1, "b"), (2, "a"), (3, "b")], 0),
        ([(0, ""), (1, ""), (2, "")], 0),
        ([(0, "a"), (3, "b"), (6, "c"), (7, "d"), (60, "e")], 3),
        ([(0, "a"), (3600, "b"), (7200, "c")], 0),
    ],
)
def test_clicks_on_several_links_at_once_are_hasty(told: list[tuple[float, str]], expected: int) -> None:
    """Three links of a mail within five seconds; the same three over a day are a reader's, one link thrice is, too."""
    assert len(hasty_moments([], clicks(*told))) == expected


moments = st.integers(0, 40).map(lambda second: AT + timedelta(seconds=second))
any_clicks = st.lists(st.builds(Click, moments, st.sampled_from(["", "a", "b", "c", "d"])), max_size=8)


@given(arrivals=st.lists(moments, max_size=3), first=any_clicks, more=any_clicks, later=st.lists(moments, max_size=2))
def test_what_is_hasty_stays_so(
    arrivals: list[datetime], first: list[Click], more: list[Click], later: list[datetime]
) -> None:
    """Whatever else becomes known of a mail, in whatever order: a click that was hasty is."""
    known = hasty_moments(arrivals, first)
    assert known <= hasty_moments([*later, *arrivals], [*more, *reversed(first)])
    assert known <= {each.at for each in first}


@given(arrivals=st.lists(moments, max_size=2), told=any_clicks)
def test_the_plain_words_say_the_same(arrivals: list[datetime], told: list[Click]) -> None:
    """A click is hasty if it follows an arrival soon, or is among three links within five seconds."""

    def is_hasty(click: Click) -> bool:
        if any(timedelta() <= click.at - at < SOON for at in arrivals):
            return True
        starts = (each.at for each in told)
        return any(
            start <= click.at <= start + AT_ONCE
            and len({each.url for each in told if start <= each.at <= start + AT_ONCE} - {""}) >= SEVERAL
            for start in starts
        )

    assert hasty_moments(arrivals, told) == {each.at for each in told if is_hasty(each)}
