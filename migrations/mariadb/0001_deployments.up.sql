CREATE TABLE IF NOT EXISTS organizations (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    name VARCHAR(255) NOT NULL UNIQUE,
    created_at_ms BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE TABLE IF NOT EXISTS api_tokens (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    organization_id VARCHAR(64) NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    name LONGTEXT NOT NULL,
    hash VARCHAR(255) NOT NULL UNIQUE,
    created_at_ms BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE TABLE IF NOT EXISTS projects (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    organization_id VARCHAR(64) NOT NULL REFERENCES organizations (id) ON DELETE RESTRICT,
    name VARCHAR(255) NOT NULL,
    removing BIGINT NOT NULL DEFAULT 0,
    version BIGINT NOT NULL DEFAULT 1,
    created_at_ms BIGINT NOT NULL,
    UNIQUE (organization_id, name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE TABLE IF NOT EXISTS services (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    organization_id VARCHAR(64) NOT NULL REFERENCES organizations (id) ON DELETE RESTRICT,
    project_id VARCHAR(64) NOT NULL REFERENCES projects (id) ON DELETE RESTRICT,
    name VARCHAR(255) NOT NULL,
    host VARCHAR(255) NOT NULL UNIQUE,
    source LONGTEXT NOT NULL,
    settings LONGTEXT NOT NULL,
    wanted VARCHAR(32) NOT NULL DEFAULT 'running',
    unhealthy_reason LONGTEXT,
    current_deployment_id VARCHAR(64),
    current_job_id VARCHAR(64),
    deployment_count BIGINT NOT NULL DEFAULT 0,
    deploy_key_public LONGTEXT,
    deploy_key_sealed LONGBLOB,
    version BIGINT NOT NULL DEFAULT 1,
    created_at_ms BIGINT NOT NULL,
    UNIQUE (project_id, name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE INDEX IF NOT EXISTS services_by_organization ON services (organization_id, id);
CREATE TABLE IF NOT EXISTS env_vars (
    service_id VARCHAR(64) NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    name VARCHAR(255) NOT NULL,
    kind VARCHAR(32) NOT NULL,
    sealed_value LONGBLOB NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    PRIMARY KEY (service_id, name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE TABLE IF NOT EXISTS uploads (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    service_id VARCHAR(64) NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    size_bytes BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE TABLE IF NOT EXISTS deployments (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    service_id VARCHAR(64) NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    status VARCHAR(32) NOT NULL,
    cause VARCHAR(32) NOT NULL,
    revision LONGTEXT NOT NULL,
    no_cache BIGINT NOT NULL DEFAULT 0,
    settings LONGTEXT NOT NULL,
    sealed_environment LONGBLOB NOT NULL,
    commit_id VARCHAR(255),
    commit_message LONGTEXT,
    commit_author LONGTEXT,
    plan LONGTEXT,
    image LONGTEXT,
    image_removed BIGINT NOT NULL DEFAULT 0,
    port BIGINT,
    reason LONGTEXT,
    cancel_requested BIGINT NOT NULL DEFAULT 0,
    went_live_at_ms BIGINT,
    created_at_ms BIGINT NOT NULL,
    finished_at_ms BIGINT,
    UNIQUE (service_id, number)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE INDEX IF NOT EXISTS deployments_by_status ON deployments (status);
CREATE TABLE IF NOT EXISTS deployment_phases (
    deployment_id VARCHAR(64) NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    phase VARCHAR(32) NOT NULL,
    status VARCHAR(32) NOT NULL,
    started_at_ms BIGINT NOT NULL,
    finished_at_ms BIGINT,
    deadline_seconds BIGINT NOT NULL,
    PRIMARY KEY (deployment_id, phase)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE TABLE IF NOT EXISTS deployment_steps (
    deployment_id VARCHAR(64) NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    step_id VARCHAR(255) NOT NULL,
    position BIGINT NOT NULL,
    name LONGTEXT NOT NULL,
    cached BIGINT NOT NULL,
    seconds DOUBLE PRECISION,
    error LONGTEXT,
    PRIMARY KEY (deployment_id, step_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE TABLE IF NOT EXISTS deployment_logs (
    deployment_id VARCHAR(64) NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    sequence BIGINT NOT NULL,
    at_ns BIGINT NOT NULL,
    phase VARCHAR(32) NOT NULL,
    level VARCHAR(32) NOT NULL,
    origin LONGTEXT NOT NULL,
    message LONGTEXT NOT NULL,
    PRIMARY KEY (deployment_id, sequence)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE TABLE IF NOT EXISTS service_logs (
    service_id VARCHAR(64) NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    sequence BIGINT NOT NULL,
    at_ns BIGINT NOT NULL,
    phase VARCHAR(32) NOT NULL,
    level VARCHAR(32) NOT NULL,
    origin LONGTEXT NOT NULL,
    message LONGTEXT NOT NULL,
    PRIMARY KEY (service_id, sequence)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE TABLE IF NOT EXISTS output_cursors (
    instance VARCHAR(255) NOT NULL PRIMARY KEY,
    service_id VARCHAR(64) NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    at_ns BIGINT NOT NULL,
    lines_at_that_time BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE TABLE IF NOT EXISTS jobs (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    organization_id VARCHAR(64) NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    name VARCHAR(255) NOT NULL,
    subject VARCHAR(255) NOT NULL,
    serial_key VARCHAR(255) NOT NULL,
    status VARCHAR(32) NOT NULL,
    owner VARCHAR(255) NOT NULL DEFAULT '',
    attempt BIGINT NOT NULL DEFAULT 0,
    lease_until_ms BIGINT NOT NULL DEFAULT 0,
    run_after_ms BIGINT NOT NULL,
    reason LONGTEXT,
    created_at_ms BIGINT NOT NULL,
    finished_at_ms BIGINT
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE INDEX IF NOT EXISTS jobs_by_status ON jobs (status, run_after_ms);
CREATE INDEX IF NOT EXISTS jobs_by_serial_key ON jobs (serial_key, status, id);
CREATE TABLE IF NOT EXISTS saga_journal (
    job_id VARCHAR(64) NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    step VARCHAR(255) NOT NULL,
    position BIGINT NOT NULL,
    state VARCHAR(32) NOT NULL,
    made LONGTEXT,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (job_id, step)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE TABLE IF NOT EXISTS idempotency_keys (
    organization_id VARCHAR(64) NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    name VARCHAR(255) NOT NULL,
    request_digest LONGTEXT NOT NULL,
    status BIGINT,
    body LONGBLOB,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (organization_id, name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE TABLE IF NOT EXISTS installation (
    name VARCHAR(255) NOT NULL PRIMARY KEY,
    value LONGTEXT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
