"""Where applications come from: Git, uploads, images; and what is kept about how each was deployed."""

import json

import pytest
from bed import sources
from bed.counterparts import docker
from bed.sources import app_files

# The base images of a language are made on first use, where none can be pulled.
FIRST_BUILD_SECONDS = 600


def test_a_commit_becomes_a_page_and_everything_that_it_took_is_recorded(platform, api, project, repository):
    commit = repository.commit(app_files("one"), "The first version")
    service = api.service(project, "from-git", {"kind": "git", "url": repository.url, "branch": "main"}, drain_timeout_seconds=1)
    deployment = api.up(service["id"])

    assert platform.page(deployment["url"]) == "one"
    assert deployment["commit"] == commit
    assert deployment["commit_message"] == "The first version"
    assert "Ada Tester" in deployment["commit_author"]
    assert deployment["current"] and deployment["number"] == 1 and deployment["trigger"] == "manual"
    phases = {phase["phase"]: phase for phase in deployment["phases"]}
    assert {"provision", "build", "release", "check"} <= set(phases)
    for name in ("provision", "build", "release", "check"):
        assert phases[name]["status"] == "done" and phases[name]["seconds"] >= 0 and phases[name]["deadline_seconds"] > 0
    steps = deployment["steps"]
    assert any("COPY" in step["name"] for step in steps), steps
    assert all(step["seconds"] is not None and step.get("error") is None for step in steps), steps
    assert deployment["plan"], "what was detected is kept"
    assert "Dockerfile" in json.dumps(deployment["plan"])
    assert deployment["image"]["digest"].startswith("sha256:")
    assert platform.files() == []

    # The same commit again: every step that matters comes from the cache.
    again = api.up(service["id"])
    assert again["commit"] == commit and again["number"] == 2
    assert any(step["cached"] for step in again["steps"] if "COPY" in step["name"]), again["steps"]
    assert platform.page(again["url"]) == "one"


@pytest.mark.each_database
def test_the_newest_commit_the_exact_one_and_another_branch_are_deployed_as_asked(platform, api, project, repository):
    first = repository.commit(app_files("first"))
    second = repository.commit(app_files("second"))
    side = repository.commit(app_files("side"), branch="feature/side-1")
    service = api.service(project, "versions", {"kind": "git", "url": repository.url}, drain_timeout_seconds=1)

    assert api.up(service["id"])["commit"] == second
    assert platform.page(service["url"]) == "second"
    assert api.up(service["id"], commit=first)["commit"] == first
    assert platform.page(service["url"]) == "first"
    api.change(service["id"], source={"kind": "git", "url": repository.url, "branch": "feature/side-1"})
    assert api.up(service["id"])["commit"] == side
    assert platform.page(service["url"]) == "side"


def test_odd_names_and_messages_are_nothing_but_text(platform, api, project, repository):
    import os

    branch = "odd/$(touch${IFS}/tmp/click-deploy-odd);`id`|x&'\"<b>"
    commit = repository.commit(app_files("odd"), "<script>alert(1)</script> \x1b[31m$(touch /tmp/click-deploy-odd)", branch)
    service = api.service(project, "odd", {"kind": "git", "url": repository.url, "branch": branch}, drain_timeout_seconds=1)
    deployment = api.up(service["id"])
    assert deployment["commit"] == commit and "\x1b" not in deployment["commit_message"]
    assert platform.page(service["url"]) == "odd"
    assert not os.path.exists("/tmp/click-deploy-odd")


def test_an_application_below_the_top_of_a_repository_with_a_submodule_is_found(platform, api, project, repository, make_repository):
    shared = make_repository()
    shared.commit({"words.txt": "from the submodule"})
    files = {f"apps/web/{name}": text for name, text in app_files("root").items()}
    repository.commit({**files, "Dockerfile": "FROM nothing-of-this-is-used\n"})
    repository.add_submodule(shared, "apps/web/shared")
    dockerfile = sources.DOCKERFILE.replace("app.py version", "app.py shared/words.txt") + "RUN mv /app/words.txt /app/version\n"
    files["apps/web/Dockerfile"] = dockerfile
    for name, text in files.items():
        (repository.work / name).write_text(text)
    sources.git(repository.work, "commit", "--quiet", "--all", "-m", "words")
    sources.git(repository.work, "push", "--quiet", str(repository.bare), "main")
    source = {"kind": "git", "url": repository.url, "root_directory": "apps/web"}
    service = api.service(project, "below", source, drain_timeout_seconds=1)
    api.up(service["id"])
    assert platform.page(service["url"]) == "from the submodule"


