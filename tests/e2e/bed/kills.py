"""A service whose deployments are hit by kill -9 of the server, phase by phase."""

import itertools
import random
import time

from . import sources
from .load import Watch
from .processes import wait_until

# Where the server is killed; each status is one that a deployment shows while it is there.
# `anywhere`: at any moment, of versions that work, that do not, and that somebody has just cancelled.
PHASES = ("queued", "provisioning", "building", "releasing", "checking", "draining", "anywhere")
NUMBERS = itertools.count(1)


class Victim:
    """A service that serves an old version, and gets new ones that take their time in every phase."""

    def __init__(self, platform, project, image, seed=7):
        self.platform, self.api, self.chance = platform, platform.api, random.Random(seed)
        name = f"victim-{next(NUMBERS)}"
        settings = {"drain_timeout_seconds": 2}
        self.service = self.api.service(project, name, {"kind": "image", "reference": image}, **settings)
        self.id, self.url = self.service["id"], self.service["url"]
        self.number = 0
        self.api.set_variables(self.id, TEXT="version 0")
        self.api.up(self.id)
        self.api.change(self.id, source={"kind": "upload"})

    def archive(self, build_seconds):
        """A version whose build takes so long, and cannot come from a cache."""
        dockerfile = sources.DOCKERFILE + f"RUN echo {time.time_ns()} && sleep {build_seconds}\n"
        return sources.tar_gz(sources.app_files(f"version {self.number}", dockerfile))

    def kill_once(self, phase, kills=1, orderly=False):
        """One deployment, with the server killed while it is in a phase."""
        old = f"version {self.number}"
        self.number += 1
        new = f"version {self.number}"
        # The public address is asked for `/`: as long as it takes to answer, the deployment is checked.
        variables = {"BEHAVE_SLEEP": "1.5" if phase == "releasing" else "0", "BEHAVE_SLOW": "1.5" if phase == "checking" else "0"}
        bad = phase == "anywhere" and self.chance.random() < 0.4
        self.api.set_variables(self.id, TEXT=new, BEHAVE_EXIT="1" if bad else "", **variables)
        before = set(self.platform.images(resource=self.id))
        with Watch(self.platform, self.url, old, new) as watch:
            blocker = None
            if phase == "queued":
                # One that is under way makes the next one wait.
                blocker = self.api.upload(self.id, self.archive(2))
                self.api.wait_for(blocker, "building")
            deployment = self.api.upload(self.id, self.archive(1.5 if phase == "building" else 0))
            reached = self._reach(deployment, phase)
            for round_ in range(kills):
                if orderly:
                    self.platform.restart()
                else:
                    self.platform.crash()
                if round_ + 1 < kills:
                    time.sleep(self.chance.random())
            end = self.api.wait(deployment, 60)
            assert end["status"] in (("live", "failed", "cancelled") if phase == "anywhere" else ("live",)), self.api.story(deployment)
            if blocker:
                self.api.wait(blocker)
            shown = self.platform.page(self.url)
            assert shown == (new if end["status"] == "live" else old)
        if end["status"] != "live":
            self.number -= 1
            assert end["reason"]["code"] in ("exited", "cancelled"), end
            self.platform.assert_nothing_left(deployment)
        self.check(deployment, before)
        return {"phase": phase, "reached": reached, "end": end["status"], "asked": sum(watch.seen.values())}

    def _reach(self, deployment, phase):
        """Waits until the deployment is in the phase; what it was seen in."""
        if phase == "anywhere":
            time.sleep(self.chance.uniform(0, 2.5))
            if self.chance.random() < 0.3:
                self.api.request("POST", f"/deployments/{deployment}/cancel")
            return self.api.deployment(deployment)["status"]
        if phase == "draining":
            wanted = ("live",)
        else:
            wanted = (phase, "building", "pushing", "releasing", "checking", "live") if phase == "provisioning" else (phase,)
        now = self.api.wait_for(deployment, lambda now: now["status"] in wanted or now["status"] == "live", what=phase)
        longest = {"queued": 0, "checking": 1.2, "releasing": 1.2, "building": 1.2}.get(phase, 0.3)
        time.sleep(self.chance.uniform(0, longest))
        return now["status"]

    def check(self, deployment, images_before):
        """Nothing is left that no deployment owns."""
        self.platform.settled(self.id)
        jobs = [job for job in self.api.get("/jobs?limit=50")["items"] if job["status"] in ("waiting", "running")]
        if jobs:
            wait_until(
                lambda: not [job for job in self.api.get("/jobs?limit=50")["items"] if job["status"] in ("waiting", "running")],
                30,
                f"the end of all jobs, such as {jobs[:3]}",
                0.2,
            )
        wait_until(lambda: not self.platform.files(), 10, "empty folders")
        owned = {one["id"] for one in self.api.get(f"/services/{self.id}/deployments?limit=200")["items"]}
        for container in self.platform.containers(resource=self.id):
            assert container["Config"]["Labels"]["click-deploy.org/deployment"] in owned
        new = set(self.platform.images(resource=self.id)) - images_before
        assert len(new) <= (1 if self.number else 0) + 1, new
        over = self.api.deployment(deployment)
        assert all(phase["status"] != "running" for phase in over["phases"]), over["phases"]

    def remove(self):
        """Removes the service, with all that is its own."""
        self.api.job(self.api.ask("DELETE", f"/services/{self.id}", status=202))
        assert self.platform.containers(resource=self.id) == [] and self.platform.images(resource=self.id) == []
