"""What runs stays as it should be: rolled back, stopped, started, killed by hand, routes wiped, proxy and server gone."""

import httpx
import pytest

from bed import sources
from bed.counterparts import docker
from bed.load import Load, OpenSocket, Watch
from bed.processes import wait_until
from bed.sources import app_files


def job(api, service, what):
    """A job of a service, done."""
    return api.job(api.post(f"/services/{service}/{what}", status=202))


def test_a_rollback_brings_back_image_variables_and_settings_together(platform, api, project):
    service = api.service(project, "rolled-back", {"kind": "upload"}, drain_timeout_seconds=1)
    api.set_variables(service["id"], COLOUR="green", ONLY_THEN="yes")
    first = api.live(api.upload(service["id"], sources.tar_gz(app_files("first"))))
    api.set_variables(service["id"], COLOUR="red", ONLY_NOW="yes")
    api.ask("DELETE", f"/services/{service['id']}/env/ONLY_THEN")
    api.change_settings(service["id"], replicas=2, port=9000)
    api.live(api.upload(service["id"], sources.tar_gz(app_files("second"))))
    assert platform.page(service["url"]) == "second"
    platform.settled(service["id"])

    with Watch(platform, service["url"], "first", "second"):
        back = api.live(api.post(f"/services/{service['id']}/rollback/{first['id']}", status=202)["id"])
    assert back["trigger"] == "rollback" and back["image"]["digest"] == first["image"]["digest"]
    assert back["steps"] == [], "nothing was built"
    assert platform.page(service["url"]) == "first"
    environment = platform.get(service["url"], "/env").json()
    assert environment["COLOUR"] == "Z3JlZW4=" and "ONLY_THEN" in environment and "ONLY_NOW" not in environment
    assert environment["PORT"] != "OTAwMA=="
    assert back["settings"]["replicas"] == 1
    wait_until(lambda: len(platform.containers(resource=service["id"])) == 1, 20, "one instance")
    # What is set for the next deployment stays, and is shown as pending.
    pending = api.get(f"/services/{service['id']}/env/pending")
    changes = {one["key"]: one["change"] for one in pending["variables"]}
    assert changes == {"COLOUR": "changed", "ONLY_NOW": "added", "ONLY_THEN": "removed"}
    assert {"settings.replicas", "settings.port"} <= set(pending["settings"])

    # An image that is gone is noticed before anything stops.
    for name in docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", *platform.filters({"resource": service["id"]})).split():
        if name.endswith(f":2-{name.rsplit('-', 1)[-1]}"):
            docker("image", "rm", "--force", name)
    second = [one for one in api.get(f"/services/{service['id']}/deployments")["items"] if one["number"] == 2][0]
    answer = api.request("POST", f"/services/{service['id']}/rollback/{second['id']}")
    assert answer.status_code == 409 and answer.json()["code"] == "image-gone", answer.text
    assert platform.page(service["url"]) == "first"


@pytest.mark.each_database
def test_a_redeployment_takes_the_image_with_the_variables_of_now(platform, api, project):
    service = api.service(project, "redeployed", {"kind": "upload"}, drain_timeout_seconds=1)
    first = api.live(api.upload(service["id"], sources.tar_gz(app_files("built once"))))
    api.set_variables(service["id"], TEXT="set since")
    again = api.up(service["id"], image_of=first["id"])
    assert again["trigger"] == "redeploy" and again["steps"] == []
    assert again["image"]["digest"] == first["image"]["digest"]
    assert platform.page(service["url"]) == "set since"


def test_what_never_ran_cannot_be_rolled_back_to(platform, api, serving, project, image):
    service, other = serving(), serving()
    api.set_variables(service["id"], BEHAVE_EXIT="1")
    failed = api.deploy(service["id"])
    api.failed(failed)
    answer = api.request("POST", f"/services/{service['id']}/rollback/{failed}")
    assert answer.status_code == 409 and answer.json()["code"] == "never-live"
    answer = api.request("POST", f"/services/{service['id']}/rollback/{other['current_deployment_id']}")
    assert answer.status_code == 404


