"""kill -9 of the server in every phase: afterwards the deployment is finished or undone, the old version served
throughout, and nothing is left over. `tests/faults/kill.py` does the same many times."""

import pytest

from bed import kills


def each_phase():
    """The phases; one of them is killed on each database."""
    return [pytest.param(phase, marks=pytest.mark.each_database if phase == "building" else ()) for phase in kills.PHASES]


@pytest.mark.parametrize("phase", each_phase())
def test_a_server_killed_in_any_phase_finishes_or_undoes_the_deployment(platform, project, image, phase):
    victim = kills.Victim(platform, project, image)
    victim.kill_once(phase)
    victim.remove()


def test_a_server_killed_three_times_during_one_deployment_still_finishes_it(platform, project, image):
    victim = kills.Victim(platform, project, image)
    victim.kill_once("building", kills=3)
    victim.remove()


def test_an_orderly_stop_during_a_deployment_lets_it_go_on_after_the_next_start(platform, project, image):
    victim = kills.Victim(platform, project, image)
    victim.kill_once("building", orderly=True)
    victim.remove()


def test_a_removal_that_a_kill_interrupts_is_finished(platform, api, project, serving):
    service = serving("removed-twice")
    api.ask("DELETE", f"/services/{service['id']}", status=202)
    platform.crash()
    from bed.processes import wait_until

    wait_until(lambda: api.request("GET", f"/services/{service['id']}").status_code == 404, 30, "the removal")
    assert platform.containers(resource=service["id"]) == []
