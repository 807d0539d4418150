"""The container engine: images and containers that carry our label, and are removed by it."""

import json
import os
import subprocess
import time
import uuid
from dataclasses import dataclass

# What the platform leaves to a container that it starts.
CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID")
BUILD_SECONDS = 900


@dataclass
class Done:
    """How a program ended, what it said, and how long it took."""

    status: int
    text: str
    seconds: float


def run(words, *, seconds=120, stdin=None, environment=None):
    """Runs a program; both of its outputs are one text. One that takes too long is ended, and its status is 124."""
    began = time.monotonic()
    try:
        done = subprocess.run(
            words, input=stdin, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=seconds
        )
        status, text = done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        status, text = 124, f"{(late.stdout or b'').decode(errors='replace')}\nended after {seconds} s"
    return Done(status, text, time.monotonic() - began)


class Engine:
    """The engine at DOCKER_HOST."""

    def __init__(self, cgroup_parent, memory):
        self.client = client_with_buildkit()
        self.mark = uuid.uuid4().hex[:12]
        self.label = f"click-deploy.examples={self.mark}"
        self.loaded = []
        self.group = ["--cgroup-parent", cgroup_parent] if cgroup_parent else []
        self.memory = memory

    def has_image(self, name):
        """Whether the store has an image."""
        return run(["docker", "image", "inspect", name]).status == 0

    def size_mb(self, name):
        """An image's size in megabytes."""
        found = json.loads(run(["docker", "image", "inspect", name]).text)
        return found[0]["Size"] / 1e6

    def user(self, name):
        """Who runs an image; nothing is root."""
        return json.loads(run(["docker", "image", "inspect", name]).text)[0]["Config"].get("User", "")

    def build(self, folder, dockerfile, name, *, secrets, digest, cold):
        """Builds a Dockerfile over a folder; cold is without anything that an earlier build left."""
        words = [self.client, "build", "--progress", "plain", "--label", self.label, "--tag", name, "--file", "-", *self.group]
        words += ["--build-arg", f"CLICK_DEPLOY_VARIABLES_DIGEST={digest}"] if secrets else []
        for key, path in secrets.items():
            words += ["--secret", f"id={key},src={path}"]
        words += ["--no-cache"] if cold else []
        environment = {**docker_environment(), "DOCKER_BUILDKIT": "1"}
        return run([*words, str(folder)], seconds=BUILD_SECONDS, stdin=dockerfile, environment=environment)

    def start(self, image, variables):
        """A container as the platform starts one; its id."""
        words = ["docker", "run", "--detach", "--init", "--label", self.label, *self.group]
        words += ["--memory", self.memory, "--memory-swap", self.memory, "--pids-limit", "512"]
        words += ["--cap-drop", "ALL", *(f"--cap-add={one}" for one in CAPABILITIES), "--security-opt", "no-new-privileges"]
        for key, value in variables.items():
            words += ["--env", f"{key}={value}"]
        done = run([*words, image])
        if done.status != 0:
            raise RuntimeError(f"the container does not start: {done.text.strip()}")
        return done.text.strip().splitlines()[-1]

    def state(self, container):
        """Whether a container runs, its exit status, and its address."""
        found = json.loads(run(["docker", "inspect", container]).text)[0]
        networks = found["NetworkSettings"]["Networks"].values()
        address = next((one["IPAddress"] for one in networks if one["IPAddress"]), None)
        ended = "out of memory" if found["State"]["OOMKilled"] else f"exit status {found['State']['ExitCode']}"
        return found["State"]["Running"], ended, address

    def logs(self, container):
        """All that a container has said."""
        return run(["docker", "logs", container]).text

    def remove(self, container):
        """Absence is success."""
        run(["docker", "rm", "--force", "--volumes", container])

    def remove_image(self, name):
        """Absence is success."""
        run(["docker", "image", "rm", "--force", name])

    def remove_all(self, keep_images):
        """What still carries our label, and what was loaded into the store without it."""
        for container in run(["docker", "ps", "-aq", "--filter", f"label={self.label}"]).text.split():
            self.remove(container)
        if not keep_images:
            for image in run(["docker", "images", "-q", "--filter", f"label={self.label}"]).text.split():
                self.remove_image(image)
            for image in self.loaded:
                self.remove_image(image)


def client_with_buildkit():
    """The first client on PATH that builds with BuildKit: newer ones need a plug-in for it."""
    for folder in os.get_exec_path():
        client = os.path.join(folder, "docker")
        if os.access(client, os.X_OK):
            done = run([client, "build", "--help"], environment={**docker_environment(), "DOCKER_BUILDKIT": "1"})
            if done.status == 0 and "--secret" in done.text:
                return client
    raise SystemExit("skipped: docker (no client on PATH builds with BuildKit)")


def docker_environment():
    """What the client needs to find the engine, and nothing else of ours."""
    names = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "BUILDKIT_HOST")
    return {name: os.environ[name] for name in names if name in os.environ}
