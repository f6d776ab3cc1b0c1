"""Checks workflow files without a store."""

from collections.abc import Sequence
from typing import Any

from crmflow import definitions


def check(paths: Sequence[str]) -> list[dict[str, Any]]:
    """Return what these files declare; raises `DefinitionsError` with every fault of all of them."""
    return [
        {
            "path": each.path,
            "workflow": each.workflow.workflow,
            "type": each.workflow.type,
            "steps": len(each.workflow.steps),
            "triggers": len(each.workflow.disenrollment_triggers),
            "digest": each.digest,
        }
        for each in definitions.load(paths)
    ]


def scenario_files(paths: Sequence[str]) -> list[str]:
    """Return those of these files that hold scenarios."""
    return [path for path in paths if definitions.is_scenario_file(path)]


def schema() -> dict[str, object]:
    """Return the JSON Schema of a workflow file."""
    return definitions.schema()
