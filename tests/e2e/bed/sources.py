"""Sources of little applications: folders, Git repositories, archives."""

import io
import os
import subprocess
import tarfile
import zipfile
from pathlib import Path

BASE_IMAGE = "python:3.13-slim"
DOCKERFILE = f"FROM {BASE_IMAGE}\nCOPY app.py version /app/\nCMD [\"python3\", \"/app/app.py\"]\n"
APP = (Path(__file__).parent / "app.py").read_text()


def app_files(version="1", dockerfile=DOCKERFILE, **more):
    """The files of the test application, by path; `more` adds or replaces (`__` stands for a slash, `_dot_` for a dot)."""
    files = {"Dockerfile": dockerfile, "app.py": APP, "version": version + "\n"}
    files.update({name.replace("__", "/").replace("_dot_", "."): text for name, text in more.items()})
    return files


def write_files(folder, files):
    """Writes files below a folder, and takes away what is not among them."""
    folder = Path(folder)
    for old in sorted(folder.rglob("*"), reverse=True):
        if ".git" not in old.parts and old.is_file() and str(old.relative_to(folder)) not in files:
            old.unlink()
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def git(folder, *arguments):
    """Runs Git in a folder, the same on every machine; its standard output without the last newline."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ada Tester",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada Tester",
        "GIT_COMMITTER_EMAIL": "ada@example.org",
    }
    words = ["git", "-c", "protocol.file.allow=always", "-C", str(folder), *arguments]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout.rstrip("\n")


class Repository:
    """A Git repository with commits, and the bare one that is deployed from."""

    def __init__(self, folder):
        self.work = Path(folder) / "work"
        self.bare = Path(folder) / "bare.git"
        self.work.mkdir(parents=True)
        git(self.work, "init", "--quiet", "--initial-branch=main")
        self.bare.mkdir()
        git(self.bare, "init", "--quiet", "--bare", "--initial-branch=main")

    @property
    def url(self):
        """Its address for a service."""
        return f"file://{self.bare}"

    def commit(self, files, message="a change", branch="main"):
        """Makes these the files of a branch, and pushes; the commit."""
        current = git(self.work, "symbolic-ref", "--short", "HEAD")
        if current != branch:
            git(self.work, "checkout", "--quiet", "-B", branch)
        write_files(self.work, files)
        git(self.work, "add", "--all")
        git(self.work, "commit", "--quiet", "--allow-empty", "-m", message)
        git(self.work, "push", "--quiet", "--force", str(self.bare), branch)
        return git(self.work, "rev-parse", "HEAD")

    def add_submodule(self, other, path):
        """Adds another repository as a submodule; the commit."""
        git(self.work, "submodule", "--quiet", "add", other.url, path)
        git(self.work, "commit", "--quiet", "-m", "with a submodule")
        git(self.work, "push", "--quiet", str(self.bare), "main")
        return git(self.work, "rev-parse", "HEAD")


def tar_gz(files):
    """The files as tar.gz."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            data = text if isinstance(text, bytes) else text.encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def zipped(files):
    """The files as zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()
