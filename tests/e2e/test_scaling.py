"""Several processes on one database: requests and work go on while processes are stopped, killed, frozen and started."""

import json
import subprocess
import threading
import time

import httpx
import pytest
import websockets.exceptions
import websockets.sync.client

from bed import counterparts, sources
from bed.api import BASE, Api, numbered
from bed.fleet import Fleet
from bed.load import Watch
from bed.platform import little_environment
from bed.processes import Program, wait_until

# A worker that was killed or frozen is found out after 15 s, a leader after 20 s.
FOUND_OUT = 120


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def fleet(folder, request):
    counterparts.need(request.param)
    made = Fleet(folder / f"fleet-{request.param}", request.param)
    try:
        yield made.start()
    finally:
        made.end()


@pytest.fixture
def whole(fleet):
    """The fleet with every process up, whatever the test before did."""
    for member in fleet.members:
        member.thaw()
        if not member.running:
            member.begin()
    yield fleet
    for member in fleet.members:
        member.thaw()


@pytest.fixture(scope="module")
def shop(fleet):
    return fleet.api.project("shop")


def service(fleet, project, image, name, text, **variables):
    made = fleet.api.service(project, name, {"kind": "image", "reference": image}, drain_timeout_seconds=2, health_timeout_seconds=60)
    fleet.api.set_variables(made["id"], TEXT=text, **variables)
    return made


def archive(version):
    return sources.tar_gz(sources.app_files(version))


def api_of(fleet, number):
    """A client of one API process, past Caddy."""
    return Api(f"http://127.0.0.1:{fleet.apis[number].port}", fleet.token)


def said(fleet, deployment):
    return [line["message"] for line in fleet.api.lines(f"/deployments/{deployment}/logs")]


class Requests:
    """Reads and writes through Caddy all the time; each must be answered well."""

    def __init__(self, fleet, service):
        self.fleet, self.service, self.sent, self.wrong = fleet, service, 0, []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(3)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def check(self):
        assert self.sent > 0 and not self.wrong, f"{len(self.wrong)} of {self.sent} requests were lost: {self.wrong[:5]}"

    def _run(self, number):
        headers = {"Authorization": f"Bearer {self.fleet.token}"}
        with httpx.Client(base_url=self.fleet.url + BASE, headers=headers, timeout=60, trust_env=False) as client:
            turn = 0
            while not self._stop.is_set():
                turn += 1
                try:
                    if turn % 2:
                        answer = client.get(f"/services/{self.service}")
                    else:
                        body = {"key": f"COUNT_{number}", "value": str(turn), "kind": "static"}
                        answer = client.post(f"/services/{self.service}/env", json=body)
                    good = answer.status_code < 300
                except httpx.HTTPError as error:
                    answer, good = error, False
                self.sent += 1
                if not good:
                    self.wrong.append((turn % 2, repr(answer), getattr(answer, "text", "")[:300]))
                time.sleep(0.02)


def test_a_rolling_restart_during_twenty_deployments_fails_none_and_loses_no_request(whole, shop, image):
    api = whole.api
    built = api.service(shop, "built", {"kind": "upload"}, drain_timeout_seconds=2)
    api.live(api.upload(built["id"], archive("old")), 180)
    first = service(whole, shop, image, "first", "old")
    api.up(first["id"], 180)
    others = [service(whole, shop, image, f"other-{number}", "new") for number in range(18)]
    stream = {}

    def watch(deployment):
        stream["lines"], stream["end"] = api.stream(f"/deployments/{deployment}/logs/stream", seconds=240)

    with Requests(whole, built["id"]) as requests, Watch(whole, first["url"], "old", "new") as page:
        deployments = [api.upload(built["id"], archive("new"))]
        watcher = threading.Thread(target=watch, args=(deployments[0],))
        watcher.start()
        api.set_variables(first["id"], TEXT="new")
        deployments += [api.deploy(one["id"]) for one in [first, *others]]
        for member in whole.members:
            member.stop(60)
            assert member.process.returncode == 0, member.tail()
            member.begin()
        for deployment in deployments:
            api.live(deployment, 240)
        watcher.join(120)
    requests.check()
    assert len(deployments) == 20
    assert stream["end"] == "live" and numbered(stream["lines"])
    for one in [built, first, *others]:
        assert whole.page(one["url"]) == "new"
    wait_until(lambda: not whole.files(), 30, "empty folders")


