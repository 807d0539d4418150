"""Counterparts that stop: a clear reason, no half state, the old version serves, and all goes on when they are back."""

import time

import httpx
import pytest

from bed import counterparts, sources
from bed.load import Watch
from bed.platform import Platform
from bed.processes import wait_until
from bed.relay import Relay
from bed.sources import app_files


@pytest.fixture(scope="module")
def cut(folder):
    """A platform of the embedded form whose engine can be taken away."""
    (folder / "cut").mkdir()
    relay = Relay(folder / "cut" / "docker.sock", counterparts.need("docker"))
    made = Platform(folder / "cut" / "platform", docker_host=relay.address, UPLOAD_LIMIT_MB="1")
    made.relay = relay
    try:
        made.start()
        yield made
    finally:
        made.end()
        relay.cut()


@pytest.fixture(scope="module")
def service(cut, image):
    """A service of that platform that serves `old`, and takes uploads."""
    api = cut.api
    made = api.service(api.project("cut"), "app", {"kind": "image", "reference": image}, drain_timeout_seconds=1)
    api.set_variables(made["id"], TEXT="old")
    api.up(made["id"])
    api.change(made["id"], source={"kind": "upload"})
    return made


def says_why(platform, deployment, *words, seconds=25):
    """Waits until a deployment that cannot go on says so, in its reason or its log."""
    def told():
        now = platform.api.deployment(deployment)
        lines = platform.api.lines(f"/deployments/{deployment}/logs", level="error") + platform.api.lines(f"/deployments/{deployment}/logs", level="warn")
        text = str(now.get("reason")) + " ".join(line["message"] for line in lines)
        return any(word in text for word in words) and text

    return wait_until(told, seconds, f"{words} in {deployment}", 0.2)


def test_an_upload_beyond_the_limit_is_refused_and_leaves_nothing(cut, service):
    before = cut.files("uploads")
    try:
        answer = cut.api.request("POST", f"/services/{service['id']}/source", content=b"x" * (3 * 1024 * 1024))
        assert answer.status_code == 413 and answer.json()["code"] == "too-large", answer.text
    except httpx.TransportError:
        pass  # the connection may be closed while the body is still sent
    wait_until(lambda: cut.files("uploads") == before, 5, "the removal of the upload")


def test_without_the_proxy_a_deployment_says_so_and_all_goes_on_when_it_is_back(cut, service):
    api = cut.api
    cut.caddy.kill()
    deployment = api.upload(service["id"], sources.tar_gz(app_files()))
    says_why(cut, deployment, "the proxy does not answer")
    # It is told to have failed although what it made cannot be taken back yet.
    reason = api.failed(deployment, "proxy-unreachable", 40)
    assert "Connection refused" in reason["message"] and reason["advice"], reason
    cut.start_caddy()
    assert cut.page(service["url"]) == "old"
    cut.assert_nothing_left(deployment, 40)
    api.live(api.upload(service["id"], sources.tar_gz(app_files())))
    cut.settled(service["id"])


def test_without_the_engine_the_old_version_serves_and_a_deployment_says_why_it_failed(cut, service):
    api = cut.api
    with Watch(cut, service["url"], "old"):
        cut.relay.cut()
        try:
            deployment = api.upload(service["id"], sources.tar_gz(app_files()))
            says_why(cut, deployment, "the container engine does not answer", "the builder does not answer", "the image store does not answer")
            ready = cut.clients.get(cut.url + "/health/ready")
            assert ready.status_code == 503
            assert {one["name"]: one["ready"] for one in ready.json()["dependencies"]}["engine"] is False
            reason = api.failed(deployment, seconds=40)
            assert reason["code"].endswith("-unreachable") and reason["advice"] and "hyper" not in reason["message"], reason
        finally:
            cut.relay.restore()
        cut.assert_nothing_left(deployment, 40)
        wait_until(lambda: cut.clients.get(cut.url + "/health/ready").status_code == 200, 15, "readiness")
        api.live(api.upload(service["id"], sources.tar_gz(app_files())))
    cut.settled(service["id"])


@pytest.mark.parametrize("status", ["building", "releasing"])
def test_an_engine_that_goes_away_in_the_middle_leaves_no_half_state(cut, service, status):
    api = cut.api
    api.set_variables(service["id"], BEHAVE_SLEEP="2" if status == "releasing" else "0")
    dockerfile = sources.DOCKERFILE + (f"RUN echo {time.time_ns()} && sleep 2\n" if status == "building" else "")
    with Watch(cut, service["url"], "old"):
        deployment = api.upload(service["id"], sources.tar_gz(app_files("x", dockerfile)))
        api.wait_for(deployment, status)
        time.sleep(0.7)
        cut.relay.cut()
        time.sleep(1.5)
        cut.relay.restore()
        over = api.wait(deployment, 90)
        assert over["status"] in ("failed", "live"), api.story(deployment)
        if over["status"] == "failed":
            assert over["reason"]["advice"] and "unreachable" in over["reason"]["code"], over["reason"]
            cut.assert_nothing_left(deployment)
    api.set_variables(service["id"], BEHAVE_SLEEP="0")
    api.live(api.upload(service["id"], sources.tar_gz(app_files())))
    cut.settled(service["id"])


def test_a_running_log_goes_on_where_it_was_when_the_engine_is_back(cut, image):
    api = cut.api
    made = api.service(api.project("cut-log"), "chatty", {"kind": "image", "reference": image}, drain_timeout_seconds=1)
    api.set_variables(made["id"], TEXT="x", BEHAVE_LINES="1000", BEHAVE_PAUSE="0.3")
    api.up(made["id"])
    time.sleep(0.5)
    cut.relay.cut()
    time.sleep(1)
    cut.relay.restore()
    wanted = [f"line {number:06d}" for number in range(1, 1001)]

    def messages():
        return [line["message"] for line in api.lines(f"/services/{made['id']}/logs")]

    wait_until(lambda: messages()[-1] == wanted[-1], 30, "the last line", 0.3)
    assert messages() == wanted


def test_a_server_that_starts_before_its_counterparts_works_as_soon_as_they_are_there(cut, service):
    cut.serve.stop()
    cut.relay.cut()
    cut.caddy.kill()
    cut.start_serve()
    assert cut.clients.get(cut.url + "/health").status_code == 200
    cut.relay.restore()
    cut.start_caddy()
    wait_until(lambda: cut.clients.get(cut.url + "/health/ready").status_code == 200, 20, "readiness")
    cut.api.live(cut.api.upload(service["id"], sources.tar_gz(app_files())))
    assert cut.page(service["url"]) == "old"
