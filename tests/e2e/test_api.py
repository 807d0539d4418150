"""The HTTP API as strangers, other tenants and hostile callers meet it."""

import asyncio
import os
import re

import httpx
import pytest
import websockets
import websockets.exceptions

from bed.api import BASE, Api

# What worked on others: at every place that a text can reach.
HOSTILE = [
    "-rf",
    "--upload-pack=touch /tmp/click-deploy-pwned",
    "$(touch /tmp/click-deploy-pwned)",
    "`touch /tmp/click-deploy-pwned`",
    "a;touch /tmp/click-deploy-pwned",
    "a|touch /tmp/click-deploy-pwned",
    "a\ntouch /tmp/click-deploy-pwned",
    "../../etc/passwd",
    "a\0b",
    "'\"; DROP TABLE services; --",
    "<script>alert(1)</script>",
    "\x1b[31m",
    "x" * 5000,
]
PWNED = "/tmp/click-deploy-pwned"


@pytest.fixture(scope="module")
def other(platform):
    """A client of another organization."""
    return Api(platform.url, platform.token_of("other"))


@pytest.fixture(scope="module")
def document(platform):
    """The OpenAPI document."""
    return httpx.get(platform.url + "/openapi.json", trust_env=False).json()


def test_the_document_is_read_and_tried_on_a_page_that_loads_nothing_from_elsewhere(platform):
    pages = httpx.Client(base_url=platform.url, trust_env=False, follow_redirects=True)
    page = pages.get("/docs")
    assert page.status_code == 200 and str(page.url).endswith("/docs/") and page.headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert loaded and not [one for one in loaded if "//" in one]
    for one in loaded:
        assert pages.get("/docs/" + one.removeprefix("./")).status_code == 200, one
    assert "/openapi.json" in pages.get("/docs/swagger-initializer.js").text
    problem(pages.get("/docs/..%2f..%2fetc%2fpasswd"), 404, "no-such-route")


def operations(document):
    """Every operation below the base: method, path, and the operation itself."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path.startswith(BASE):
                yield method.upper(), path.removeprefix(BASE), operation


def problem(answer, status, code=None):
    """Sees that an answer is a problem of RFC 9457; its body."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status and body["code"] and body["title"] and body["detail"] and body["type"].endswith(body["code"])
    assert body["request_id"] == answer.headers["x-request-id"]
    if code:
        assert body["code"] == code, body
    return body


