"""A storm: faults at random under load, with deployments going on all the time; of one process, or of several on one
database. The same seed makes the same schedule."""

import itertools
import random
import threading
import time
import uuid
from collections import Counter
from types import SimpleNamespace

import httpx

from bed import sources
from bed.load import Watch
from bed.processes import wait_until

from . import promises
from .beds import BEDS, LEADERS, Bed
from .faults import Fault
from .ledger import Ledger
from .promises import OVER, Broken

# What may happen, and the longest that it lasts. Faults of the platform come more often: there is most to be lost.
SERVER = (("server killed", 2), ("server killed", 2), ("server killed", 2), ("server frozen", 20))
# Killed and frozen also for longer than a lease lasts, so that another one goes on.
PROCESSES = (
    *((f"worker-{number} {kind}", longest) for number in (1, 2) for kind, longest in (("killed", 2), ("killed", 30), ("frozen", 30), ("stopped", 5))),
    *((f"api-{number} {kind}", longest) for number in (1, 2) for kind, longest in (("killed", 5), ("frozen", 10), ("stopped", 5))),
    *((f"worker-{number}-database {kind}", longest) for number in (1, 2) for kind, longest in (("refusing", 30), ("silent", 30), ("half-open", 0))),
    ("database killed", 4), ("database frozen", 12), ("database refusing", 8), ("database slow", 8), ("database silent", 12), ("database reset", 0), ("database half-open", 0),
)  # fmt: skip
COUNTERPARTS = (
    ("engine killed", 3), ("engine frozen", 12), ("engine refusing", 6), ("engine slow", 8), ("engine silent", 12), ("engine reset", 0), ("engine half-open", 0),
    ("buildkit killed", 3), ("buildkit frozen", 10), ("buildkit refusing", 5), ("buildkit slow", 8), ("buildkit reset", 0), ("buildkit half-open", 0),
    ("registry killed", 3), ("registry frozen", 10), ("registry refusing", 5), ("registry slow", 8), ("registry reset", 0),
    ("proxy killed", 2), ("proxy frozen", 5), ("proxy-admin refusing", 5), ("proxy-admin slow", 8), ("proxy-admin silent", 10), ("proxy-admin half-open", 0),
)  # fmt: skip
# Seconds after a fault in which visitors may see errors, because it hit what serves.
EXCUSED = {"proxy killed": 10, "proxy frozen": 10, "engine killed": 60}
# No deployment may take longer than this to end, whatever happens meanwhile.
LIMIT = 600


class Prefix:
    """Pages of the storm's services."""

    def __contains__(self, text):
        return text.startswith("storm ")


def schedule(minutes, seed, several):
    """When which fault begins: a list of seconds and words. Two may overlap, never on one target."""
    faults = (*(PROCESSES if several else SERVER), *COUNTERPARTS)
    chance, at, free, planned = random.Random(seed), 5.0, {}, []
    while at < minutes * 60:
        words, longest = chance.choice(faults)
        seconds = round(chance.uniform(0.3, longest), 1) if longest else 0
        target = words.split()[0]
        if free.get(target, 0) <= at:
            planned.append((round(at, 1), f"{words} {seconds}" if longest else words))
            free[target] = at + seconds + 8
        at += chance.uniform(0.5, 9)
    return planned


