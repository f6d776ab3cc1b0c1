"""The law of plans: carried out, the past stands as if the new rules had always been in force."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmflow.core.model import Moment, Workflow
from crmflow.operations import plan, undo, upkeep
from crmflow.operations.ingest import ingest
from crmflow.store.connection import Store, open_store
from tests.operations.living import SILENT, begin
from tests.operations.standings import outcome, replayed
from tests.operations.worlds import NOW, World, line_of, mailings, redefined, worlds

MOMENT = Moment(NOW, NOW)


@st.composite
def _changed_worlds(draw: st.DrawFn) -> tuple[World, tuple[Workflow, ...]]:
    world = draw(worlds() | mailings())
    return world._replace(leavings=[]), draw(redefined(world.workflows))


def _write(folder: Path, workflows: Sequence[Workflow]) -> list[str]:
    """Write workflow files; JSON is YAML."""
    paths: list[str] = []
    for each in workflows:
        path = folder / f"{each.workflow}.{len(paths)}.yaml"
        path.write_text(_as_yaml(each))
        paths.append(str(path))
    return paths


def _as_yaml(workflow: Workflow) -> str:
    triggers: list[dict[str, Any]] = []
    for each in workflow.disenrollment_triggers:
        said = {"trigger": each.trigger, "url": list(each.url) or None, "field": each.field, "suspect": each.suspect}
        triggers.append({key: value for key, value in said.items() if value is not None})
        if each.to is not None:
            triggers[-1]["to"] = list(each.to)
    steps = [{"name": each.name, "kind": each.kind, "after": "1h"} for each in workflow.steps]
    plain: dict[str, Any] = {"workflow": workflow.workflow, "type": workflow.type}
    plain |= {"steps": steps} if steps else {}
    plain |= {"disenrollment_triggers": triggers} if triggers else {}
    return msgspec.json.encode(plain).decode()


def _read(store: Store, world: World, folder: Path) -> None:
    log = folder / "log.jsonl"
    log.write_bytes(b"".join(map(line_of, world.events)))
    ingest(store, [str(log)], MOMENT, SILENT)


def _hold(cast: Path, world: World, changed: Sequence[Workflow]) -> None:
    with TemporaryDirectory(dir=cast.parent) as name:
        folder = Path(name)
        shutil.copy(cast, folder / "crm.db")
        paths = _write(folder, changed)
        with open_store(folder / "crm.db") as store:
            begin(store, world)
            _read(store, world, folder)
            before = outcome(store)
            made = plan.plan(store, paths, MOMENT, [])
            assert outcome(store) == before
            assert made.plan.gone == ()
            (folder / "plan.json").write_text(made.plan.as_text())
            done = plan.carry_out(store, plan.read_plan(str(folder / "plan.json")), MOMENT, may_reopen=True)
            assert outcome(store).standings == replayed(world._replace(workflows=tuple(changed)))
            assert len(done.changes) == len(made.plan.changes)
            assert [each for each in upkeep.examine(store) if each.is_fault] == []
            if done.run is not None:
                undo.undo(store, done.run, MOMENT)
            assert outcome(store) == before


@settings(max_examples=60, derandomize=True)
@given(_changed_worlds())
def test_what_is_carried_out_is_as_if_it_had_always_been_so(
    cast: Path, changed: tuple[World, tuple[Workflow, ...]]
) -> None:
    """The state is what the plain replay of the new rules says; undone, it is what it was."""
    _hold(cast, *changed)


@pytest.mark.long
@pytest.mark.timeout(0)
@settings(max_examples=3_000)
@given(_changed_worlds())
def test_thousands_of_plans_are_as_if_it_had_always_been_so(
    cast: Path, changed: tuple[World, tuple[Workflow, ...]]
) -> None:
    """The same holds for many more worlds, other ones each time."""
    _hold(cast, *changed)
