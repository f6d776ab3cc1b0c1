"""What matching away from the store costs: its three steps, a cluster of this host's own, and one host's share."""

from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks import outcomes
from tests.benchmarks.cost import PYTHON, Contestant, crmflow_on, in_turn
from tests.benchmarks.crm import Size
from tests.benchmarks.data import Data, place_copy
from tests.benchmarks.events import MIXES
from tests.benchmarks.table import Row, compare

_ON_ONE_PROCESSOR = (
    "import os, sys; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); os.execv(sys.argv[1], sys.argv[1:])"
)
SHARES = (100, 10, 1)
"""Of the CRM's prospects: how the work of one host grows with them."""


def elsewhere(data: Data, repeat: int) -> Iterator[list[Row]]:
    """Measure an ingest in three steps and one on a cluster of this host, on one processor and on all."""
    size = data.scale.crm
    for mix in MIXES:
        log, source = data.log(mix, size, data.scale.events), data.store(size)
        local, spread, stepwise = (data.scratch(f"{name}.db") for name in ("local", "spread", "stepwise"))
        on_cluster = _on_copy(source, spread, "ingest", "--engine", "dask", str(log))
        costs = in_turn(
            {
                "ingest --engine dask": on_cluster,
                "the same, one processor": Contestant(
                    [PYTHON, "-c", _ON_ONE_PROCESSOR, *on_cluster.command], on_cluster.prepare
                ),
                "ingest": _on_copy(source, local, "ingest", str(log)),
                **_steps(source, stepwise, log),
            },
            repeat,
        )
        for store in (spread, stepwise):
            theirs, ours = outcomes.of_store(store), outcomes.of_store(local)
            outcomes.require_same(store.name, theirs, ours, kinds=frozenset({"exit", "field", "bounced"}))
        yield compare(f"{data.scale.events:,} events, {mix}, elsewhere", costs)


def growth(data: Data, repeat: int) -> Iterator[list[Row]]:
    """Measure what is left to the store's host as a CRM grows, a night's log being the same length."""
    found: dict[str, Contestant] = {}
    whole = data.scale.crm
    for size in dict.fromkeys(Size(max(500, whole.prospects // of), max(20, whole.deals // of)) for of in SHARES):
        log, store = data.log("steady", size, data.scale.events // 10), data.scratch(f"growth-{size.prospects}.db")
        steps = _steps(data.store(size), store, log)
        found |= {f"{name}, {2 * size.prospects:,} enrolled": each for name, each in steps.items()}
    yield compare(f"{data.scale.events // 10:,} events, as enrollments grow", in_turn(found, repeat))


def _steps(source: Path, store: Path, log: Path) -> dict[str, Contestant]:
    """Return the three steps of an ingest; each needs that those before it ran."""
    snapshot, exits = store.with_suffix(".snapshot"), store.with_suffix(".exits")
    return {
        "snapshot export": _on_copy(source, store, "snapshot", "export", "--overwrite", str(snapshot)),
        "match": Contestant(
            crmflow_on(store, "match", "--snapshot", str(snapshot), str(log), "--out", str(exits)),
            lambda: exits.unlink(missing_ok=True),
        ),
        "apply": _on_copy(source, store, "apply", str(exits)),
    }


def _on_copy(source: Path, store: Path, *arguments: str) -> Contestant:
    return Contestant(crmflow_on(store, *arguments), lambda: place_copy(source, store))
