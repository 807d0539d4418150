"""Where the counterparts are: given by the environment as for all tests, else where `make demo` puts them."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HOME = Path(os.environ.get("CLICK_DEPLOY_HOME", ROOT / ".click-deploy"))
APPS = Path(__file__).resolve().parents[1] / "apps"


def fail(sentence):
    """Ends the program with a sentence."""
    print(f"error: {sentence}", file=sys.stderr)
    sys.exit(2)


def found(variable, *places):
    """The file that a variable names, else the first of these places that is there."""
    if given := os.environ.get(variable):
        return given if Path(given).exists() else fail(f"{variable} names {given}, which is not there")
    for place in places:
        if place.exists():
            return str(place)
    return fail(f"{variable} is not set, and there is no {' or '.join(map(str, places))}")


def executable():
    """The program under test."""
    return found("CLICK_DEPLOY_TEST_BIN", HOME / "bin" / "click-deploy", ROOT / "target" / "debug" / "click-deploy")


def caddy():
    """The proxy."""
    return found("CLICK_DEPLOY_TEST_CADDY", HOME / "bin" / "caddy")


def engine():
    """The address of the Docker Engine."""
    own = HOME / "run" / "docker.sock"
    given = os.environ.get("CLICK_DEPLOY_TEST_DOCKER_HOST") or os.environ.get("DOCKER_HOST")
    return given or f"unix://{own if own.exists() else '/var/run/docker.sock'}"


def image_program():
    """The program that provides base images where no registry can be reached."""
    return os.environ.get("CLICK_DEPLOY_TEST_BASE_IMAGE_PROGRAM", str(ROOT / "images" / "provide"))


def conditions():
    """What the machine is, and how busy it is now."""
    model = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "cores": os.cpu_count(),
        "processor": model[0] if model else "unknown",
        "load": [round(load, 1) for load in os.getloadavg()],
        "executable_mb": round(os.path.getsize(executable()) / 1e6, 1),
        "engine": subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            env={**os.environ, "DOCKER_HOST": engine()},
            capture_output=True,
            text=True,
        ).stdout.strip(),
    }
