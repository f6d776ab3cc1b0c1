"""What the user named: records, workflows and times, or an error that says what may have been meant."""

import difflib
from collections.abc import Iterable
from typing import Any

from crmflow.core.errors import CrmflowError, UsageError
from crmflow.core.model import RECORD_TYPES, Record, RecordType, Ref
from crmflow.store import records, runs, workflows
from crmflow.store.connection import Store
from crmflow.store.workflows import InForce


def require_other_file(store: Store, path: str) -> None:
    """Raise `CrmflowError` where a file to be read is the store itself, before anything opens it.

    Closing any descriptor of the store would take SQLite's locks away.
    """
    if store.is_at(path):
        raise CrmflowError(f"{path} is the store itself", hint="name the file that is to be read")


def parse_type(text: str) -> RecordType:
    """Return the type of record that a word names; raises `UsageError`."""
    for kind in RECORD_TYPES:
        if text == kind:
            return kind
    raise UsageError(f"unknown type of record {text!r}", hint=f"one of {', '.join(RECORD_TYPES)}")


def parse_ref(text: str, default: RecordType | None = None) -> Ref:
    """Return the reference that a `TYPE:KEY` means; where a default type is known, the key alone will do.

    Raises `UsageError` for a reference without a type or key, and where its type is not the default.
    """
    word, colon, key = text.partition(":")
    for kind in RECORD_TYPES:
        if colon and word == kind:
            if not key:
                raise UsageError(f"{text!r} names no key", hint=f"write {kind}:KEY")
            if default not in {None, kind}:
                raise CrmflowError(f"{text} is no {default}", hint=f"this workflow is for records of type {default}")
            return Ref(kind, key)
    if default is None or not text:
        hint = f"write TYPE:KEY, where TYPE is {', '.join(RECORD_TYPES[:-1])} or {RECORD_TYPES[-1]}"
        raise UsageError(f"{text!r} does not say which type of record it is", hint=hint)
    return Ref(default, text)


def require_record(store: Store, ref: Ref) -> Record:
    """Return the record that a reference means; raises `CrmflowError` with near matches where there is none."""
    record = records.find_one(store, ref)
    if record is None:
        others = [f"{kind}:{ref.name}" for kind in RECORD_TYPES if records.find_one(store, Ref(kind, ref.name))]
        near = others or _near(ref.name, records.names(store, ref.type))
        hint = f"did you mean {', '.join(near)}?" if near else f"add it with: crmflow record add {ref}"
        raise CrmflowError(f"there is no {ref.type} {ref.name!r}", hint=hint)
    return record


def require_workflow(store: Store, name: str) -> InForce:
    """Return the definition in force of a workflow; raises `CrmflowError` with near matches where there is none."""
    in_force = workflows.in_force(store)
    if name not in in_force:
        raise _unknown_workflow(name, in_force)
    return in_force[name]


def require_known_workflow(store: Store, name: str) -> RecordType:
    """Return the type of a workflow that is or was in force; raises `CrmflowError` where there never was one."""
    known = workflows.known(store)
    if name not in known:
        raise _unknown_workflow(name, known)
    return parse_type(known[name][1])


def require_run(store: Store, number: int) -> dict[str, Any]:
    """Return a run with all that it wrote counted; raises `CrmflowError` where there is none."""
    found = runs.get(store, number)
    if found is None:
        raise CrmflowError(f"there is no run {number}", hint="see crmflow run list")
    return found


def _unknown_workflow(name: str, known: Iterable[str]) -> CrmflowError:
    near = _near(name, known)
    hint = f"did you mean {', '.join(near)}?" if near else "see crmflow workflow list, and crmflow workflow apply"
    return CrmflowError(f"there is no workflow {name!r}", hint=hint)


def _near(name: str, names: Iterable[str]) -> list[str]:
    by_folded = {each.casefold(): each for each in names}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.7)
    return [by_folded[each] for each in close]
