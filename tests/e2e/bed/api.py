"""A client of the HTTP API, with the few words that tests need again and again."""

import asyncio
import json
import random
import time

import httpx
import websockets
import websockets.exceptions

BASE = "/v1/click-deploy"
OVER = ("live", "failed", "cancelled", "superseded")


class Api:
    """Speaks to one platform with one token."""

    def __init__(self, url, token):
        self.url, self.token = url, token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.client = httpx.Client(base_url=url + BASE, headers=headers, timeout=30, trust_env=False)

    def request(self, method, path, **arguments):
        """Any request; the answer, whatever its status. A connection that the server closed meanwhile is made again."""
        try:
            return self.client.request(method, path, **arguments)
        except (httpx.RemoteProtocolError, httpx.ReadError):
            if method != "GET":
                raise
            return self.client.request(method, path, **arguments)

    def ask(self, method, path, status=None, **arguments):
        """A request that must succeed (with this status); its JSON."""
        answer = self.request(method, path, **arguments)
        good = answer.status_code == status if status else answer.status_code < 300
        assert good, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def get(self, path, **arguments):
        """GET."""
        return self.ask("GET", path, **arguments)

    def post(self, path, body=None, **arguments):
        """POST of JSON."""
        return self.ask("POST", path, json={} if body is None else body, **arguments)

    def project(self, name):
        """A new project's id."""
        return self.post("/projects", {"name": name}, status=201)["id"]

    def service(self, project, name, source, **settings):
        """A new service."""
        body = {"name": name, "source": source, "settings": settings}
        return self.post(f"/projects/{project}/services", body, status=201)

    def change(self, service, **fields):
        """Changes a service."""
        return self.ask("PATCH", f"/services/{service}", json=fields)

    def change_settings(self, service, **settings):
        """Changes some of a service's settings."""
        now = self.get(f"/services/{service}")["settings"]
        return self.change(service, settings={**now, **settings})

    def set_variables(self, service, kind="static", **variables):
        """Sets variables."""
        body = {"set": [{"key": key, "value": value, "kind": kind} for key, value in variables.items()]}
        return self.post(f"/services/{service}/env/bulk", body)

    def deploy(self, service, **body):
        """Begins a deployment; its id."""
        return self.post(f"/services/{service}/deploy", body, status=202)["id"]

    def upload(self, service, archive):
        """Uploads an archive and begins its deployment; its id."""
        return self.ask("POST", f"/services/{service}/source", status=202, content=archive)["id"]

    def deployment(self, deployment):
        """A deployment."""
        return self.get(f"/deployments/{deployment}")

    def wait(self, deployment, seconds=90):
        """The deployment, once it is over."""
        return self.wait_for(deployment, lambda now: now["status"] in OVER and now.get("finished_at"), seconds, "its end")

    def wait_for(self, deployment, fits, seconds=60, what="it"):
        """The deployment, once it fits; a status name fits when it is reached."""
        wanted = fits if callable(fits) else lambda now: now["status"] == fits
        end = time.monotonic() + seconds
        while True:
            try:
                now = self.deployment(deployment)
            except httpx.TransportError:
                now = {"status": "?"}
            if wanted(now):
                return now
            if now["status"] in OVER and not callable(fits):
                raise AssertionError(f"{deployment} is over instead of {fits}: {self.story(deployment)}")
            if time.monotonic() > end:
                story = self.story(deployment) if now["status"] != "?" else "the server does not answer"
                raise AssertionError(f"{deployment} waits for {what if callable(fits) else fits}: {story}")
            time.sleep(0.03)

    def live(self, deployment, seconds=90):
        """The deployment, which must go live."""
        over = self.wait(deployment, seconds)
        assert over["status"] == "live", self.story(deployment)
        return over

    def failed(self, deployment, code=None, seconds=90):
        """The reason of a deployment, which must fail."""
        over = self.wait(deployment, seconds)
        assert over["status"] == "failed", self.story(deployment)
        reason = over["reason"]
        if code:
            assert reason["code"] == code, reason
        return reason

    def up(self, service, seconds=90, **body):
        """Deploys, and waits until it is live."""
        return self.live(self.deploy(service, **body), seconds)

    def job(self, job, seconds=60):
        """A job, once it is over; it must have succeeded."""
        end = time.monotonic() + seconds
        while True:
            now = self.get(f"/jobs/{job['id']}")
            if now["status"] in ("done", "failed"):
                assert now["status"] == "done", now
                return now
            assert time.monotonic() < end, f"the job is not over: {now}"
            time.sleep(0.03)

    def story(self, deployment):
        """What happened, for a person who reads why a test failed."""
        now = self.deployment(deployment)
        lines = [f"{line['phase']}: {line['message']}" for line in self.lines(f"/deployments/{deployment}/logs")][-40:]
        return f"{now['status']} {json.dumps(now.get('reason'))}\n" + "\n".join(lines)

    def lines(self, path, after=0, limit=1000, **query):
        """All lines of a log, read page by page."""
        found = []
        while True:
            page = self.get(path, params={"after": after, "limit": limit, **query})
            found += page["items"]
            after = page["next_after"]
            if not page["more"]:
                return found

    def stream(self, path, after=0, until=None, break_after=None, seconds=60, seed=1):
        """Reads a live log to its end, or until `until(lines)`. `break_after`: the connection is dropped after at most so
        many messages, at random, and made again from the last line seen. Returns the lines and how it ended."""
        return asyncio.run(self._stream(path, after, until, break_after, seconds, random.Random(seed)))

    async def _stream(self, path, after, until, break_after, seconds, chance):
        lines, end = [], time.monotonic() + seconds
        while True:
            assert time.monotonic() < end, f"the live log of {path} came to no end after {len(lines)} lines"
            address = f"{self.url.replace('http', 'ws', 1)}{BASE}{path}?after={after}"
            left = chance.randint(1, break_after) if break_after else None
            try:
                headers = {"Authorization": f"Bearer {self.token}"}
                async with websockets.connect(address, additional_headers=headers, max_size=None, proxy=None) as socket:
                    while left is None or left > 0:
                        message = json.loads(await asyncio.wait_for(socket.recv(), max(0.1, end - time.monotonic())))
                        if message["kind"] == "end":
                            return lines, message["status"]
                        lines += message["items"]
                        after = lines[-1]["sequence"]
                        if until and until(lines):
                            return lines, None
                        left = left and left - 1
                    # A connection that breaks says no goodbye.
                    socket.transport.abort()
            except (OSError, websockets.exceptions.ConnectionClosed, websockets.exceptions.InvalidMessage, TimeoutError):
                await asyncio.sleep(0.1)


def numbered(lines):
    """Whether log lines have the sequence 1, 2, 3, … without gaps or doubles."""
    return [line["sequence"] for line in lines] == list(range(1, len(lines) + 1))
