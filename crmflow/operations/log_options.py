"""What the user says about logs, checked before any of them is opened."""

from collections.abc import Sequence
from typing import TypedDict, Unpack

from crmflow.sources import formats
from crmflow.sources.terms import Options

__all__ = ["Options", "log_options"]


class Said(TypedDict):
    """What the user says, as options of a command have it; see `crmflow.sources.terms.Options`."""

    format_: str | None
    assume_tz: str | None
    workflow_key: str
    won_stage: Sequence[str] | None
    lost_stage: Sequence[str] | None
    prospect_param: str


def log_options(**said: Unpack[Said]) -> Options:
    """Return what the user says; raises `UsageError` for a format or a zone that there is not."""
    options = Options(
        said["format_"],
        said["assume_tz"],
        said["workflow_key"],
        tuple(said["won_stage"] or ()),
        tuple(said["lost_stage"] or ()),
        said["prospect_param"],
    )
    formats.require_known(options)
    return options
