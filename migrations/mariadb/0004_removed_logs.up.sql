ALTER TABLE deployments ADD COLUMN IF NOT EXISTS log_removed BIGINT NOT NULL DEFAULT 0;
CREATE INDEX IF NOT EXISTS output_cursors_by_time ON output_cursors (at_ns, instance);
