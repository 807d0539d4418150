"""The host that works is cut off in the middle of a deployment, many times.

    hosts.py [--times N] [--database postgresql|mariadb] [--seed N]

Two hosts are network namespaces with a worker each. The database, the engine, Caddy and the API are on a third one, this machine,
which both reach over a bridge. While a deployment is under way the link of the host that works on it goes down; the other one goes
on, and the link comes up again, while it works or after that. Needs root.
"""

import argparse
import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import uuid
from collections import Counter
from pathlib import Path

import stage  # noqa: F401  (makes `bed` known)

from bed import counterparts, sources
from bed.api import numbered
from bed.fleet import Fleet
from bed.load import Watch
from bed.processes import wait_until
from bed.relay import Relay

# A worker that is cut off is found out after 15 s, a leader after 20 s.
FOUND_OUT = 120
# What a killed or cut off worker left in its folders is found by the sweep, after a minute of grace.
LEFTOVERS_WITHIN = 180
# Where a deployment is when its host is cut off, and what makes it stay there for a while.
PHASES = {"building": {}, "releasing": {"BEHAVE_SLEEP": "12"}, "checking": {"BEHAVE_SLOW": "4"}}


def ip(*words, check=True):
    """Runs `ip`."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    assert not check or done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
    return done.stdout


class Network:
    """A bridge with two namespaces on it. Their names have this process's number in them, so that two may run at once."""

    def __init__(self):
        number = os.getpid()
        self.bridge = f"cdh{number}"
        self.hosts = [f"cdh{number}-{host}" for host in (1, 2)]
        routes = ip("-4", "route", "show", "table", "all")
        second = next(second for second in range(150, 200) if f"10.{second}." not in routes)
        self.address = f"10.{second}.0.1"
        # Between a host and the containers, in both directions.
        self.rules = [["FORWARD", way, self.bridge, "-j", "ACCEPT"] for way in ("-i", "-o")]
        try:
            ip("link", "add", self.bridge, "type", "bridge")
            ip("addr", "add", f"{self.address}/24", "dev", self.bridge)
            ip("link", "set", self.bridge, "up")
            for place, host in enumerate(self.hosts, 2):
                self._join(host, f"10.{second}.0.{place}/24")
            for rule in self.rules:
                subprocess.run(["iptables", "-I", *rule], check=True)
        except BaseException:
            self.remove()
            raise

    def _join(self, host, address):
        ip("netns", "add", host)
        ip("link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", host)
        ip("link", "set", host, "master", self.bridge, "up")
        for words in (["addr", "add", address, "dev", "eth0"], ["link", "set", "eth0", "up"], ["link", "set", "lo", "up"]):
            ip("-n", host, *words)
        ip("-n", host, "route", "add", "default", "via", self.address)

    def cut(self, number):
        """Takes a host's cable out."""
        ip("link", "set", self.hosts[number], "down")

    def restore(self):
        """Both have their cables."""
        for host in self.hosts:
            ip("link", "set", host, "up")

    def remove(self):
        """Takes all of it away."""
        for rule in self.rules:
            subprocess.run(["iptables", "-D", *rule], capture_output=True)
        for host in self.hosts:
            ip("netns", "del", host, check=False)
            ip("link", "del", host, check=False)
        ip("link", "del", self.bridge, check=False)


class Hosts(Fleet):
    """A fleet whose workers are on hosts of their own."""

    def __init__(self, folder, kind, network):
        super().__init__(folder, kind)
        self.network, here = network, network.address
        parts = self.database.parts
        self.relays = [Relay("tcp", f"tcp://{parts.hostname}:{parts.port}", here), Relay("tcp", self.engine, here)]
        state, engine = self.relays
        admin = f"{here}:{self.proxy_admin.rpartition(':')[2]}"
        self.proxy, self.proxy_admin = f"http://{here}:{self.proxy_port}", f"http://{admin}"
        self.caddy.environment |= {"CLICK_DEPLOY_PROXY_LISTEN": f"{here}:{self.proxy_port}", "CLICK_DEPLOY_PROXY_ADMIN": admin}
        for member in self.members:
            member.environment |= {"PROXY_ADMIN_URL": self.proxy_admin, "PROXY_URL": self.proxy}
        for host, worker in zip(network.hosts, self.workers):
            worker.environment |= {"DOCKER_HOST": engine.address, "DATABASE_URL": self.database.behind(f"{here}:{state.port}")}
            worker.argv = ["ip", "netns", "exec", host, *worker.argv]

    def end(self):
        """Ends all of it."""
        self.network.restore()
        super().end()
        for relay in self.relays:
            relay.cut()

    def seen(self, worker):
        """Whether a worker said lately that it lives."""
        rows = self.database.rows("SELECT seen_at_ms FROM processes WHERE id = ?", worker.id)
        return bool(rows) and time.time() - rows[0]["seen_at_ms"] / 1000 < 12