@pytest.mark.parametrize("way", ["stopped", "killed"])
def test_another_worker_goes_on_with_what_one_left(whole, shop, image, way):
    api = whole.api
    made = service(whole, shop, image, f"left-{way}", "it", BEHAVE_SLEEP="12")
    deployment = api.deploy(made["id"])
    # From here on it waits for the application for 12 s: whatever comes now comes in the middle of its release.
    wait_until(lambda: whole.containers(deployment=deployment), 60, "the container")
    worker = wait_until(lambda: whole.worker_of(deployment), 20, "its worker")
    if way == "stopped":
        worker.stop(60)
        assert worker.process.returncode == 0, worker.tail()
        phrase = "was stopped: the deployment goes on"
    else:
        worker.kill()
        phrase = "is gone: the deployment goes on"
    # Whoever held it holds nothing any more: another one brings it to its end.
    api.live(deployment, FOUND_OUT)
    assert len([line for line in said(whole, deployment) if phrase in line]) == 1
    assert whole.page(made["url"]) == "it"
    whole.settled(made["id"])


def test_a_worker_that_was_frozen_does_nothing_when_it_wakes(whole, shop, image):
    api = whole.api
    made = service(whole, shop, image, "frozen", "it", BEHAVE_SLEEP="12")
    deployment = api.deploy(made["id"])
    wait_until(lambda: whole.containers(deployment=deployment), 60, "the container")
    worker = wait_until(lambda: whole.worker_of(deployment), 20, "its worker")
    worker.freeze()
    api.live(deployment, FOUND_OUT)
    lines = said(whole, deployment)
    worker.thaw()
    wait_until(lambda: "is lost: another worker goes on" in worker.tail(400), 60, "the worker that finds out")
    # It takes new work again, and the end of the old one stays as it was.
    other = next(one for one in whole.workers if one is not worker)
    other.stop(60)
    api.set_variables(made["id"], TEXT="more", BEHAVE_SLEEP="0")
    api.live(api.deploy(made["id"]), FOUND_OUT)
    assert said(whole, deployment) == lines
    assert whole.page(made["url"]) == "more"
    whole.settled(made["id"])


def test_the_output_of_instances_is_kept_once_whoever_follows_it(whole, shop, image):
    api = whole.api
    made = service(whole, shop, image, "chatter", "it", BEHAVE_LINES="6000", BEHAVE_PAUSE="0.5")
    api.live(api.deploy(made["id"]), 120)
    path = f"/services/{made['id']}/logs"

    def count():
        return api.get(path, params={"tail": 1})["next_after"]

    wait_until(lambda: count() > 100, 60, "the first lines")
    frozen = wait_until(lambda: whole.leader("output"), FOUND_OUT, "whoever follows")
    frozen.freeze()
    wait_until(lambda: whole.leader("output") not in (None, frozen), FOUND_OUT, "another one that follows")
    frozen.thaw()
    wait_until(lambda: count() >= 6000, 120, "all lines")
    time.sleep(1)
    lines = [line["message"] for line in api.lines(path) if line["message"].startswith("line ")]
    assert lines == [f"line {number:06d}" for number in range(1, 6001)]


def test_what_one_process_does_readers_and_workers_of_the_others_know_at_once(whole, shop, image):
    api = whole.api
    made = service(whole, shop, image, "told", "it", BEHAVE_SLEEP="300")
    deployment = api_of(whole, 0).deploy(made["id"])
    wait_until(lambda: whole.containers(deployment=deployment), 60, "the container")
    ends = {}

    def watch(number):
        ends[number] = api_of(whole, number).stream(f"/deployments/{deployment}/logs/stream", seconds=120)[1]

    watchers = [threading.Thread(target=watch, args=(number,)) for number in (0, 1)]
    for watcher in watchers:
        watcher.start()
    api_of(whole, 1).post(f"/deployments/{deployment}/cancel", status=202)
    for watcher in watchers:
        watcher.join(130)
    assert ends == {0: "cancelled", 1: "cancelled"}
    whole.assert_nothing_left(deployment)


