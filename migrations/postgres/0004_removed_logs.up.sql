ALTER TABLE deployments ADD COLUMN log_removed BIGINT NOT NULL DEFAULT 0;
CREATE INDEX output_cursors_by_time ON output_cursors (at_ns, instance);
