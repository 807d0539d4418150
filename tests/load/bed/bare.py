"""A deployment without a platform: the tools in sequence, by hand, with the engine, builder and limits that the platform uses."""

import re
import secrets
import shutil
import subprocess
import time
from pathlib import Path

from . import asking, engine, surroundings
from .repository import git


def fresh_caches(dockerfile, key):
    """The same Dockerfile with cache mounts of its own, so that neither side finds what the other left there."""
    return re.sub(r"(--mount=type=cache,id=)[^,\s]+?-", rf"\g<1>{key}-", dockerfile)


class Bare:
    """One application, deployed again and again on a network of its own."""

    def __init__(self, folder, name, repository, plan):
        self.folder, self.repository, self.plan = Path(folder), repository, plan
        self.name = f"click-deploy-load-{name}-{secrets.token_hex(3)}"
        self.key = secrets.token_hex(6)
        engine.docker("network", "create", "--label=click-deploy-load", self.name)

    def deploy(self, text, began, no_cache=False):
        """From `began` (the push is part of it) to the first page; the seconds of each part."""
        parts = {}

        def part(name, since):
            parts[name] = time.monotonic() - since

        start = time.monotonic()
        tree = self.folder / "bare"
        shutil.rmtree(tree, ignore_errors=True)
        git("clone", "--quiet", "--depth=1", self.repository.url, tree)
        part("fetch", start)

        start = time.monotonic()
        arguments = []
        if self.plan:
            argv = [surroundings.executable(), "plan", "--dockerfile", str(tree)]
            subprocess.run(argv, check=True, capture_output=True)
            # What the platform builds, with its cache mounts, which the take-home form leaves out.
            (self.folder / "bare.Dockerfile").write_text(fresh_caches(self.plan["dockerfile"], self.key))
            (self.folder / "bare.Dockerfile.dockerignore").write_text(self.plan["dockerignore"])
            arguments = ["--file", self.folder / "bare.Dockerfile"]
        else:
            (tree / ".dockerignore").write_text(".git\n")
        part("plan", start)

        start = time.monotonic()
        arguments += ["--no-cache"] if no_cache else []
        named = ["--tag", f"{self.name}:latest", f"--label=click-deploy-load={self.name}"]
        engine.docker("build", "--quiet", *named, *arguments, tree, program=engine.builder(), buildkit=True)
        part("build", start)
        start = time.monotonic()
        new, seconds = self.run(f"{self.name}:latest", text, began)
        part("start", start)
        self.retire(keep=new)
        return {"page": seconds, "parts": parts}

    def run(self, image, text, began):
        """`docker run` until the page says the text: the instance's name, and the seconds since `began`."""
        new = f"{self.name}-{secrets.token_hex(3)}"
        environment = ["--env=PORT=8080", f"--env=TEXT={text}"]
        engine.docker("run", "--detach", "--name", new, "--network", self.name, *engine.LIMITS, *environment, image)
        address = engine.docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", new)
        return new, asking.until_text(8080, "localhost", text, began, address=address)

    def retire(self, keep=None):
        """Removes the instances, but one."""
        mine = engine.docker("ps", "--all", "--filter", f"name=^{self.name}", "--format", "{{.Names}}").split()
        if old := [name for name in mine if name != keep]:
            engine.docker("rm", "--force", *old)

    def end(self):
        """Removes all that it made."""
        self.retire()
        engine.docker("network", "rm", self.name, check=False)
        engine.remove_images(f"click-deploy-load={self.name}")
