DROP INDEX IF EXISTS output_cursors_by_time ON output_cursors;
ALTER TABLE deployments DROP COLUMN IF EXISTS log_removed;
