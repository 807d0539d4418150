"""The platform's own state, read beside it: jobs, journals, deployments. Nothing here writes."""


class State:
    """Reads the database of a platform."""

    def __init__(self, platform):
        self.reader, self.rows = platform.database.reader, platform.database.rows

    # --- What is often asked -------------------------------------------------------------

    def job_ids(self):
        """All jobs that there are."""
        return {row["id"] for row in self.rows("SELECT id FROM jobs")}

    def unfinished_jobs(self):
        """Jobs that are not over."""
        return self.rows("SELECT name, subject, status, attempt, reason FROM jobs WHERE status IN ('waiting', 'running')")

    def deployments(self, service):
        """A service's deployments, oldest first."""
        return self.rows("SELECT * FROM deployments WHERE service_id = ? ORDER BY number", service)

    def services(self):
        """All services."""
        return self.rows("SELECT * FROM services")
