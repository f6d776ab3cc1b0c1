"""DuckDB: the same match and update as SQL by hand, in a database of its own.

What a good engineer would write who needs the result only: no validation, no rejects, no offsets, no evidence.
"""

from collections.abc import Iterable
from pathlib import Path

import duckdb

from tests.benchmarks.peers.contest import enter

TABLES = """
CREATE TABLE record AS
    SELECT row_number() OVER () AS id, * FROM (
        SELECT 'prospect' AS type, email AS key, status, plan, city, owner, NULL::VARCHAR AS amount, false AS bounced
        FROM read_csv('{folder}/prospects.csv', all_varchar = true)
        UNION ALL
        SELECT 'deal', key, status, NULL, NULL, NULL, amount, false
        FROM read_csv('{folder}/deals.csv', all_varchar = true)
    );
CREATE TABLE enrollment AS
    SELECT row_number() OVER () AS id, record.id AS record, workflow, enrolled_at::TIMESTAMP AS enrolled_at,
           exited_at::TIMESTAMP AS exited_at, NULL::VARCHAR AS trigger, NULL::VARCHAR AS event
    FROM read_csv('{folder}/enrollments.csv', all_varchar = true) AS given JOIN record ON record.key = given.record;
CREATE TABLE trigger AS
    SELECT * REPLACE (rank::INTEGER AS rank) FROM read_csv('{folder}/triggers.csv', all_varchar = true);
"""

READ = """
CREATE TEMP TABLE event AS
    SELECT given.*, record.id AS record, record.type AS record_type
    FROM read_json('{log}', format = 'newline_delimited', columns = {{
        id: 'VARCHAR', type: 'VARCHAR', time: 'TIMESTAMP', prospect: 'VARCHAR', deal: 'VARCHAR', workflow: 'VARCHAR',
        url: 'VARCHAR', field: 'VARCHAR', value: 'VARCHAR', old: 'VARCHAR'
    }}) AS given
    JOIN record ON record.key = coalesce(prospect, deal)
    WHERE given.type IN ('link_clicked', 'replied', 'conversation_started', 'page_visited', 'hard_bounced',
                         'field_updated', 'deal_won', 'deal_lost')
"""

CHANGED = """
CREATE TEMP TABLE face AS
    SELECT id, type, time, record, record_type, workflow, url, field, value FROM event
    WHERE type <> 'field_updated' OR old IS DISTINCT FROM value
    UNION ALL
    SELECT id, 'field_updated', time, record, 'deal', NULL, NULL, 'status', if(type = 'deal_won', 'won', 'lost')
    FROM event WHERE type IN ('deal_won', 'deal_lost')
    UNION ALL
    SELECT id, if(value = 'won', 'deal_won', 'deal_lost'), time, record, 'deal', NULL, NULL, NULL, NULL
    FROM event
    WHERE type = 'field_updated' AND record_type = 'deal' AND field = 'status' AND value IN ('won', 'lost')
      AND old IS DISTINCT FROM value
"""

