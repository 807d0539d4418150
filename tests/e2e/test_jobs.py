"""Background work as an operator sees it: lists, one job closely, asking again, metrics."""

import json

import httpx


def test_a_deployments_job_is_found_by_kind_and_shows_its_steps(api, serving):
    service = serving("with-a-job")
    jobs = api.get("/jobs", params={"kind": "deploy", "status": "done", "limit": 100})["items"]
    [job] = [one for one in jobs if one["subject"] == service["current_deployment_id"]]
    assert {one["name"] for one in jobs} == {"deploy"} and {one["status"] for one in jobs} == {"done"}
    detail = api.get(f"/jobs/{job['id']}")
    assert {entry["step"]: entry["state"] for entry in detail["journal"]} == dict.fromkeys(["provision", "build", "release", "check"], "done")
    assert set(detail["journal"][0]) == {"step", "state", "at"}, "what a step made is not shown"
    refused = api.request("POST", f"/jobs/{job['id']}/retry")
    assert refused.status_code == 409 and refused.json()["code"] == "nothing-to-retry"
    assert api.request("GET", "/jobs", params={"status": "nonsense"}).status_code == 422


def test_the_command_line_shows_jobs_and_says_what_cannot_be_asked_for_again(platform, serving):
    service = serving("seen")
    done = platform.cli("jobs", "--kind", "deploy", "--json")
    assert done.returncode == 0, done.stderr
    [job] = [one for one in json.loads(done.stdout) if one["subject"] == service["current_deployment_id"]]
    shown = platform.cli("jobs", "show", job["id"])
    assert shown.returncode == 0 and "release done" in shown.stdout, shown.stderr
    assert job["id"] in platform.cli("jobs").stdout
    again = platform.cli("jobs", "retry", job["id"])
    assert again.returncode == 5 and "dead or stuck" in again.stderr
    assert platform.cli("jobs", "show", "job_0").returncode == 2


def test_metrics_count_jobs_need_a_token_and_name_no_tenant(platform, serving):
    service = serving("measured")
    assert httpx.get(platform.url + "/metrics", trust_env=False).status_code == 401
    headers = {"Authorization": f"Bearer {platform.token}"}
    answer = httpx.get(platform.url + "/metrics", headers=headers, trust_env=False)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("application/openmetrics-text")
    figures = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    assert float(figures['click_deploy_jobs_tried_total{kind="deploy",outcome="done"}']) >= 1
    assert float(figures['click_deploy_jobs{kind="deploy",status="dead"}']) == 0
    assert figures['click_deploy_jobs_oldest_due_seconds{kind="cleanup"}'] == "0"
    assert answer.text.endswith("# EOF\n") and service["id"] not in answer.text and "measured" not in answer.text
