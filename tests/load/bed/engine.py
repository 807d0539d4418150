"""The engine by its own command line, as a person without a platform would use it."""

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import surroundings

LABEL = "click-deploy.org/installation"
# What an instance of the platform gets, said in the command line's words.
LIMITS = [
    "--init", "--memory=512m", "--memory-swap=512m", "--cpus=1", "--pids-limit=1024", "--security-opt=no-new-privileges", "--cap-drop=ALL",
    *(f"--cap-add={name}" for name in ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID")),
    "--log-opt=max-size=10m", "--log-opt=max-file=3", "--log-opt=compress=false",
]  # fmt: skip


def environment(buildkit=False):
    """For the command line of the engine."""
    return {**os.environ, "DOCKER_HOST": surroundings.engine(), "DOCKER_BUILDKIT": "1" if buildkit else "0"}


def docker(*arguments, check=True, program="docker", buildkit=False, given=None):
    """Runs the engine's command line; what it says."""
    argv = [program, *map(str, arguments)]
    done = subprocess.run(argv, env=environment(buildkit), input=given, capture_output=True, text=given is None or isinstance(given, str))
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr[-2000:]}")
    return done.stdout.strip()


@functools.cache
def builder():
    """A `docker` whose `build` uses the engine's own BuildKit: 18.09 to 20.10 have it built in, newer ones need buildx."""
    folders = os.environ["PATH"].split(":")
    programs = dict.fromkeys(path for folder in [*folders, "/usr/bin"] if (path := shutil.which("docker", path=folder)))
    for program in programs:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
            try:
                docker("build", "--quiet", "--label=click-deploy-load=trial", folder, program=program, buildkit=True)
                remove_images("click-deploy-load=trial")
                return program
            except RuntimeError:
                continue
    surroundings.fail(f"none of {', '.join(programs)} can build by the engine's BuildKit: install the package docker-buildx")


def provide(*names):
    """Makes sure that the engine has these base images."""
    for name in names:
        if docker("image", "inspect", "--format", "{{.Id}}", name, check=False):
            continue
        done = subprocess.run([surroundings.image_program(), name], env=environment(), capture_output=True, text=True)
        if done.returncode:
            docker("pull", "--quiet", name)


def tiny_image(name="click-deploy-load/tiny:1"):
    """An image of about 6 MB that answers HTTP, made once: nothing but a program written in Go."""
    if docker("image", "inspect", "--format", "{{.Id}}", name, check=False):
        return name
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    with tempfile.TemporaryDirectory() as folder:
        if go:
            argv = [go, "build", "-trimpath", "-ldflags=-s -w", "-o", f"{folder}/tiny", "."]
            subprocess.run(argv, cwd=surroundings.APPS / "tiny", env={**os.environ, "CGO_ENABLED": "0"}, check=True)
            Path(folder, "Dockerfile").write_text('FROM scratch\nCOPY tiny /tiny\nEXPOSE 8080\nENTRYPOINT ["/tiny"]\n')
            docker("build", "--quiet", "--tag", name, folder, program=builder(), buildkit=True)
        else:
            provide("golang:1.26")
            docker("build", "--quiet", "--tag", name, surroundings.APPS / "tiny", program=builder(), buildkit=True)
    return name


def remove_installation(name):
    """Removes all containers, networks and images of an installation."""
    mine = f"label={LABEL}={name}"
    for _ in range(3):
        if found := docker("ps", "--all", "--quiet", "--filter", mine, check=False).split():
            docker("rm", "--force", "--volumes", *found, check=False)
    if found := docker("network", "ls", "--quiet", "--filter", mine, check=False).split():
        docker("network", "rm", *found, check=False)
    remove_images(f"{LABEL}={name}")


def remove_images(label):
    """Removes all images with a label."""
    if found := sorted(set(docker("images", "--all", "--quiet", "--filter", f"label={label}", check=False).split())):
        docker("rmi", "--force", *found, check=False)
