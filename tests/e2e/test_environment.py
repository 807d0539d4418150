"""Environment variables: every byte arrives, secrets are shown to nobody, and nothing of the platform's own leaks."""

import base64
import io
import json
import tarfile

from bed import sources
from bed.counterparts import docker
from bed.platform import MARKER
from bed.sources import app_files

NASTY = {
    "EMPTY": "",
    "SPACE": " ",
    "SPACES": "  around  ",
    "SINGLE": "it's",
    "DOUBLE": 'say "hi"',
    "BOTH": "'\"'\"",
    "DOLLAR": "$HOME ${PATH} $(id) $$",
    "BACKTICK": "`id`",
    "BACKSLASH": "\\ \\n \\\\ \\\"",
    "HASH": "a#b #c",
    "EQUALS": "a=b=c",
    "NEWLINES": "one\ntwo\n\nthree\n",
    "CARRIAGE": "one\r\ntwo\r",
    "TAB": "\ta\tb",
    "JSON": '{"a": [1, "two", {"b": null}]}',
    "UNICODE": "grün ✓ 日本 🚀 \u202e",
    "CONTROL": "\x01\x1b[31m\x7f",
    "PERCENT": "%s %d %%",
    "GLOB": "* ? [a-z] ~ {a,b}",
    "SEMICOLON": "a; touch /tmp/pwned && b | c > d",
    "EXCLAMATION": "!! !$",
    "LEADING_DASH": "-rf /",
    "XML": "<a href='x'>&amp;</a>",
    "LONG": "0123456789abcdef" * 4096,
}
KEY = "-----BEGIN PRIVATE KEY-----\nMIIE\nvQIBADANBg==\n-----END PRIVATE KEY-----\n"


def environment_of(platform, url):
    """What the application sees, as bytes."""
    return {key: base64.b64decode(value) for key, value in platform.get(url, "/env").json().items()}


def test_every_byte_of_every_value_arrives_in_the_application(platform, api, project, image):
    service = api.service(project, "bytes", {"kind": "image", "reference": image}, drain_timeout_seconds=1)
    api.set_variables(service["id"], **NASTY)
    shown = {one["key"]: one["value"] for one in api.get(f"/services/{service['id']}/env")["items"]}
    assert shown == NASTY
    api.up(service["id"])
    seen = environment_of(platform, service["url"])
    for key, value in NASTY.items():
        assert seen.get(key) == value.encode(), key

    # The platform's part, and nothing else of it.
    deployment = api.get(f"/services/{service['id']}")["current_deployment_id"]
    given = {key: value.decode() for key, value in seen.items() if key.startswith("CLICK_DEPLOY_")}
    assert given["CLICK_DEPLOY_DEPLOYMENT_ID"] == deployment
    assert given["CLICK_DEPLOY_SERVICE_ID"] == service["id"] and given["CLICK_DEPLOY_URL"] == service["url"]
    assert given["CLICK_DEPLOY_REPLICA"] == "1"
    for key in ("ENCRYPTION_KEY", "DOCKER_HOST", "CLICK_DEPLOY_DATA_DIR", "CLICK_DEPLOY_TOKEN_FILE", "PLATFORM_MARKER"):
        assert key not in seen
    assert not any(MARKER.encode() in value for value in seen.values())


def test_dotenv_text_is_read_all_or_nothing(platform, api, serving):
    service = serving()
    text = "# a comment\nexport A=1\nB='raw $X \\n'\nC=\"a\\nb\"\nD=\n" + f'KEY_FILE="{KEY}"\n'
    api.post(f"/services/{service['id']}/env/import", {"text": text, "kind": "static"})
    shown = {one["key"]: one["value"] for one in api.get(f"/services/{service['id']}/env")["items"]}
    assert {"A": "1", "B": "raw $X \\n", "C": "a\nb", "D": "", "KEY_FILE": KEY}.items() <= shown.items()
    answer = api.request("POST", f"/services/{service['id']}/env/import", json={"text": "E=1\nthis is no line\n"})
    assert answer.status_code == 422 and "line 2" in answer.text
    assert "E" not in {one["key"] for one in api.get(f"/services/{service['id']}/env")["items"]}


def test_a_secret_reaches_the_application_and_nobody_else(platform, api, serving):
    service = serving("secretive")
    secret = "s3cr3t-b4t-h0rse-staple"
    api.set_variables(service["id"], kind="secret", PASSWORD=secret)
    deployment = api.up(service["id"])
    assert environment_of(platform, service["url"])["PASSWORD"] == secret.encode()
    platform.settled(service["id"])
    paths = [
        f"/services/{service['id']}",
        f"/services/{service['id']}/env",
        f"/services/{service['id']}/env/pending",
        f"/services/{service['id']}/deployments",
        f"/services/{service['id']}/instances",
        f"/services/{service['id']}/logs",
        f"/deployments/{deployment['id']}",
        f"/deployments/{deployment['id']}/logs",
        "/jobs",
    ]
    for path in paths:
        assert secret not in api.request("GET", path).text, path
    [variable] = [one for one in api.get(f"/services/{service['id']}/env")["items"] if one["key"] == "PASSWORD"]
    assert variable == {"key": "PASSWORD", "kind": "secret", "value": None}
    answer = api.ask("PATCH", f"/services/{service['id']}/env/PASSWORD", json={"value": secret + "2"})
    assert answer["kind"] == "secret" and answer["value"] is None
    for file in platform.data.rglob("*"):
        if file.is_file():
            assert secret.encode() not in file.read_bytes(), f"{file} holds it in the clear"
    assert secret not in platform.serve.log.read_text(errors="replace")


