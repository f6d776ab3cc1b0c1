"""The tables, as the migrations that make them; a migration that was released is never changed, only followed.

The truth and what is derived from it:

- `record` holds what identifies a record and, as JSON, the values that its fields have now; `field_change` holds every
  dated change, so that the latest one can be found again whatever order they come in. `email` knows every address that
  a prospect has or had.
- `definition` keeps every version of a workflow; `workflow.definition_id` is the one in force (null: removed).
- `enrollment` carries its state and the exit that stands; `exit` also keeps those that were superseded.
- `run.undone_by_run_id` tells of what was undone; a run without it stands. An exit that stands again after it was
  superseded is `restored`; an enrollment that an undone run began is withdrawn. `reconsidered` tells which
  enrollments a run settled anew and changed. `retraction` names events that count no more, by their identity.
- `log` is a file that is known by its content, `reading` what one run read of it and on which terms, `reject` a line
  not understood.
- `message_workflow` says of which workflow a mail is. An event that names its mail but no workflow is kept as an
  `unattributed_event`, because the one that names it may be read later. A `mail_click` is kept because later ones, or
  the delivery of its mail, may show that a machine made it.
- `identity` holds what the store is called in its snapshots.

Times are text of a fixed width in UTC, so that they sort. The views `records`, `enrollments` and `exits` are for
people with the `sqlite3` shell and count as interface.
"""

APPLICATION_ID = 0x63726D66
"""`crmf`, in the file's header: what tells a store of ours from any other SQLite file."""

MIGRATION_SET = "crmflow"

