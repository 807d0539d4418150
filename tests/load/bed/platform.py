"""An installation of its own: proxy and server on free ports, with a folder that goes at the end."""

import base64
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from . import engine, surroundings

BASE = "/v1/click-deploy"
OVER = ("live", "failed", "cancelled", "superseded")


def free_port():
    """A port that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Platform:
    """Starts the proxy and the server; a context manager that ends and removes all that they made."""

    def __init__(self, log="info,sqlx=warn,hyper=warn,h2=warn", **settings):
        self.folder = Path(tempfile.mkdtemp(prefix="click-deploy-load."))
        self.port, self.proxy_port, admin = free_port(), free_port(), free_port()
        self.processes = []
        common = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
        self.proxy_environment = common | {
            "XDG_DATA_HOME": str(self.folder / "proxy"),
            "XDG_CONFIG_HOME": str(self.folder / "proxy"),
            "CLICK_DEPLOY_PROXY_LISTEN": f"127.0.0.1:{self.proxy_port}",
            "CLICK_DEPLOY_PROXY_ADMIN": f"127.0.0.1:{admin}",
            "CLICK_DEPLOY_PROXY_SNAPSHOT": str(self.folder / "routes"),
        }
        self.environment = common | {
            "CLICK_DEPLOY_DATA_DIR": str(self.folder / "data"),
            "CLICK_DEPLOY_LISTEN": f"127.0.0.1:{self.port}",
            "CLICK_DEPLOY_TOKEN_FILE": str(self.folder / "token"),
            "CLICK_DEPLOY_LOG": log,
            "ENCRYPTION_KEY": base64.b64encode(os.urandom(32)).decode(),
            "BASE_DOMAIN": "localhost",
            "PUBLIC_SCHEME": "http",
            "PUBLIC_PORT": str(self.proxy_port),
            "PROXY_ADMIN_URL": f"http://127.0.0.1:{admin}",
            "PROXY_URL": f"http://127.0.0.1:{self.proxy_port}",
            "DOCKER_HOST": surroundings.engine(),
            "BASE_IMAGE_PROGRAM": surroundings.image_program(),
            "GIT_ALLOW_FILE_URLS": "true",
        } | settings

    def __enter__(self):
        try:
            proxy = [surroundings.caddy(), "run", "--config", str(surroundings.ROOT / "proxy" / "caddy.json")]
            self.start("proxy", proxy, self.proxy_environment)
            self.until(lambda: socket.create_connection(("127.0.0.1", self.proxy_port), 1).close())
            self.serve = self.start("serve", [surroundings.executable(), "serve"], self.environment)
            self.until(lambda: urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=1).close())
            self.token = (self.folder / "token").read_text().strip()
            return self
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        database = self.folder / "data" / "click-deploy.db"
        if database.exists():
            engine.remove_installation(installation_of(database))
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, name, argv, environment):
        """Starts a program whose output goes to a file."""
        log = open(self.folder / f"{name}.log", "wb")
        process = subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def until(self, question, seconds=20):
        """Asks until there is an answer."""
        end = time.monotonic() + seconds
        while True:
            try:
                return question()
            except OSError:
                if time.monotonic() > end or any(process.poll() is not None for process in self.processes):
                    logs = "".join(log.read_text()[-2000:] for log in self.folder.glob("*.log"))
                    raise RuntimeError(f"the platform did not start:\n{logs}") from None
                time.sleep(0.05)

    # --- The API -----------------------------------------------------------------------

    def call(self, method, path, body=None, key=None):
        """A call of the API; its JSON."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{BASE}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()}") from None
        return json.loads(text) if text else None

    def project(self, name):
        """A new project's id."""
        return self.call("POST", "/projects", {"name": name})["id"]

    def service(self, project, name, source, **settings):
        """A new service."""
        return self.call("POST", f"/projects/{project}/services", {"name": name, "source": source, "settings": settings})

    def deploy(self, service, **body):
        """Begins a deployment; its id."""
        return self.call("POST", f"/services/{service}/deploy", body)["id"]

    def over(self, deployment, seconds=300, pause=0.02):
        """The deployment, once it is over; one that is not live is an error with its story."""
        end = time.monotonic() + seconds
        while True:
            now = self.call("GET", f"/deployments/{deployment}")
            if now["status"] in OVER and now.get("finished_at"):
                break
            if time.monotonic() > end:
                break
            time.sleep(pause)
        if now["status"] != "live":
            lines = self.call("GET", f"/deployments/{deployment}/logs")["items"][-25:]
            story = "\n".join(f"    {line['phase']}: {line['message']}" for line in lines)
            raise RuntimeError(f"the deployment is {now['status']}: {now.get('reason')}\n{story}")
        return now

    def host_of(self, service):
        """What the `Host` header of a request to a service says."""
        return f"{service['host']}:{self.proxy_port}"


def installation_of(database):
    """The name that is on everything that the platform made."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return connection.execute("SELECT value FROM installation").fetchone()[0]
    finally:
        connection.close()
