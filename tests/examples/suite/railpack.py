"""Plans and builds as a platform does them with Railpack: `prepare`, then a solve by its BuildKit frontend."""

import hashlib
import json
import re
import uuid
from pathlib import Path

from . import engine
from .ours import Absent, Refused

# `prepare` could not fetch something: another try may help, a change of the application does not.
TRANSIENT = 75
PLAN_SECONDS = 120
# What its steps fetch from the sites of the tools' makers or from image registries, where that is missing. Looked for in a failed log.
ABSENT = (
    (re.compile(r"failed to get latest version for package `([^`]+)` after trying versions: ([^:]+):"), "mise finds no {0} {1}"),
    (re.compile(r"failed to resolve version ([^\s\"]+) of ([\w.:/-]+)"), "mise finds no {1} {0}"),
    (re.compile(r"mise[-\d.]* ls-remote ([^\s'@]+)@([^\s'@]+)"), "mise finds no {0} {1}"),
    (re.compile(r"failed to resolve source metadata for ([\w./:@-]+[\w])"), "there is no image {0}"),
    (re.compile(r"Failed to install ([\w:./@-]+[\w])"), "mise cannot fetch {0}"),
    (re.compile(r"HTTP status \w+ error [^\n]* for url \(([^)\s]+)\)"), "mise cannot fetch {0}"),
    (re.compile(r"(?:Could not resolve host:?|lookup|getaddrinfo \w+) ([\w.-]+\.[a-z]+)"), "{0} cannot be reached"),
)

class Railpack:
    """Railpack's program, its frontend and a buildkitd."""

    name = "railpack"
    counts_manifest = False

    def __init__(self, mine, program, address, frontend=None, settings=None, registry=None):
        self.engine = mine
        self.program = program
        self.address = address
        self.frontend = frontend or f"ghcr.io/railwayapp/railpack-frontend:v{version_of(program)}"
        self.settings = read_settings(settings)
        self.registry = registry
        self.ready = set()

    def plan(self, folder, variables):
        """A plan in a file beside the folder, and the milliseconds of the fastest of three, with the start of the program."""
        cache_key = uuid.uuid4().hex[:12]
        # Names of variables are in the definition of every step, so with one of its own nothing that an earlier example left fits:
        # the frontend has no other way to build without a cache.
        given = {**self.settings, **variables, f"EXAMPLES_{cache_key.upper()}": "1"}
        beside = folder.parent / f"{folder.name}-plan"
        words = [self.program, "prepare", str(folder), "--hide-pretty-plan", "--plan-out", str(beside / "railpack-plan.json")]
        words += ["--info-out", str(beside / "railpack-info.json"), *(word for pair in given.items() for word in ("--env", "=".join(pair)))]
        done = min((engine.run(words, seconds=PLAN_SECONDS) for _ in range(3)), key=lambda one: (one.status, one.seconds))
        if done.status != 0:
            info = beside / "railpack-info.json"
            said = done.text + (info.read_text() if info.exists() else "")
            if absent := what_is_absent(said):
                raise Absent(absent)
            if done.status == TRANSIENT:
                raise Absent(f"a download: {last_words(said)}")
            raise Refused(f"refused: {last_words(said)}", said)
        made = json.loads((beside / "railpack-plan.json").read_text())
        return {"port": None, "cache_key": cache_key, "folder": beside, "given": given, "images": images_in(made)}, done.seconds * 1000

    def make_ready(self, plan):
        """Its buildkitd has pulled and unpacked what it builds on, as our base images are there before a cold build."""
        for image in sorted(plan["images"] - self.ready):
            recipe = plan["folder"] / "pull"
            recipe.mkdir(exist_ok=True)
            (recipe / "Dockerfile").write_text(f"FROM {image}\nRUN true\n")
            words = ["--frontend", "dockerfile.v0", "--local", f"context={recipe}", "--local", f"dockerfile={recipe}"]
            done = self.buildctl(words, {})
            if done.status != 0:
                raise Absent(what_is_absent(done.text) or f"there is no image {image}")
            self.ready.add(image)

    def build(self, folder, plan, variables, name, *, cold):
        """Builds an image of this name and gives it to the engine without compressing it, the quickest way there is; the seconds."""
        archive = plan["folder"] / "image.tar"
        pushed = f"{self.registry}/{name}"
        digest = hashlib.sha256(repr(sorted(plan["given"].items())).encode()).hexdigest()
        words = ["--frontend", "gateway.v0", "--opt", f"source={self.frontend}"]
        words += ["--opt", f"build-arg:cache-key={plan['cache_key']}", "--opt", f"build-arg:secrets-hash={digest}"]
        words += ["--local", f"context={folder}", "--local", f"dockerfile={plan['folder']}"]
        words += [word for key in plan["given"] for word in ("--secret", f"id={key},env={key}")]
        output = f"type=image,name={pushed},push=true" if self.registry else f"type=docker,name={name},dest={archive}"
        built = self.buildctl([*words, "--output", f"{output},compression=uncompressed"], plan["given"])
        if built.status != 0:
            if cold and (absent := what_is_absent(built.text)):
                raise Absent(absent, built.text)
            raise Refused(f"the {'cold' if cold else 'warm'} build failed: {last_words(built.text)}", built.text)
        given = ["docker", "pull", "--quiet", pushed] if self.registry else ["docker", "load", "--quiet", "--input", str(archive)]
        taken = engine.run(given, seconds=engine.BUILD_SECONDS)
        archive.unlink(missing_ok=True)
        if taken.status != 0:
            raise Refused("the engine does not take the image", taken.text)
        if self.registry:
            engine.run(["docker", "tag", pushed, name])
            self.engine.remove_image(pushed)
        self.engine.loaded.append(name)
        return built.seconds + taken.seconds, f"{built.text}\nbuilt in {built.seconds:.1f} s, taken in {taken.seconds:.1f} s\n"

    def buildctl(self, words, given):
        """A solve; the values of its secrets are in the environment."""
        environment = {**engine.docker_environment(), **given}
        return engine.run(
            ["buildctl", "--addr", self.address, "build", "--progress", "plain", *words], seconds=engine.BUILD_SECONDS, environment=environment
        )


def version_of(program):
    """The version that a program says it is; images are tagged by it."""
    said = engine.run([program, "--version"]).text
    found = re.search(r"\d+\.\d+\.\d+", said)
    if not found:
        raise SystemExit(f"{program} --version says no version: {said.strip()}")
    return found[0]


def read_settings(path):
    """Lines NAME=VALUE: what steps need to reach package registries from this machine."""
    lines = Path(path).read_text().splitlines() if path else []
    return dict(line.split("=", 1) for line in lines if "=" in line)


def images_in(plan):
    """All images that a plan names."""
    if isinstance(plan, dict):
        own = {plan["image"]} if isinstance(plan.get("image"), str) else set()
        return own.union(*map(images_in, plan.values()))
    return set().union(*map(images_in, plan)) if isinstance(plan, list) else set()


def what_is_absent(text):
    """What a failed log asks for that this network does not have, or nothing."""
    for pattern, sentence in ABSENT:
        if found := pattern.search(text):
            return sentence.format(*found.groups())
    return None


def last_words(text):
    """The line of a log that says why."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\berror\b|✖|failed", line, re.IGNORECASE)]
    return (errors or lines or ["it says nothing"])[-1][:200]
