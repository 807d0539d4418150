DROP INDEX output_cursors_by_time;
ALTER TABLE deployments DROP COLUMN log_removed;