class Victim:
    """A service whose host is cut off."""

    numbers = itertools.count(1)

    def __init__(self, fleet, project, image, repository):
        self.fleet, self.api, self.image, self.repository = fleet, fleet.api, image, repository
        source = {"kind": "image", "reference": image}
        made = self.api.service(project, f"victim-{next(self.numbers)}", source, drain_timeout_seconds=2, health_timeout_seconds=60)
        self.id, self.url, self.text = made["id"], made["url"], f"version {next(self.numbers)}"
        self.api.set_variables(self.id, TEXT=self.text)
        self.api.up(self.id, 180)

    def cut_once(self, phase, pause, back):
        """One deployment, whose host is cut off so long after a phase began, and comes `back` while another one works or after that."""
        fleet, api = self.fleet, self.api
        wait_until(lambda: all(fleet.seen(worker) for worker in fleet.workers), FOUND_OUT, "both workers")
        old, self.text = self.text, f"version {next(self.numbers)}"
        self._want(phase)
        with Watch(fleet, self.url, old, self.text, pause=0.1) as watch:
            deployment = api.deploy(self.id)
            api.wait_for(deployment, phase, 120)
            if phase == "releasing":
                wait_until(lambda: fleet.containers(deployment=deployment), 60, "the container")
            time.sleep(pause)
            worker = fleet.worker_of(deployment)
            assert worker, f"nobody works on it: {api.story(deployment)}"
            number = fleet.workers.index(worker)
            fleet.network.cut(number)
            cut = time.monotonic()
            other = fleet.workers[1 - number]
            wait_until(lambda: fleet.worker_of(deployment) is other, FOUND_OUT, "the other worker")
            taken = time.monotonic() - cut
            if back == "while":
                fleet.network.restore()
            api.live(deployment, 300)
            before = self._said(deployment)
            if back == "after":
                fleet.network.restore()
            wait_until(lambda: fleet.seen(worker), FOUND_OUT, f"{worker.name} again\n{worker.tail(20)}")
            # Time for whatever it may still do.
            time.sleep(10)
        self._check(deployment, before)
        return f"host {number + 1} was cut off, host {2 - number} went on after {taken:.1f} s, live, {sum(watch.seen.values())} pages"

    def _want(self, phase):
        blank = dict.fromkeys(("BEHAVE_SLEEP", "BEHAVE_SLOW"), "0")
        self.api.set_variables(self.id, TEXT=self.text, **{**blank, **PHASES[phase]})
        if phase == "building":
            run = f"RUN echo {uuid.uuid4().hex} && sleep 8\n"
            self.repository.commit(sources.app_files(self.text, sources.DOCKERFILE + run))
            self.api.change(self.id, source={"kind": "git", "url": self.repository.url, "branch": "main"})
        else:
            self.api.change(self.id, source={"kind": "image", "reference": self.image})

    def _said(self, deployment):
        return [line["message"] for line in self.api.lines(f"/deployments/{deployment}/logs")]

    def _check(self, deployment, before):
        lines = self.api.lines(f"/deployments/{deployment}/logs")
        said = [line["message"] for line in lines]
        assert said == before, f"the log grew after the end: {said[len(before) :]}"
        assert numbered(lines)
        went_on = [line for line in said if line.endswith("is gone: the deployment goes on from where it was")]
        assert len(went_on) == 1, f"{len(went_on)} went on: {said}"
        jobs = self.fleet.database.rows("SELECT * FROM jobs WHERE name = 'deploy' AND subject = ?", deployment)
        assert len(jobs) == 1 and jobs[0]["attempt"] == 2 + jobs[0]["failures"], jobs
        assert self.fleet.page(self.url, "/page") == self.text
        self.fleet.settled(self.id, LEFTOVERS_WITHIN)
        wait_until(lambda: not self._unfinished() and not self.fleet.files(), LEFTOVERS_WITHIN, f"no jobs and no files ({self._unfinished()}, {self.fleet.files()})", 0.5)

    def _unfinished(self):
        return self.fleet.database.rows("SELECT name, subject, status FROM jobs WHERE status IN ('waiting', 'running')")


@contextlib.contextmanager
def hosts(kind):
    """Yields the fleet, the image of the test application and a repository; removes everything afterwards."""
    counterparts.image_needed(sources.BASE_IMAGE)
    folder = Path(tempfile.mkdtemp(prefix="cdh-", dir="/tmp"))
    image = f"click-deploy-e2e/app:{uuid.uuid4().hex[:12]}"
    network = fleet = None
    try:
        context = sources.write_files(folder / "image", sources.app_files("image"))
        counterparts.docker("build", "--quiet", "--label", f"click-deploy-e2e={image}", "--tag", image, str(context))
        network = Network()
        fleet = Hosts(folder / "platform", kind, network)
        yield fleet.start(), image, sources.Repository(folder / "repository")
    finally:
        if fleet:
            fleet.end()
        if network:
            network.remove()
        counterparts.remove_image(image)
        shutil.rmtree(folder, ignore_errors=True)


def main():
    """Runs, and counts."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--times", type=int, default=12)
    arguments.add_argument("--database", choices=("postgresql", "mariadb"), default="postgresql")
    arguments.add_argument("--seed", type=int, default=int(time.time()))
    asked = arguments.parse_args()
    if os.geteuid() != 0:
        arguments.error("network namespaces need root")
    print(f"seed {asked.seed}, {asked.database}", flush=True)
    chance, ends = random.Random(asked.seed), Counter()
    with hosts(asked.database) as (fleet, image, repository):
        project = fleet.api.project("hosts")
        victim = Victim(fleet, project, image, repository)
        for number in range(1, asked.times + 1):
            phase, back = chance.choice(tuple(PHASES)), chance.choice(("while", "after"))
            pause = round(chance.uniform(0, 2), 1)
            words = f"{number}: {phase} +{pause}, back {back} {'the other one works' if back == 'while' else 'it is live'}"
            try:
                print(f"{words}: {victim.cut_once(phase, pause, back)}", flush=True)
                ends["went on"] += 1
            except Exception as error:  # whatever it was, it is told, and the next one begins anew
                ends["WRONG"] += 1
                print(f"{words}: WRONG: {error}", flush=True)
                traceback.print_exc()
                print(fleet.tails(40), flush=True)
                fleet.network.restore()
                for member in fleet.members:
                    if not member.running:
                        member.begin()
                victim = Victim(fleet, project, image, repository)
    print(f"{ends['WRONG']} wrong of {asked.times}", flush=True)
    return 1 if ends["WRONG"] else 0


if __name__ == "__main__":
    sys.exit(main())
