CREATE TABLE organizations (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at_ms BIGINT NOT NULL
);
CREATE TABLE api_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    created_at_ms BIGINT NOT NULL
);
CREATE TABLE projects (
    id TEXT NOT NULL PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    removing INTEGER NOT NULL DEFAULT 0,
    version BIGINT NOT NULL DEFAULT 1,
    created_at_ms BIGINT NOT NULL,
    UNIQUE (organization_id, name)
);
CREATE TABLE services (
    id TEXT NOT NULL PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE RESTRICT,
    project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    host TEXT NOT NULL UNIQUE,
    source TEXT NOT NULL,
    settings TEXT NOT NULL,
    wanted TEXT NOT NULL DEFAULT 'running',
    unhealthy_reason TEXT,
    current_deployment_id TEXT,
    current_job_id TEXT,
    deployment_count BIGINT NOT NULL DEFAULT 0,
    deploy_key_public TEXT,
    deploy_key_sealed BLOB,
    version BIGINT NOT NULL DEFAULT 1,
    created_at_ms BIGINT NOT NULL,
    UNIQUE (project_id, name)
);
CREATE INDEX services_by_organization ON services (organization_id, id);
CREATE TABLE env_vars (
    service_id TEXT NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    sealed_value BLOB NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    PRIMARY KEY (service_id, name)
);
CREATE TABLE uploads (
    id TEXT NOT NULL PRIMARY KEY,
    service_id TEXT NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    size_bytes BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL
);
CREATE TABLE deployments (
    id TEXT NOT NULL PRIMARY KEY,
    service_id TEXT NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    status TEXT NOT NULL,
    cause TEXT NOT NULL,
    revision TEXT NOT NULL,
    no_cache INTEGER NOT NULL DEFAULT 0,
    settings TEXT NOT NULL,
    sealed_environment BLOB NOT NULL,
    commit_id TEXT,
    commit_message TEXT,
    commit_author TEXT,
    plan TEXT,
    image TEXT,
    image_removed INTEGER NOT NULL DEFAULT 0,
    port BIGINT,
    reason TEXT,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    went_live_at_ms BIGINT,
    created_at_ms BIGINT NOT NULL,
    finished_at_ms BIGINT,
    UNIQUE (service_id, number)
);
CREATE INDEX deployments_by_status ON deployments (status);
CREATE TABLE deployment_phases (
    deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    phase TEXT NOT NULL,
    status TEXT NOT NULL,
    started_at_ms BIGINT NOT NULL,
    finished_at_ms BIGINT,
    deadline_seconds BIGINT NOT NULL,
    PRIMARY KEY (deployment_id, phase)
);
CREATE TABLE deployment_steps (
    deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    step_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    name TEXT NOT NULL,
    cached INTEGER NOT NULL,
    seconds DOUBLE PRECISION,
    error TEXT,
    PRIMARY KEY (deployment_id, step_id)
);
CREATE TABLE deployment_logs (
    deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    sequence BIGINT NOT NULL,
    at_ns BIGINT NOT NULL,
    phase TEXT NOT NULL,
    level TEXT NOT NULL,
    origin TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (deployment_id, sequence)
);
CREATE TABLE service_logs (
    service_id TEXT NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    sequence BIGINT NOT NULL,
    at_ns BIGINT NOT NULL,
    phase TEXT NOT NULL,
    level TEXT NOT NULL,
    origin TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (service_id, sequence)
);
CREATE TABLE output_cursors (
    instance TEXT NOT NULL PRIMARY KEY,
    service_id TEXT NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    at_ns BIGINT NOT NULL,
    lines_at_that_time BIGINT NOT NULL
);
CREATE TABLE jobs (
    id TEXT NOT NULL PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    subject TEXT NOT NULL,
    serial_key TEXT NOT NULL,
    status TEXT NOT NULL,
    owner TEXT NOT NULL DEFAULT '',
    attempt BIGINT NOT NULL DEFAULT 0,
    lease_until_ms BIGINT NOT NULL DEFAULT 0,
    run_after_ms BIGINT NOT NULL,
    reason TEXT,
    created_at_ms BIGINT NOT NULL,
    finished_at_ms BIGINT
);
CREATE INDEX jobs_by_status ON jobs (status, run_after_ms);
CREATE INDEX jobs_by_serial_key ON jobs (serial_key, status, id);
CREATE TABLE saga_journal (
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    step TEXT NOT NULL,
    position BIGINT NOT NULL,
    state TEXT NOT NULL,
    made TEXT,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (job_id, step)
);
CREATE TABLE idempotency_keys (
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    status INTEGER,
    body BLOB,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (organization_id, name)
);
CREATE TABLE installation (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
