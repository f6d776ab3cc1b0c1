"""Any sequence of commands and of what happens to logs, against a model in dictionaries and lists."""

import copy
import gzip
import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from crmflow.core.errors import CrmflowError
from crmflow.core.model import RECORD_TYPES, Moment, RecordType
from crmflow.operations import (
    advance,
    disenroll,
    edit_record,
    enroll,
    import_records,
    ingest,
    list_enrollments,
    rejects,
    upkeep,
    workflows,
)
from crmflow.operations.ingest import Watcher
from crmflow.operations.selection import Request
from crmflow.sources.logs import PIECE_SIZE
from crmflow.store.connection import Store, create_store
from tests.model.naive import BY_HAND, Naive, Refused
from tests.model.plain import Json
from tests.model.words import (
    ALL_DEFINITIONS,
    DEFINITIONS,
    ENROLLMENTS,
    FIELDS,
    KEYS,
    LINKS,
    MANY_LINES,
    MOMENTS,
    NAMES,
    NEW_RECORDS,
    SELECTIONS,
    TABLES,
    WORKFLOWS,
    Table,
    at,
)

LOG_NAMES = st.sampled_from(["a.jsonl", "b.jsonl"])
KINDS = st.sampled_from(RECORD_TYPES)
SELDOM = st.integers(0, 5).map(lambda number: number == 5)
OFTEN = st.integers(0, 3).map(lambda number: number != 3)

CUTS = st.just(0) | st.integers(0, 40)
PIECE_SIZES = st.sampled_from([PIECE_SIZE, 200, 1])
SILENT = Watcher(lambda _: None, lambda _: None)

Answer = Json | str
REFUSED = "refused"