def test_what_the_next_deployment_would_change_is_shown(api, serving):
    service = serving()
    path = f"/services/{service['id']}/env"
    api.set_variables(service["id"], A="1", B="1")
    api.up(service["id"])
    assert api.get(path + "/pending") == {"pending": False, "variables": [], "settings": []}
    api.set_variables(service["id"], B="2", C="1")
    api.ask("DELETE", path + "/A", status=204)
    api.ask("DELETE", path + "/A", status=204)
    api.change_settings(service["id"], replicas=2)
    pending = api.get(path + "/pending")
    assert pending["pending"] and pending["settings"] == ["settings.replicas"]
    assert {one["key"]: one["change"] for one in pending["variables"]} == {"A": "removed", "B": "changed", "C": "added"}
    assert api.ask("PATCH", path + "/B", json={"value": "3"})["value"] == "3"
    assert api.request("PATCH", path + "/NOT_THERE", json={"value": "3"}).status_code == 404


def test_a_variable_that_breaks_a_rule_is_refused_and_changes_nothing(api, serving):
    service = serving()
    path = f"/services/{service['id']}/env"
    before = api.get(path)
    for key, value in [("1A", "x"), ("A B", "x"), ("A=B", "x"), ("", "x"), ("A\n", "x"), ("$(id)", "x"), ("OK", "a\0b"), ("OK", "x" * 65537)]:
        answer = api.request("POST", path, json={"key": key, "value": value})
        assert answer.status_code == 422 and answer.json()["code"] == "invalid", (key, answer.text)
        bulk = {"set": [{"key": "FINE", "value": "1"}, {"key": key, "value": value}]}
        assert api.request("POST", path + "/bulk", json=bulk).status_code == 422
    assert api.request("POST", path, json={"key": "CLICK_DEPLOY_URL", "value": "x"}).status_code == 422
    assert api.get(path) == before


def test_build_secrets_reach_the_build_and_no_layer_history_or_log(platform, api, project):
    secret = "hunter2-in-the-build-4711"
    dockerfile = sources.DOCKERFILE + (
        "RUN --mount=type=secret,id=BUILD_TOKEN sha256sum < /run/secrets/BUILD_TOKEN | cut -c1-8 > /app/version; "
        "cat /run/secrets/BUILD_TOKEN; env\n"
    )
    service = api.service(project, "build-secret", {"kind": "upload"}, drain_timeout_seconds=1)
    api.set_variables(service["id"], kind="secret", BUILD_TOKEN=secret)
    deployment = api.live(api.upload(service["id"], sources.tar_gz(app_files("x", dockerfile))))
    import hashlib

    assert platform.page(service["url"]) == hashlib.sha256(secret.encode()).hexdigest()[:8], "the build had it"
    text = json.dumps(api.lines(f"/deployments/{deployment['id']}/logs"))
    assert secret not in text and secret not in json.dumps(api.deployment(deployment["id"]))
    assert MARKER not in text and platform.environment["ENCRYPTION_KEY"] not in text
    [image] = platform.images(deployment=deployment["id"])
    assert secret not in docker("image", "inspect", image) + docker("history", "--no-trunc", image)
    # Whatever lies in the layers that are ours.
    saved = docker("save", image, text=False)
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        base = set(json.loads(docker("image", "inspect", sources.BASE_IMAGE))[0]["RootFS"]["Layers"])
        layers = json.loads(docker("image", "inspect", image))[0]["RootFS"]["Layers"]
        manifest = json.load(archive.extractfile("manifest.json"))[0]
        own = [name for name, digest in zip(manifest["Layers"], layers) if digest not in base]
        assert own
        for name in own:
            assert secret.encode() not in archive.extractfile(name).read(), f"the layer {name} holds it"


def test_port_is_given_and_the_users_own_wins(platform, api, project, image):
    service = api.service(project, "own-port", {"kind": "image", "reference": image}, drain_timeout_seconds=1)
    api.set_variables(service["id"], TEXT="own port", PORT="7123")
    api.up(service["id"])
    assert environment_of(platform, service["url"])["PORT"] == b"7123"
    api.ask("DELETE", f"/services/{service['id']}/env/PORT")
    api.change_settings(service["id"], port=7124)
    api.up(service["id"])
    assert environment_of(platform, service["url"])["PORT"] == b"7124"
