"""A client that writes all the time, and afterwards reads back each write that was acknowledged."""

import itertools
import threading
import time
import uuid

import httpx

from bed.api import BASE

PER_SERVICE = 100


class Ledger:
    """Each write is a variable of its own, with a value of its own: whatever order they arrive in, none hides another."""

    def __init__(self, platform, project, pause=0.2, padding=0):
        self.platform, self.project, self.pause = platform, project, pause
        # What makes each write so much larger: a database takes little ones for long without more room.
        self.padding = "x" * padding
        self.acknowledged, self.refused = [], 0
        self.services = []
        self._numbers = itertools.count(1)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Writes no more."""
        self._stop.set()
        self._thread.join(30)

    def _run(self):
        headers = {"Authorization": f"Bearer {self.platform.token}"}
        with httpx.Client(base_url=self.platform.url + BASE, headers=headers, timeout=10, trust_env=False) as client:
            service, room = None, 0
            while not self._stop.is_set():
                try:
                    if room == 0:
                        service = self._new_service(client)
                        room = PER_SERVICE if service else 0
                    elif self._write(client, service, next(self._numbers)):
                        room -= 1
                except httpx.HTTPError:
                    # Not acknowledged: it may be there or not.
                    self.refused += 1
                self._stop.wait(self.pause)

    def _new_service(self, client):
        body = {"name": f"ledger-{uuid.uuid4().hex[:10]}", "source": {"kind": "upload"}, "settings": {}}
        answer = client.post(f"/projects/{self.project}/services", json=body)
        if answer.status_code != 201:
            self.refused += 1
            return None
        self.services.append(answer.json()["id"])
        return self.services[-1]

    def _write(self, client, service, number):
        value = uuid.uuid4().hex + self.padding
        change = {"key": f"WRITE_{number}", "value": value, "kind": "static"}
        answer = client.post(f"/services/{service}/env/bulk", json={"set": [change]})
        if answer.status_code >= 300:
            self.refused += 1
            return False
        self.acknowledged.append((service, f"WRITE_{number}", value))
        return True

    def missing(self):
        """Acknowledged writes that are not there."""
        api, gone = self.platform.api, []
        for service in self.services:
            answer = api.request("GET", f"/services/{service}/env")
            found = {}
            if answer.status_code == 200:
                body = answer.json()
                found = {one["key"]: one.get("value") for one in (body["items"] if isinstance(body, dict) else body)}
            else:
                gone.append(f"service {service}: {answer.status_code}")
            gone += [f"{key} of {service}" for owner, key, value in self.acknowledged if owner == service and found.get(key) != value]
        return gone

    def remove(self):
        """Removes its services."""
        for service in self.services:
            self.platform.api.job(self.platform.api.ask("DELETE", f"/services/{service}", status=202))
        self.services = []

    def wait_for_one(self, seconds=60):
        """Returns when another write was acknowledged: the platform takes writes again."""
        before, end = len(self.acknowledged), time.monotonic() + seconds
        while len(self.acknowledged) == before:
            if time.monotonic() > end:
                raise AssertionError(f"no write was acknowledged for {seconds} s")
            time.sleep(0.05)