def test_an_uploaded_archive_becomes_a_page(platform, api, project):
    service = api.service(project, "uploaded", {"kind": "upload"}, drain_timeout_seconds=1)
    first = api.live(api.upload(service["id"], sources.tar_gz(app_files("as tar.gz"))))
    assert first["trigger"] == "upload" and first["commit"] is None
    assert platform.page(service["url"]) == "as tar.gz"
    api.live(api.upload(service["id"], sources.zipped(app_files("as zip"))))
    assert platform.page(service["url"]) == "as zip"
    assert platform.files() == []
    answer = api.request("POST", f"/services/{service['id']}/deploy", json={})
    assert answer.status_code == 409 and answer.json()["code"] == "needs-upload"


def test_a_node_application_needs_no_configuration(platform, api, project):
    # It may write into its own folder, and into the one of its packages.
    server = (
        "const fs = require('fs');\nfor (const folder of ['.', 'node_modules']) fs.writeFileSync(folder + '/written', '');\n"
        "const words = `from node as ${require('os').userInfo().username}`;\n"
        "require('http').createServer((q, a) => a.end(words)).listen(process.env.PORT)"
    )
    package = {"name": "little", "version": "1.0.0", "scripts": {"start": "node server.js"}, "dependencies": {"ms": "2.1.3"}}
    files = {"package.json": json.dumps(package), "server.js": server}
    service = api.service(project, "zero-configuration", {"kind": "upload"}, drain_timeout_seconds=1)
    deployment = api.live(api.upload(service["id"], sources.tar_gz(files)))
    assert platform.page(service["url"]) == "from node as app"
    plan = deployment["plan"]
    assert (plan["builder"], plan["provider"]) == ("planner", "node")
    [start] = [fact for fact in plan["facts"] if fact["name"] == "start command"]
    assert start["value"] == "node server.js" and start["evidence"] == {"file": "package.json", "line": 1}, plan["facts"]
    # The same on the command line: the decision with its evidence, and the Dockerfile to take home.
    shown = platform.cli("deployment", deployment["id"])
    assert "node server.js" in shown.stdout and "scripts.start in package.json:1" in shown.stdout, shown.stdout
    assert "live, serves" in shown.stdout and service["url"] in shown.stdout, shown.stdout
    home = platform.cli("deployment", "1", "--service", service["id"], "--dockerfile")
    assert home.stdout == plan["dockerfile"], home.stdout


def test_a_go_application_needs_no_configuration(platform, api, project):
    server = (
        'package main\n\nimport (\n\t"io"\n\t"net/http"\n\t"os"\n\t"os/user"\n)\n\nfunc main() {\n'
        '\twho, err := user.Current()\n\tif err != nil || os.WriteFile("written", nil, 0o600) != nil {\n\t\tos.Exit(2)\n\t}\n'
        '\thttp.HandleFunc("/", func(answer http.ResponseWriter, _ *http.Request) { io.WriteString(answer, "from go as "+who.Username) })\n'
        '\tif http.ListenAndServe(":"+os.Getenv("PORT"), nil) != nil {\n\t\tos.Exit(1)\n\t}\n}\n'
    )
    files = {"go.mod": "module example.org/little\n\ngo 1.24\n", "main.go": server}
    service = api.service(project, "go-alone", {"kind": "upload"}, drain_timeout_seconds=1)
    deployment = api.live(api.upload(service["id"], sources.tar_gz(files)), FIRST_BUILD_SECONDS)
    assert platform.page(service["url"]) == "from go as app"
    assert deployment["plan"]["provider"] == "go", deployment["plan"]


