"""What is removed leaves nothing: no container, network, image, route or file. Comes last, and looks at everything."""

import time

from bed import sources
from bed.processes import wait_until
from bed.sources import app_files


def test_a_service_goes_with_all_that_is_its_own_and_its_neighbour_stays(platform, api, serving):
    project = api.project("half-removed")
    gone = api.service(project, "gone", {"kind": "upload"}, drain_timeout_seconds=1)
    for version in ("one", "two"):
        api.live(api.upload(gone["id"], sources.tar_gz(app_files(version))))
    stays = serving("stays", project_id=project)
    assert platform.images(resource=gone["id"])
    api.job(api.ask("DELETE", f"/services/{gone['id']}", status=202))
    assert platform.containers(resource=gone["id"]) == [] and platform.images(resource=gone["id"]) == []
    assert gone["host"] not in platform.table() and platform.get(gone["url"]).status_code == 404
    assert api.request("GET", f"/services/{gone['id']}").status_code == 404
    assert platform.page(stays["url"]) == "old"


def test_a_service_is_removed_while_its_deployment_is_under_way(platform, api):
    project = api.project("removed-early")
    dockerfile = sources.DOCKERFILE + f"RUN echo {time.time_ns()} && sleep 30\n"
    for status in ("building", "releasing"):
        service = api.service(project, f"early-{status}", {"kind": "upload"})
        api.set_variables(service["id"], BEHAVE_SLEEP="30")
        text = dockerfile if status == "building" else sources.DOCKERFILE
        deployment = api.upload(service["id"], sources.tar_gz(app_files("x", text)))
        api.wait_for(deployment, status)
        job = api.ask("DELETE", f"/services/{service['id']}", status=202)
        api.job(job, 20)
        assert platform.containers(resource=service["id"]) == [] and platform.images(resource=service["id"]) == []
        assert service["host"] not in platform.table()
    api.job(api.ask("DELETE", f"/projects/{project}", status=202))
    platform.assert_no_network(project=project)


def test_after_the_last_project_nothing_of_the_platform_is_left_on_the_machine(platform, api):
    jobs = [api.ask("DELETE", f"/projects/{project['id']}", status=202) for project in api.get("/projects?limit=200")["items"]]
    for job in jobs:
        api.job(job, 120)
    assert api.get("/projects")["items"] == []
    wait_until(lambda: platform.containers() == [], 20, "no containers", 0.5)
    platform.assert_no_network()
    wait_until(lambda: platform.images() == [], 20, "no images", 0.5)
    wait_until(lambda: platform.table() == {}, 20, "no routes", 0.5)
    wait_until(lambda: platform.files("work", "scratch", "uploads") == [], 75, "no files", 0.5)
    waiting = [job for job in api.get("/jobs?limit=200")["items"] if job["status"] in ("waiting", "running")]
    assert waiting == []
