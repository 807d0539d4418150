"""Counterparts of a test's own, which may be killed: an engine, a buildkitd, a registry."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import httpx

from . import counterparts
from .processes import Program, free_port, wait_until

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"


def registry(folder, name="registry"):
    """A registry without a password, not started yet; `address` is its `host:port`, `up()` waits for it."""
    counterparts.need("registry")
    port, home = free_port(), Path(folder) / name
    home.mkdir(parents=True)
    settings = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(home / "data")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    # JSON is YAML.
    (home / "config.yml").write_text(json.dumps(settings))
    argv = [counterparts.program("docker-registry", "registry"), "serve", str(home / "config.yml")]
    program = Program("registry", argv, {"PATH": "/usr/bin:/bin"}, home / "log")
    program.address = f"127.0.0.1:{port}"
    program.up = lambda: wait_until(lambda: httpx.get(f"http://{program.address}/v2/", trust_env=False).status_code == 200, 30, "the registry")
    return program


def buildkitd(folder):
    """A buildkitd, not started yet, which takes base images from the registry of the tests; `up()` waits for it."""
    counterparts.need("buildkit")
    home, mirror = Path(folder) / "buildkitd", counterparts.need("registry")
    home.mkdir(parents=True)
    socket = home / "buildkitd.sock"
    (home / "buildkitd.toml").write_text(
        f'root = "{home / "root"}"\n[grpc]\n  address = ["unix://{socket}"]\n'
        '[worker.containerd]\n  enabled = false\n[worker.oci]\n  enabled = true\n  snapshotter = "overlayfs"\n  networkMode = "host"\n'
        f'  defaultCgroupParent = "{home.parent.name}"\n'
        f'[registry."docker.io"]\n  mirrors = ["{mirror}"]\n[registry."{mirror}"]\n  http = true\n'
    )
    path = f"{Path(counterparts.need('caddy')).parent}:{os.environ['PATH']}"
    argv = [shutil.which("buildkitd", path=path) or counterparts.program("buildkitd", "buildkit"), "--config", str(home / "buildkitd.toml")]
    program = Program("buildkitd", argv, {"PATH": path, "HOME": str(home)}, home / "buildkitd.log")
    program.address = f"unix://{socket}"

    def answers():
        argv = [shutil.which("buildctl", path=path), "--addr", program.address, "debug", "workers"]
        return subprocess.run(argv, capture_output=True, timeout=10).returncode == 0

    def clean():
        # Steps of a killed one run on without it.
        _end_contained(home)

    program.up = lambda: wait_until(answers, 60, f"buildkitd\n{program.tail(10)}", 0.2)
    program.clean = clean
    return program


def engine(folder):
    """A Docker Engine with a bridge and a folder of its own, not started yet; `up()` waits for it, `remove()` takes it away."""
    counterparts.need("docker")
    home = Path(folder) / "engine"
    # A small file system may be in it already.
    home.mkdir(parents=True, exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "CLICK_DEPLOY_HOME": str(home)}
    told = _shell('echo "$OWN_DOCKER_HOST"; echo "$BRIDGE"; echo "$RUN"', environment).split()
    program = Program("dockerd", [str(SCRIPTS / "run"), "dockerd"], environment, home / "dockerd.log")
    program.address, bridge, run = told
    program.home = home

    def answers():
        return counterparts.docker("version", "--format", "{{.Server.Version}}", host=program.address, check=False).strip()

    def clean():
        _shell('. "$ROOT/scripts/parts/leftovers.sh"; end_engine_remains; end_contained_processes', environment)

    def remove():
        program.stop(60)
        clean()
        _shell('. "$ROOT/scripts/parts/leftovers.sh"; stop_process dns 5; unmount_all; ip link del "$BRIDGE" 2>/dev/null || true', environment)
        for line in subprocess.run(["ip", "-o", "link"], capture_output=True, text=True).stdout.splitlines():
            assert f" {bridge}:" not in line, f"the bridge {bridge} is still there"
        shutil.rmtree(run, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)

    program.up = lambda: wait_until(answers, 90, f"the engine\n{program.tail(10)}", 0.2)
    program.clean, program.remove = clean, remove
    return program


def database_server(folder, kind):
    """A PostgreSQL or MariaDB of its own, not started yet; `address` is its URL, `up()` waits for it. Frozen, all its processes are."""
    counterparts.need(kind)
    home = Path(folder) / kind
    home.mkdir(parents=True, exist_ok=True)
    # Whoever runs the server must be able to enter.
    Path(folder).chmod(0o711)
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "CLICK_DEPLOY_HOME": str(home)}
    library = '. "$ROOT/scripts/parts/databases.sh"; '
    run = _shell(f'{library} mkdir -p "$DATABASES"; make_{kind}; echo "$RUN"', environment).split()[-1]
    program = Program(kind, [str(SCRIPTS / "run"), kind], environment, home / "server.log")
    known = []

    def up():
        _shell(f"{library} wait_until 60 {kind}_answers", environment)
        if not known:
            _shell(f"{library} prepare_{kind}", environment)
            known.append(True)

    def everyone():
        children = subprocess.run(["pgrep", "--parent", str(program.process.pid)], capture_output=True, text=True).stdout.split()
        return [program.process.pid, *(int(child) for child in children)]

    def tell(signal_number):
        for pid in everyone():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal_number)

    def remove():
        program.kill()
        shutil.rmtree(run, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)

    program.address = _shell(f"{library} {'postgres' if kind == 'postgresql' else kind}_address", environment).strip()
    program.up, program.remove = up, remove
    program.freeze = lambda: tell(signal.SIGSTOP)
    program.thaw = lambda: program.running and tell(signal.SIGCONT)
    return program


def give_images(target, *names):
    """Copies images of the tests' engine to another one."""
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    with subprocess.Popen(["docker", "save", *names], env={**environment, "DOCKER_HOST": counterparts.need("docker")}, stdout=subprocess.PIPE) as saving:
        subprocess.run(["docker", "load", "--quiet"], env={**environment, "DOCKER_HOST": target}, stdin=saving.stdout, check=True, capture_output=True)


def _shell(words, environment):
    """Runs words of our scripts' shell library."""
    done = subprocess.run(["bash", "-c", f'. "{SCRIPTS}/lib.sh"; {words}'], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _end_contained(home):
    with contextlib.suppress(AssertionError):
        environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "CLICK_DEPLOY_HOME": str(home)}
        _shell('. "$ROOT/scripts/parts/leftovers.sh"; end_contained_processes', environment)
