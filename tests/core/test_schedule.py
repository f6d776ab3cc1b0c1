"""When steps come due."""

from datetime import UTC, datetime, timedelta

import pytest

from crmflow.core.model import Step
from crmflow.core.schedule import due_before

START = datetime(2026, 3, 1, tzinfo=UTC)
STEPS = tuple(
    Step(name, "task", timedelta(hours=after)) for name, after in (("intro", 0), ("call", 3), ("wait", 0), ("offer", 4))
)


@pytest.mark.parametrize(
    ("hours", "count"), [(0, 0), (0.5, 1), (3, 1), (3.5, 3), (7, 3), (7.5, 4), (-1, 0), (10**6, 4)]
)
def test_steps_come_due_one_after_the_other(hours: float, count: int) -> None:
    """A step is due its delay after the one before it, and one that is due at that very time is not due before it."""
    assert due_before(STEPS, START, START + timedelta(hours=hours)) == count


def test_without_an_end_every_step_comes_due() -> None:
    """Whoever stays gets to every step."""
    assert due_before(STEPS, START, None) == len(STEPS)
    assert due_before((), START, None) == 0
