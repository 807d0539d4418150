"""The bed that all tests share: one platform, one image of the test application, repositories when asked for."""

import itertools
import os
import shutil
import sys
import tempfile
import uuid
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from bed import counterparts, sources  # noqa: E402
from bed.counterparts import docker  # noqa: E402
from bed.platform import Platform  # noqa: E402

NUMBERS = itertools.count(1)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows the end of the server's log beside a failure."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, Platform):
                report.sections.append((f"the end of serve.log ({name})", value.serve.tail(30)))


def pytest_collection_modifyitems(items):
    """What looks whether anything is left comes last."""
    items.sort(key=lambda item: item.path.name == "test_removal.py")


@pytest.fixture(scope="session")
def folder():
    """A folder that goes at the end, whatever happens."""
    home = os.environ.get("CLICK_DEPLOY_HOME")
    if home:
        os.makedirs(home, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix="click-deploy-e2e-", dir=home or None))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session")
def platform(folder):
    """The installation that most tests share: the embedded default."""
    made = Platform(folder / "platform")
    try:
        made.start()
        yield made
    finally:
        made.end()


@pytest.fixture(scope="session")
def image(folder):
    """The test application as an image that is there already."""
    counterparts.image_needed(sources.BASE_IMAGE)
    name = f"click-deploy-e2e/app:{uuid.uuid4().hex[:12]}"
    context = sources.write_files(folder / "image", sources.app_files("image"))
    # Of its own even where the content is the same: an image is removed with all its names.
    docker("build", "--quiet", "--label", f"click-deploy-e2e={name}", "--tag", name, str(context))
    yield name
    counterparts.remove_image(name)


@pytest.fixture
def api(platform):
    """The API of the shared platform."""
    return platform.api


@pytest.fixture(scope="module")
def project(platform, request):
    """A project for the tests of one file."""
    name = request.module.__name__.removeprefix("test_").replace("_", "-")[:30]
    return platform.api.project(f"{name}-{next(NUMBERS)}")


@pytest.fixture
def repository(tmp_path):
    """A new Git repository."""
    return sources.Repository(tmp_path / "repository")


@pytest.fixture
def make_repository(tmp_path):
    """More of them."""
    return lambda: sources.Repository(tmp_path / f"repository-{next(NUMBERS)}")


@pytest.fixture
def serving(platform, project, image):
    """Makes services that are live, each with the text that it answers; `serving(name, **settings)` returns the service."""

    def make(name=None, text="old", project_id=None, **settings):
        settings.setdefault("drain_timeout_seconds", 2)
        source = {"kind": "image", "reference": image}
        made = platform.api.service(project_id or project, name or f"app-{next(NUMBERS)}", source, **settings)
        platform.api.set_variables(made["id"], TEXT=text)
        platform.api.up(made["id"])
        return platform.api.get(f"/services/{made['id']}")

    return make
