"""One installation of the product, alone on its ports, folder and proxy: started, stopped, killed, looked into."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from . import counterparts, database
from .api import Api
from .counterparts import docker
from .processes import Program, free_port, wait_until

ROOT = Path(__file__).resolve().parents[3]
LABEL = "click-deploy.org/installation"
# In the platform's own environment, and nowhere else: no container and no build may ever see it.
MARKER = "only-the-platform-knows-3f1c"


def little_environment():
    """What every program needs, and nothing of the caller's."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}


class Platform:
    """`click-deploy serve` with a Caddy of its own."""

    def __init__(self, folder, docker_host=None, **settings):
        self.folder = Path(folder)
        self.data = self.folder / "data"
        self.engine = counterparts.need("docker")
        self.port, proxy_port, admin_port = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.proxy = f"http://127.0.0.1:{proxy_port}"
        self.proxy_port = proxy_port
        self.proxy_admin = f"http://127.0.0.1:{admin_port}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.database = database.of(self.folder)
        self.caddy = Program(
            "caddy",
            [counterparts.need("caddy"), "run", "--config", str(ROOT / "proxy" / "caddy.json")],
            {
                **little_environment(),
                "XDG_DATA_HOME": str(self.folder / "caddy"),
                "XDG_CONFIG_HOME": str(self.folder / "caddy"),
                "CLICK_DEPLOY_PROXY_LISTEN": f"127.0.0.1:{proxy_port}",
                "CLICK_DEPLOY_PROXY_ADMIN": f"127.0.0.1:{admin_port}",
                "CLICK_DEPLOY_PROXY_SNAPSHOT": str(self.folder / "routes"),
            },
            self.folder / "caddy.log",
        )
        self.token_file = self.folder / "token"
        self.environment = {
            **little_environment(),
            "CLICK_DEPLOY_DATA_DIR": str(self.data),
            "CLICK_DEPLOY_LISTEN": f"127.0.0.1:{self.port}",
            "CLICK_DEPLOY_TOKEN_FILE": str(self.token_file),
            "ENCRYPTION_KEY": base64.b64encode(os.urandom(32)).decode(),
            "BASE_DOMAIN": "localhost",
            "PUBLIC_SCHEME": "http",
            "PUBLIC_PORT": str(proxy_port),
            "PROXY_ADMIN_URL": self.proxy_admin,
            "PROXY_URL": self.proxy,
            "DOCKER_HOST": docker_host or self.engine,
            "GIT_ALLOW_FILE_URLS": "true",
            "PLATFORM_MARKER": MARKER,
            **self.database.settings,
            **settings,
        }
        program = os.environ.get("CLICK_DEPLOY_TEST_BASE_IMAGE_PROGRAM")
        if program:
            self.environment["BASE_IMAGE_PROGRAM"] = program
        self.executable = counterparts.need("executable")
        self.serve = Program("serve", [self.executable, "serve"], self.environment, self.folder / "serve.log")
        self.clients = httpx.Client(timeout=30, trust_env=False)
        self._api = None

    # --- Its processes -----------------------------------------------------------------

    def start(self):
        """Starts the proxy and the server, and waits for both."""
        self.start_caddy()
        self.start_serve()
        return self

    def start_caddy(self):
        """Starts the proxy, and waits until its table can be read."""
        self.caddy.start()
        wait_until(lambda: self.table() is not None, 20, "the proxy")

    def start_serve(self):
        """Starts the server, and waits until it answers."""
        self.serve.start()
        wait_until(self.answers, 30, f"the server\n{self.serve.tail()}")

    def answers(self):
        """Whether the server answers; that it ended is an error at once."""
        if not self.serve.running:
            raise RuntimeError(f"click-deploy serve ended:\n{self.serve.tail()}")
        return httpx.get(self.url + "/health", trust_env=False).status_code == 200

    def crash(self):
        """kill -9 of the server, and a new start."""
        self.serve.kill()
        self.start_serve()

    def restart(self):
        """An orderly stop of the server, and a new start."""
        self.serve.stop()
        self.start_serve()

    def end(self):
        """Ends everything, and removes whatever is ours, whatever state it is in."""
        with contextlib.suppress(Exception):
            self.serve.kill()
        try:
            if self.installation:
                remove_everything_of(self.installation)
        finally:
            with contextlib.suppress(Exception):
                self.database.end()
            with contextlib.suppress(Exception):
                self.caddy.stop(5)
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- Its users ---------------------------------------------------------------------

    @property
    def api(self):
        """A client with the first token."""
        if self._api is None:
            self._api = Api(self.url, self.token)
        return self._api

    @property
    def token(self):
        """The first token."""
        return self.token_file.read_text().strip()

    def token_of(self, organization):
        """A token of another organization, made as an operator does."""
        argv = [self.executable, "token", "--organization", organization, "--name", "other"]
        done = subprocess.run(argv, env=self.environment, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def cli(self, *argv, folder=None, environment=None, seconds=120, token=None, stdin=None):
        """Runs the command line as a user does."""
        own = {
            **little_environment(),
            "XDG_CONFIG_HOME": str(self.folder / "no-configuration"),
            "CLICK_DEPLOY_URL": self.url,
            "CLICK_DEPLOY_TOKEN": token or self.token,
            **(environment or {}),
        }
        return subprocess.run(
            [self.executable, *argv], env=own, capture_output=True, text=True, timeout=seconds, cwd=folder or self.folder, input=stdin or ""
        )

    # --- Its proxy ---------------------------------------------------------------------

    def get(self, url, path="/", **arguments):
        """Asks an application through the proxy."""
        return self.ask("GET", url, path, **arguments)

    def ask(self, method, url, path="/", headers=None, **arguments):
        """Any request to an application through the proxy: `url` is its address, or its host."""
        host = urlsplit(url).netloc if "://" in url else url
        return self.clients.request(method, self.proxy + path, headers={"Host": host, **(headers or {})}, **arguments)

    def page(self, url, path="/"):
        """The text of a page that must be there."""
        answer = self.get(url, path)
        assert answer.status_code == 200, f"{url}{path}: {answer.status_code} {answer.text[:300]}"
        return answer.text

    def table(self):
        """The proxy's table."""
        answer = httpx.get(self.proxy_admin + "/click-deploy/table", trust_env=False, timeout=5)
        assert answer.status_code == 200, answer.text
        return answer.json()["routes"]

    # --- What is there -----------------------------------------------------------------

    @property
    def installation(self):
        """The name on everything that it started; None before its first start."""
        return self.database.value("SELECT value FROM installation WHERE name = 'name'")

    def containers(self, everything=True, **labels):
        """Containers with these labels (`resource=…`, `deployment=…`), by `docker inspect`."""
        arguments = ["ps", "--quiet", "--no-trunc", *(["--all"] if everything else []), *self.filters(labels)]
        ids = docker(*arguments).split()
        found = docker("inspect", *ids, check=False) if ids else ""
        return json.loads(found or "[]")

    def images(self, **labels):
        """The ids of images with these labels."""
        return sorted(set(docker("image", "ls", "--quiet", "--no-trunc", *self.filters(labels)).split()))

    def networks(self, **labels):
        """The names of networks with these labels."""
        return docker("network", "ls", "--format", "{{.Name}}", *self.filters(labels)).split()

    def filters(self, labels):
        """Arguments that find what is ours."""
        words = [f"label={LABEL}={self.installation}"]
        words += [f"label=click-deploy.org/{key}={value}" for key, value in labels.items()]
        return [part for word in words for part in ("--filter", word)]

    def files(self, *folders):
        """What lies in the folders that are empty when nothing is under way. An upload whose deployment failed is kept
        until the next one, so that it can be tried again."""
        found = []
        for name in folders or ("work", "scratch"):
            folder = self.data / name
            if folder.is_dir():
                found += [f"{name}/{entry.name}" for entry in folder.iterdir()]
        return sorted(found)

    def leftovers(self, deployment):
        """What a deployment that did not go live left behind."""
        left = [f"container {found['Name']}" for found in self.containers(deployment=deployment)]
        left += [f"image {found}" for found in self.images(deployment=deployment)]
        left += [name for name in self.files() if deployment in name or name.startswith("scratch/")]
        return left

    def assert_nothing_left(self, deployment, seconds=5):
        """A deployment that did not go live must leave nothing."""
        end = time.monotonic() + seconds
        while left := self.leftovers(deployment):
            assert time.monotonic() < end, f"{deployment} left: {left}"
            time.sleep(0.1)

    def settled(self, service, seconds=45):
        """Waits until the only instances of a service are those of its current deployment, in the right number."""
        def fits():
            now = self.api.get(f"/services/{service}")
            found = self.containers(resource=service)
            owners = {one["Config"]["Labels"]["click-deploy.org/deployment"] for one in found}
            running = all(one["State"]["Running"] for one in found)
            return running and owners == {now["current_deployment_id"]} and len(found) == now["settings"]["replicas"]

        wait_until(fits, seconds, f"only the current instances of {service}", 0.2)


def remove_everything_of(installation):
    """Removes containers, networks and images of an installation."""
    label = f"label={LABEL}={installation}"
    containers = docker("ps", "--all", "--quiet", "--filter", label).split()
    if containers:
        docker("rm", "--force", "--volumes", *containers, check=False)
    networks = docker("network", "ls", "--quiet", "--filter", label).split()
    if networks:
        docker("network", "rm", *networks, check=False)
    names = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "--filter", label).split()
    for name in names:
        docker("image", "rm", "--force", name, check=False)
    rest = docker("image", "ls", "--quiet", "--filter", label).split()
    if rest:
        docker("image", "rm", "--force", *rest, check=False)
