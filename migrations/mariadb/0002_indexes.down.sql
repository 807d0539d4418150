CREATE INDEX IF NOT EXISTS organization_id ON jobs (organization_id);
DROP INDEX IF EXISTS idempotency_keys_by_age ON idempotency_keys;
DROP INDEX IF EXISTS jobs_by_end ON jobs;
DROP INDEX IF EXISTS jobs_by_subject ON jobs;
DROP INDEX IF EXISTS jobs_by_organization ON jobs;
DROP INDEX IF EXISTS deployment_phases_by_status ON deployment_phases;
DROP INDEX IF EXISTS services_by_project ON services;
DROP INDEX IF EXISTS projects_by_organization ON projects;
