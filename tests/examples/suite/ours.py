"""Plans by the planner crate, builds by the engine's own builder."""

import hashlib
import json
import os
import subprocess
import uuid
from dataclasses import dataclass

from . import engine


@dataclass
class Refused(Exception):
    """There is no plan, or a step of it failed."""

    why: str
    log: str = ""


@dataclass
class Absent(Exception):
    """What is needed cannot be had on this machine."""

    why: str
    log: str = ""


class Ours:
    """Our planner."""

    name = "ours"
    counts_manifest = True

    def __init__(self, mine, planner, base_images):
        self.engine = mine
        self.planner = planner
        self.base_images = base_images

    def plan(self, folder, variables):
        """A plan, and the milliseconds of the fastest of three, with the start of the program. Where a base image cannot be had it is
        planned anew with the nearest, as the server does."""
        said, milliseconds = self.said(folder, variables)
        try:
            self.make_ready(said)
        except Absent:
            said, _ = self.said(folder, variables, "--closed-network")
        return said, milliseconds

    def said(self, folder, variables, *more):
        """What the program says."""
        words = [self.planner, str(folder), *more, "--cache-key", f"examples-{uuid.uuid4().hex[:12]}"]
        for key, value in variables.items():
            words += ["--env", f"{key}={value}"]
        done = min((engine.run(words, seconds=30) for _ in range(3)), key=lambda one: one.seconds)
        try:
            said = json.loads(done.text)
        except ValueError:
            raise Refused(f"the planner ended with status {done.status}", done.text) from None
        if "refusal" in said:
            raise Refused(f"refused: {said['refusal']}")
        return said, done.seconds * 1000

    def make_ready(self, plan):
        """The base images are in the engine's store; `Absent` names the first that cannot be."""
        missing = [name for name in plan["base_images"] if not self.engine.has_image(name)]
        if not missing:
            return
        if not self.base_images:
            raise Absent(f"there is no base image {missing[0]}")
        for name in missing:
            done = subprocess.run([self.base_images, name], capture_output=True, text=True, env=os.environ)
            if done.returncode == 3:
                raise Absent(f"base image {' '.join(done.stderr.split())}")
            if done.returncode != 0:
                raise Refused(f"the base image {name} could not be made", done.stdout + done.stderr)

    def build(self, folder, plan, variables, name, *, cold):
        """Builds an image of this name; the seconds."""
        ignore = folder / ".dockerignore"
        if plan["dockerignore"] and not ignore.exists():
            ignore.write_text(plan["dockerignore"])
        secrets = {}
        beside = folder.parent / "secrets"
        beside.mkdir(exist_ok=True)
        for key, value in variables.items():
            secrets[key] = beside / key
            secrets[key].write_text(value)
        digest = hashlib.sha256(repr(sorted(variables.items())).encode()).hexdigest()[:16]
        done = self.engine.build(folder, plan["dockerfile"], name, secrets=secrets, digest=digest, cold=cold)
        if done.status != 0:
            raise Refused(f"the {'cold' if cold else 'warm'} build failed", done.text)
        return done.seconds, done.text