def test_a_stopped_service_says_so_and_starts_again_with_what_ran(platform, api, serving):
    service = serving("stopped-once", text="here again")
    job(api, service["id"], "stop")
    answer = platform.get(service["url"])
    assert answer.status_code == 503 and "stopped" in answer.text.lower() and "stopped-once" in answer.text
    assert platform.containers(resource=service["id"]) == []
    assert api.get(f"/services/{service['id']}")["status"] == "stopped"
    job(api, service["id"], "stop")
    platform.crash()
    assert platform.get(service["url"]).status_code == 503, "it stays stopped"
    job(api, service["id"], "start")
    assert platform.page(service["url"]) == "here again"
    assert api.get(f"/services/{service['id']}")["status"] == "live"


def test_a_deployment_of_a_stopped_service_starts_it(platform, api, serving):
    service = serving("stopped-twice", text="one")
    job(api, service["id"], "stop")
    api.set_variables(service["id"], TEXT="two")
    api.up(service["id"])
    assert platform.page(service["url"]) == "two"


def test_a_restart_replaces_the_instances_without_a_lost_request(platform, api, serving):
    service = serving("restarted")
    before = {one["Id"] for one in platform.containers(resource=service["id"])}
    with Load(platform, service["url"], 50, lambda text: text == "old") as load:
        job(api, service["id"], "restart")
    load.check()
    platform.settled(service["id"])
    after = {one["Id"] for one in platform.containers(resource=service["id"])}
    assert len(after) == 1 and not after & before


def test_a_first_deployment_under_way_and_an_unknown_host_have_pages_of_their_own(platform, api, project, image):
    service = api.service(project, "on-its-way", {"kind": "image", "reference": image})
    api.set_variables(service["id"], BEHAVE_SLEEP="30")
    deployment = api.deploy(service["id"])
    api.wait_for(deployment, "releasing")
    answer = platform.get(service["url"], headers={"Accept": "text/html"})
    assert answer.status_code == 503 and "on-its-way" in answer.text and "<html" in answer.text
    answer = platform.get(service["url"], headers={"Accept": "application/json"})
    assert answer.status_code == 503 and answer.json()
    api.post(f"/deployments/{deployment}/cancel")
    answer = platform.get("nobody-has-this-name.localhost")
    assert answer.status_code == 404 and len(answer.text) > 20


@pytest.mark.parametrize("by", ["kill", "rm"])
def test_an_instance_that_somebody_ends_by_hand_comes_back(platform, api, serving, by):
    service = serving(f"ended-by-{by}")
    [container] = platform.containers(resource=service["id"])
    docker(*(["kill"] if by == "kill" else ["rm", "--force"]), container["Id"])
    wait_until(lambda: platform.page(service["url"]) == "old", 25, "the page, again", 0.2)
    wait_until(lambda: api.get(f"/services/{service['id']}")["status"] == "live", 25, "`live`, again", 0.2)


def test_an_application_that_ends_by_itself_is_shown_unhealthy_and_comes_back(platform, api, serving):
    service = serving("ends-itself")
    with pytest.raises(httpx.HTTPError):
        answer = platform.get(service["url"], "/exit?code=5")
        assert answer.status_code in (502, 503)
        raise httpx.HTTPError("the proxy told that nobody answered")
    wait_until(lambda: platform.page(service["url"]) == "old", 25, "the page, again", 0.2)


def test_a_route_table_that_was_wiped_or_changed_is_put_right(platform, api, serving):
    service = serving("wiped")
    host = service["host"]
    before = platform.table()
    changed = {"routes": {"stray.localhost": before[host]}}
    httpx.put(platform.proxy_admin + "/click-deploy/table", json=changed, trust_env=False).raise_for_status()
    assert platform.get(service["url"]).status_code == 404
    wait_until(lambda: platform.page(service["url"]) == "old", 15, "the route, again")
    wait_until(lambda: platform.table().keys() == before.keys(), 5, "all routes, and no other")


def test_the_proxy_restarts_and_serves_without_the_control_plane(platform, api, serving):
    service = serving("by-itself")
    platform.serve.stop()
    try:
        assert platform.page(service["url"]) == "old"
        platform.caddy.kill()
        platform.start_caddy()
        assert platform.page(service["url"]) == "old", "from its own snapshot"
    finally:
        platform.start_serve()


def test_a_server_that_is_away_for_seconds_loses_no_request_and_no_socket(platform, api, serving):
    service = serving("alone")
    with OpenSocket(platform, service["url"]) as socket, Load(platform, service["url"], 100, lambda text: text == "old") as load:
        platform.crash()
        platform.restart()
    load.check()
    socket.check()
