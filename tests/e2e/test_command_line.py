"""The command line: what a person and a script get, with the exit codes that scripts can use."""

import json

from bed import sources
from bed.sources import app_files, write_files
from bed.processes import wait_until


def failed_run(done):
    """What a run said, for the message of a failed test."""
    return f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"


def test_up_of_a_folder_creates_what_is_missing_and_prints_the_url_last(platform, tmp_path):
    folder = write_files(tmp_path / "my-app", app_files("from the folder", _dot_gitignore="ignored.txt\n", ignored__txt="no"))
    done = platform.cli("up", str(folder), "--project", "cli", "--env", "COLOUR=red")
    assert done.returncode == 0, failed_run(done)
    url = done.stdout.strip()
    assert url.startswith("http://my-app-") and "\n" not in url
    assert platform.page(url) == "from the folder"
    assert platform.get(url, "/env").json()["COLOUR"] == "cmVk"
    assert "live" in done.stderr and "created service my-app" in done.stderr and "\x1b" not in done.stderr + done.stdout

    # Again, quiet, and with JSON: one line, and nothing else.
    (folder / "version").write_text("changed\n")
    done = platform.cli("up", "--project", "cli", "--json", "--quiet", folder=folder)
    assert done.returncode == 0 and done.stderr == "", failed_run(done)
    [line] = done.stdout.splitlines()
    answer = json.loads(line)
    assert answer["url"] == url and answer["status"] == "live" and answer["deployment"].startswith("dep_")
    assert platform.page(url) == "changed"


def test_up_of_a_repository_and_of_an_image(platform, repository, image):
    repository.commit(app_files("from git"))
    done = platform.cli("up", "--project", "cli-git", "--service", "git", "--git", repository.url, "--branch", "main", "--quiet")
    assert done.returncode == 0 and platform.page(done.stdout.strip()) == "from git", failed_run(done)
    done = platform.cli("up", "--project", "cli-git", "--service", "image", "--image", image, "--env", "TEXT=from an image", "--quiet")
    assert done.returncode == 0 and platform.page(done.stdout.strip()) == "from an image", failed_run(done)


def test_a_deployment_that_fails_ends_with_1_and_says_why(platform, image):
    arguments = ["up", "--project", "cli-fails", "--service", "bad", "--image", image, "--env", "BEHAVE_EXIT=3"]
    done = platform.cli(*arguments)
    assert done.returncode == 1 and "exited 3" in done.stderr, failed_run(done)
    done = platform.cli(*arguments, "--json")
    [line] = done.stdout.splitlines()
    answer = json.loads(line)
    assert done.returncode == 1 and answer["status"] == "failed" and answer["reason"]["code"] == "exited"


def test_exit_codes_tell_what_went_wrong(platform, tmp_path):
    assert platform.cli("up", str(tmp_path / "not-there")).returncode == 2
    assert platform.cli("nonsense").returncode == 2
    assert platform.cli("status", environment={"CLICK_DEPLOY_URL": "http://127.0.0.1:1"}).returncode == 3
    assert platform.cli("projects", token="cd_wrong").returncode == 3
    assert platform.cli("logs", "nobody", "--project", "not-there").returncode == 4
    for done in (platform.cli("projects", token="cd_wrong"), platform.cli("logs", "nobody", "--project", "not-there")):
        assert done.stderr.strip() and "panicked" not in done.stderr and "cd_wrong" not in done.stderr


def test_a_service_is_looked_at_changed_and_removed_from_the_command_line(platform, api, image):
    project = ["--project", "cli-all"]
    up = platform.cli("up", *project, "--service", "web", "--image", image, "--env", "TEXT=one", "--env", "BEHAVE_SAY=hello from the app", "--quiet")
    assert up.returncode == 0, failed_run(up)
    url = up.stdout.strip()

    def run(*argv, code=0):
        done = platform.cli(*argv, *project)
        assert done.returncode == code, f"{argv}: {failed_run(done)}"
        return done.stdout

    assert "web" in run("status") and url in run("status")
    [service] = json.loads(run("status", "--json"))["services"] if "services" in run("status", "--json") else json.loads(run("status", "--json"))
    assert service["name"] == "web"
    assert "running" in run("ps", "--service", "web")
    assert run("open", "web").strip().endswith(url)
    # What an app writes is followed from outside of it: it is there a moment later.
    wait_until(lambda: "hello from the app" in run("logs", "web"), what="the app's first line in its log")
    assert "serves the new version" in run("logs", "web", "--build")
    run("env", "set", "TEXT=two", "--service", "web")
    assert "TEXT" in run("env", "list", "--service", "web")
    assert "TEXT" in run("env", "pending", "--service", "web")
    assert run("redeploy", "--service", "web", "--quiet").strip() == url
    assert platform.page(url) == "two"
    assert run("rollback", "1", "--service", "web", "--yes", "--quiet").strip() == url
    assert platform.page(url) == "one"
    assert len(json.loads(run("deployments", "web", "--json"))) >= 1
    run("stop", "web")
    assert platform.get(url).status_code == 503
    run("start", "web")
    assert platform.page(url) == "one"
    run("restart", "web")
    assert platform.page(url) == "one"
    run("rm", "web", code=2)
    run("rm", "web", "--yes")
    assert platform.get(url).status_code == 404
    run("rm", "--all", "--yes")
    assert "cli-all" not in platform.cli("projects").stdout


def test_detached_cancelled_and_timed_out(platform, api, image):
    arguments = ["up", "--project", "cli-waits", "--service", "slow", "--image", image, "--env", "BEHAVE_SLEEP=60"]
    done = platform.cli(*arguments, "--detach", "--json")
    assert done.returncode == 0, failed_run(done)
    deployment = json.loads(done.stdout)["deployment"]
    assert platform.cli("cancel", "--project", "cli-waits", "--service", "slow").returncode == 0
    assert api.wait(deployment, 10)["status"] == "cancelled"
    done = platform.cli(*arguments, "--timeout", "2", "--json")
    assert done.returncode == 6 and json.loads(done.stdout)["status"] == "timed_out", failed_run(done)
    platform.cli("cancel", "--project", "cli-waits", "--service", "slow")


def test_plan_needs_no_server_and_doctor_says_what_is_there(platform, tmp_path):
    folder = write_files(tmp_path / "site", {"package.json": '{"name": "a", "scripts": {"start": "node s.js"}}', "s.js": "1"})
    done = platform.cli("plan", str(folder), environment={"CLICK_DEPLOY_URL": "http://127.0.0.1:1"})
    assert done.returncode == 0 and "node" in done.stdout.lower(), failed_run(done)
    done = platform.cli("plan", str(folder), "--dockerfile")
    assert done.returncode == 0 and done.stdout.lstrip().startswith(("FROM", "#", "ARG")), failed_run(done)
    done = platform.cli("doctor")
    assert done.returncode == 0 and "database" in done.stdout and "proxy" in done.stdout, failed_run(done)
    assert platform.token not in done.stdout + done.stderr


def test_a_log_is_followed_across_a_restart_of_the_server(platform, image):
    arguments = ["up", "--project", "cli-follow", "--service", "slow", "--image", image, "--env", "BEHAVE_SLEEP=4", "--env", "TEXT=patient"]
    import concurrent.futures
    import time

    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(platform.cli, *arguments)
        time.sleep(2)
        platform.crash()
        done = running.result(90)
    assert done.returncode == 0, failed_run(done)
    assert platform.page(done.stdout.strip()) == "patient"
    lines = [line for line in done.stderr.splitlines() if "starting 1 instance" in line]
    assert 1 <= len(lines) <= 2, done.stderr