def test_a_python_application_with_requirements_needs_no_configuration(platform, api, project):
    server = (
        "import getpass\nimport os\nfrom http.server import BaseHTTPRequestHandler, HTTPServer\nimport idna\n\n\n"
        "open('written', 'w').close()\n"
        "class Handler(BaseHTTPRequestHandler):\n    def do_GET(self):\n        self.send_response(200)\n        self.end_headers()\n"
        "        self.wfile.write(b'from python with ' + idna.encode('b\u00fccher') + b' as ' + getpass.getuser().encode())\n\n\n"
        "HTTPServer(('0.0.0.0', int(os.environ['PORT'])), Handler).serve_forever()\n"
    )
    # Where no registry is reached there is no 3.12, and the nearest is taken.
    files = {"requirements.txt": "idna>=3,<4\n", "main.py": server, ".python-version": "3.12\n"}
    service = api.service(project, "python-alone", {"kind": "upload"}, drain_timeout_seconds=1)
    deployment = api.live(api.upload(service["id"], sources.tar_gz(files)), FIRST_BUILD_SECONDS)
    assert platform.page(service["url"]) == "from python with xn--bcher-kva as app"
    assert deployment["plan"]["provider"] == "python", deployment["plan"]


def test_a_static_site_needs_no_configuration(platform, api, project):
    service = api.service(project, "static-site", {"kind": "upload"}, drain_timeout_seconds=1)
    api.live(api.upload(service["id"], sources.tar_gz({"index.html": "<h1>static</h1>"})))
    assert platform.page(service["url"]) == "<h1>static</h1>"
    (instance,) = platform.containers(resource=service["id"])
    assert instance["Config"]["User"] == "10001:10001"


def test_dockerfile_path_target_and_arguments_are_taken(platform, api, project):
    dockerfile = (
        f"FROM {sources.BASE_IMAGE} AS chosen\nARG WORDS\nCOPY app.py /app/\nRUN printf '%s' \"$WORDS\" > /app/version\n"
        'CMD ["python3", "/app/app.py"]\n\nFROM chosen AS last\nRUN false\n'
    )
    files = {"app.py": sources.APP, "docker/Dockerfile.prod": dockerfile}
    build = {"dockerfile_path": "docker/Dockerfile.prod", "target": "chosen", "arguments": {"WORDS": "two $words; 'quoted'"}}
    service = api.service(project, "with-arguments", {"kind": "upload"}, build=build, drain_timeout_seconds=1)
    api.live(api.upload(service["id"], sources.tar_gz(files)))
    assert platform.page(service["url"]) == "two $words; 'quoted'"


def test_an_image_runs_without_a_build_within_its_limits(platform, api, project, serving):
    service = serving("limited", replicas=3, instance_size="small")
    deployment = api.deployment(service["current_deployment_id"])
    assert deployment["steps"] == []
    who = {platform.page(service["url"], "/who") for _ in range(30)}
    assert len(who) == 3, f"all three replicas answer: {who}"
    instances = api.get(f"/services/{service['id']}/instances")["items"]
    assert sorted(one["replica"] for one in instances) == [1, 2, 3]
    assert all(one["status"] == "running" and one["address"] for one in instances)

    containers = platform.containers(resource=service["id"])
    assert len(containers) == 3
    mtu = int(json.loads(docker("network", "inspect", "bridge"))[0]["Options"].get("com.docker.network.driver.mtu", 1500))
    for container in containers:
        labels, limits = container["Config"]["Labels"], container["HostConfig"]
        assert labels["click-deploy.org/installation"] == platform.installation
        assert labels["click-deploy.org/project"] == project
        assert labels["click-deploy.org/deployment"] == deployment["id"]
        assert "no-new-privileges" in limits["SecurityOpt"]
        assert limits["CapDrop"] == ["ALL"] and not {"SYS_ADMIN", "NET_RAW", "SYS_PTRACE"} & set(limits["CapAdd"])
        assert limits["Memory"] == limits["MemorySwap"] == 512 * 1024 * 1024
        assert limits["NanoCpus"] == 1_000_000_000 and limits["PidsLimit"] == 1024
        assert not limits["Privileged"] and not limits["Binds"] and limits["PidMode"] == "" and limits["IpcMode"] != "host"
        [network] = container["NetworkSettings"]["Networks"]
        found = json.loads(docker("network", "inspect", network))[0]
        assert found["Labels"]["click-deploy.org/project"] == project
        assert int(found["Options"]["com.docker.network.driver.mtu"]) <= mtu
    assert len(platform.networks(project=project)) == 1
