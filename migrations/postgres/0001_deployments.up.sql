CREATE TABLE organizations (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    created_at_ms BIGINT NOT NULL
);
CREATE TABLE api_tokens (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id TEXT COLLATE "C" NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    name TEXT COLLATE "C" NOT NULL,
    hash TEXT COLLATE "C" NOT NULL UNIQUE,
    created_at_ms BIGINT NOT NULL
);
CREATE TABLE projects (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id TEXT COLLATE "C" NOT NULL REFERENCES organizations (id) ON DELETE RESTRICT,
    name TEXT COLLATE "C" NOT NULL,
    removing BIGINT NOT NULL DEFAULT 0,
    version BIGINT NOT NULL DEFAULT 1,
    created_at_ms BIGINT NOT NULL,
    UNIQUE (organization_id, name)
);
CREATE TABLE services (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id TEXT COLLATE "C" NOT NULL REFERENCES organizations (id) ON DELETE RESTRICT,
    project_id TEXT COLLATE "C" NOT NULL REFERENCES projects (id) ON DELETE RESTRICT,
    name TEXT COLLATE "C" NOT NULL,
    host TEXT COLLATE "C" NOT NULL UNIQUE,
    source TEXT COLLATE "C" NOT NULL,
    settings TEXT COLLATE "C" NOT NULL,
    wanted TEXT COLLATE "C" NOT NULL DEFAULT 'running',
    unhealthy_reason TEXT COLLATE "C",
    current_deployment_id TEXT COLLATE "C",
    current_job_id TEXT COLLATE "C",
    deployment_count BIGINT NOT NULL DEFAULT 0,
    deploy_key_public TEXT COLLATE "C",
    deploy_key_sealed BYTEA,
    version BIGINT NOT NULL DEFAULT 1,
    created_at_ms BIGINT NOT NULL,
    UNIQUE (project_id, name)
);
CREATE INDEX services_by_organization ON services (organization_id, id);
CREATE TABLE env_vars (
    service_id TEXT COLLATE "C" NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    name TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    sealed_value BYTEA NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    PRIMARY KEY (service_id, name)
);
CREATE TABLE uploads (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    service_id TEXT COLLATE "C" NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    size_bytes BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL
);
CREATE TABLE deployments (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    service_id TEXT COLLATE "C" NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    cause TEXT COLLATE "C" NOT NULL,
    revision TEXT COLLATE "C" NOT NULL,
    no_cache BIGINT NOT NULL DEFAULT 0,
    settings TEXT COLLATE "C" NOT NULL,
    sealed_environment BYTEA NOT NULL,
    commit_id TEXT COLLATE "C",
    commit_message TEXT COLLATE "C",
    commit_author TEXT COLLATE "C",
    plan TEXT COLLATE "C",
    image TEXT COLLATE "C",
    image_removed BIGINT NOT NULL DEFAULT 0,
    port BIGINT,
    reason TEXT COLLATE "C",
    cancel_requested BIGINT NOT NULL DEFAULT 0,
    went_live_at_ms BIGINT,
    created_at_ms BIGINT NOT NULL,
    finished_at_ms BIGINT,
    UNIQUE (service_id, number)
);
CREATE INDEX deployments_by_status ON deployments (status);
CREATE TABLE deployment_phases (
    deployment_id TEXT COLLATE "C" NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    phase TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    started_at_ms BIGINT NOT NULL,
    finished_at_ms BIGINT,
    deadline_seconds BIGINT NOT NULL,
    PRIMARY KEY (deployment_id, phase)
);
CREATE TABLE deployment_steps (
    deployment_id TEXT COLLATE "C" NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    step_id TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    cached BIGINT NOT NULL,
    seconds DOUBLE PRECISION,
    error TEXT COLLATE "C",
    PRIMARY KEY (deployment_id, step_id)
);
CREATE TABLE deployment_logs (
    deployment_id TEXT COLLATE "C" NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    sequence BIGINT NOT NULL,
    at_ns BIGINT NOT NULL,
    phase TEXT COLLATE "C" NOT NULL,
    level TEXT COLLATE "C" NOT NULL,
    origin TEXT COLLATE "C" NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (deployment_id, sequence)
);
CREATE TABLE service_logs (
    service_id TEXT COLLATE "C" NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    sequence BIGINT NOT NULL,
    at_ns BIGINT NOT NULL,
    phase TEXT COLLATE "C" NOT NULL,
    level TEXT COLLATE "C" NOT NULL,
    origin TEXT COLLATE "C" NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (service_id, sequence)
);
CREATE TABLE output_cursors (
    instance TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    service_id TEXT COLLATE "C" NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    at_ns BIGINT NOT NULL,
    lines_at_that_time BIGINT NOT NULL
);
CREATE TABLE jobs (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id TEXT COLLATE "C" NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    name TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    serial_key TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    owner TEXT COLLATE "C" NOT NULL DEFAULT '',
    attempt BIGINT NOT NULL DEFAULT 0,
    lease_until_ms BIGINT NOT NULL DEFAULT 0,
    run_after_ms BIGINT NOT NULL,
    reason TEXT COLLATE "C",
    created_at_ms BIGINT NOT NULL,
    finished_at_ms BIGINT
);
CREATE INDEX jobs_by_status ON jobs (status, run_after_ms);
CREATE INDEX jobs_by_serial_key ON jobs (serial_key, status, id);
CREATE TABLE saga_journal (
    job_id TEXT COLLATE "C" NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    step TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    made TEXT COLLATE "C",
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (job_id, step)
);
CREATE TABLE idempotency_keys (
    organization_id TEXT COLLATE "C" NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    name TEXT COLLATE "C" NOT NULL,
    request_digest TEXT COLLATE "C" NOT NULL,
    status BIGINT,
    body BYTEA,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (organization_id, name)
);
CREATE TABLE installation (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL
);
