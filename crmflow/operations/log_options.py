"""What the user says about logs, checked before any of them is opened."""

from collections.abc import Sequence

from crmflow.sources import formats
from crmflow.sources.terms import Options

__all__ = ["Options", "log_options"]


def log_options(
    format_: str | None,
    assume_tz: str | None,
    workflow_key: str,
    won_stages: Sequence[str] = (),
    lost_stages: Sequence[str] = (),
) -> Options:
    """Return what the user says; raises `UsageError` for a format or a zone that there is not."""
    options = Options(format_, assume_tz, workflow_key, tuple(won_stages), tuple(lost_stages))
    formats.require_known(options)
    return options
