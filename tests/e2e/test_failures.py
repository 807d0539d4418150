"""Deployments that must fail: with a reason that a person understands, the old version serving, nothing left over."""

import pytest

from bed import sources
from bed.sources import app_files

BAD_BUILD = f"FROM {sources.BASE_IMAGE}\nRUN echo about to fail && exit 7\n"
NO_BASE = "FROM click-deploy-e2e/there-is-no-such-image:1\n"

# name: (variables, settings, source or archive, code, what the message holds)
CASES = {
    "build-fails": ({}, {}, app_files("x", BAD_BUILD), "build-failed", "7"),
    "base-image-missing": ({}, {}, app_files("x", NO_BASE), "base-image", "click-deploy-e2e/there-is-no-such-image"),
    "dockerfile-broken": ({}, {}, app_files("x", "FROM\nNONSENSE\n"), None, ""),
    "no-such-dockerfile": ({}, {"build": {"dockerfile_path": "else/where"}}, app_files("x"), None, "else/where"),
    "nothing-to-plan": ({}, {}, {"readme.txt": "nothing here"}, "cannot-be-planned", ""),
    "exits-at-once": ({"BEHAVE_EXIT": "3"}, {}, None, "exited", "exited 3"),
    "ends-well-and-at-once": ({"BEHAVE_EXIT": "0"}, {}, None, "exited", "ended by itself"),
    "other-port": ({"BEHAVE_PORT": "9999"}, {"port": 3000, "health_timeout_seconds": 3}, None, "port-never-opened", "listens on 9999"),
    "loopback-only": ({"BEHAVE_HOST": "127.0.0.1"}, {"health_timeout_seconds": 3}, None, "listens-on-loopback", "127.0.0.1"),
    "never-listens": ({"BEHAVE_SLEEP": "600"}, {"health_timeout_seconds": 2}, None, "port-never-opened", "no port"),
    "out-of-memory": ({"BEHAVE_MEMORY_MB": "900"}, {}, None, "out-of-memory", "out of memory"),
    "command-not-found": ({}, {"start_command": "no-such-program --serve"}, None, "command-not-found", "not found"),
    "health-500": (
        {"BEHAVE_HEALTH": "500"},
        {"health_check": {"kind": "http", "path": "/health"}, "health_timeout_seconds": 2},
        None,
        "health-check-status",
        "500",
    ),
    "branch-missing": ({}, {}, {"kind": "git", "branch": "no-such-branch"}, "no-such-revision", "no-such-branch"),
    "repository-missing": ({}, {}, {"kind": "git", "url": "file:///no/such/repository.git"}, None, ""),
    "host-unreachable": ({}, {}, {"kind": "git", "url": "https://there-is-no-such-host.invalid/app.git"}, None, "there-is-no-such-host.invalid"),
    "root-missing": ({}, {}, {"kind": "git", "root_directory": "no/such/folder"}, "no-such-directory", "no/such/folder"),
    "image-missing": ({}, {}, {"kind": "image", "reference": "127.0.0.1:1/no/such:image"}, None, ""),
}


@pytest.fixture(scope="module")
def failing(platform, project, image, tmp_path_factory):
    """Every case at once: each service serves an old version first, then gets the bad one."""
    api = platform.api
    repository = sources.Repository(tmp_path_factory.mktemp("failing") / "repository")
    repository.commit(app_files("old"))
    begun = {}
    for name, (variables, settings, source, _, _) in CASES.items():
        good = {"kind": "image", "reference": image}
        service = api.service(project, name, good, drain_timeout_seconds=1)
        api.set_variables(service["id"], TEXT="old")
        first = api.deploy(service["id"])
        begun[name] = {"service": service, "first": first}
    for name, (variables, settings, source, _, _) in CASES.items():
        service = begun[name]["service"]["id"]
        api.live(begun[name]["first"])
        api.set_variables(service, **variables)
        api.change_settings(service, **settings)
        if source is None:
            begun[name]["deployment"] = api.deploy(service)
        elif source.get("kind") in ("git", "image"):
            url = {} if source["kind"] == "image" else {"url": repository.url}
            api.change(service, source={**url, **source})
            begun[name]["deployment"] = api.deploy(service)
        else:
            api.change(service, source={"kind": "upload"})
            begun[name]["deployment"] = api.upload(service, sources.tar_gz(source))
    return begun


@pytest.mark.parametrize("name", CASES)
def test_a_deployment_that_must_fail_says_why_and_leaves_the_old_version_serving(platform, api, failing, name):
    _, _, _, code, words = CASES[name]
    deployment, service = failing[name]["deployment"], failing[name]["service"]
    reason = api.failed(deployment, code)
    assert reason["code"] and reason["message"] and words in reason["message"], reason
    assert len(reason["message"]) < 1000 and "Error {" not in reason["message"], reason
    # What the builder's own parser says is advice in itself.
    if reason["code"] != "build-invalid":
        assert reason.get("advice"), reason
    assert platform.page(service["url"]) == "old"
    now = api.get(f"/services/{service['id']}")
    assert now["status"] == "live" and now["current_deployment_id"] == failing[name]["first"], now
    over = api.deployment(deployment)
    assert not over["current"] and all(phase["status"] != "running" for phase in over["phases"]), over["phases"]
    platform.assert_nothing_left(deployment)


def test_a_first_deployment_that_fails_is_shown_at_its_address_and_the_next_one_mends_it(platform, api, project, image):
    service = api.service(project, "first-fails", {"kind": "image", "reference": image}, drain_timeout_seconds=1)
    api.set_variables(service["id"], TEXT="mended", BEHAVE_EXIT="1")
    deployment = api.deploy(service["id"])
    api.failed(deployment, "exited")
    assert api.get(f"/services/{service['id']}")["status"] == "failed"
    answer = platform.get(service["url"])
    assert answer.status_code == 503 and "first-fails" in answer.text
    platform.assert_nothing_left(deployment)
    api.ask("DELETE", f"/services/{service['id']}/env/BEHAVE_EXIT")
    api.live(api.post(f"/deployments/{deployment}/retry")["id"])
    assert platform.page(service["url"]) == "mended"


def test_an_application_on_another_port_is_found_when_no_port_was_chosen(platform, api, project, image):
    service = api.service(project, "port-found", {"kind": "image", "reference": image}, drain_timeout_seconds=1)
    api.set_variables(service["id"], TEXT="found", BEHAVE_PORT="9876")
    api.up(service["id"])
    assert platform.page(service["url"]) == "found"
