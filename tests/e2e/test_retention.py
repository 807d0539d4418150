"""What is over, and what belongs to nobody: it goes, it says so, and nothing else goes with it."""

import json
import uuid

import pytest

from bed.counterparts import docker
from bed.platform import LABEL, Platform
from bed.processes import wait_until


@pytest.fixture(scope="module")
def short(folder):
    """An installation that keeps little."""
    made = Platform(folder / "short" / "platform", KEEP_BUILD_LOGS="1", ORPHAN_GRACE_SECONDS="5")
    try:
        made.start()
        yield made
    finally:
        made.end()


def test_a_log_that_is_not_kept_is_gone_and_says_so_and_the_one_of_what_serves_stays(short, image):
    api = short.api
    service = api.service(api.project("forgotten"), "app", {"kind": "image", "reference": image}, drain_timeout_seconds=1)
    serves = api.up(service["id"])["id"]
    api.set_variables(service["id"], BEHAVE_EXIT="3")
    failures = []
    for _ in range(2):
        failures.append(api.deploy(service["id"]))
        api.failed(failures[-1], "exited")
    assert api.lines(f"/deployments/{failures[0]}/logs"), "it has a log"
    # It is looked for at the start, and once a minute.
    short.restart()
    wait_until(lambda: api.deployment(failures[0])["log_removed"], 60, "the removal of the old log")
    problem = api.ask("GET", f"/deployments/{failures[0]}/logs", status=410)
    assert problem["code"] == "log-removed" and "newest 1 deployments" in problem["detail"]
    assert api.deployment(failures[0])["reason"]["code"] == "exited", "why it failed is still known"
    done = short.cli("logs", "app", "--project", "forgotten", "--deployment", failures[0])
    assert done.returncode == 4 and "was removed" in done.stderr, done
    for kept in (serves, failures[1]):
        assert not api.deployment(kept)["log_removed"] and api.lines(f"/deployments/{kept}/logs")


def test_a_container_that_nobody_owns_is_listed_and_then_removed_and_one_of_another_installation_is_not(short, image):
    ours, theirs = (f"orphan-{uuid.uuid4().hex[:12]}" for _ in range(2))
    labels = ["--label", "click-deploy.org/resource=svc_01900000000070008000000000000001"]
    try:
        docker("run", "--detach", "--name", ours, "--label", f"{LABEL}={short.installation}", *labels, image)
        docker("run", "--detach", "--name", theirs, "--label", f"{LABEL}={ours}", *labels, image)

        def listed():
            done = short.cli("doctor", "--orphans", "--json")
            assert done.returncode == 0, done
            return [one for one in json.loads(done.stdout) if one["name"] in (ours, theirs)]

        [orphan] = listed()
        assert orphan["kind"] == "instance" and orphan["why"] == "there is no such service"
        assert orphan["since"] < orphan["remove_at"]
        said = short.cli("doctor", "--orphans").stdout
        assert ours in said and "removed from" in said and theirs not in said
        assert [one for one in short.api.get("/orphans")["items"] if one["name"] == ours] == [orphan]
        wait_until(lambda: ours not in docker("ps", "--all", "--format", "{{.Names}}"), 60, "its removal")
        assert listed() == []
        assert theirs in docker("ps", "--all", "--format", "{{.Names}}")
    finally:
        docker("rm", "--force", ours, theirs, check=False)