class Machine(RuleBasedStateMachine):
    """A store and the model, to which the same things happen."""

    def __init__(self) -> None:
        """Make an empty store and an empty model; the clock stands at hour 20."""
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="crmflow-model-"))
        self.store = create_store(self.folder / "crm.db")
        self.model = Naive()
        self.now = at(20)
        self.logs: dict[str, bytes] = {}
        self.halves: dict[str, bytes] = {}

    def teardown(self) -> None:
        """Hold that the store is sound, and take everything away."""
        try:
            assert [each for each in upkeep.examine(self.store) if each.is_fault] == []
        finally:
            self.store.close()
            shutil.rmtree(self.folder)

    def moment(self, hour: int) -> Moment:
        """Return a moment at an hour, the clock standing where it stands."""
        return Moment(at=at(hour), now=self.now)

    def both(self, ask: Callable[[Naive], Json], run: Callable[[Store], Any], *, rehearses: bool = False) -> None:
        """Do the same to the model and to the store, and hold that both say the same.

        A rehearsal says what would happen, and nothing of it is kept.
        """
        model = copy.deepcopy(self.model) if rehearses else self.model
        expected: Answer = REFUSED
        with suppress(Refused):
            expected = ask(model)
        if rehearses and isinstance(expected, dict):
            expected["ran"] = False
        with self.store.rehearsal() if rehearses else nullcontext():
            said = _answer(run, self.store)
        assert _like(expected, said) == expected

    @invariant()
    def is_the_same(self) -> None:
        """Hold that the store's enrollments, records and rejects are the model's, and that runs stand behind exits."""
        listed = list_enrollments.listed(self.store)
        assert all(each["exit"] is None or each["exit"].pop("run") for each in listed)
        assert listed == self.model.listed()
        known = [record for kind in sorted(RECORD_TYPES) for record in edit_record.listed(self.store, kind)]
        shown = [edit_record.show(self.store, f"{each['type']}:{each['key']}") for each in known]
        for each in shown:
            del each["enrollments"]
        assert shown == self.model.known()
        kept = [(each["source"], each["line"], each["offset"], each["text"]) for each in rejects.listed(self.store)]
        assert kept == [each[1:] for each in self.model.rejects]

    # --- records ---

    @initialize(definitions=ALL_DEFINITIONS, enrollments=ENROLLMENTS)
    def begin(self, definitions: list[Json], enrollments: list[tuple[str, str, int]]) -> None:
        """Begin with every workflow, some records of each type, and some enrollments."""
        self.apply(definitions, 0, rehearses=False)
        for kind, key, fields in NEW_RECORDS:
            self._add(kind, key, fields, [], 0, rehearses=False)
        for workflow, name, hour in enrollments:
            self._enroll(workflow, name, hour, rehearses=False)

    @rule(kind=KINDS, data=st.data(), hour=MOMENTS, rehearses=SELDOM)
    def add_record(self, kind: RecordType, data: st.DataObject, hour: int, *, rehearses: bool) -> None:
        """Add a record."""
        links = data.draw(LINKS) if kind == "deal" else []
        self._add(kind, data.draw(KEYS[kind]), data.draw(FIELDS[kind]), links, hour, rehearses=rehearses)

    def _add(self, kind: RecordType, key: str, fields: Json, links: list[str], hour: int, *, rehearses: bool) -> None:
        texts = _texts(fields, links or None)
        self.both(
            lambda model: model.add(kind, key, fields, links),
            lambda store: edit_record.add(store, f"{kind}:{key}", texts, self.moment(hour)),
            rehearses=rehearses,
        )

    @rule(kind=KINDS, data=st.data(), hour=MOMENTS, rehearses=SELDOM)
    def set_fields(self, kind: RecordType, data: st.DataObject, hour: int, *, rehearses: bool) -> None:
        """Set fields of a record."""
        name, fields = data.draw(NAMES[kind]), data.draw(FIELDS[kind])
        links = data.draw(LINKS) if kind == "deal" and data.draw(SELDOM) else None
        texts = _texts(fields, links)
        self.both(
            lambda model: model.set(kind, name, fields, at(hour), links),
            lambda store: edit_record.set_fields(store, f"{kind}:{name}", texts, self.moment(hour)),
            rehearses=rehearses,
        )

    @rule(kind=KINDS, data=st.data(), hour=MOMENTS, rehearses=SELDOM)
    def import_table(self, kind: RecordType, data: st.DataObject, hour: int, *, rehearses: bool) -> None:
        """Import records from a table."""
        table = data.draw(TABLES[kind])
        path = self._write_table(table)
        self.both(
            lambda model: model.import_(kind, table.rows, at(hour), path, is_typed=table.is_typed),
            lambda store: import_records.import_records(store, kind, path, self.moment(hour), lambda _: None),
            rehearses=rehearses,
        )

    @rule(kind=KINDS, data=st.data(), hour=MOMENTS, rehearses=OFTEN)
    def remove_record(self, kind: RecordType, data: st.DataObject, hour: int, *, rehearses: bool) -> None:
        """Remove a record, now and then."""
        name = data.draw(NAMES[kind])
        self.both(
            lambda model: model.remove(kind, name),
            lambda store: edit_record.remove(store, f"{kind}:{name}", self.moment(hour)),
            rehearses=rehearses,
        )

    def _write_table(self, table: Table) -> str:
        path = self.folder / f"table{table.suffix}"
        path.write_text(table.text, encoding="utf-8")
        return str(path)

    # --- workflows ---

    @rule(definitions=DEFINITIONS, hour=MOMENTS, rehearses=SELDOM)
    def apply(self, definitions: list[Json], hour: int, *, rehearses: bool) -> None:
        """Apply definitions, new and changed ones."""
        paths = []
        for number, definition in enumerate(definitions):
            path = self.folder / f"workflow-{number}.yaml"
            path.write_text(json.dumps(definition, indent=1), encoding="utf-8")
            paths.append(str(path))
        self.both(
            lambda model: model.apply(definitions),
            lambda store: workflows.apply(store, paths, self.moment(hour)),
            rehearses=rehearses,
        )

    @rule(name=WORKFLOWS, hour=MOMENTS, with_disenrolling=st.booleans(), rehearses=OFTEN)
    def remove_workflow(self, name: str, hour: int, *, with_disenrolling: bool, rehearses: bool) -> None:
        """Take a workflow out of force."""
        self.both(
            lambda model: model.remove_workflow(name, at(hour), with_disenrolling=with_disenrolling),
            lambda store: workflows.remove(store, name, self.moment(hour), with_disenrolling=with_disenrolling),
            rehearses=rehearses,
        )

    # --- enrollments ---

    @rule(workflow=WORKFLOWS, data=st.data(), hour=MOMENTS, rehearses=SELDOM)
    def enroll(self, workflow: str, data: st.DataObject, hour: int, *, rehearses: bool) -> None:
        """Enroll a record."""
        self._enroll(workflow, data.draw(NAMES[self._kind(workflow)]), hour, rehearses=rehearses)

    def _enroll(self, workflow: str, name: str, hour: int, *, rehearses: bool) -> None:
        self.both(
            lambda model: model.enroll(name, workflow, at(hour)),
            lambda store: enroll.enroll(store, name, workflow, self.moment(hour)),
            rehearses=rehearses,
        )

    @rule(workflow=WORKFLOWS, data=st.data(), hour=MOMENTS, all_or_nothing=SELDOM, rehearses=SELDOM)
    def bulk_enroll(
        self, workflow: str, data: st.DataObject, hour: int, *, all_or_nothing: bool, rehearses: bool
    ) -> None:
        """Enroll a selection."""
        table = data.draw(SELECTIONS[self._kind(workflow)])
        request = Request(self._write_table(table), all_or_nothing=all_or_nothing)
        self.both(
            lambda model: model.bulk_enroll(table.names, workflow, at(hour), all_or_nothing=all_or_nothing),
            lambda store: enroll.bulk_enroll(store, request, workflow, self.moment(hour)),
            rehearses=rehearses,
        )

    @rule(workflow=WORKFLOWS, data=st.data(), hour=MOMENTS, rehearses=SELDOM)
    def disenroll(self, workflow: str, data: st.DataObject, hour: int, *, rehearses: bool) -> None:
        """Take a record out of a workflow."""
        self._disenroll(data, workflow, hour, from_all=False, rehearses=rehearses)

    @rule(data=st.data(), hour=MOMENTS, from_all=st.booleans(), rehearses=SELDOM)
    def leave(self, data: st.DataObject, hour: int, *, from_all: bool, rehearses: bool) -> None:
        """Take a record out of the only workflow that it is in, or out of all."""
        self._disenroll(data, None, hour, from_all=from_all, rehearses=rehearses)

    def _disenroll(
        self, data: st.DataObject, workflow: str | None, hour: int, *, from_all: bool, rehearses: bool
    ) -> None:
        kind = self._kind(workflow) if workflow else data.draw(KINDS)
        name = data.draw(NAMES[kind])
        self.both(
            lambda model: model.disenroll(kind, name, workflow, at(hour), from_all=from_all),
            lambda store: disenroll.disenroll(
                store, f"{kind}:{name}", workflow, self.moment(hour), from_all=from_all, note=BY_HAND
            ),
            rehearses=rehearses,
        )

    @rule(workflow=WORKFLOWS, data=st.data(), hour=MOMENTS, all_or_nothing=SELDOM, rehearses=SELDOM)
    def bulk_disenroll(
        self, workflow: str, data: st.DataObject, hour: int, *, all_or_nothing: bool, rehearses: bool
    ) -> None:
        """Take a selection out of a workflow."""
        table = data.draw(SELECTIONS[self._kind(workflow)])
        request = Request(self._write_table(table), all_or_nothing=all_or_nothing)
        self.both(
            lambda model: model.bulk_disenroll(table.names, workflow, at(hour), all_or_nothing=all_or_nothing),
            lambda store: disenroll.bulk_disenroll(store, request, workflow, self.moment(hour), note=BY_HAND),
            rehearses=rehearses,
        )

    @rule(workflow=st.none() | WORKFLOWS, hour=MOMENTS, rehearses=SELDOM)
    def advance(self, workflow: str | None, hour: int, *, rehearses: bool) -> None:
        """Complete the steps that are due."""
        self.both(
            lambda model: model.advance(at(hour), workflow),
            lambda store: advance.advance(store, self.moment(hour), workflow),
            rehearses=rehearses,
        )

    def _kind(self, workflow: str) -> str:
        return str(self.model.workflows.get(workflow, {"type": "prospect"})["type"])

    # --- logs ---

    @rule(hours=st.integers(1, 48))
    def wait(self, hours: int) -> None:
        """Let time go by."""
        self.now += timedelta(hours=hours)

    @rule(name=LOG_NAMES, lines=MANY_LINES, cut=CUTS, is_read=OFTEN, piece_size=PIECE_SIZES)
    def append(self, name: str, lines: list[bytes], cut: int, piece_size: int, *, is_read: bool) -> None:
        """Append lines to a log, the last one perhaps cut off: its other half comes with the next lines."""
        more = b"".join(line + b"\n" for line in lines)
        kept = len(more) - min(cut, len(lines[-1]) + 1)
        self._save(name, self.logs.get(name, b"") + self.halves.pop(name, b"") + more[:kept])
        self.halves[name] = more[kept:]
        if is_read:
            self._ingest([name], piece_size, from_start=False, rehearses=False)

    @precondition(lambda self: self.logs)
    @rule(data=st.data(), is_packed=st.booleans(), is_copied=st.booleans())
    def rotate(self, data: st.DataObject, *, is_packed: bool, is_copied: bool) -> None:
        """Rename a log, or copy it and truncate it; compress it perhaps."""
        name = data.draw(st.sampled_from(sorted(self.logs)))
        content = self.logs.pop(name)
        (self.folder / name).unlink()
        if is_copied:
            self._save(name, b"")
        else:
            self.halves.pop(name, None)
        self._save(f"{name.removesuffix('.gz')}.1{'.gz' if is_packed else ''}", content)

    @precondition(lambda self: self.logs)
    @rule(data=st.data(), random=st.randoms(use_true_random=False), is_shuffled=st.booleans())
    def duplicate(self, data: st.DataObject, random: Random, *, is_shuffled: bool) -> None:
        """Copy a log, its lines in another order perhaps."""
        content = self.logs[data.draw(st.sampled_from(sorted(self.logs)))]
        if is_shuffled:
            lines = content.splitlines(keepends=True)
            random.shuffle(lines)
            content = b"".join(lines)
        self._save("copy.jsonl", content)

    def _save(self, name: str, content: bytes) -> None:
        self.logs[name] = content
        (self.folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)

    @precondition(lambda self: self.logs)
    @rule(data=st.data(), from_start=SELDOM, piece_size=PIECE_SIZES, rehearses=SELDOM)
    def ingest(self, data: st.DataObject, piece_size: int, *, from_start: bool, rehearses: bool) -> None:
        """Read logs, one or many, in many pieces or in one."""
        names = data.draw(st.lists(st.sampled_from(sorted(self.logs)), min_size=1, max_size=4))
        self._ingest(names, piece_size, from_start=from_start, rehearses=rehearses)

    def _ingest(self, names: list[str], piece_size: int, *, from_start: bool, rehearses: bool) -> None:
        files = {str(self.folder / name): self.logs[name] for name in names}
        paths = [str(self.folder / name) for name in names]
        self.both(
            lambda model: model.ingest(files, self.now, from_start=from_start),
            lambda store: ingest.ingest(
                store, paths, self.moment(0), SILENT, ingest.Manner(from_start=from_start, piece_size=piece_size)
            ),
            rehearses=rehearses,
        )

    @precondition(lambda self: self.model.rejects)
    @rule(rehearses=SELDOM)
    def retry(self, *, rehearses: bool) -> None:
        """Read the rejects again."""
        self.both(
            lambda model: model.retry(self.now),
            lambda store: rejects.retry(store, self.moment(0)),
            rehearses=rehearses,
        )

    @precondition(lambda self: self.model.rejects)
    @rule(rehearses=OFTEN)
    def clear(self, *, rehearses: bool) -> None:
        """Forget the rejects, now and then."""
        self.both(Naive.clear, lambda store: rejects.clear(store, self.moment(0)), rehearses=rehearses)


