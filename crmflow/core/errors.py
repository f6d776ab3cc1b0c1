"""The one family of errors: what happened, where, and what to do.

They may be raised anywhere and are caught once, in `crmflow.cli.main`, which shows them as `error:` and `hint:`
and ends with their `exit_status`. Any other exception is a fault of crmflow and shows its traceback.
"""

from typing import ClassVar

import msgspec


class Complaint(msgspec.Struct, frozen=True, order=True):
    """One thing that is wrong in a file: `line` and `column` count from 1."""

    path: str
    line: int
    column: int
    what: str
    hint: str | None = None

    def __str__(self) -> str:
        """Return `path:line:column: what (hint)`, the form that editors turn into a link."""
        suffix = f" ({self.hint})" if self.hint else ""
        return f"{self.path}:{self.line}:{self.column}: {self.what}{suffix}"


class CrmflowError(Exception):
    """Something could not be done; the store is as it was before (exit status 1)."""

    exit_status: ClassVar[int] = 1

    def __init__(self, what: str, *, hint: str | None = None) -> None:
        """Take the sentence for the user and, where there is one, what to do about it."""
        super().__init__(what)
        self.what = what
        self.hint = hint

    def in_one_line(self) -> str:
        """Return the sentence with the hint in brackets, for where it is one of several."""
        return self.what if self.hint is None else f"{self.what} ({self.hint})"


class UsageError(CrmflowError):
    """The command was called wrongly (exit status 2)."""

    exit_status = 2


class GuardError(CrmflowError):
    """A guard stopped the run before anything was changed (exit status 4); `details` says what it saw, in lines."""

    exit_status = 4

    def __init__(self, what: str, *, hint: str | None = None, details: tuple[str, ...] = ()) -> None:
        """Take the sentence, what to do, and the lines to show before them."""
        super().__init__(what, hint=hint)
        self.details = details


class BusyError(CrmflowError):
    """Another run holds the store (exit status 75, EX_TEMPFAIL of sysexits.h: try again later)."""

    exit_status = 75


class InterruptedRunError(CrmflowError):
    """The user interrupted the run; the store is consistent (exit status 130)."""

    exit_status = 130


class SourceError(CrmflowError):
    """A log can't be read, or not to its end; the other logs of the run are read all the same."""


class DefinitionsError(CrmflowError):
    """Workflow files that can't be taken; `complaints` holds every fault of every file, in order."""

    def __init__(self, complaints: tuple[Complaint, ...]) -> None:
        """Take all the complaints, of all the files."""
        count = len(complaints)
        super().__init__(f"{count} {'fault' if count == 1 else 'faults'} in the workflow files")
        self.complaints = complaints