def test_a_reader_of_a_process_that_stops_is_told_to_come_again(whole, shop, image):
    api = whole.api
    made = service(whole, shop, image, "reader", "it")
    api.live(api.deploy(made["id"]), 120)
    member = whole.apis[0]
    address = f"ws://127.0.0.1:{member.port}{BASE}/services/{made['id']}/logs/stream"
    with websockets.sync.client.connect(address, additional_headers={"Authorization": f"Bearer {whole.token}"}, proxy=None) as socket:
        member.told_to_stop()
        wait_until(lambda: httpx.get(f"http://127.0.0.1:{member.port}/health", trust_env=False).status_code == 503, 20, "503")
        # It still answers, and each answer ends its connection.
        answer = httpx.get(f"http://127.0.0.1:{member.port}{BASE}/projects", headers={"Authorization": f"Bearer {whole.token}"}, trust_env=False)
        assert answer.status_code == 200 and answer.headers["connection"] == "close"
        with pytest.raises(websockets.exceptions.ConnectionClosed) as closed:
            while True:
                socket.recv(timeout=60)
        assert closed.value.rcvd.code == 1001
    member.stop(60)
    assert api.get(f"/services/{made['id']}")["status"] == "live"


def test_the_command_line_follows_a_log_while_processes_are_restarted(whole, shop, image):
    api = whole.api
    made = service(whole, shop, image, "follower", "it", BEHAVE_LINES="4000", BEHAVE_PAUSE="0.5")
    api.live(api.deploy(made["id"]), 120)
    follower = Program(
        "logs", [whole.executable, "logs", made["id"], "--follow", "--tail", "5000", "--json"],
        {**little_environment(), "CLICK_DEPLOY_URL": whole.url, "CLICK_DEPLOY_TOKEN": whole.token}, whole.folder / "follower.log",
    )  # fmt: skip
    follower.start()

    def followed():
        text = whole.folder.joinpath("follower.log").read_text()
        # The last line may not be whole yet.
        whole_lines = text[: text.rfind("\n") + 1].splitlines()
        lines = (json.loads(line) for line in whole_lines if line.startswith("{"))
        return [line["message"] for line in lines if line.get("message", "").startswith("line ")]

    try:
        wait_until(lambda: len(followed()) > 100, 60, "the first lines")
        for member in whole.apis:
            member.stop(60)
            member.begin()
        wait_until(lambda: len(followed()) >= 4000, 120, "all lines")
    finally:
        follower.kill()
    assert followed() == [f"line {number:06d}" for number in range(1, 4001)]


def test_the_processes_are_listed_with_what_each_does_for_all(whole):
    wait_until(lambda: whole.leader("reconciler") and whole.leader("output") and whole.leader("build-cache"), FOUND_OUT, "leaders")
    items = whole.api.get("/processes")["items"]
    leads = sorted(name for one in items for name in one["leads"])
    assert leads == ["build-cache", "output", "reconciler"]
    roles = sorted(one["role"] for one in items if int(one["id"].split("-")[0]) in {member.process.pid for member in whole.members})
    assert roles == ["api", "api", "worker", "worker"]
    shown = whole.cli("processes")
    assert shown.returncode == 0 and "reconciler" in shown.stdout, shown.stderr


def test_one_of_several_processes_needs_a_server(platform, tmp_path):
    environment = {**platform.environment, "CLICK_DEPLOY_DATA_DIR": str(tmp_path / "data")}
    environment.pop("DATABASE_URL", None)
    for words in (["worker"], ["serve", "--api-only"]):
        refused = subprocess.run([platform.executable, *words], env=environment, capture_output=True, text=True, timeout=30)
        assert refused.returncode == 1
        assert "need a database on a server: set DATABASE_URL" in refused.stderr
