ALTER TABLE jobs ADD COLUMN IF NOT EXISTS priority BIGINT NOT NULL DEFAULT 2;
ALTER TABLE jobs ADD COLUMN IF NOT EXISTS failures BIGINT NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN IF NOT EXISTS failing_since_ms BIGINT;
ALTER TABLE jobs ADD COLUMN IF NOT EXISTS stuck BIGINT NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN IF NOT EXISTS due_at_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN IF NOT EXISTS step VARCHAR(255);
UPDATE jobs SET due_at_ms = run_after_ms;
UPDATE jobs SET priority = 1 WHERE name IN ('deploy', 'stop-service', 'start-service', 'restart-service', 'remove-service');
UPDATE jobs SET priority = 3 WHERE name IN ('remove-image', 'prune-images');
CREATE INDEX IF NOT EXISTS jobs_by_turn ON jobs (status, organization_id, priority, id);
CREATE INDEX IF NOT EXISTS jobs_by_lease ON jobs (status, lease_until_ms);
CREATE TABLE IF NOT EXISTS schedules (
    name VARCHAR(255) NOT NULL PRIMARY KEY,
    every_ms BIGINT NOT NULL,
    next_at_ms BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
INSERT IGNORE INTO installation (name, value) VALUES ('job-limits', '');
