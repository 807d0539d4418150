"""When a fault happens, in words:

    before                          before the action begins
    +0.5                            so many seconds after it began
    journal build started           when this entry of the journal is there (of a job that the action made)
    job stop-service running        when a job of this name has this status
    again stop-service              when a job of this name waits for another try
    status releasing                when the deployment has this status
    … +0.2                          so many seconds after that
"""

import time

LIMIT = 120
PAUSE = 0.002

JOURNAL = "SELECT saga_journal.job_id AS job_id FROM saga_journal WHERE step = ? AND state IN ({})"
# A row is written over by what comes next, which may be there before anybody looked.
AT_LEAST = {
    "waiting": "'waiting', 'running', 'done', 'failed'",
    "running": "'running', 'done', 'failed'",
    "failed": "'failed'",
    "started": "'started', 'done', 'undone'",
    "done": "'done', 'undone'",
    "undone": "'undone'",
}
JOB = "SELECT id AS job_id FROM jobs WHERE name = ? AND status IN ({})"
AGAIN = "SELECT id AS job_id FROM jobs WHERE name = ? AND status = 'waiting' AND attempt > 0"
STATUS = "SELECT jobs.id AS job_id FROM jobs JOIN deployments ON deployments.id = jobs.subject WHERE deployments.status = ?"


class Never(Exception):
    """The moment did not come."""


class Moment:
    """One moment; it is armed before the action begins, so that only what the action makes counts."""

    def __init__(self, words):
        self.words = words
        parts = words.split()
        self.after = float(parts.pop()) if parts[-1].startswith("+") else 0.0
        self.kind, *self.values = parts or ["begun"]
        assert self.kind in ("before", "begun", "journal", "job", "again", "status"), words

    @property
    def is_before(self):
        """Whether the fault is there when the action begins."""
        return self.kind == "before"

    def arm(self, state):
        """Remembers what is there already."""
        self.state, self.known, self.found = state, state.job_ids(), None

    def job(self):
        """The job that the moment was found by, else the newest one of an action that is under way; None without any."""
        if self.found:
            return next(iter(self.state.rows("SELECT * FROM jobs WHERE id = ?", self.found)), None)
        running = self.state.rows("SELECT * FROM jobs WHERE status = 'running' AND name NOT IN ('retire-instances', 'prune-images') ORDER BY id DESC")
        return next((row for row in running if row["id"] not in self.known), None)

    def wait(self, begun, over):
        """Returns when it has come. `begun` is set when the action began, `over` when it came to its end."""
        if self.kind == "begun":
            begun.wait(LIMIT)
        elif self.kind != "before":
            self._wait_for_row(over)
        time.sleep(self.after)

    def _wait_for_row(self, over):
        query, values = {"journal": JOURNAL, "job": JOB, "again": AGAIN, "status": STATUS}[self.kind], self.values
        if self.kind in ("journal", "job"):
            query, values = query.format(AT_LEAST[values[1]]), values[:1]
        end, last_look = time.monotonic() + LIMIT, False
        with self.state.reader() as read:
            while True:
                if new := [row["job_id"] for row in read(query, *values) if row["job_id"] not in self.known]:
                    self.found = new[0]
                    return
                # The action is over: what it was to show, it has shown, or never will.
                if last_look or time.monotonic() > end:
                    raise Never(f"the moment `{self.words}` did not come")
                if over.is_set():
                    time.sleep(3)
                    last_look = True
                time.sleep(PAUSE)
