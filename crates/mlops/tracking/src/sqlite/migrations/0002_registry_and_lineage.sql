CREATE TABLE datasets (
    dataset INTEGER PRIMARY KEY,
    experiment_id INTEGER NOT NULL REFERENCES experiments ON DELETE CASCADE,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    source_type TEXT NOT NULL,
    source TEXT NOT NULL,
    schema TEXT,
    profile TEXT,
    UNIQUE (experiment_id, name, digest)
) STRICT;

-- What a run was given.
CREATE TABLE run_datasets (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    dataset INTEGER NOT NULL REFERENCES datasets ON DELETE CASCADE,
    PRIMARY KEY (run, dataset)
) STRICT, WITHOUT ROWID;

CREATE INDEX run_datasets_dataset ON run_datasets (dataset);

CREATE TABLE run_dataset_tags (
    run INTEGER NOT NULL,
    dataset INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, dataset, key),
    FOREIGN KEY (run, dataset) REFERENCES run_datasets ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE run_input_models (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    model_id TEXT NOT NULL,
    PRIMARY KEY (run, model_id)
) STRICT, WITHOUT ROWID;

-- What a run has made.
CREATE TABLE run_output_models (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    step INTEGER NOT NULL,
    model_id TEXT NOT NULL,
    PRIMARY KEY (run, step, model_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE logged_models (
    logged_model INTEGER PRIMARY KEY,
    model_id TEXT NOT NULL UNIQUE,
    experiment_id INTEGER NOT NULL REFERENCES experiments ON DELETE CASCADE,
    name TEXT NOT NULL,
    creation_time INTEGER NOT NULL,
    last_update_time INTEGER NOT NULL,
    status TEXT NOT NULL,
    model_type TEXT,
    source_run_id TEXT,
    deleted_time INTEGER
) STRICT;

CREATE INDEX logged_models_newest ON logged_models (experiment_id, creation_time DESC, model_id);

CREATE TABLE logged_model_params (
    logged_model INTEGER NOT NULL REFERENCES logged_models ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (logged_model, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE logged_model_tags (
    logged_model INTEGER NOT NULL REFERENCES logged_models ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (logged_model, key)
) STRICT, WITHOUT ROWID;

-- The latest point that a run measured on a model; all points are in the run's own history.
-- Name and digest of the dataset are empty where none was named.
CREATE TABLE logged_model_metrics (
    logged_model INTEGER NOT NULL REFERENCES logged_models ON DELETE CASCADE,
    metric_key INTEGER NOT NULL REFERENCES metric_keys,
    dataset_name TEXT NOT NULL,
    dataset_digest TEXT NOT NULL,
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    step INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    axis INTEGER NOT NULL,
    is_nan INTEGER NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (logged_model, metric_key, dataset_name, dataset_digest, run)
) STRICT, WITHOUT ROWID;

CREATE INDEX logged_model_metrics_run ON logged_model_metrics (run);

CREATE TABLE registered_models (
    registered_model INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    creation_time INTEGER NOT NULL,
    last_update_time INTEGER NOT NULL,
    description TEXT,
    last_version INTEGER NOT NULL DEFAULT 0 -- the greatest there has been: numbers are not used again
) STRICT;

CREATE TABLE registered_model_tags (
    registered_model INTEGER NOT NULL REFERENCES registered_models ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (registered_model, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE model_versions (
    model_version INTEGER PRIMARY KEY,
    registered_model INTEGER NOT NULL REFERENCES registered_models ON DELETE CASCADE,
    version INTEGER NOT NULL,
    creation_time INTEGER NOT NULL,
    last_update_time INTEGER NOT NULL,
    stage TEXT NOT NULL,
    description TEXT,
    source TEXT NOT NULL,
    storage_location TEXT,
    run_id TEXT,
    run_link TEXT,
    model_id TEXT,
    UNIQUE (registered_model, version)
) STRICT;

CREATE INDEX model_versions_run_id ON model_versions (run_id);

CREATE TABLE model_version_tags (
    model_version INTEGER NOT NULL REFERENCES model_versions ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model_version, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE model_aliases (
    registered_model INTEGER NOT NULL REFERENCES registered_models ON DELETE CASCADE,
    alias TEXT NOT NULL,
    model_version INTEGER NOT NULL REFERENCES model_versions ON DELETE CASCADE,
    PRIMARY KEY (registered_model, alias)
) STRICT, WITHOUT ROWID;

CREATE INDEX model_aliases_version ON model_aliases (model_version);
