"""Plans and builds by Railpack's own program, for comparison."""

import uuid

from . import engine
from .ours import Refused


class Railpack:
    """Railpack and a buildkitd."""

    name = "railpack"
    counts_manifest = False

    def __init__(self, mine, program, address):
        self.engine = mine
        self.program = program
        self.environment = {**engine.docker_environment(), "BUILDKIT_HOST": address}

    def plan(self, folder, variables):
        """A plan of which only the time counts."""
        done = engine.run([self.program, "plan", str(folder), *words_of(variables)], seconds=60, environment=self.environment)
        if done.status != 0:
            raise Refused("refused", done.text)
        return {"port": None, "cache_key": uuid.uuid4().hex[:12]}, done.seconds * 1000

    def make_ready(self, plan):
        """Its buildkitd pulls what it needs."""

    def build(self, folder, plan, variables, name, *, cold):
        """Builds an image of this name and gives it to the engine; the seconds."""
        words = [self.program, "build", str(folder), "--name", name, "--progress", "plain", "--cache-key", plan["cache_key"]]
        words += ["--no-cache"] if cold else []
        done = engine.run([*words, *words_of(variables)], seconds=engine.BUILD_SECONDS, environment=self.environment)
        if done.status != 0:
            raise Refused(f"the {'cold' if cold else 'warm'} build failed", done.text)
        return done.seconds, done.text


def words_of(variables):
    """Variables as Railpack takes them."""
    return [word for key, value in variables.items() for word in ("--env", f"{key}={value}")]
