CREATE INDEX IF NOT EXISTS projects_by_organization ON projects (organization_id, id);
CREATE INDEX IF NOT EXISTS services_by_project ON services (project_id, id);
CREATE INDEX IF NOT EXISTS deployment_phases_by_status ON deployment_phases (status, phase);
CREATE INDEX IF NOT EXISTS jobs_by_organization ON jobs (organization_id, id);
CREATE INDEX IF NOT EXISTS jobs_by_subject ON jobs (subject, name);
CREATE INDEX IF NOT EXISTS jobs_by_end ON jobs (finished_at_ms);
CREATE INDEX IF NOT EXISTS idempotency_keys_by_age ON idempotency_keys (created_at_ms);