def _texts(fields: Json, links: list[str] | None) -> list[str]:
    texts = [f"{name}={json.dumps(value)}" for name, value in fields.items()]
    return texts if links is None else [*texts, f"prospects={json.dumps(' '.join(links))}"]


def _answer(run: Callable[[Store], Any], store: Store) -> Answer:
    """Return what the program says, as JSON with `ran` for whether a run was written down."""
    try:
        said = run(store)
    except CrmflowError:
        return REFUSED
    if isinstance(said, tuple) and not hasattr(said, "_asdict"):
        said = dict(zip(("run", "cleared"), said, strict=True))
    plain: Json = said if isinstance(said, dict) else said.as_json() if hasattr(said, "as_json") else said._asdict()
    return {**plain, "ran": plain["run"] is not None}


def _like(expected: object, said: object) -> object:
    """Return what was said without what the model does not say."""
    if isinstance(expected, dict) and expected and isinstance(said, dict):
        return {name: _like(value, said.get(name)) for name, value in expected.items()}
    if isinstance(expected, list) and isinstance(said, list) and len(expected) == len(said):
        return [_like(one, other) for one, other in zip(expected, said, strict=True)]
    return said


def _hold(max_examples: int, steps: int, *, is_same_each_time: bool) -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=max_examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=is_same_each_time,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_whatever_happens_the_store_is_what_the_model_is() -> None:
    """After any sequence of commands and of what happens to logs, the store holds what the naive model holds."""
    _hold(40, 25, is_same_each_time=True)


@pytest.mark.long
@pytest.mark.timeout(0)
def test_the_store_is_what_the_model_is_for_hours() -> None:
    """The same holds for two thousand longer sequences."""
    _hold(2_000, 50, is_same_each_time=False)