def body_for(operation, document):
    """A body that an operation accepts, as far as its schema goes."""
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" not in content:
        return {"content": b"x"} if content else {}
    name = content["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1]
    bodies = {
        "CreateProject": {"name": "theirs"},
        "UpdateProject": {"name": "theirs"},
        "CreateService": {"name": "theirs", "source": {"kind": "upload"}},
        "SetVariable": {"key": "A", "value": "theirs"},
        "UpdateVariable": {"value": "theirs"},
        "ImportVariables": {"text": "A=theirs"},
    }
    return {"json": bodies.get(name, {})}


def test_every_operation_answers_a_stranger_with_401_before_it_looks_at_anything_else(platform, document):
    found = list(operations(document))
    assert len(found) >= 30
    for token in ("", "wrong", "cd_" + "0" * 64):
        stranger = Api(platform.url, token)
        for method, path, operation in found:
            path = path.replace("{", "").replace("}", "")
            answer = stranger.request(method, path, **body_for(operation, document))
            assert problem(answer, 401, "unauthorized"), (method, path)
            assert answer.headers["www-authenticate"] == "Bearer"


def test_every_operation_on_an_id_of_another_organization_finds_nothing_and_changes_nothing(platform, api, other, document, project, serving):
    service = serving("ours")
    api.set_variables(service["id"], A="ours")
    job = api.get("/jobs?limit=1")["items"][0]
    deployment = service["current_deployment_id"]
    before = (api.get(f"/services/{service['id']}"), api.get(f"/services/{service['id']}/env"), api.get(f"/projects/{project}"))
    tried = 0
    for method, path, operation in operations(document):
        if "{" not in path:
            continue
        kind = path.split("/")[1]
        own = {"projects": project, "services": service["id"], "deployments": deployment, "jobs": job["id"]}[kind]
        path = path.replace("{id}", own).replace("{deployment_id}", deployment).replace("{key}", "A")
        answer = other.request(method, path, **body_for(operation, document))
        if path.endswith("/stream"):
            assert answer.status_code in (400, 404)
        else:
            problem(answer, 404, "missing")
        tried += 1
    assert tried >= 25
    assert before == (api.get(f"/services/{service['id']}"), api.get(f"/services/{service['id']}/env"), api.get(f"/projects/{project}"))
    assert other.get("/projects")["items"] == [] and other.get("/jobs")["items"] == []
    theirs = other.project("theirs")
    mine = other.service(theirs, "mine", {"kind": "upload"})
    problem(other.request("POST", f"/services/{mine['id']}/rollback/{deployment}"), 404)
    problem(other.request("POST", f"/services/{mine['id']}/deploy", json={"image_of": deployment}), 404)
    image = api.deployment(deployment)["image"]["reference"]
    stolen = other.service(theirs, "stolen", {"kind": "image", "reference": image})
    if image.startswith("click-deploy/"):
        other.failed(other.deploy(stolen["id"]), seconds=30)
    other.job(other.ask("DELETE", f"/projects/{theirs}", status=202))
    assert platform.page(service["url"]) == "old"


def test_a_live_log_of_another_organization_cannot_be_opened(platform, other, serving):
    service = serving("listened")

    async def listen(path):
        headers = {"Authorization": f"Bearer {other.token}"}
        async with websockets.connect(f"{platform.url.replace('http', 'ws', 1)}{BASE}{path}", additional_headers=headers, proxy=None):
            pass

    for path in (f"/services/{service['id']}/logs/stream", f"/deployments/{service['current_deployment_id']}/logs/stream"):
        with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
            asyncio.run(listen(path))
        assert refused.value.response.status_code == 404


def test_a_websocket_of_another_sites_page_or_without_a_token_is_refused(platform, api, serving):
    service = serving("origins")
    address = f"{platform.url.replace('http', 'ws', 1)}{BASE}/services/{service['id']}/logs/stream"
    token = {"Authorization": f"Bearer {api.token}"}

    async def listen(headers, origin=None):
        async with websockets.connect(address, additional_headers=headers, origin=origin, proxy=None):
            return True

    assert asyncio.run(listen(token)) and asyncio.run(listen(token, platform.url))
    for headers, origin, status in [(token, "https://evil.example", 403), (token, "null", 403), ({}, None, 401), ({}, platform.url, 401)]:
        with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
            asyncio.run(listen(headers, origin))
        assert refused.value.response.status_code == status


def test_unknown_fields_wrong_types_and_what_is_no_json_are_refused(api, project):
    path = f"/projects/{project}/services"
    good = {"name": "fields", "source": {"kind": "upload"}}
    for body in (
        {**good, "surprise": 1},
        {**good, "source": {"kind": "upload", "surprise": 1}},
        {**good, "settings": {"surprise": 1}},
        {**good, "settings": {"build": {"surprise": 1}}},
        {**good, "settings": {"health_check": {"kind": "tcp", "surprise": 1}}},
        {**good, "settings": {"replicas": 0}},
        {**good, "settings": {"replicas": 21}},
        {**good, "settings": {"replicas": "many"}},
        {**good, "settings": {"port": 0}},
        {**good, "settings": {"port": 65536}},
        {**good, "settings": {"health_timeout_seconds": 0}},
        {**good, "settings": {"drain_timeout_seconds": 3601}},
        {**good, "settings": {"instance_size": "enormous"}},
        {**good, "source": {"kind": "teleport"}},
        {"name": "fields"},
        [],
    ):
        body = problem(api.request("POST", path, json=body), 422, "invalid")
        assert body["errors"][0]["field"] and body["errors"][0]["message"], body
    problem(api.request("POST", path, content=b"{", headers={"Content-Type": "application/json"}), 400, "bad-json")
    problem(api.request("POST", path, content=b"{}", headers={"Content-Type": "text/plain"}), 415)
    problem(api.request("GET", path + "?surprise=1"), 400, "bad-query")
    problem(api.request("GET", path + "?limit=many"), 400, "bad-query")
    problem(api.request("GET", "/there-is-no-such-path"), 404, "no-such-route")
    problem(api.request("PUT", "/projects"), 405, "method-not-allowed")


HOSTILE_FIELDS = {
    "project name": lambda text: ("/projects", {"name": text}),
    "service name": lambda text: ("SERVICES", {"name": text, "source": {"kind": "upload"}}),
    "git url": lambda text: ("SERVICES", {"name": "h", "source": {"kind": "git", "url": text}}),
    "branch": lambda text: ("SERVICES", {"name": "h", "source": {"kind": "git", "url": "https://h.example/a", "branch": text}}),
    "root directory": lambda text: ("SERVICES", {"name": "h", "source": {"kind": "upload", "root_directory": text}}),
    "image": lambda text: ("SERVICES", {"name": "h", "source": {"kind": "image", "reference": text}}),
    "dockerfile": lambda text: ("SETTINGS", {"build": {"dockerfile_path": text}}),
    "target": lambda text: ("SETTINGS", {"build": {"target": text}}),
    "argument name": lambda text: ("SETTINGS", {"build": {"arguments": {text: "x"}}}),
    "output directory": lambda text: ("SETTINGS", {"build": {"output_directory": text}}),
    "health path": lambda text: ("SETTINGS", {"health_check": {"kind": "http", "path": text}}),
    "commit": lambda text: ("DEPLOY", {"commit": text}),
    "image_of": lambda text: ("DEPLOY", {"image_of": text}),
    "variable": lambda text: ("ENV", {"key": text, "value": "x"}),
}
# Names that Git accepts, however odd: what becomes of them is another test's.
HARMLESS = {"branch": {"<script>alert(1)</script>"}}


@pytest.mark.parametrize("field", HOSTILE_FIELDS)
def test_a_hostile_text_is_refused_with_a_reason_and_never_executed(platform, api, project, field):
    service = api.service(project, "hostile-" + field.replace(" ", "-").replace("_", "-"), {"kind": "upload"})
    for text in HOSTILE:
        place, body = HOSTILE_FIELDS[field](text)
        path = {
            "SERVICES": f"/projects/{project}/services",
            "SETTINGS": f"/services/{service['id']}",
            "DEPLOY": f"/services/{service['id']}/deploy",
            "ENV": f"/services/{service['id']}/env",
        }.get(place, place)
        method = "PATCH" if place == "SETTINGS" else "POST"
        answer = api.request(method, path, json={"settings": body} if place == "SETTINGS" else body)
        allowed = field in ("root directory", "dockerfile", "output directory")
        if answer.status_code < 300:
            # A path may hold odd characters; whatever leaves the tree or begins like an option may not.
            if text in HARMLESS.get(field, ()):
                api.ask("DELETE", f"/services/{answer.json()['id']}", status=202)
                continue
            assert allowed and not text.startswith("-") and ".." not in text and "\n" not in text and "\0" not in text, (field, text)
            if place == "SERVICES":
                api.ask("DELETE", f"/services/{answer.json()['id']}", status=202)
        else:
            assert answer.status_code in (404, 409, 422), (field, text, answer.text)
            problem(answer, answer.status_code)
            assert "\x1b" not in answer.text
    assert not os.path.exists(PWNED)


@pytest.mark.parametrize("address", [
    "ext::sh -c touch% /tmp/click-deploy-pwned",
    "file://../etc",
    "/etc",
    "https://user:password@host.example/a",
    "ssh://-oProxyCommand=touch/x",
    "git@-oProxyCommand=touch:x",
    "fd::17",
    "gopher://host.example/x",
])
def test_a_hostile_git_address_is_refused(api, project, address):
    body = {"name": "address", "source": {"kind": "git", "url": address}}
    answer = api.request("POST", f"/projects/{project}/services", json=body)
    problem(answer, 422, "invalid")
    assert "password" not in answer.json()["detail"] or "carries no" in answer.json()["detail"]


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/a.git", "https://localhost/a.git", "http://169.254.169.254/latest", "http://[::1]/a", "http://10.0.0.1/a", "git@127.0.0.1:a/b"])
def test_a_repository_in_the_platforms_own_network_is_not_asked(api, project, address):
    name = "inside-" + "".join(c if c.isalnum() else "-" for c in address.split("//")[-1]).strip("-")[:30].lower().strip("-")
    service = api.service(project, name, {"kind": "git", "url": address})
    reason = api.failed(api.deploy(service["id"]), seconds=40)
    assert reason["code"] == "source-refused", reason


@pytest.mark.parametrize("kind", ["dot-dot", "absolute", "link-out", "through-link", "device", "claims-too-much", "no-archive"])
def test_a_hostile_archive_is_refused_and_writes_nothing_outside(platform, api, project, kind, tmp_path):
    service = api.service(project, f"archive-{kind}", {"kind": "upload"})
    reason = api.failed(api.upload(service["id"], hostile_archive(kind, tmp_path)), seconds=60)
    assert reason["code"] in ("source-refused", "source-too-large", "cannot-be-planned", "base-image", "build-failed", "build-invalid"), reason
    if kind not in ("link-out",):
        assert reason["code"] in ("source-refused", "source-too-large"), reason
    assert not os.path.exists(PWNED) and not (tmp_path / "out" / "pwned").exists()
    assert platform.files() == []


def hostile_archive(kind, tmp_path):
    """An archive that tries to leave its folder, or to fill the disk."""
    import io
    import tarfile

    (tmp_path / "out").mkdir()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        def add(name, data=b"x", **fields):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            for key, value in fields.items():
                setattr(entry, key, value)
            archive.addfile(entry, io.BytesIO(data) if entry.size == len(data) else None)
            if entry.size > len(data):
                archive.fileobj.write(data)

        if kind == "no-archive":
            return b"this is no archive of any kind" * 100
        if kind == "dot-dot":
            add("a/../../../../../../../tmp/click-deploy-pwned")
        elif kind == "absolute":
            add(PWNED)
        elif kind == "link-out":
            add("Dockerfile", b"FROM scratch\nCOPY leak /leak\n")
            add("leak", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        elif kind == "through-link":
            add("door", b"", type=tarfile.SYMTYPE, linkname=str(tmp_path / "out"))
            add("door/pwned")
        elif kind == "device":
            add("null", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3)
        elif kind == "claims-too-much":
            # It says that it holds 600 GB; whether they follow is not waited for.
            add("bomb", b"x" * 1024, size=600 * 1024**3)
    return buffer.getvalue()


def test_a_change_of_what_was_changed_meanwhile_is_refused(api, project):
    service = api.service(project, "stale", {"kind": "upload"})
    path, seen = f"/services/{service['id']}", {"If-Match": f'"{service["version"]}"'}
    changed = api.ask("PATCH", path, json={"name": "newer"}, headers=seen)
    assert changed["version"] > service["version"] and changed["host"] == service["host"]
    problem(api.request("PATCH", path, json={"name": "older"}, headers=seen), 412, "stale")
    assert api.get(path)["name"] == "newer"
    problem(api.request("PATCH", path, json={"name": "x"}, headers={"If-Match": "nonsense"}), 422)
    project_version = api.get(f"/projects/{project}")["version"]
    problem(api.request("PATCH", f"/projects/{project}", json={"name": "x"}, headers={"If-Match": str(project_version + 1)}), 412)


def test_a_name_that_is_taken_is_refused(api, project):
    api.service(project, "taken", {"kind": "upload"})
    problem(api.request("POST", f"/projects/{project}/services", json={"name": "taken", "source": {"kind": "upload"}}), 409, "taken")
    name = api.get(f"/projects/{project}")["name"]
    problem(api.request("POST", "/projects", json={"name": name}), 409, "taken")


def test_a_body_that_is_too_large_is_refused(api, project, serving):
    service = serving("too-large")
    big = {"text": "A=" + "x" * (5 * 1024 * 1024)}
    try:
        answer = api.request("POST", f"/services/{service['id']}/env/import", json=big)
    except httpx.TransportError:
        return  # the connection may be closed while it is still sent
    problem(answer, 413, "too-large")


def test_lists_are_read_page_by_page_without_a_gap(api):
    project = api.project("many-services")
    made = [api.service(project, f"number-{number}", {"kind": "upload"})["id"] for number in range(7)]
    seen, cursor, pages = [], "", 0
    while cursor is not None:
        page = api.get(f"/projects/{project}/services", params={"limit": 3, **({"cursor": cursor} if cursor else {})})
        seen += [one["id"] for one in page["items"]]
        cursor, pages = page.get("next_cursor"), pages + 1
        assert len(page["items"]) <= 3
    assert sorted(seen) == sorted(made) and pages == 3
    jobs, cursor = [], ""
    while cursor is not None and len(jobs) < 12:
        page = api.get("/jobs", params={"limit": 4, **({"cursor": cursor} if cursor else {})})
        jobs += [one["id"] for one in page["items"]]
        cursor = page.get("next_cursor")
    assert jobs == sorted(set(jobs), reverse=True)
    assert [one["name"] for one in api.get(f"/projects/{project}/services?name=number-4")["items"]] == ["number-4"]
    api.job(api.ask("DELETE", f"/projects/{project}", status=202))
    problem(api.request("GET", f"/projects/{project}"), 404)


def test_a_request_that_is_repeated_with_its_key_is_done_once(api, other, serving):
    service = serving("once")
    path, key = f"/services/{service['id']}/deploy", {"Idempotency-Key": "my-key-1"}
    first = api.request("POST", path, json={}, headers=key)
    again = api.request("POST", path, json={}, headers=key)
    assert first.status_code == again.status_code == 202
    assert first.json()["id"] == again.json()["id"]
    problem(api.request("POST", path, json={"no_cache": True}, headers=key), 422, "invalid")
    problem(other.request("POST", path, json={}, headers=key), 404, "missing")
    api.live(first.json()["id"])
    numbers = [one["number"] for one in api.get(f"/services/{service['id']}/deployments")["items"]]
    assert numbers == [2, 1]


def test_removals_may_be_repeated_and_request_ids_come_back(platform, api):
    project = api.project("removed-twice")
    service = api.service(project, "gone", {"kind": "upload"})
    api.job(api.ask("DELETE", f"/services/{service['id']}", status=202))
    problem(api.request("DELETE", f"/services/{service['id']}"), 404)
    first, second = api.request("DELETE", f"/projects/{project}"), api.request("DELETE", f"/projects/{project}")
    assert first.status_code == 202 and second.status_code in (202, 404)
    answer = api.request("GET", "/projects", headers={"X-Request-ID": "my-own.id_1"})
    assert answer.headers["x-request-id"] == "my-own.id_1"
    answer = api.request("GET", "/projects", headers={"X-Request-ID": "bad id <>"})
    assert answer.headers["x-request-id"] != "bad id <>" and len(answer.headers["x-request-id"]) >= 16


def test_health_is_told_without_a_token_and_says_nothing_secret(platform):
    answer = httpx.get(platform.url + "/health/ready", trust_env=False)
    assert answer.status_code == 200 and answer.json()["ready"]
    assert {one["name"] for one in answer.json()["dependencies"]} == {"database", "engine", "builder", "images", "proxy", "queue"}
    for header, value in {"x-content-type-options": "nosniff", "x-frame-options": "DENY", "cache-control": "no-store"}.items():
        assert answer.headers[header] == value
