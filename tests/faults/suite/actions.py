"""What is under way when a fault happens. An action prepares a service, begins, and comes to an end; afterwards the service
is as the action says, whatever the fault did."""

import itertools
import os
import time
import uuid

import httpx

from bed import sources
from bed.api import Api
from bed.processes import wait_until

from .promises import OVER, Broken

NUMBERS = itertools.count(1)


class Action:
    """One kind of action, about one service that serves `old`."""

    # How its deployment may end when only the server or a connection was hit.
    good_ends = ("live",)
    # Whether the old version has to be served until a new one is.
    serves = True
    # Whether the service is there afterwards.
    stays = True
    settings = {"drain_timeout_seconds": 2}
    variables = {}

    def __init__(self, case):
        self.case, self.api, self.bed = case, case.bed.platform.api, case.bed
        self.deployment = self.job = self.end = None

    def prepare(self):
        """A service that serves `old`, and wants to serve `new`."""
        self.project = self.bed.project
        self._make_service()
        self._want_new()

    def _make_service(self):
        source = {"kind": "image", "reference": self.bed.image}
        made = self.api.service(self.project, f"case-{next(NUMBERS)}", source, **self.settings)
        self.service, self.url = made["id"], made["url"]
        self.api.set_variables(self.service, TEXT=self.case.old)
        self.first = self.api.up(self.service)["id"]

    def _want_new(self):
        self.api.set_variables(self.service, TEXT=self.case.new, **self.variables)

    def begin(self):
        """Begins; true when the platform acknowledged it."""
        return self._ask("POST", f"/services/{self.service}/deploy", json={})

    def _ask(self, method, path, **arguments):
        """A request that a fault may cut off: then what it made is looked for in the state."""
        known = {one["id"] for one in self.bed.state.deployments(self.service)}
        jobs = self.bed.state.job_ids()
        # The same wish, however often it is said.
        headers = {"Idempotency-Key": uuid.uuid4().hex} if method == "POST" else {}
        doors = [self.first_door()]

        def said():
            door = doors.pop() if doors else self.api
            # A body that is sent piece by piece begins anew.
            body = {key: value() if callable(value) else value for key, value in arguments.items()}
            try:
                answer = door.request(method, path, headers=headers, **body)
            except httpx.TransportError:
                return None
            if answer.status_code == 409 and "under-way" in answer.text:
                return None
            return answer

        answer = said()
        acknowledged = answer is not None and answer.status_code < 300
        if answer is None or answer.status_code >= 500:
            answer = None
            wait_until(lambda: self.case.lifted.is_set() or self.case.fault.until_over, 120, "the end of the fault", 0.1)
            made = [one["id"] for one in self.bed.state.deployments(self.service) if one["id"] not in known]
            if made:
                self.deployment = made[-1]
                return False
            new = self.bed.state.rows("SELECT id FROM jobs WHERE subject IN (?, ?) ORDER BY id", self.service, self.project)
            new = [row["id"] for row in new if row["id"] not in jobs]
            if new:
                self.job = new[0]
                return False
            # It was neither acknowledged nor kept: the user asks again.
            headers = {"Idempotency-Key": uuid.uuid4().hex} if method == "POST" else {}
            answer = wait_until(said, 60, f"an answer to {method} {path}", 0.5)
        if answer.status_code >= 300:
            raise Broken("it can be asked for", f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        body = answer.json()
        if body["id"].startswith("dep_"):
            self.deployment = body["id"]
        else:
            self.job = body["id"]
        return acknowledged

    def first_door(self):
        """Whom it is asked of first."""
        return self.api

    def finish(self, seconds):
        """Waits for the end: no deployment and no job stays without one."""
        query, values, over = (
            ("SELECT status, reason, finished_at_ms FROM deployments WHERE id = ?", (self.deployment,), OVER)
            if self.deployment
            else ("SELECT status, reason, finished_at_ms FROM jobs WHERE id = ?", (self.job,), ("done", "failed"))
        )
        found = []

        def ended():
            found[:] = self.bed.state.rows(query, *values)
            # Removed with its organization's service, a row is over too.
            return not found or (found[0]["status"] in over and found[0]["finished_at_ms"])

        try:
            wait_until(ended, seconds, "its end", 0.05)
        except AssertionError:
            raise Broken("it comes to an end", f"after {seconds} s it is {found[0]['status']} ({found[0]['reason']})") from None
        self.end = found[0]["status"] if found else "gone"
        self.reason = found[0]["reason"] if found else None
        if self.end not in self.case.ends:
            raise Broken("it ends well", f"it is {self.end} ({self.reason}), and should be {' or '.join(self.case.ends)}")

    def shows(self):
        """What the address must show afterwards."""
        return self.case.new if self.end == "live" else self.case.old

    def check_end(self):
        """Whether the service is as the action says."""
        shown = self.case.shown(self.shows())
        if shown != self.shows():
            raise Broken("the address shows what the state says", f"it shows {shown!r} instead of {self.shows()!r} ({self.end})")

    def remove(self):
        """Removes what was prepared."""
        answer = self.api.request("DELETE", f"/services/{self.service}")
        if answer.status_code == 202:
            self.api.job(answer.json(), 120)

    @property
    def allowed(self):
        """Pages that visitors may see while it is under way."""
        return (self.case.old, self.case.new)


class DeployImage(Action):
    """A deployment of an image that is there."""


class SlowRelease(Action):
    """The new version takes a while until it listens."""

    variables = {"BEHAVE_SLEEP": "2"}


class SlowCheck(Action):
    """The new version takes a while to answer at its public address."""

    variables = {"BEHAVE_SLOW": "1.5"}


class WithReleaseCommand(Action):
    """A command runs in the new image before the new version starts. Each run of it says a number of its own."""

    def _want_new(self):
        super()._want_new()
        self.api.change_settings(self.service, release_command='echo "migrated $(cat /proc/sys/kernel/random/uuid)"; sleep 2')

    def check_end(self):
        super().check_end()
        query = "SELECT message FROM deployment_logs WHERE deployment_id = ?"
        # What one run says may be told again by whoever goes on with it.
        runs = {row["message"] for row in self.bed.state.rows(query, self.deployment) if row["message"].startswith("migrated ")}
        if len(runs) > 1 or (self.end == "live" and not runs):
            raise Broken("no job ran twice with effect", f"the release command ran {len(runs)} times: {runs}")


class DeployGit(Action):
    """A deployment that is fetched from a Git repository, and built."""

    build_seconds = 0

    def _want_new(self):
        super()._want_new()
        run = f"RUN echo {uuid.uuid4().hex} && sleep {self.build_seconds}\n"
        self.bed.repository.commit(sources.app_files(self.case.new, sources.DOCKERFILE + run))
        self.api.change(self.service, source={"kind": "git", "url": self.bed.repository.url, "branch": "main"})


class SlowBuild(DeployGit):
    """Its build takes a while."""

    build_seconds = 3


class SlowUpload(Action):
    """An archive that is sent slowly; of several processes to the first one that answers requests."""

    def _want_new(self):
        super()._want_new()
        self.api.change(self.service, source={"kind": "upload"})
        files = sources.app_files(self.case.new, noise=os.urandom(2_000_000))
        self.archive = sources.tar_gz(files)

    def begin(self):
        return self._ask("POST", f"/services/{self.service}/source", content=self._pieces)

    def _pieces(self):
        for at in range(0, len(self.archive), 100_000):
            time.sleep(0.15)
            yield self.archive[at : at + 100_000]

    def first_door(self):
        apis = getattr(self.bed.platform, "apis", None)
        return Api(f"http://127.0.0.1:{apis[0].port}", self.bed.platform.token) if apis else self.api


class TwoAtOnce(SlowBuild):
    """A deployment that is built, and beside it one of another service that takes a while until it listens."""

    def prepare(self):
        self.beside = SlowRelease(self.case)
        self.beside.prepare()
        super().prepare()

    def begin(self):
        self.beside.begin()
        return super().begin()

    def finish(self, seconds):
        super().finish(seconds)
        self.beside.finish(seconds)

    def check_end(self):
        super().check_end()
        shown = self.bed.platform.page(self.beside.url, "/page")
        if shown != self.beside.shows():
            raise Broken("the address shows what the state says", f"the one beside shows {shown!r} instead of {self.beside.shows()!r}")

    def remove(self):
        super().remove()
        self.beside.remove()


class Redeploy(Action):
    """The image of the current deployment, with the variables of now."""

    def begin(self):
        return self._ask("POST", f"/services/{self.service}/deploy", json={"image_of": self.first})


class RollBack(Action):
    """Back to the deployment before: what is `new` was served before `old`."""

    def prepare(self):
        self.project = self.bed.project
        self._make_service()
        self.api.set_variables(self.service, TEXT=self.case.new)
        self.to = self.api.up(self.service)["id"]
        self.api.set_variables(self.service, TEXT=self.case.old)
        self.api.up(self.service)

    def begin(self):
        return self._ask("POST", f"/services/{self.service}/rollback/{self.to}")


class FailingRelease(Action):
    """A version that ends at once: it is undone."""

    good_ends = ("failed",)
    variables = {"BEHAVE_EXIT": "1"}


class FailingBuild(DeployGit):
    """A version that cannot be built, once the build had some time: it is undone."""

    good_ends = ("failed",)

    def _want_new(self):
        super()._want_new()
        self.bed.repository.commit(sources.app_files(self.case.new, sources.DOCKERFILE + f"RUN echo {uuid.uuid4().hex} && exit 3\n"))


class FailingCheck(Action):
    """A version that is healthy, and whose public address does not answer as it should: the switch is taken back."""

    good_ends = ("failed",)
    variables = {"BEHAVE_SLOW": "60"}


class Cancelled(Action):
    """A deployment that somebody cancels while its instances start."""

    good_ends = ("cancelled",)
    variables = {"BEHAVE_SLEEP": "20"}

    def begin(self):
        acknowledged = super().begin()
        self.api.wait_for(self.deployment, lambda now: now["status"] in ("releasing", *OVER), 60, "releasing")
        answer = wait_until(lambda: self._cancel(), 60, "an answer to the cancellation", 0.2)
        if answer.status_code not in (200, 202, 409):
            raise Broken("it can be cancelled", f"{answer.status_code} {answer.text[:300]}")
        return acknowledged

    def _cancel(self):
        answer = self.api.request("POST", f"/deployments/{self.deployment}/cancel")
        return answer if answer.status_code < 500 else None


class Job(Action):
    """An action that is a job, and no deployment."""

    good_ends = ("done", "gone")
    verb = ""

    def _want_new(self):
        pass

    def begin(self):
        return self._ask("POST", f"/services/{self.service}/{self.verb}")

    def shows(self):
        return self.case.old


class Restart(Job):
    """New instances of the same deployment."""

    verb = "restart"


class Stop(Job):
    """The service stops."""

    verb, serves = "stop", False

    def check_end(self):
        wait_until(lambda: not self.bed.platform.containers(resource=self.service), 30, "the end of its instances", 0.2)
        answer = self.bed.platform.get(self.url)
        if answer.status_code != 503:
            raise Broken("a stopped service says so", f"{answer.status_code} {answer.text[:200]}")


class Start(Job):
    """A stopped service starts."""

    verb, serves = "start", False

    def prepare(self):
        super().prepare()
        self.api.job(self.api.post(f"/services/{self.service}/stop", status=202))


class RemoveService(Job):
    """The service goes, with all that is its own."""

    serves = stays = False

    def begin(self):
        return self._ask("DELETE", f"/services/{self.service}")

    def check_end(self):
        wait_until(lambda: self.api.request("GET", f"/services/{self.service}").status_code == 404, 60, "the end of the service", 0.1)
        self.check_nothing_left()

    def check_nothing_left(self):
        """By its label."""
        found = [one["Name"] for one in self.bed.platform.containers(resource=self.service)] + self.bed.platform.images(resource=self.service)
        if found:
            raise Broken("nothing is left over", f"of the removed service: {found}")
        if self.bed.pushed and not self.bed.users_image_is_there():
            raise Broken("what is a user's is left alone", f"{self.bed.pushed}, which nobody here built, is gone from the registry")

    def remove(self):
        pass


class RemoveProject(RemoveService):
    """The project goes, with its service."""

    def prepare(self):
        self.project = self.api.project(f"removed-{next(NUMBERS)}")
        self._make_service()

    def begin(self):
        return self._ask("DELETE", f"/projects/{self.project}")

    def check_end(self):
        wait_until(lambda: self.api.request("GET", f"/projects/{self.project}").status_code == 404, 60, "the end of the project", 0.1)
        self.check_nothing_left()
        if found := self.bed.platform.networks(project=self.project):
            raise Broken("nothing is left over", f"of the removed project: networks {found}")


class Nothing(Action):
    """Nothing is under way; the service serves."""

    def _want_new(self):
        pass

    def begin(self):
        return True

    def finish(self, seconds):
        self.end = "nothing"
        self.case.lifted.wait(seconds)

    def shows(self):
        return self.case.old


class LoseAnInstance(Action):
    """One of two instances is taken away behind the platform's back; it is brought back."""

    good_ends = ("brought back",)
    # Visitors may meet the lost one before the proxy does.
    serves = False
    settings = {"drain_timeout_seconds": 2, "replicas": 2}

    def _want_new(self):
        pass

    def begin(self):
        self.lost = self.bed.platform.containers(resource=self.service)[0]["Id"]
        self.bed.platform.docker("rm", "--force", self.lost)
        return True

    def finish(self, seconds):
        def back():
            found = self.bed.platform.containers(resource=self.service)
            return len(found) == 2 and all(one["State"]["Running"] for one in found)

        try:
            wait_until(back, seconds, "two instances", 0.2)
        except AssertionError as error:
            raise Broken("it comes to an end", error) from None
        self.end = "brought back"

    def shows(self):
        return self.case.old


class PrintLines(Action):
    """The service prints numbered lines; each is kept once, in order."""

    good_ends = ("printed",)
    lines = 6000

    def _want_new(self):
        self.api.set_variables(self.service, BEHAVE_LINES=str(self.lines), BEHAVE_PAUSE="0.5")
        self.first = self.api.up(self.service)["id"]
        self.api.set_variables(self.service, BEHAVE_LINES="0")

    def begin(self):
        return True

    def finish(self, seconds):
        try:
            wait_until(lambda: len(self._kept()) >= self.lines, seconds, f"{self.lines} lines", 1)
        except AssertionError as error:
            raise Broken("it comes to an end", f"{error}: {len(self._kept())} are kept") from None
        self.end = "printed"

    def _kept(self):
        rows = self.bed.state.rows("SELECT message FROM service_logs WHERE service_id = ? ORDER BY sequence", self.service)
        return [row["message"] for row in rows if row["message"].startswith("line ")]

    def shows(self):
        return self.case.old

    def check_end(self):
        super().check_end()
        time.sleep(1)
        kept, wanted = self._kept(), [f"line {number:06d}" for number in range(1, self.lines + 1)]
        if kept != wanted:
            wrong = [(one, two) for one, two in zip(kept, wanted) if one != two][:3]
            raise Broken("no log line is missing or double", f"{len(kept)} lines are kept of {self.lines}, the first that differ: {wrong}")


ACTIONS = {
    "deploy an image": DeployImage,
    "deploy from Git": DeployGit,
    "deploy what builds slowly": SlowBuild,
    "deploy what is uploaded slowly": SlowUpload,
    "deploy two at once": TwoAtOnce,
    "deploy what starts slowly": SlowRelease,
    "deploy what answers slowly": SlowCheck,
    "deploy with a release command": WithReleaseCommand,
    "redeploy": Redeploy,
    "roll back": RollBack,
    "deploy what ends at once": FailingRelease,
    "deploy what cannot be built": FailingBuild,
    "deploy what does not answer": FailingCheck,
    "deploy what is cancelled": Cancelled,
    "restart": Restart,
    "stop": Stop,
    "start": Start,
    "remove the service": RemoveService,
    "remove the project": RemoveProject,
    "lose an instance": LoseAnInstance,
    "print lines": PrintLines,
    "nothing": Nothing,
}