class Deployer:
    """One service, with one action after the other."""

    numbers = itertools.count(1)

    def __init__(self, bed, number, seed, say):
        self.bed, self.api, self.say = bed, bed.platform.api, say
        self.chance = random.Random(f"{seed} {number}")
        self.name = f"storm-{number}"
        self.repository = sources.Repository(bed.folder / f"repository-{number}")
        self.texts, self.ends, self.broken = {}, Counter(), []
        self._stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        source = {"kind": "image", "reference": bed.image}
        made = self.api.service(bed.project, self.name, source, drain_timeout_seconds=2)
        self.service, self.url = made["id"], made["url"]
        self._new_text()
        self.first = self.api.up(self.service)["id"]
        self.texts[self.first] = self.text
        self.watch = Watch(bed.platform, self.url, pause=0.25)
        self.watch.allowed = Prefix()

    def _new_text(self, **variables):
        self.text = f"storm {next(self.numbers)}"
        blank = {"BEHAVE_EXIT": "", "BEHAVE_SLEEP": "0"}
        self._ask("POST", f"/services/{self.service}/env/bulk", {"set": [{"key": k, "value": v, "kind": "static"} for k, v in {**blank, "TEXT": self.text, **variables}.items()]})

    def _ask(self, method, path, body=None, good=(200, 201, 202)):
        """A request, said again with the same key until it is answered."""
        headers = {"Idempotency-Key": uuid.uuid4().hex} if method == "POST" else {}

        def said():
            try:
                answer = self.api.client.request(method, path, json=body, headers=headers)
            except httpx.TransportError:
                return None
            return None if answer.status_code >= 500 or "request-under-way" in answer.text else answer

        answer = wait_until(said, 300, f"an answer to {method} {path}", 0.5)
        if answer.status_code not in good:
            raise Broken("it can be asked for", f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer

    def stop(self):
        """Begins nothing more."""
        self._stop.set()

    def _run(self):
        while not self._stop.is_set():
            kind = self.chance.choice(("image", "image", "git", "git", "redeploy", "rollback", "failing", "cancelled", "restart"))
            began = time.monotonic()
            try:
                end = self._once(kind)
            except Broken as error:
                self.broken.append(error)
                end = str(error)
            except Exception as error:  # kept, and told at the end
                self.broken.append(Broken(f"{kind} of {self.name}", repr(error)[:600]))
                end = repr(error)[:200]
            self.ends[f"{kind} {end.split(':')[0]}"] += 1
            self.say(f"{self.name}: {kind}: {end} after {time.monotonic() - began:.1f} s")
            self._stop.wait(self.chance.uniform(0.2, 2))

    def _once(self, kind):
        if kind == "restart":
            job = self._ask("POST", f"/services/{self.service}/restart", {}).json()["id"]
            return self._wait("jobs", job, ("done", "failed"))
        if kind == "rollback":
            live = [one["id"] for one in self.bed.state.deployments(self.service) if one["status"] == "live"]
            to = self.chance.choice(live[-3:])
            answer = self._ask("POST", f"/services/{self.service}/rollback/{to}", {}, good=(202, 409))
            if answer.status_code == 409:
                return "refused: " + answer.json()["code"]
            self.texts[answer.json()["id"]] = self.texts.get(to)
        else:
            failing = {"failing": {"BEHAVE_EXIT": "1"}, "cancelled": {"BEHAVE_SLEEP": "10"}}.get(kind, {})
            self._new_text(**failing)
            body = {}
            if kind == "redeploy":
                body["image_of"] = self.bed.state.rows("SELECT current_deployment_id AS id FROM services WHERE id = ?", self.service)[0]["id"]
            elif kind == "git":
                self.repository.commit(sources.app_files(self.text, sources.DOCKERFILE + f"RUN echo {self.text} && sleep 1\n"))
                self._source({"kind": "git", "url": self.repository.url, "branch": "main"})
            else:
                self._source({"kind": "image", "reference": self.bed.image})
            answer = self._ask("POST", f"/services/{self.service}/deploy", body, good=(202, 409))
            if answer.status_code == 409:
                return "refused: " + answer.json()["code"]
            self.texts[answer.json()["id"]] = self.text
        deployment = answer.json()["id"]
        if kind == "cancelled":
            self._stop.wait(self.chance.uniform(0.1, 3))
            self._ask("POST", f"/deployments/{deployment}/cancel", {}, good=(200, 202, 409))
        return self._wait("deployments", deployment, OVER)

    def _source(self, source):
        self._ask("PATCH", f"/services/{self.service}", {"source": source})

    def _wait(self, table, id_, over):
        found = []

        def ended():
            found[:] = self.bed.state.rows(f"SELECT status, reason, finished_at_ms FROM {table} WHERE id = ?", id_)
            return found and found[0]["status"] in over and found[0]["finished_at_ms"]

        try:
            wait_until(ended, LIMIT, "its end", 0.2)
        except AssertionError:
            raise Broken("it comes to an end", f"{id_} is {found[0]['status']} after {LIMIT} s") from None
        return f"{found[0]['status']}: {found[0]['reason']}" if found[0]["reason"] else found[0]["status"]

    def check(self):
        """What the address shows is what the state says serves."""
        current = self.bed.state.rows("SELECT current_deployment_id AS id FROM services WHERE id = ?", self.service)[0]["id"]
        wanted = self.texts.get(current)
        try:
            wait_until(lambda: self.bed.platform.page(self.url, "/page") == wanted, 90, f"{wanted!r} of {current}", 0.5)
        except AssertionError as error:
            raise Broken("the address shows what the state says", str(error)) from None
        self._new_text()
        self._source({"kind": "image", "reference": self.bed.image})
        self.api.up(self.service, 120)
        if self.bed.platform.page(self.url, "/page") != self.text:
            raise Broken("it goes on", f"{self.name} does not show {self.text!r}")


def main(minutes, seed, several=False):
    """Runs a storm; 0 when every promise was kept."""
    planned = schedule(minutes, seed, several)
    print(f"storm of {minutes:g} minutes{' over several processes' if several else ''}, seed {seed}: {len(planned)} faults", flush=True)
    began = time.monotonic()

    def say(words):
        print(f"[{time.monotonic() - began:7.1f} s] {words}", flush=True)

    broken, done = [], []
    name = "whole-several" if several else "whole"
    bed = Bed(name, **BEDS[name])
    try:
        deployers = [Deployer(bed, number, seed, say) for number in (1, 2)]
        # One that nobody deploys: it has no reason at all ever to fail.
        steady = Deployer(bed, 3, seed, say)
        ledger = Ledger(bed.platform, bed.project, pause=0.5)
        began = time.monotonic()
        with ledger:
            for one in (*deployers, steady):
                one.watch._thread.start()
            for one in deployers:
                one.thread.start()
            threads = []
            for at, words in planned:
                time.sleep(max(0, began + at - time.monotonic()))
                thread = threading.Thread(target=_fault, args=(bed, words, say, done, broken), daemon=True)
                thread.start()
                threads.append(thread)
            time.sleep(max(0, began + minutes * 60 - time.monotonic()))
            say("the storm is over; what is under way comes to its end")
            for thread in threads:
                thread.join(300)
            for one in deployers:
                one.stop()
            bed.mend()
            for one in deployers:
                one.thread.join(LIMIT + 60)
            for one in (*deployers, steady):
                one.watch.stop()
        broken += [error for one in deployers for error in one.broken]
        broken += _after(bed, deployers, steady, ledger, done, began)
        print(f"{sum(sum(one.watch.seen.values()) for one in (*deployers, steady))} pages seen, {len(ledger.acknowledged)} writes acknowledged")
        print(f"actions: {dict(sum((one.ends for one in deployers), Counter()))}")
        print(f"faults: {dict(Counter(' '.join(fault.words.split()[:2]) for fault in done))}")
        if broken:
            print(bed.tails(60))
    finally:
        bed.close()
    for error in broken:
        print(f"BROKEN {error}")
    print(f"\n{len(done)} faults injected, {len(broken)} promises broken", flush=True)
    return 1 if broken or not done else 0


def _fault(bed, words, say, done, broken):
    fault = Fault(words)
    say(words)
    try:
        fault.begin(bed)
        time.sleep(fault.seconds)
        fault.end(bed)
        done.append(fault)
        say(f"{words}: lifted")
    except Exception as error:  # what was hit did not come back
        broken.append(Broken("what was hit comes back", f"{words}: {error!r}"[:800]))


def _after(bed, deployers, steady, ledger, done, began):
    """What is promised once it is calm."""
    broken = []

    def keep(question):
        try:
            question()
        except Broken as error:
            broken.append(error)
        except Exception as error:  # the platform did not answer as it should
            broken.append(Broken("all goes on", repr(error)[:800]))

    windows = [(fault.began - 1, fault.ended + EXCUSED[key]) for fault in done if (key := " ".join(fault.words.split()[:2])) in EXCUSED]
    for one in (*deployers, steady):
        wrong = [
            (round(asked - began, 1), what)
            for (asked, answered), what in zip(one.watch.when, one.watch.wrong)
            if not any(begin <= answered and asked <= end for begin, end in windows)
        ]
        if wrong:
            broken.append(Broken("the old version serves", f"{one.name}: {len(wrong)} pages wrong: {wrong[:5]}"))
    keep(lambda: promises.eventually("nothing is left over", lambda: promises.left_over(bed), promises.LEFTOVERS_WITHIN + 120))
    if gone := ledger.missing():
        broken.append(Broken("no acknowledged write is missing", f"{len(gone)}: {gone[:5]}"))
    for one in (*deployers, steady):
        keep(lambda one=one: promises.nothing_ran_twice(_calm(bed, one)))
        keep(one.check)
        keep(lambda one=one: bed.platform.settled(one.service, 90))
    if len(bed.members) > 1:
        keep(lambda: promises.eventually("each thing that one does for all is done by one that lives", lambda: _not_led(bed), 90))
    return broken


def _calm(bed, deployer):
    """A case of which only the history counts."""
    return SimpleNamespace(bed=bed, action=SimpleNamespace(service=deployer.service, stays=False), deployments_wanted=None)


def _not_led(bed):
    return [name for name in LEADERS if bed.platform.leader(name) is None]
