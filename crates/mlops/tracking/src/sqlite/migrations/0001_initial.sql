-- Times are milliseconds since 1970. What is deleted has a deleted_time.

CREATE TABLE experiments (
    experiment_id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    artifact_location TEXT, -- NULL: below the store's artifact root
    creation_time INTEGER NOT NULL,
    last_update_time INTEGER NOT NULL,
    deleted_time INTEGER
) STRICT;

CREATE TABLE experiment_tags (
    experiment_id INTEGER NOT NULL REFERENCES experiments ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (experiment_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    run INTEGER PRIMARY KEY, -- the short key of the tables below
    run_id TEXT NOT NULL UNIQUE,
    experiment_id INTEGER NOT NULL REFERENCES experiments ON DELETE CASCADE,
    run_name TEXT NOT NULL,
    user_id TEXT NOT NULL,
    status TEXT NOT NULL,
    start_time INTEGER NOT NULL,
    end_time INTEGER,
    deleted_time INTEGER,
    deleted_with_experiment INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX runs_newest ON runs (experiment_id, start_time DESC, run_id);

CREATE TABLE params (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE tags (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, key)
) STRICT, WITHOUT ROWID;

-- A point repeats a short number instead of its key.
CREATE TABLE metric_keys (
    metric_key INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE
) STRICT;

-- The primary key is the whole row: an identical point is stored once, and a history is read in order of steps.
-- SQLite has no NaN: such a point has is_nan = 1 and value = 0. axis: 0 step, 1 epoch, 2 sample.
CREATE TABLE metrics (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    metric_key INTEGER NOT NULL REFERENCES metric_keys,
    step INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    axis INTEGER NOT NULL,
    is_nan INTEGER NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (run, metric_key, step, timestamp, axis, is_nan, value)
) STRICT, WITHOUT ROWID;

-- The latest point of each metric: the largest (step, timestamp, value), a number before NaN.
CREATE TABLE latest_metrics (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    metric_key INTEGER NOT NULL REFERENCES metric_keys,
    step INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    axis INTEGER NOT NULL,
    is_nan INTEGER NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (run, metric_key)
) STRICT, WITHOUT ROWID;

-- How far each journal of a run has been delivered.
CREATE TABLE journals (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    journal_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (run, journal_id)
) STRICT, WITHOUT ROWID;
