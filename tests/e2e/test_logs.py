"""Logs: no line lost, none doubled, whatever breaks; found again by text and level; harmless to whoever reads them."""

import re
import threading
import time

import pytest
from bed import sources
from bed.api import numbered
from bed.sources import app_files

LINES = 5000


def build_numbers(lines):
    """The numbers that the build printed, as they stand in the log."""
    found = [re.fullmatch(r"counted (\d+)", line["message"].strip()) for line in lines]
    return [int(match[1]) for match in found if match]


def test_a_build_log_is_whole_by_page_and_live_however_often_the_reader_loses_its_connection(platform, api, project):
    loop = "for n in $(seq 1 1500); do echo counted $n; if [ $((n % 100)) = 0 ]; then sleep 0.1; fi; done"
    dockerfile = sources.DOCKERFILE + f"RUN echo {time.time_ns()}; {loop}\n"
    service = api.service(project, "counting", {"kind": "upload"}, drain_timeout_seconds=1)
    deployment = api.upload(service["id"], sources.tar_gz(app_files("counted", dockerfile)))
    path = f"/deployments/{deployment}/logs"
    live, status = api.stream(path + "/stream", break_after=4)
    assert status == "live"
    api.live(deployment)
    paged = api.lines(path, limit=137)
    assert numbered(live) and numbered(paged)
    assert live == paged
    assert build_numbers(paged) == list(range(1, 1501))
    phases = [line["phase"] for line in paged]
    assert phases[0] in ("provision", "build") and phases[-1] == "check"
    late, status = api.stream(path + "/stream", after=paged[-10]["sequence"])
    assert late == paged[-9:] and status == "live"
    assert [line["message"] for line in api.lines(path, q="COUNTED 1499")] == ["counted 1499"]
    assert {line["phase"] for line in api.lines(path, phase="release")} == {"release"}


def test_a_running_log_of_five_thousand_lines_is_whole_although_the_server_is_restarted_twice_meanwhile(platform, api, project, image):
    service = api.service(project, "chatty", {"kind": "image", "reference": image}, drain_timeout_seconds=1)
    api.set_variables(service["id"], TEXT="chatty", BEHAVE_LINES=str(LINES), BEHAVE_PAUSE="0.1")
    path = f"/services/{service['id']}/logs"
    reader = {}

    def read():
        reader["lines"], _ = api.stream(path + "/stream", until=lambda lines: lines[-1]["message"] == f"line {LINES:06d}", seconds=60, break_after=20)

    thread = threading.Thread(target=read)
    thread.start()
    api.up(service["id"])
    time.sleep(0.5)
    platform.crash()
    time.sleep(0.7)
    platform.restart()
    thread.join(60)
    assert "lines" in reader, "the live reader saw the last line"
    paged = api.lines(path, limit=333)
    wanted = [f"line {number:06d}" for number in range(1, LINES + 1)]
    assert [line["message"] for line in paged] == wanted
    assert [line["message"] for line in reader["lines"]] == wanted
    assert numbered(paged) and reader["lines"] == paged
    assert [line["message"] for line in api.get(path, params={"tail": 3})["items"]] == wanted[-3:]


@pytest.mark.each_database
def test_lines_are_searched_filtered_by_level_and_cleaned_of_what_a_terminal_or_a_browser_would_act_on(platform, api, project, serving):
    service = serving("said")
    said = ["\x1b[31mred alert\x1b[0m", "<script>alert(1)</script>", "100% of_it! matched", "\x1b]0;title\x07plain", "grün ✓ 日本"]
    for text in said:
        assert platform.get(service["url"], "/print", params={"text": text}).status_code == 200
    path = f"/services/{service['id']}/logs"
    wanted = ["red alert", "<script>alert(1)</script>", "100% of_it! matched", "plain", "grün ✓ 日本"]
    end = time.monotonic() + 10
    while [line["message"] for line in api.lines(path)] != wanted:
        assert time.monotonic() < end, api.lines(path)
        time.sleep(0.1)
    assert [line["message"] for line in api.lines(path, q="% OF_IT!")] == ["100% of_it! matched"]
    assert api.lines(path, q="100__of") == [], "what SQL takes for a wildcard is a character here"
    assert {line["level"] for line in api.lines(path, level="info")} == {"info"}
    assert api.lines(path, level="error") == []
    answer = api.request("GET", path)
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_a_failed_version_said_last_stands_in_the_log_of_its_deployment(platform, api, project, image):
    service = api.service(project, "last-words", {"kind": "image", "reference": image})
    api.set_variables(service["id"], BEHAVE_EXIT="3")
    deployment = api.deploy(service["id"])
    api.failed(deployment, "exited")
    assert "this application ends at once" in [line["message"] for line in api.lines(f"/deployments/{deployment}/logs")]
