ALTER TABLE jobs ADD COLUMN priority BIGINT NOT NULL DEFAULT 2;
ALTER TABLE jobs ADD COLUMN failures BIGINT NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN failing_since_ms BIGINT;
ALTER TABLE jobs ADD COLUMN stuck BIGINT NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN due_at_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN step TEXT COLLATE "C";
UPDATE jobs SET due_at_ms = run_after_ms;
UPDATE jobs SET priority = 1 WHERE name IN ('deploy', 'stop-service', 'start-service', 'restart-service', 'remove-service');
UPDATE jobs SET priority = 3 WHERE name IN ('remove-image', 'prune-images');
CREATE INDEX jobs_by_turn ON jobs (status, organization_id, priority, id);
CREATE INDEX jobs_by_lease ON jobs (status, lease_until_ms);
CREATE TABLE schedules (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    every_ms BIGINT NOT NULL,
    next_at_ms BIGINT NOT NULL
);
INSERT INTO installation (name, value) VALUES ('job-limits', '');
