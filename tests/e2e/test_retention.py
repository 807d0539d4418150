"""What is over, and what belongs to nobody: it goes, it says so, and nothing else goes with it."""

import pytest

from bed.platform import Platform
from bed.processes import wait_until


@pytest.fixture(scope="module")
def short(folder):
    """An installation that keeps little."""
    made = Platform(folder / "short" / "platform", KEEP_BUILD_LOGS="1")
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
