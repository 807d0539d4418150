"""The platform's own state, read beside it: jobs, journals, deployments. Nothing here writes."""

import contextlib
import sqlite3


class State:
    """Reads the database file of a platform. Another database gets a class with the same two functions."""

    def __init__(self, platform):
        self.file = platform.data / "click-deploy.db"

    @contextlib.contextmanager
    def reader(self):
        """A function that answers a SELECT with a list of rows; for one thread."""
        connection = sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=10)
        connection.row_factory = sqlite3.Row
        with contextlib.closing(connection):
            yield lambda query, *values: connection.execute(query, values).fetchall()

    def rows(self, query, *values):
        """The rows of one SELECT, as dictionaries."""
        with self.reader() as read:
            return [dict(row) for row in read(query, *values)]

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
