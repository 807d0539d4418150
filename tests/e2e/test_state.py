"""The platform's own state taken out while it runs, put in elsewhere, and moved to another database: what was deployed
is there, serves, and can be rolled back."""

import json
import subprocess

import pytest

from bed import counterparts, database
from bed.platform import Platform


@pytest.fixture
def own(tmp_path, image):
    """A platform of the test's own, with a service that went live twice."""
    made = Platform(tmp_path / "platform")
    first_database = made.database
    try:
        made.start()
        service = made.api.service(made.api.project("state"), "web", {"kind": "image", "reference": image}, drain_timeout_seconds=2)
        for text in ("first", "second"):
            made.api.set_variables(service["id"], kind="secret", TEXT=text)
            made.api.up(service["id"])
        made.web = made.api.get(f"/services/{service['id']}")
        yield made
    finally:
        made.end()
        first_database.end()


def operator(platform, *argv, code=0, **environment):
    """Runs a command as an operator does on the platform's own machine; what it printed."""
    done = subprocess.run(
        [platform.executable, *argv], env={**platform.environment, **environment}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == code, f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout if code == 0 else done.stderr


def assert_it_serves_and_goes_back(platform):
    """The service is there as it was, and its first deployment can be put back: its secret variable still opens."""
    service = platform.web["id"]
    platform.settled(service)
    assert platform.page(platform.web["url"]).startswith("second")
    deployments = platform.api.get(f"/services/{service}/deployments")["items"]
    first = min(deployments, key=lambda one: one["number"])
    platform.api.live(platform.api.post(f"/services/{service}/rollback/{first['id']}", status=202)["id"])
    assert platform.page(platform.web["url"]).startswith("first")


@pytest.mark.each_database
def test_a_backup_of_a_running_platform_is_restored_elsewhere(own, tmp_path):
    file = tmp_path / "state.backup"
    made = json.loads(operator(own, "backup", str(file), "--json"))
    assert {table["name"]: table["rows"] for table in made["report"]["tables"]}["deployments"] == 2
    assert file.stat().st_mode & 0o777 == 0o600
    assert "a platform runs" in operator(own, "restore", str(file), "--replace", "--yes", code=5)
    own.serve.stop()
    # Another folder, and SQLite whatever it was before.
    own.data = own.folder / "elsewhere"
    own.environment["CLICK_DEPLOY_DATA_DIR"] = str(own.data)
    own.environment.pop("DATABASE_URL", None)
    own.database = database.File(own.data / "click-deploy.db")
    cut = tmp_path / "cut.backup"
    cut.write_bytes(file.read_bytes()[:-1])
    assert "cut short" in operator(own, "restore", str(cut), code=1)
    assert not own.database.path.exists() or own.database.value("SELECT COUNT(*) FROM sqlite_master WHERE name = 'services'") == "0"
    operator(own, "restore", str(file))
    own.start_serve()
    assert_it_serves_and_goes_back(own)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_the_state_moves_to_a_server_and_the_platform_goes_on_there(own, tmp_path, kind):
    counterparts.need(kind)
    target = database.Server(kind)
    try:
        assert "a platform runs" in operator(own, "migrate", code=5, CLICK_DEPLOY_MIGRATE_TO=target.url)
        own.serve.stop()
        moved = json.loads(operator(own, "migrate", "--json", CLICK_DEPLOY_MIGRATE_TO=target.url))
        assert {table["name"]: table["rows"] for table in moved["report"]["tables"]}["deployments"] == 2
        assert "not empty" in operator(own, "migrate", code=5, CLICK_DEPLOY_MIGRATE_TO=target.url)
        own.environment["DATABASE_URL"] = target.url
        own.database = target
        own.start_serve()
        assert_it_serves_and_goes_back(own)
        # From another machine, whose data directory nobody locks, it is the database server's own lock that says so.
        elsewhere = {"CLICK_DEPLOY_DATA_DIR": str(tmp_path / "other"), "CLICK_DEPLOY_MIGRATE_TO": f"sqlite://{tmp_path}/back.db"}
        assert "a platform runs on" in operator(own, "migrate", code=5, **elsewhere)
    finally:
        own.serve.stop()
        if own.database is not target:
            target.end()
