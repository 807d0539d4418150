"""A bare repository that is pushed to, and the working tree beside it."""

import os
import shutil
import subprocess
from pathlib import Path

SETTINGS = {
    "GIT_AUTHOR_NAME": "Load", "GIT_AUTHOR_EMAIL": "load@example.org", "GIT_COMMITTER_NAME": "Load", "GIT_COMMITTER_EMAIL": "load@example.org",
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
}  # fmt: skip


def git(*arguments, folder="."):
    """Runs Git, whatever the user's own configuration says."""
    argv = ["git", "-C", str(folder), *map(str, arguments)]
    done = subprocess.run(argv, env={**os.environ, **SETTINGS}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr}")
    return done.stdout.strip()


class Repository:
    """An application whose text is written anew with each version."""

    def __init__(self, folder, application):
        self.tree, self.bare = Path(folder) / "tree", Path(folder) / "app.git"
        self.original = Path(application)
        shutil.copytree(application, self.tree)
        git("init", "--quiet", "--bare", "--initial-branch=main", self.bare)
        git("init", "--quiet", "--initial-branch=main", folder=self.tree)
        git("remote", "add", "origin", self.bare, folder=self.tree)

    @property
    def url(self):
        """Where it is cloned from."""
        return f"file://{self.bare}"

    def commit(self, text, message="a version"):
        """Puts this text in the place of `{{version}}`, and commits; pushed is it by `push`."""
        for original in self.original.rglob("*"):
            if original.is_file() and "{{version}}" in (content := original.read_text()):
                (self.tree / original.relative_to(self.original)).write_text(content.replace("{{version}}", text))
        git("add", "--all", folder=self.tree)
        git("commit", "--quiet", "--allow-empty", "--message", message, folder=self.tree)

    def push(self):
        """Pushes what was committed."""
        git("push", "--quiet", "origin", "main", folder=self.tree)
