"""What do the files declare? Workflow YAML becomes core types; every complaint names file, line and column.

`reading` turns bytes into plain data that knows its places (`nodes`); `vocabulary` says which data is a workflow and
`scenarios` which is a list of scenarios, in `shapes` that both read it and describe themselves as JSON Schema.

A scenario file may stand wherever workflow files are named, because `*.yaml` names both.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from crmflow.core.codec import encode
from crmflow.core.errors import DefinitionsError
from crmflow.core.model import Definition, Workflow
from crmflow.definitions.nodes import Mapping, Place, Report
from crmflow.definitions.reading import Subject, read
from crmflow.definitions.scenarios import SCENARIOS, SUBJECT, Scenario, ScenarioFile, beside, is_scenario_file
from crmflow.definitions.vocabulary import WORKFLOW

__all__ = ["RuleTests", "is_scenario_file", "load", "load_rule_tests", "scenario_schema", "schema"]

SCHEMA_DIALECT = "http://json-schema.org/draft-07/schema#"
"""The newest draft that the YAML language server of most editors knows whole."""


_WORKFLOW_SUBJECT = Subject(noun="workflow", beginning="workflow: NAME and type: TYPE")


class RuleTests(NamedTuple):
    """A workflow, and the scenarios that the file at `path` declares for it."""

    definition: Definition
    path: str
    scenarios: tuple[Scenario, ...]


class _File(NamedTuple):
    """One file: its text, what it declares (meaningless if there are complaints), and where it says its name."""

    report: Report
    text: str
    declared: object
    name: str | None
    name_place: Place | None


def load(paths: Sequence[str]) -> tuple[Definition, ...]:
    """Return what the workflow files declare, one workflow a file, in the order given; a file given twice counts once.

    A definition's path is the one given, its text the file's without a byte order mark. Scenario files among them are
    read and declare nothing here. Raises `DefinitionsError` with all complaints about all the files.
    """
    return tuple(_definition(file) for file in _sound_files(_distinct(paths)) if not is_scenario_file(file.report.path))


def load_rule_tests(paths: Iterable[str]) -> tuple[RuleTests, ...]:
    """Return the workflows and the scenarios beside them, given the path of either file or of both.

    Raises `DefinitionsError` with all complaints about all the files, of which both must be there.
    """
    workflows = list(_distinct(beside(path)[0] for path in paths))
    files = _sound_files([each for path in workflows for each in beside(path)])
    return tuple(
        RuleTests(
            definition=_definition(workflow),
            path=scenarios.report.path,
            scenarios=msgspec.convert(scenarios.declared, ScenarioFile).scenarios,
        )
        for workflow, scenarios in zip(files[::2], files[1::2], strict=True)
    )


def schema() -> dict[str, object]:
    """Return the JSON Schema (draft 7) of workflow files, for editors; it takes what `load` takes.

    It knows one thing less: that no two steps of a workflow share a name.
    """
    return {"$schema": SCHEMA_DIALECT, "title": "crmflow workflow", **WORKFLOW.schema()}


def scenario_schema() -> dict[str, object]:
    """Return the JSON Schema (draft 7) of scenario files, for editors.

    It knows less than `load_rule_tests`: not which times there are, whom events are about and what they need to say.
    """
    return {"$schema": SCHEMA_DIALECT, "title": "crmflow scenarios", **SCENARIOS.schema()}


def _sound_files(paths: Iterable[str]) -> list[_File]:
    files = [_read_file(path) for path in paths]
    _refuse_same_names(files)
    complaints = tuple(each for file in files for each in file.report.complaints)
    if complaints:
        raise DefinitionsError(complaints)
    return files


def _distinct(paths: Iterable[str]) -> Iterable[str]:
    found: dict[str, str] = {}
    for path in paths:
        found.setdefault(os.path.realpath(path), path)
    return found.values()


def _read_file(path: str) -> _File:
    report = Report(path)
    vocabulary, subject = (SCENARIOS, SUBJECT) if is_scenario_file(path) else (WORKFLOW, _WORKFLOW_SUBJECT)
    text, node = read(path, report, subject)
    declared = vocabulary.read(node, report) if node else None
    name = node.word("workflow") if isinstance(node, Mapping) else None
    place = node.entries["workflow"][1].place if isinstance(node, Mapping) and name is not None else None
    return _File(report, text, declared, name, place)


def _refuse_same_names(files: Iterable[_File]) -> None:
    first: dict[str, str] = {}
    for file in files:
        if file.name is None or file.name_place is None:
            continue
        if file.name in first:
            what = f"the workflow {file.name!r} is declared in {first[file.name]} already"
            file.report.add(file.name_place, what, "rename one of the two")
        first.setdefault(file.name, f"{file.report.path}:{file.name_place.line}:{file.name_place.column}")


def _definition(file: _File) -> Definition:
    workflow = msgspec.convert(file.declared, Workflow)
    return Definition(workflow=workflow, digest=_digest(workflow), path=file.report.path, text=file.text)


def _digest(workflow: Workflow) -> str:
    """Return the SHA-256 of the workflow's canonical JSON without the lines of its triggers."""
    triggers = tuple(msgspec.structs.replace(each, line=0) for each in workflow.disenrollment_triggers)
    meaning = encode(msgspec.structs.replace(workflow, disenrollment_triggers=triggers))
    return hashlib.sha256(meaning.encode()).hexdigest()
