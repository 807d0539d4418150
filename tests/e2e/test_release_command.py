"""What runs once in the new image before it serves."""

import pytest
from bed import sources
from bed.counterparts import docker
from bed.load import Watch

SERVER = (
    "import os\nfrom http.server import BaseHTTPRequestHandler, HTTPServer\n\n\n"
    "class Handler(BaseHTTPRequestHandler):\n    def do_GET(self):\n        self.send_response(200)\n        self.end_headers()\n"
    "        self.wfile.write(os.environ['TEXT'].encode())\n\n\n"
    "HTTPServer(('0.0.0.0', int(os.environ['PORT'])), Handler).serve_forever()\n"
)
MIGRATION = (
    "import os\nimport socket\nimport sys\n\n"
    "print('migrating for', os.environ['TEXT'], 'as', os.getuid(), 'number', os.environ['CLICK_DEPLOY_REPLICA'], flush=True)\n"
    "if os.environ.get('REFUSE'):\n    print('relation users does not exist', file=sys.stderr)\n    sys.exit(3)\n"
)
FILES = {"Procfile": "release: python migrate.py\nweb: python main.py\n", "main.py": SERVER, "migrate.py": MIGRATION}


def told(api, deployment):
    """What the deployment's log says of it, in order."""
    lines = api.lines(f"/deployments/{deployment}/logs")
    return [line["message"] for line in lines if "release command" in line["message"] or "migrating" in line["message"]]


@pytest.mark.each_database
def test_a_release_command_runs_once_for_each_version_and_not_for_a_rollback(platform, api, project):
    service = api.service(project, "released", {"kind": "upload"}, drain_timeout_seconds=1)
    api.set_variables(service["id"], TEXT="one")
    first = api.live(api.upload(service["id"], sources.tar_gz(FILES)), 600)
    assert first["plan"]["release_command"] == "python migrate.py"
    said = told(api, first["id"])
    assert said[-3:-1] == ["running the release command: python migrate.py", "migrating for one as 10001 number 0"], said
    assert said[-1].startswith("the release command has done its work after")
    assert platform.page(service["url"]) == "one"
    platform.settled(service["id"])
    assert len(platform.containers(resource=service["id"])) == 1

    # The same image with other variables is a version of its own; the setting wins over the Procfile.
    api.set_variables(service["id"], TEXT="two")
    api.change_settings(service["id"], release_command="echo migrating by the setting")
    second = api.up(service["id"], image_of=first["id"])
    assert "migrating by the setting" in told(api, second["id"])
    back = api.live(api.post(f"/services/{service['id']}/rollback/{first['id']}", status=202)["id"])
    assert told(api, back["id"]) == []
    assert platform.page(service["url"]) == "one"


def test_a_release_command_that_fails_leaves_the_old_version_serving(platform, api, project):
    service = api.service(project, "refused", {"kind": "upload"}, drain_timeout_seconds=1)
    api.set_variables(service["id"], TEXT="old")
    first = api.live(api.upload(service["id"], sources.tar_gz(FILES)), 600)
    api.set_variables(service["id"], TEXT="new", REFUSE="yes")
    with Watch(platform, service["url"], "old"):
        failed = api.deploy(service["id"], image_of=first["id"])
        message = api.failed(failed, "release-command")["message"]
    assert "exit code 3" in message and "relation users does not exist" in message, message
    assert not any(line["message"].startswith("starting ") for line in api.lines(f"/deployments/{failed}/logs"))
    platform.settled(service["id"])
    (instance,) = platform.containers(resource=service["id"])
    assert instance["Config"]["Labels"]["click-deploy.org/deployment"] == first["id"]

    # Tried again once the cause is mended, the same image's command runs again.
    api.ask("DELETE", f"/services/{service['id']}/env/REFUSE")
    again = api.live(api.post(f"/deployments/{failed}/retry", status=202)["id"])
    assert any(line.startswith("migrating for new") for line in told(api, again["id"]))
    assert platform.page(service["url"]) == "new"


def test_an_image_without_a_shell_is_told(platform, api, project):
    files = {"Dockerfile": "FROM scratch\nCOPY main.py /\nCMD [\"/main.py\"]\n", "main.py": "nothing that runs"}
    service = api.service(project, "shell-less", {"kind": "upload"}, release_command="true")
    reason = api.failed(api.upload(service["id"], sources.tar_gz(files)), "release-command")
    assert "was not found or cannot be run" in reason["message"] and "shell" in reason["advice"], reason
    assert docker("ps", "--all", "--quiet", *platform.filters({"resource": service["id"]})).split() == []
