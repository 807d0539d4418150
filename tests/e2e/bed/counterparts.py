"""Which counterparts this machine has. One that is absent skips a test by name, or fails it where it is required."""

import os
import shutil
import subprocess

import pytest

NAMES = {
    "docker": "CLICK_DEPLOY_TEST_DOCKER_HOST",
    "buildkit": "CLICK_DEPLOY_TEST_BUILDKIT_HOST",
    "registry": "CLICK_DEPLOY_TEST_REGISTRY",
    "caddy": "CLICK_DEPLOY_TEST_CADDY",
    "postgresql": "CLICK_DEPLOY_TEST_POSTGRES_URL",
    "mariadb": "CLICK_DEPLOY_TEST_MARIADB_URL",
    "executable": "CLICK_DEPLOY_TEST_BIN",
}


def need(name):
    """The counterpart's address or path; without one the test is skipped, or fails where CI requires it."""
    value = os.environ.get(NAMES[name], "").strip()
    if value:
        return value
    absent(name, f"{NAMES[name]} is not set")


def absent(name, why):
    """Ends the test: skipped by name, or failed where the counterpart is required."""
    required = [word.strip() for word in os.environ.get("CLICK_DEPLOY_REQUIRE", "").split(",") if word.strip()]
    if name in required or (name == "executable" and required):
        pytest.fail(f"{name} is required here, and absent: {why}", pytrace=False)
    pytest.skip(f"skipped: {name} ({why})")


def program(name, counterpart):
    """A program on PATH that a counterpart is made of."""
    found = shutil.which(name)
    if not found:
        absent(counterpart, f"the program {name} is not on PATH")
    return found


def docker(*arguments, check=True, text=True, host=None):
    """Runs the docker client against the engine of the tests; its standard output."""
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "DOCKER_BUILDKIT": "0"}
    environment["DOCKER_HOST"] = host or need("docker")
    done = subprocess.run(["docker", *arguments], env=environment, capture_output=True, text=text, timeout=120)
    if check and done.returncode != 0:
        raise AssertionError(f"docker {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def remove_image(name):
    """Removes an image with all its names, also those that a platform gave it."""
    number = docker("image", "inspect", "--format", "{{.Id}}", name, check=False).strip()
    if number:
        docker("image", "rm", "--force", number, check=False)


def image_needed(name):
    """Makes sure that the engine has a base image; skips where it cannot be had."""
    if docker("image", "inspect", name, check=False).strip() not in ("", "[]"):
        return name
    provide = os.environ.get("CLICK_DEPLOY_TEST_BASE_IMAGE_PROGRAM")
    if provide:
        done = subprocess.run([provide, name], env={**os.environ, "DOCKER_HOST": need("docker")}, capture_output=True, text=True)
        if done.returncode == 0:
            return name
    absent("docker", f"the engine has no image {name}")
