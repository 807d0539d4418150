"""New versions under load: no request is lost, and nothing of another application is touched."""

from bed.load import Load, OpenSocket

REDEPLOYMENTS = 10
RATE = 200


def test_ten_redeployments_under_load_lose_no_request_and_leave_the_websocket_of_another_application_open(platform, api, serving):
    busy = serving("busy", text="version 0", drain_timeout_seconds=10)
    other = serving("other")
    with OpenSocket(platform, other["url"]) as socket:
        with Load(platform, busy["url"], RATE, lambda version: version.startswith("version ")) as load:
            for number in range(1, REDEPLOYMENTS + 1):
                api.set_variables(busy["id"], TEXT=f"version {number}")
                api.up(busy["id"])
                assert platform.page(busy["url"]) == f"version {number}", "from `live` on, only the new version answers"
        load.check()
        socket.check()
    assert {f"version {number}" for number in range(REDEPLOYMENTS + 1)} <= set(load.answers)
    platform.settled(busy["id"])


def test_a_slow_request_of_the_old_version_is_answered_by_it_to_its_end(platform, api, serving):
    import concurrent.futures

    service = serving("slow", text="old", drain_timeout_seconds=20)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        slow = pool.submit(platform.get, service["url"], "/slow?seconds=4")
        api.set_variables(service["id"], TEXT="new")
        api.up(service["id"])
        assert platform.page(service["url"]) == "new"
        answer = slow.result(20)
    assert (answer.status_code, answer.text) == (200, "old")
    platform.settled(service["id"])


def test_three_replicas_are_replaced_without_a_lost_request(platform, api, serving):
    service = serving("three", text="version 0", replicas=3)
    with Load(platform, service["url"], 60, lambda version: version.startswith("version ")) as load:
        for number in (1, 2):
            api.set_variables(service["id"], TEXT=f"version {number}")
            api.up(service["id"])
    load.check()
    platform.settled(service["id"])