END = """
WITH page AS (
    SELECT DISTINCT visited.url, trigger.workflow
    FROM (SELECT DISTINCT url FROM face WHERE type = 'page_visited') AS visited
    JOIN trigger ON trigger.trigger = 'page_visited'
        AND rtrim(split_part(split_part(visited.url, '#', 1), '?', 1), '/') GLOB trigger.url
),
wanted AS (
    SELECT face.id, time, record, trigger.workflow, trigger, rank
    FROM face JOIN trigger ON trigger.trigger = face.type AND trigger.type = face.record_type
    WHERE face.type IN ('replied', 'conversation_started', 'hard_bounced', 'deal_won', 'deal_lost')
    UNION ALL
    SELECT face.id, time, record, trigger.workflow, trigger, rank
    FROM face JOIN trigger ON trigger.trigger = face.type AND trigger.workflow = face.workflow
    WHERE face.type = 'link_clicked'
    UNION ALL
    SELECT face.id, time, record, page.workflow, 'page_visited',
           (SELECT any_value(rank) FROM trigger WHERE trigger.trigger = 'page_visited')
    FROM face JOIN page ON page.url = face.url
    WHERE face.type = 'page_visited'
    UNION ALL
    SELECT face.id, time, record, trigger.workflow, trigger, rank
    FROM face JOIN trigger ON trigger.trigger = face.type AND trigger.type = face.record_type
        AND trigger.field = face.field AND (trigger.value IS NULL OR trigger.value = face.value)
    WHERE face.type = 'field_updated'
),
first AS (
    SELECT enrollment.id AS enrollment,
           min({'at': time, 'rank': rank, 'event': wanted.id, 'trigger': wanted.trigger}) AS exit
    FROM wanted JOIN enrollment ON enrollment.record = wanted.record AND enrollment.workflow = wanted.workflow
        AND time >= enrolled_at AND (exited_at IS NULL OR time < exited_at)
    GROUP BY enrollment.id
)
UPDATE enrollment SET exited_at = exit.at, trigger = exit.trigger, event = exit.event
FROM first WHERE enrollment.id = first.enrollment
"""

KEEP_FACTS = """
WITH told AS (
    SELECT record, time, id, if(type = 'field_updated', field, 'status') AS field,
           CASE type WHEN 'deal_won' THEN 'won' WHEN 'deal_lost' THEN 'lost' ELSE value END AS value
    FROM event WHERE type IN ('field_updated', 'deal_won', 'deal_lost')
),
latest AS (
    SELECT record, field, max({'at': time, 'event': id, 'value': value}).value AS value FROM told GROUP BY ALL
),
facts AS (
    SELECT record, any_value(value) FILTER (field = 'status') AS status,
           any_value(value) FILTER (field = 'plan') AS plan,
           any_value(value) FILTER (field = 'city') AS city, any_value(value) FILTER (field = 'owner') AS owner,
           any_value(value) FILTER (field = 'amount') AS amount
    FROM latest GROUP BY record
)
UPDATE record SET status = coalesce(facts.status, record.status), plan = coalesce(facts.plan, record.plan),
                  city = coalesce(facts.city, record.city), owner = coalesce(facts.owner, record.owner),
                  amount = coalesce(facts.amount, record.amount)
FROM facts WHERE record.id = facts.record
"""

BOUNCE = "UPDATE record SET bounced = true WHERE id IN (SELECT record FROM event WHERE type = 'hard_bounced')"

OUTCOME = """
SELECT ['exit', workflow, key, strftime(exited_at, '%Y-%m-%dT%H:%M:%SZ'), trigger, event]
FROM enrollment JOIN record ON record.id = enrollment.record WHERE event IS NOT NULL
UNION ALL
SELECT ['field', key, name, value] FROM (
    UNPIVOT record ON status, plan, city, owner, amount INTO NAME name VALUE value
) WHERE value <> 'as imported'
UNION ALL
SELECT ['bounced', key] FROM record WHERE bounced
"""


def prepare(folder: Path, database: Path) -> None:
    """Make tables of records, enrollments and triggers."""
    with duckdb.connect(str(database)) as connection:
        connection.execute(TABLES.format(folder=folder))


def ingest(log: Path, database: Path) -> None:
    """Read a log, end enrollments, update fields and bounces, all in one transaction."""
    with duckdb.connect(str(database)) as connection:
        connection.begin()
        for statement in (READ.format(log=log), CHANGED, END, KEEP_FACTS, BOUNCE):
            connection.execute(statement)
        connection.commit()


def outcome(database: Path) -> Iterable[Iterable[str]]:
    """Return exits, fields and bounces."""
    with duckdb.connect(str(database), read_only=True) as connection:
        return [row for (row,) in connection.execute(OUTCOME).fetchall()]


if __name__ == "__main__":
    enter(prepare, ingest, outcome)
