"""The second form: a separate buildkitd, and a registry that images are pushed to and run from by digest."""

import json
import time

import httpx
import pytest

from bed import counterparts, own, sources
from bed.counterparts import docker
from bed.load import Watch
from bed.platform import Platform
from bed.processes import wait_until
from bed.relay import Relay
from bed.sources import app_files

MANIFESTS = "application/vnd.oci.image.manifest.v1+json,application/vnd.oci.image.index.v1+json,application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture(scope="module")
def registry(folder):
    """A registry of our own, so that it can be stopped."""
    program = own.registry(folder)
    program.start()
    try:
        program.up()
        yield program
    finally:
        program.stop()


@pytest.fixture(scope="module")
def remote(folder, registry):
    """A platform of the second form; its builder can be taken away."""
    (folder / "remote").mkdir()
    builder = Relay(folder / "remote" / "buildkitd.sock", counterparts.need("buildkit"))
    made = Platform(folder / "remote" / "platform", BUILDKIT_HOST=builder.address, REGISTRY_URL=f"http://{registry.address}/team")
    made.builder = builder
    try:
        made.start()
        yield made
    finally:
        made.end()
        builder.cut()


@pytest.fixture(scope="module")
def service(remote):
    """A service that was built and pushed; it serves `version 1`."""
    api = remote.api
    made = api.service(api.project("remote"), "app", {"kind": "upload"}, drain_timeout_seconds=0)
    api.live(api.upload(made["id"], sources.tar_gz(app_files("version 1"))))
    return made


def in_registry(registry, image):
    """Whether the registry has what a deployment names."""
    name = image["reference"].removeprefix(registry.address + "/").split("@")[0].rsplit(":", 1)[0]
    answer = httpx.head(f"http://{registry.address}/v2/{name}/manifests/{image['digest']}", headers={"Accept": MANIFESTS}, trust_env=False)
    return answer.status_code == 200


def test_an_image_is_built_pushed_and_run_by_its_digest(remote, registry, service):
    assert remote.page(service["url"]) == "version 1"
    now = remote.api.get(f"/services/{service['id']}")
    deployment = remote.api.deployment(now["current_deployment_id"])
    image = deployment["image"]
    assert image["reference"].startswith(f"{registry.address}/team/") and image["digest"].startswith("sha256:")
    assert in_registry(registry, image)
    [container] = remote.containers(resource=service["id"])
    names = json.loads(docker("image", "inspect", container["Image"]))[0]["RepoDigests"]
    assert any(name.endswith("@" + image["digest"]) for name in names), names
    lines = [line["message"] for line in remote.api.lines(f"/deployments/{deployment['id']}/logs")]
    assert any("registry" in line for line in lines)


def test_a_rollback_pulls_what_the_engine_does_not_have_any_more(remote, service):
    api = remote.api
    first = api.get(f"/services/{service['id']}")["current_deployment_id"]
    api.live(api.upload(service["id"], sources.tar_gz(app_files("version 2"))))
    remote.settled(service["id"])
    for image in remote.images(deployment=first):
        docker("image", "rm", "--force", image)
    assert remote.images(deployment=first) == []
    api.live(api.post(f"/services/{service['id']}/rollback/{first}", status=202)["id"])
    assert remote.page(service["url"]) == "version 1"


def test_without_the_registry_a_deployment_says_so_and_the_next_one_works(remote, registry, service):
    api = remote.api
    with Watch(remote, service["url"], "version 1"):
        registry.stop()
        try:
            deployment = api.upload(service["id"], sources.tar_gz(app_files("never")))
            reason = api.failed(deployment, seconds=60)
        finally:
            registry.start()
            registry.up()
        assert reason["code"] == "push-failed" and "registry" in reason["advice"], reason
        # What could not be removed while the registry was away goes now.
        wait_until(lambda: not api.get("/jobs?limit=20")["items"][0]["status"] == "running", 40, "the end of the job")
        remote.assert_nothing_left(deployment, 30)
    api.live(api.upload(service["id"], sources.tar_gz(app_files("version 3"))))
    assert remote.page(service["url"]) == "version 3"


def test_without_the_builder_a_deployment_says_so_and_the_next_one_works(remote, service):
    api = remote.api
    with Watch(remote, service["url"], "version 3"):
        remote.builder.cut()
        try:
            deployment = api.upload(service["id"], sources.tar_gz(app_files("never")))
            reason = api.failed(deployment, "builder-unreachable", 60)
        finally:
            remote.builder.restore()
        assert "builder" in reason["message"] and reason["advice"]
        remote.assert_nothing_left(deployment)
        # In the middle of a build, too.
        dockerfile = sources.DOCKERFILE + f"RUN echo {time.time_ns()} && sleep 3\n"
        deployment = api.upload(service["id"], sources.tar_gz(app_files("version 3", dockerfile)))
        api.wait_for(deployment, "building")
        time.sleep(1)
        remote.builder.cut()
        time.sleep(0.5)
        remote.builder.restore()
        over = api.wait(deployment, 60)
        assert over["status"] == "live" or "unreachable" in over["reason"]["code"], over["reason"]


def test_a_build_on_the_separate_builder_is_cancelled(remote, service):
    api = remote.api
    dockerfile = sources.DOCKERFILE + f"RUN echo {time.time_ns()} && sleep 60\n"
    deployment = api.upload(service["id"], sources.tar_gz(app_files("never", dockerfile)))
    api.wait_for(deployment, "building")
    time.sleep(1)
    began = time.monotonic()
    api.post(f"/deployments/{deployment}/cancel", status=202)
    assert api.wait(deployment, 20)["status"] == "cancelled"
    assert time.monotonic() - began < 3
    remote.assert_nothing_left(deployment)


def test_retention_removes_old_images_from_the_registry_and_keeps_what_a_rollback_may_need(remote, registry):
    api = remote.api
    made = api.service(api.project("retained"), "app", {"kind": "upload"}, drain_timeout_seconds=0)
    images = []
    for number in range(12):
        images.append(api.live(api.upload(made["id"], sources.tar_gz(app_files(f"retained {number}"))))["image"])
    wait_until(lambda: not in_registry(registry, images[0]) and not in_registry(registry, images[1]), 20, "the removal of the oldest", 0.3)
    assert all(in_registry(registry, image) for image in images[-10:])
    deployments = api.get(f"/services/{made['id']}/deployments?limit=50")["items"]
    oldest, kept = deployments[-1]["id"], deployments[5]["id"]
    answer = api.request("POST", f"/services/{made['id']}/rollback/{oldest}")
    assert answer.status_code == 409 and answer.json()["code"] == "image-gone"
    assert remote.page(made["url"]) == "retained 11"
    api.live(api.post(f"/services/{made['id']}/rollback/{kept}", status=202)["id"])
    assert remote.page(made["url"]) == "retained 6"
    api.job(api.ask("DELETE", f"/services/{made['id']}", status=202))
    wait_until(lambda: not any(in_registry(registry, image) for image in images), 20, "the removal of all images of a removed service", 0.5)
