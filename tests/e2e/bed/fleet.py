"""One installation of several processes: two for the API and two workers on one database, behind one Caddy."""

import json
import os
import signal

import httpx

from . import database
from .platform import ROOT, Platform
from .processes import Program, free_port, wait_until


class Member(Program):
    """One process of the fleet."""

    def __init__(self, fleet, name, argv, port=None, **settings):
        self.port, self._known = port, (None, None)
        environment = {**fleet.environment, "CLICK_DEPLOY_DATA_DIR": str(fleet.folder / name), **settings}
        if port:
            environment["CLICK_DEPLOY_LISTEN"] = f"127.0.0.1:{port}"
        super().__init__(name, [fleet.executable, *argv], environment, fleet.folder / f"{name}.log")

    def ready(self):
        """Whether it does its work: an API answers, a worker has said who it is."""
        if not self.running:
            raise RuntimeError(f"{self.name} ended:\n{self.tail()}")
        if self.port:
            return httpx.get(f"http://127.0.0.1:{self.port}/health", trust_env=False).status_code == 200
        return self.id is not None

    @property
    def id(self):
        """How the newest start of it is called in leases; None before it says so."""
        if self.process is None:
            return None
        # Once it was read it is known: a long log has it far above its end.
        pid, known = self._known
        if pid != self.process.pid:
            said = [line for line in self.tail(400).splitlines() if f": this is the process {self.process.pid}-" in line]
            known = said[-1].split("this is the process ")[1].split()[0] if said else None
            self._known = (self.process.pid if known else None, known)
        return known

    def begin(self):
        """Starts it, and waits until it does its work."""
        self.start()
        wait_until(self.ready, 60, f"{self.name}\n{self.tail()}")

    def told_to_stop(self):
        """Tells it to stop, and does not wait."""
        self.process.send_signal(signal.SIGTERM)


class Fleet(Platform):
    """A platform whose API and work are in processes of their own."""

    def __init__(self, folder, kind, state=None, **settings):
        super().__init__(folder, state=state or database.Server(kind), **settings)
        self.environment["CLICK_DEPLOY_UPLOAD_DIR"] = str(self.folder / "uploads")
        apis = [Member(self, f"api-{number}", ["serve", "--api-only"], free_port()) for number in (1, 2)]
        workers = [Member(self, f"worker-{number}", ["worker"]) for number in (1, 2)]
        self.apis, self.workers, self.members = apis, workers, [*apis, *workers]
        config = json.loads((ROOT / "proxy" / "caddy.json").read_text())
        server = json.loads((ROOT / "proxy" / "api-server.json").read_text())
        server["listen"] = [f"127.0.0.1:{self.port}"]
        server["routes"][0]["handle"][0]["upstreams"] = [{"dial": f"127.0.0.1:{api.port}"} for api in apis]
        config["apps"]["http"]["servers"]["api"] = server
        file = self.folder / "caddy.json"
        file.write_text(json.dumps(config))
        self.caddy.argv[self.caddy.argv.index("--config") + 1] = str(file)

    def start(self):
        """Starts all of it."""
        self.start_caddy()
        for member in self.members:
            member.begin()
        wait_until(self.answers, 30, "the way through Caddy")
        return self

    def answers(self):
        """Whether one of the API processes answers through Caddy."""
        return httpx.get(self.url + "/health", trust_env=False).status_code == 200

    def end(self):
        """Ends all of it."""
        for member in self.members:
            member.thaw()
            member.kill()
        super().end()

    def worker_of(self, deployment):
        """The worker that works on a deployment; None when none does."""
        rows = self.database.rows("SELECT owner FROM jobs WHERE subject = ? AND name = 'deploy' AND status = 'running'", deployment)
        return next((worker for worker in self.workers if rows and worker.running and worker.id == rows[0]["owner"]), None)

    def leader(self, name):
        """The worker that does `output` or `reconciler` for all; None when none does just now."""
        rows = self.database.rows("SELECT owner FROM leases WHERE name = ?", name)
        return next((worker for worker in self.workers if rows and worker.running and worker.id == rows[0]["owner"]), None)

    def files(self, *folders):
        """What lies in the folders that are empty when nothing is under way, of all members."""
        found = []
        # What was uploaded is in one folder of all.
        if "uploads" in folders and (self.folder / "uploads").is_dir():
            found += [f"uploads/{entry}" for entry in os.listdir(self.folder / "uploads")]
        for member in self.members:
            for name in folders or ("work", "scratch"):
                folder = self.folder / member.name / name
                if folder.is_dir():
                    found += [f"{member.name}/{name}/{entry}" for entry in os.listdir(folder)]
        return sorted(found)

    def tails(self, lines=20):
        """The end of each member's log."""
        return "\n".join(f"--- {member.name}\n{member.tail(lines)}" for member in self.members)
