"""What `crmflow ingest` costs of the logs of mail providers, against the same events written as our own."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.benchmarks import outcomes
from tests.benchmarks.cost import Contestant, crmflow_on, in_turn, run
from tests.benchmarks.data import SEED, Data, place_copy
from tests.benchmarks.provider_logs import PROVIDERS, lines
from tests.benchmarks.table import Row, Target, compare

OURS = "the same as our own events"


def providers(data: Data, repeat: int) -> Iterator[list[Row]]:
    """Measure an ingest of each provider's log against one of what `convert` makes of it."""
    count = data.scale.events // 4
    for provider in PROVIDERS:
        theirs = _log(data, provider, count)
        ours = data.made(f"{theirs.stem}.converted.jsonl", partial(_convert, theirs))
        stores = {provider: data.scratch(f"{provider}.db"), OURS: data.scratch("ours.db")}
        logs = {provider: theirs, OURS: ours}
        costs = in_turn({name: _on_copy(data, stores[name], log) for name, log in logs.items()}, repeat)
        found = outcomes.of_store(stores[OURS])
        kinds = frozenset({"exit", "bounced"})
        outcomes.require_same(provider, outcomes.of_store(stores[provider]), found, kinds=kinds)
        title = f"{provider}: {count:,} events end {outcomes.exit_count(found):,} enrollments"
        yield compare(title, costs, {OURS: Target("wall", 2)})


def _log(data: Data, provider: str, count: int) -> Path:
    size = data.scale.crm

    def make(path: Path) -> None:
        with path.open("w", encoding="utf-8") as file:
            file.writelines(lines(provider, size, count, SEED))

    return data.made(f"{provider}-{size.prospects}-{count}.jsonl", make)


def _convert(log: Path, path: Path) -> None:
    path.write_text(run(*crmflow_on(path.with_suffix(".db"), "convert", "--quiet", str(log))), encoding="utf-8")


def _on_copy(data: Data, store: Path, log: Path) -> Contestant:
    source = data.store(data.scale.crm)
    return Contestant(crmflow_on(store, "ingest", str(log)), lambda: place_copy(source, store))
