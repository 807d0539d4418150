"""Cancelling: it stops within seconds wherever the deployment is, leaves nothing, and the old version serves."""

import time

import pytest

from bed import sources
from bed.load import Watch
from bed.processes import wait_until
from bed.sources import app_files

SOON = 3.0


def slow_archive(seconds, text="new"):
    """A version whose build takes so long."""
    dockerfile = sources.DOCKERFILE + f"RUN echo {time.time_ns()} && sleep {seconds}\n"
    return sources.tar_gz(app_files(text, dockerfile))


def cancel(platform, api, deployment):
    """Cancels, and sees that it is soon over and leaves nothing."""
    began = time.monotonic()
    api.post(f"/deployments/{deployment}/cancel", status=202)
    over = api.wait(deployment, 20)
    seconds = time.monotonic() - began
    assert over["status"] == "cancelled", api.story(deployment)
    assert seconds < SOON, f"it took {seconds:.1f} s"
    assert all(phase["status"] != "running" for phase in over["phases"])
    platform.assert_nothing_left(deployment, 3)
    return over


@pytest.fixture
def target(api, serving):
    """A service that serves `old`, and takes uploads."""
    service = serving()
    api.change(service["id"], source={"kind": "upload"})
    return service


def sleeping_builds():
    """Build steps of ours that run on this machine."""
    import pathlib

    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"sleep", b"61.5"]:
            found.append(entry.parent.name)
    return found


def test_a_build_is_cancelled_and_its_process_ends(platform, api, target):
    with Watch(platform, target["url"], "old"):
        deployment = api.upload(target["id"], slow_archive(61.5))
        wait_until(sleeping_builds, 30, "the build's process")
        cancel(platform, api, deployment)
    wait_until(lambda: not sleeping_builds(), 3, "the end of the build's process")


def test_a_release_is_cancelled(platform, api, target):
    api.set_variables(target["id"], BEHAVE_SLEEP="60")
    with Watch(platform, target["url"], "old"):
        deployment = api.upload(target["id"], sources.tar_gz(app_files()))
        api.wait_for(deployment, "releasing")
        wait_until(lambda: platform.containers(deployment=deployment), 10, "the new instance")
        cancel(platform, api, deployment)


def test_a_check_is_cancelled_and_the_old_version_is_switched_back(platform, api, target):
    api.set_variables(target["id"], TEXT="new", BEHAVE_SLOW="4")
    with Watch(platform, target["url"], "old", "new") as watch:
        deployment = api.upload(target["id"], sources.tar_gz(app_files()))
        api.wait_for(deployment, "checking")
        time.sleep(0.5)
        cancel(platform, api, deployment)
        assert platform.page(target["url"], "/page") == "old"
    assert watch.seen["new"], "it was switched to, and back"


def test_a_release_whose_health_check_fails_is_cancelled(platform, api, target):
    api.change_settings(target["id"], health_check={"kind": "http", "path": "/health"})
    api.set_variables(target["id"], BEHAVE_HEALTH="503")
    with Watch(platform, target["url"], "old"):
        deployment = api.upload(target["id"], sources.tar_gz(app_files()))
        api.wait_for(deployment, lambda now: now["status"] in ("releasing", "checking"), what="the release")
        time.sleep(1)
        cancel(platform, api, deployment)


def test_one_that_waits_is_cancelled_at_once(platform, api, target):
    first = api.upload(target["id"], slow_archive(3))
    api.wait_for(first, "building")
    second = api.upload(target["id"], sources.tar_gz(app_files()))
    cancel(platform, api, second)
    api.live(first)
    third = api.post(f"/deployments/{second}/retry", status=202)["id"]
    api.live(third)
    assert platform.page(target["url"]) == "old", "TEXT is set, and the version is not asked for"
    wait_until(lambda: not platform.files(), 10, "empty folders")


def test_an_upload_that_was_cancelled_is_forgotten_once_a_newer_one_is_there(platform, api, target):
    before = set(platform.files("uploads"))
    cancelled = api.upload(target["id"], slow_archive(30))
    api.wait_for(cancelled, "building")
    cancel(platform, api, cancelled)
    assert set(platform.files("uploads")) - before, "it may be tried again"
    api.live(api.upload(target["id"], sources.tar_gz(app_files())))
    wait_until(lambda: not set(platform.files("uploads")) - before, 20, "the removal of the upload")


def test_what_is_over_is_not_cancelled(platform, api, target):
    answer = api.request("POST", f"/deployments/{target['current_deployment_id']}/cancel")
    assert answer.status_code == 409 and answer.json()["code"] == "over"
    assert platform.page(target["url"]) == "old"


def test_pushed_twice_in_a_row_the_one_that_waits_gives_way_to_the_newest(platform, api, project, repository):
    repository.commit(app_files("zero"))
    service = api.service(project, "pushed", {"kind": "git", "url": repository.url}, drain_timeout_seconds=1)
    api.up(service["id"])
    repository.commit(app_files("one", sources.DOCKERFILE + "RUN sleep 2\n"))
    first = api.deploy(service["id"])
    api.wait_for(first, "building")
    repository.commit(app_files("two"))
    second = api.deploy(service["id"])
    repository.commit(app_files("three"))
    third = api.deploy(service["id"])
    over = api.wait(second)
    assert over["status"] == "superseded" and over["reason"]["code"] == "superseded" and third in over["reason"]["message"]
    api.live(first)
    api.live(third)
    assert platform.page(service["url"]) == "three"
    numbers = [one["number"] for one in api.get(f"/services/{service['id']}/deployments")["items"]]
    assert numbers == [4, 3, 2, 1]


def test_one_that_is_under_way_is_replaced_when_that_is_asked_for(platform, api, project, repository):
    repository.commit(app_files("zero", sources.DOCKERFILE + "RUN sleep 60\n"))
    service = api.service(project, "replaced", {"kind": "git", "url": repository.url}, drain_timeout_seconds=1)
    first = api.deploy(service["id"])
    api.wait_for(first, "building")
    time.sleep(0.7)
    repository.commit(app_files("newest"))
    second = api.deploy(service["id"], replace_running=True)
    assert api.wait(first, 10)["status"] == "cancelled"
    api.live(second)
    assert platform.page(service["url"]) == "newest"
    platform.assert_nothing_left(first)