MIGRATIONS: dict[str, tuple[str, ...]] = {
    "001_records_workflows_enrollments_logs": (
        """
        CREATE TABLE run (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            command TEXT NOT NULL,
            at TEXT NOT NULL,
            started_at TEXT NOT NULL,
            is_finished INTEGER NOT NULL DEFAULT 0,
            summary TEXT NOT NULL DEFAULT '{}'
        ) STRICT
        """,
        """
        CREATE TABLE record (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            type TEXT NOT NULL CHECK (type IN ('prospect', 'organization', 'deal')),
            key TEXT CHECK (key IS NOT NULL OR removed_at IS NOT NULL),
            email TEXT,
            fields TEXT NOT NULL DEFAULT '{}',
            added_at TEXT NOT NULL,
            removed_at TEXT,
            run_id INTEGER NOT NULL REFERENCES run (id),
            UNIQUE (key, type)
        ) STRICT
        """,
        """
        CREATE TABLE email (
            address TEXT NOT NULL,
            record_id INTEGER NOT NULL REFERENCES record (id),
            is_current INTEGER NOT NULL,
            PRIMARY KEY (address, record_id)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE deal_prospect (
            deal_id INTEGER NOT NULL REFERENCES record (id),
            prospect_id INTEGER NOT NULL REFERENCES record (id),
            PRIMARY KEY (deal_id, prospect_id)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX deal_of_prospect ON deal_prospect (prospect_id)",
        """
        CREATE TABLE workflow (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL UNIQUE,
            type TEXT NOT NULL,
            definition_id INTEGER REFERENCES definition (id)
        ) STRICT
        """,
        """
        CREATE TABLE definition (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            workflow_id INTEGER NOT NULL REFERENCES workflow (id),
            digest TEXT NOT NULL,
            content TEXT NOT NULL,
            path TEXT NOT NULL,
            source TEXT NOT NULL,
            applied_at TEXT NOT NULL,
            run_id INTEGER NOT NULL REFERENCES run (id)
        ) STRICT
        """,
        """
        CREATE TABLE log (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            path TEXT NOT NULL,
            first_line TEXT NOT NULL,
            length INTEGER NOT NULL,
            next_line INTEGER NOT NULL,
            fingerprint TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX log_by_first_line ON log (first_line)",
        "CREATE INDEX log_by_path ON log (path)",
        """
        CREATE TABLE reading (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            run_id INTEGER NOT NULL REFERENCES run (id),
            log_id INTEGER REFERENCES log (id),
            path TEXT NOT NULL,
            from_offset INTEGER NOT NULL,
            to_offset INTEGER NOT NULL,
            line_count INTEGER NOT NULL
        ) STRICT
        """,
        "CREATE INDEX reading_of_run ON reading (run_id)",
        "CREATE INDEX reading_of_log ON reading (log_id)",
        """
        CREATE TABLE reject (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            reading_id INTEGER NOT NULL REFERENCES reading (id),
            line INTEGER NOT NULL,
            offset INTEGER NOT NULL,
            reason TEXT NOT NULL,
            text BLOB NOT NULL,
            UNIQUE (reading_id, offset)
        ) STRICT
        """,
        """
        CREATE TABLE field_change (
            record_id INTEGER NOT NULL REFERENCES record (id),
            field TEXT NOT NULL,
            changed_at TEXT NOT NULL,
            hand_run_id INTEGER NOT NULL,
            event_id TEXT NOT NULL,
            value TEXT NOT NULL,
            run_id INTEGER NOT NULL REFERENCES run (id),
            PRIMARY KEY (record_id, field, changed_at, hand_run_id, event_id, value)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE bounce (
            record_id INTEGER NOT NULL REFERENCES record (id),
            bounced_at TEXT NOT NULL,
            name TEXT NOT NULL,
            event_id TEXT NOT NULL,
            run_id INTEGER NOT NULL REFERENCES run (id),
            PRIMARY KEY (record_id, bounced_at, name, event_id)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE enrollment (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            record_id INTEGER NOT NULL REFERENCES record (id),
            workflow_id INTEGER NOT NULL REFERENCES workflow (id),
            enrolled_at TEXT NOT NULL,
            state TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'completed', 'disenrolled')),
            step TEXT,
            step_position INTEGER,
            step_at TEXT,
            exit_id INTEGER REFERENCES exit (id),
            run_id INTEGER NOT NULL REFERENCES run (id),
            CHECK ((state = 'active') = (exit_id IS NULL))
        ) STRICT
        """,
        "CREATE UNIQUE INDEX one_active_enrollment ON enrollment (record_id, workflow_id) WHERE state = 'active'",
        "CREATE INDEX enrollment_of_record ON enrollment (record_id, workflow_id)",
        """
        CREATE TABLE exit (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            enrollment_id INTEGER NOT NULL REFERENCES enrollment (id),
            exited_at TEXT NOT NULL,
            cause TEXT NOT NULL CHECK (cause IN ('manual', 'trigger', 'completed')),
            trigger TEXT,
            event_id TEXT,
            event_type TEXT,
            reading_id INTEGER REFERENCES reading (id),
            line INTEGER,
            note TEXT,
            definition_id INTEGER REFERENCES definition (id),
            run_id INTEGER NOT NULL REFERENCES run (id),
            superseded_run_id INTEGER REFERENCES run (id)
        ) STRICT
        """,
        "CREATE INDEX exit_of_enrollment ON exit (enrollment_id)",
        """
        CREATE TABLE step_completion (
            enrollment_id INTEGER NOT NULL REFERENCES enrollment (id),
            step TEXT NOT NULL,
            position INTEGER NOT NULL,
            completed_at TEXT NOT NULL,
            event_id TEXT NOT NULL,
            reading_id INTEGER REFERENCES reading (id),
            line INTEGER,
            run_id INTEGER NOT NULL REFERENCES run (id),
            PRIMARY KEY (enrollment_id, completed_at, step, event_id)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE VIEW records AS
        SELECT id, type, key, email, fields, added_at FROM record WHERE removed_at IS NULL
        """,
        """
        CREATE VIEW enrollments AS
        SELECT enrollment.id, workflow.name AS workflow, record.type, record.key AS record, enrollment.state,
               enrollment.enrolled_at, enrollment.step, exit.exited_at, exit.cause, exit.trigger,
               enrollment.run_id AS enrolled_by_run, exit.run_id AS exited_by_run
        FROM enrollment
        JOIN workflow ON workflow.id = enrollment.workflow_id
        JOIN record ON record.id = enrollment.record_id
        LEFT JOIN exit ON exit.id = enrollment.exit_id
        """,
        """
        CREATE VIEW exits AS
        SELECT exit.id, workflow.name AS workflow, record.type, record.key AS record, enrollment.enrolled_at,
               exit.exited_at, exit.cause, exit.trigger, exit.event_id, exit.event_type, reading.path AS source,
               exit.line, exit.note, exit.run_id AS run, exit.id = enrollment.exit_id AS stands,
               exit.superseded_run_id AS superseded_by_run
        FROM exit
        JOIN enrollment ON enrollment.id = exit.enrollment_id
        JOIN workflow ON workflow.id = enrollment.workflow_id
        JOIN record ON record.id = enrollment.record_id
        LEFT JOIN reading ON reading.id = exit.reading_id
        """,
    ),
    "002_taking_back": (
        "ALTER TABLE run ADD COLUMN undone_by_run_id INTEGER REFERENCES run (id)",
        "CREATE INDEX undone_run ON run (undone_by_run_id) WHERE undone_by_run_id IS NOT NULL",
        "ALTER TABLE exit ADD COLUMN restored_run_id INTEGER REFERENCES run (id)",
        "ALTER TABLE enrollment ADD COLUMN waiting_since TEXT",
        """
        CREATE TABLE withdrawn_enrollment (
            id INTEGER PRIMARY KEY,
            record_id INTEGER NOT NULL REFERENCES record (id),
            workflow_id INTEGER NOT NULL REFERENCES workflow (id),
            enrolled_at TEXT NOT NULL,
            run_id INTEGER NOT NULL REFERENCES run (id),
            withdrawn_run_id INTEGER NOT NULL REFERENCES run (id)
        ) STRICT
        """,
        """
        CREATE TABLE reconsidered (
            run_id INTEGER NOT NULL REFERENCES run (id),
            enrollment_id INTEGER NOT NULL REFERENCES enrollment (id),
            PRIMARY KEY (run_id, enrollment_id)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE retraction (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            identity TEXT NOT NULL,
            because TEXT NOT NULL,
            record_id INTEGER REFERENCES record (id),
            event_type TEXT,
            event_at TEXT,
            source TEXT,
            line INTEGER,
            run_id INTEGER NOT NULL REFERENCES run (id),
            taken_back_run_id INTEGER REFERENCES run (id)
        ) STRICT
        """,
        "CREATE INDEX retraction_in_force ON retraction (identity) WHERE taken_back_run_id IS NULL",
    ),
    "003_formats": (
        "ALTER TABLE reading ADD COLUMN terms TEXT NOT NULL DEFAULT '{}'",
        """
        CREATE TABLE message_workflow (
            message TEXT NOT NULL,
            workflow TEXT NOT NULL,
            record_id INTEGER NOT NULL REFERENCES record (id),
            told_at TEXT NOT NULL,
            event_id TEXT NOT NULL,
            run_id INTEGER NOT NULL REFERENCES run (id),
            PRIMARY KEY (message, workflow, record_id, told_at, event_id)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE unattributed_event (
            message TEXT NOT NULL,
            record_id INTEGER NOT NULL REFERENCES record (id),
            type TEXT NOT NULL,
            happened_at TEXT NOT NULL,
            event_id TEXT NOT NULL,
            is_suspect INTEGER NOT NULL,
            reading_id INTEGER NOT NULL REFERENCES reading (id),
            line INTEGER,
            run_id INTEGER NOT NULL REFERENCES run (id),
            PRIMARY KEY (message, record_id, type, happened_at, event_id, is_suspect)
        ) STRICT, WITHOUT ROWID
        """,
    ),
    "004_identity": (
        "CREATE TABLE identity (id TEXT NOT NULL) STRICT",
        "INSERT INTO identity VALUES (lower(hex(randomblob(16))))",
    ),
    "005_clicks_on_mails": (
        """
        CREATE TABLE mail_click (
            message TEXT NOT NULL,
            record_id INTEGER NOT NULL REFERENCES record (id),
            clicked_at TEXT NOT NULL,
            url TEXT NOT NULL,
            event_id TEXT NOT NULL,
            run_id INTEGER NOT NULL REFERENCES run (id),
            PRIMARY KEY (message, record_id, clicked_at, url, event_id)
        ) STRICT, WITHOUT ROWID
        """,
    ),
}
"""Every migration in order: its name, and the statements that it runs in one transaction."""
